//! What a node logged, in JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// How grave a line is; the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What failed for good.
    Error,
    /// What went wrong, and was coped with.
    Warn,
    /// What the node did.
    Info,
    /// Why it did so.
    Debug,
    /// Every step.
    Trace,
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// How grave it is.
    pub level: LogLevel,
    /// The part of the program that says so.
    pub target: String,
    /// What it says. Any text.
    pub message: String,
    /// What about, by name; also what the span around it is about. Any text.
    pub fields: BTreeMap<String, String>,
}

/// Which lines to give.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct LogQuery {
    /// Lines that are at least as grave; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<LogLevel>,
    /// Items of the page, 1 to 10000 (default 1000).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// The cursor that the last page named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}
