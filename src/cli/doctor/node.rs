//! Findings of a running node: what it relies on, its limits, and its notices.

use super::finding::{Finding, Severity};
use crate::{
    api::types::{Health, Notice},
    cli::health,
};

/// A finding for each part of its state, and one for each notice.
pub(super) fn examine(found: &Health) -> Vec<Finding> {
    let rows = health::rows(found).into_iter();
    let rows = rows.map(|row| Finding {
        state: match row.is_well {
            true => Severity::Ok,
            false => Severity::Warning,
        },
        ..Finding::ok(row.name, row.line)
    });
    // Other checks report these in detail.
    let is_named_elsewhere =
        |kind: &str| matches!(kind, "set-aside" | "identity" | "share" | "clock");
    let notices = found.notices.iter();
    let notices = notices.filter(|notice| !is_named_elsewhere(&notice.kind));
    rows.chain(notices.map(finding)).collect()
}

fn finding(notice: &Notice) -> Finding {
    Finding {
        check: check(&notice.kind),
        state: if notice.problem {
            Severity::Problem
        } else {
            Severity::Warning
        },
        message: health::notice(notice),
        hint: notice.remedy.clone(),
    }
}

/// The name of the check for a kind of notice.
fn check(kind: &str) -> &'static str {
    match kind {
        "watch" => "watching",
        "duty" => "tasks",
        "limit" => "limits",
        "share" => "shares",
        "download" => "waiting",
        "memory" => "memory",
        "disk" => "disk",
        "identity" => "identity",
        "bootstrap" => "bootstrap",
        _ => "node",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_notice_is_a_finding_with_its_remedy() {
        let notice = |kind: &str, problem| Notice {
            kind: kind.to_owned(),
            subject: None,
            problem,
            what: "it is so".to_owned(),
            why: "it is".to_owned(),
            remedy: Some("change it".to_owned()),
        };
        let health = Health {
            notices: vec![
                notice("watch", true),
                notice("set-aside", false),
                notice("new-kind", false),
            ],
            ..Health::default()
        };
        let findings = examine(&health);
        let findings: Vec<_> = findings
            .iter()
            .filter(|found| found.state != Severity::Ok)
            .collect();
        assert_eq!(findings.len(), 2);
        assert_eq!(
            (findings[0].check, findings[0].state),
            ("watching", Severity::Problem)
        );
        assert_eq!(findings[0].message, "it is so: it is");
        assert_eq!(findings[0].hint.as_deref(), Some("change it"));
        assert_eq!(
            (findings[1].check, findings[1].state),
            ("node", Severity::Warning)
        );
    }
}
