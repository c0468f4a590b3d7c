//! The outcomes of asking peers, for the message of a download that finds no source.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
};

use super::{candidates::MAX_WAITING, recent_peers::MAX_PEERS, source::End};

/// The maximum number of peers that a summary names.
const MAX_SHOWN: usize = 3;

/// The latest outcome for each peer that was asked.
#[derive(Default)]
pub(super) struct Outcomes {
    /// Peers that have nothing, at most [`MAX_PEERS`].
    absent: HashSet<String>,
    /// The other peers, with the reason, at most [`MAX_WAITING`].
    failed: HashMap<String, String>,
}

impl Outcomes {
    /// Records how the source `who` ended.
    pub(super) fn record(&mut self, who: String, end: &End) {
        let reason = match end {
            End::Absent => {
                if self.absent.len() < MAX_PEERS {
                    self.absent.insert(who);
                }
                return;
            }
            End::Busy => "serves as many streams as it can, and will be asked again".to_owned(),
            End::NotAMember => "is not in the group".to_owned(),
            End::NotAllowed => "is not among those allowed by --from".to_owned(),
            End::Unreachable(why) => format!("could not be reached ({why})"),
            End::Lost(why) => format!("was lost ({why})"),
            End::Dishonest(why) => {
                format!("is not asked any more, as it sent wrong data ({why})")
            }
            End::Refused(why) => format!("is not asked any more ({why})"),
            End::Disk(_) => return,
        };
        self.note(who, reason);
    }

    /// Records that the source `who` lost `count` files in all, the last one for the reason `why`.
    pub(super) fn lost_files(&mut self, who: String, count: usize, why: &str) {
        let reason = match count {
            1 => format!("is not asked for 1 file any more ({why})"),
            n => format!("is not asked for {n} files any more (the last: {why})"),
        };
        self.note(who, reason);
    }

    fn note(&mut self, who: String, reason: String) {
        if self.failed.len() < MAX_WAITING {
            self.failed.insert(who, reason);
        }
    }

    /// The outcomes in one line, with `unanswered` peers that have not answered and `exhausted`
    /// ones that have nothing more.
    pub(super) fn summary(&self, unanswered: usize, exhausted: usize) -> String {
        let is_alone = self.failed.is_empty() && unanswered + exhausted == 0;
        let mut text = match self.absent.len() {
            0 if is_alone => "no peer was found to ask".to_owned(),
            0 => String::new(),
            1 => "1 peer was asked and does not have it".to_owned(),
            n => format!("{n} peers were asked and do not have it"),
        };
        let mut failed: Vec<_> = self.failed.iter().collect();
        failed.sort();
        for (who, reason) in failed.iter().take(MAX_SHOWN) {
            let separator = if text.is_empty() { "" } else { "; " };
            // Writing to a String does not fail.
            let _ = write!(text, "{separator}{who} {reason}");
        }
        if failed.len() > MAX_SHOWN {
            let _ = write!(text, "; and {} more", failed.len() - MAX_SHOWN);
        }
        for (count, one, several) in [
            (
                unanswered,
                "peer has not answered",
                "peers have not answered",
            ),
            (
                exhausted,
                "source has no more of it",
                "sources have no more of it",
            ),
        ] {
            if count > 0 {
                let separator = if text.is_empty() { "" } else { "; " };
                let what = if count == 1 { one } else { several };
                let _ = write!(text, "{separator}{count} {what}");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_in_vain_names_the_peers_and_their_outcomes() {
        let mut outcomes = Outcomes::default();
        assert_eq!(outcomes.summary(0, 0), "no peer was found to ask");
        outcomes.record("a".into(), &End::Absent);
        outcomes.record(
            "/ip4/10.0.0.1/tcp/1".into(),
            &End::Unreachable("refused".into()),
        );
        outcomes.record("b".into(), &End::Dishonest("wrong bytes".into()));
        assert_eq!(
            outcomes.summary(2, 1),
            "1 peer was asked and does not have it; /ip4/10.0.0.1/tcp/1 could not be reached \
             (refused); b is not asked any more, as it sent wrong data (wrong bytes); 2 \
             peers have not answered; 1 source has no more of it"
        );
    }

    #[test]
    fn the_summary_counts_the_files_that_a_source_lost_and_gives_the_last_reason() {
        let mut outcomes = Outcomes::default();
        outcomes.lost_files("a".into(), 1, "other bytes");
        assert_eq!(
            outcomes.summary(0, 1),
            "a is not asked for 1 file any more (other bytes); 1 source has no more of it"
        );
        outcomes.lost_files("a".into(), 2, "other bytes");
        assert_eq!(
            outcomes.summary(0, 0),
            "a is not asked for 2 files any more (the last: other bytes)"
        );
    }
}
