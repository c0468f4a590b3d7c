//! Holds `config/default.toml` to the table of settings.

use super::{
    ValueKind,
    schema::{SETTINGS, Spec},
};

/// The file, which people read.
const FILE: &str = include_str!("../../config/default.toml");

/// The comment at its head.
const HEAD: &str = "\
Every setting of Pelago with its default. A value in config.toml in the configuration folder (or \
in --config FILE) takes precedence over the default. Settings that were changed while a node ran \
(`pelago settings`, saved in the data folder) take precedence over that, then variables such as \
PELAGO_NETWORK_PORT=0 (lists separated by commas), then flags. The node reads a setting when it \
starts, unless it says that `pelago settings` can change it.";

/// Columns of the longest line.
const WIDTH: usize = 100;

#[test]
fn the_file_is_the_table_of_settings() {
    let mut file = comment(HEAD);
    let mut section = "";
    for spec in SETTINGS {
        file += "\n";
        if spec.section != section {
            section = spec.section;
            file += &format!("[{section}]\n");
        }
        file += &comment(spec.description());
        file += &comment(&allowed(spec));
        file += &format!("{} = {}\n", spec.key, (spec.default)());
    }
    assert!(file == FILE, "write this to config/default.toml:\n{file}");
}

#[test]
fn every_setting_is_described_in_sentences() {
    for spec in SETTINGS {
        let (name, text) = (spec.name(), spec.description());
        assert!(text.ends_with('.') && text.len() > 20, "{name}: {text:?}");
        assert!(!text.contains('#'), "{name}: {text:?}");
    }
}

/// Which values a file may give a setting, and whether it can change at run time.
fn allowed(spec: &Spec) -> String {
    let values = match spec.values.kind() {
        ValueKind::Rate => spec.values.expected(),
        _ => spec.values.allowed(),
    };
    let unit = match spec.values.unit {
        Some(unit) if spec.values.kind() == ValueKind::Number => format!(" {unit}"),
        _ => String::new(),
    };
    let at_run_time = if spec.values.at_run_time {
        " `pelago settings` can change it while a node runs."
    } else {
        ""
    };
    format!("Allowed: {values}{unit}.{at_run_time}")
}

/// `text` as lines of a comment.
fn comment(text: &str) -> String {
    let mut lines = vec!["#".to_owned()];
    for word in text.split_whitespace() {
        if lines[lines.len() - 1].len() + 1 + word.len() > WIDTH {
            lines.push("#".to_owned());
        }
        if let Some(line) = lines.last_mut() {
            *line += " ";
            *line += word;
        }
    }
    lines.join("\n") + "\n"
}
