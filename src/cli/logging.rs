//! Logs, on stderr.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use super::args::Global;
use crate::config::{LogFormat, LogLevel, Logging};

/// Starts logging: `RUST_LOG` has the last word, then `-v` and `-q`, then the settings. Commands
/// that do not stay log warnings only, as their results speak for them.
pub(super) fn start(settings: &Logging, global: &Global, stays: bool) {
    let level = if stays {
        settings.level
    } else {
        settings.level.min(LogLevel::Warn)
    };
    let directives = std::env::var("RUST_LOG")
        .ok()
        .filter(|directives| !directives.is_empty());
    let directives = directives.unwrap_or_else(|| directives_for(shifted(level, global)));
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(directives))
        .with_ansi(has_colours())
        .with_writer(io::stderr);
    // It fails only if there is a log already, which then does.
    let _ = match settings.format {
        LogFormat::Text => log.with_target(false).try_init(),
        LogFormat::Json => log.json().try_init(),
    };
}

/// Colours are for people who look, and did not say that they want none (https://no-color.org).
fn has_colours() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn shifted(level: LogLevel, global: &Global) -> LogLevel {
    match (global.quiet, global.verbose) {
        (true, _) => LogLevel::Error,
        (_, 0) => level,
        (_, 1) => level.max(LogLevel::Debug),
        _ => LogLevel::Trace,
    }
}

/// Ours at `level`; what libraries say is of interest one level later.
fn directives_for(level: LogLevel) -> String {
    let (ours, others) = match level {
        LogLevel::Error => ("error", "error"),
        LogLevel::Warn => ("warn", "error"),
        LogLevel::Info => ("info", "warn"),
        LogLevel::Debug => ("debug", "info"),
        LogLevel::Trace => ("trace", "debug"),
    };
    // It warns of what is no fault: the first node of a network knows nobody.
    let kad = if level <= LogLevel::Info {
        ",libp2p_kad=error"
    } else {
        ""
    };
    format!("{others},pelago={ours},pelago_behaviour={ours}{kad}")
}
