//! What is told of each setting beside its value. What it does is said once, in `config/default.toml`: the
//! comment above a setting there is its description everywhere.

use std::{collections::HashMap, sync::LazyLock};

use super::layers::DEFAULTS;

/// Of what kind a setting's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// Bytes a second; 0: as fast as it can.
    Rate,
    /// A whole number.
    Number,
    /// Yes or no.
    Bool,
    /// One of some words.
    Choice(&'static [&'static str]),
    /// Any other text, or a list of texts.
    Text,
}

/// What is told of a setting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spec {
    pub(super) section: &'static str,
    pub(super) key: &'static str,
    pub(super) kind: ValueKind,
    pub(super) unit: Option<&'static str>,
    /// What is allowed, for people.
    pub(super) allowed: &'static str,
    /// Whether it can change while a node runs.
    pub(super) changes: bool,
}

const fn known(
    section: &'static str,
    key: &'static str,
    kind: ValueKind,
    allowed: &'static str,
) -> Spec {
    Spec {
        section,
        key,
        kind,
        unit: None,
        allowed,
        changes: false,
    }
}

impl Spec {
    const fn of(self, unit: &'static str) -> Self {
        Self {
            unit: Some(unit),
            ..self
        }
    }

    const fn changing(self) -> Self {
        Self {
            changes: true,
            ..self
        }
    }

    /// `section.key`.
    pub(super) fn name(&self) -> String {
        format!("{}.{}", self.section, self.key)
    }

    /// What it does and costs, in sentences.
    pub(super) fn description(&self) -> &'static str {
        let text = DESCRIPTIONS.get(&self.name());
        text.map(String::as_str).unwrap_or_default()
    }
}

/// The descriptions of all settings, by name.
static DESCRIPTIONS: LazyLock<HashMap<String, String>> = LazyLock::new(|| described(DEFAULTS));

/// The comments right above the settings of a file like `config/default.toml`, each on one line.
fn described(file: &str) -> HashMap<String, String> {
    let (mut section, mut comment) = ("", Vec::new());
    let mut descriptions = HashMap::new();
    for line in file.lines() {
        if let Some(text) = line.strip_prefix('#') {
            comment.push(text.trim());
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end().trim_end_matches(']');
        } else if let Some((key, _)) = line.split_once('=') {
            let name = format!("{section}.{}", key.trim());
            descriptions.insert(name, comment.join(" "));
        }
        comment.clear();
    }
    descriptions
}

const FORMATS: &[&str] = &["text", "json"];

const LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace"];

const YES_NO: &str = "true or false";

const RATE: &str = "1 KB/s to 1 TB/s: 50000, 400k, 1.5MB, 2MiB; 0 or off: as fast as it can";

const fn limit(key: &'static str) -> Spec {
    known("transfer", key, ValueKind::Rate, RATE)
        .of("bytes a second")
        .changing()
}

/// All settings, in the order of `config/default.toml`.
pub(super) const SETTINGS: &[Spec] = &[
    known(
        "network",
        "name",
        ValueKind::Text,
        "1 to 32 lowercase letters, digits, `-` and `.`",
    ),
    known(
        "network",
        "node_name",
        ValueKind::Text,
        "at most 64 bytes; nothing: the host name",
    ),
    known(
        "network",
        "port",
        ValueKind::Number,
        "0 to 65535; 0: any free one",
    ),
    known(
        "network",
        "listen",
        ValueKind::Text,
        "multiaddrs; none: all interfaces, on the port",
    ),
    known(
        "network",
        "bootstrap",
        ValueKind::Text,
        "multiaddrs or host:port",
    ),
    known("network", "mdns", ValueKind::Bool, YES_NO),
    known("network", "announce", ValueKind::Bool, YES_NO),
    known(
        "network",
        "memory_budget_mib",
        ValueKind::Number,
        "16 to 65536",
    )
    .of("MiB"),
    known("network", "replication", ValueKind::Number, "1 to 100").of("nodes"),
    known(
        "network",
        "concurrent_announcements",
        ValueKind::Number,
        "1 to 256",
    ),
    known(
        "network",
        "announce_interval_hours",
        ValueKind::Number,
        "1 to 40",
    )
    .of("hours"),
    known(
        "network",
        "idle_timeout_seconds",
        ValueKind::Number,
        "30 to 86400",
    )
    .of("seconds"),
    known("storage", "share_folders", ValueKind::Text, "folders"),
    known("storage", "rescan_seconds", ValueKind::Number, "1 to 86400").of("seconds"),
    known(
        "storage",
        "download_folder",
        ValueKind::Text,
        "a folder; nothing: yours for downloads",
    ),
    known("transfer", "max_downloads", ValueKind::Number, "1 to 1024").changing(),
    known("transfer", "max_sources", ValueKind::Number, "1 to 1024").of("peers"),
    known(
        "transfer",
        "in_flight_bytes",
        ValueKind::Number,
        "16384 to 1073741824",
    )
    .of("bytes"),
    known("transfer", "upload_slots", ValueKind::Number, "1 to 1024"),
    known("transfer", "slots_per_peer", ValueKind::Number, "1 to 1024"),
    known("transfer", "stall_seconds", ValueKind::Number, "1 to 3600").of("seconds"),
    limit("upload_limit"),
    limit("download_limit"),
    limit("upload_limit_per_peer"),
    limit("download_limit_per_peer"),
    known("transfer", "seed", ValueKind::Bool, YES_NO).changing(),
    known(
        "transfer",
        "timeout_seconds",
        ValueKind::Number,
        "1 to 86400",
    )
    .of("seconds")
    .changing(),
    known(
        "api",
        "listen",
        ValueKind::Text,
        "IP:PORT; port 0: any free one",
    ),
    known("api", "enabled", ValueKind::Bool, YES_NO),
    known(
        "api",
        "metrics",
        ValueKind::Text,
        "IP:PORT; nothing: only behind the token",
    ),
    known(
        "gateway",
        "listen",
        ValueKind::Text,
        "IP:PORT; port 0: any free one",
    ),
    known("gateway", "enabled", ValueKind::Bool, YES_NO),
    known("gateway", "read_ahead_mib", ValueKind::Number, "1 to 1024").of("MiB"),
    known("gateway", "cache_mib", ValueKind::Number, "1 to 1048576").of("MiB"),
    known(
        "logging",
        "level",
        ValueKind::Choice(LEVELS),
        "error, warn, info, debug or trace",
    )
    .changing(),
    known(
        "logging",
        "format",
        ValueKind::Choice(FORMATS),
        "text or json",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_described() {
        for known in SETTINGS {
            let (name, text) = (known.name(), known.description());
            assert!(text.ends_with('.') && text.len() > 20, "{name}: {text:?}");
            assert!(!text.contains('#'), "{name}: {text:?}");
        }
        assert_eq!(
            DESCRIPTIONS.len(),
            SETTINGS.len(),
            "settings of default.toml"
        );
    }

    #[test]
    fn a_description_is_the_comment_right_above() {
        let file = "# The file.\n\n[a]\n# Of all.\n\n# Of one:\n# two lines.\nb = 1\nc = [2]\n[d]\n# Other.\nb = 3\n";
        let descriptions = described(file);
        let of = |name: &str| descriptions.get(name).map(String::as_str);
        assert_eq!(of("a.b"), Some("Of one: two lines."));
        assert_eq!(of("a.c"), Some(""));
        assert_eq!(of("d.b"), Some("Other."));
    }
}
