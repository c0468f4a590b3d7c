//! The log of a node, in JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// The severity of a line, the most severe first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// A failure that was not recovered from.
    Error,
    /// A problem that the node worked around.
    Warn,
    /// An action of the node.
    Info,
    /// The reasons for its actions.
    Debug,
    /// Every step.
    Trace,
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// When it was logged, in milliseconds since 1970.
    pub unix_ms: u64,
    /// Its severity.
    pub level: LogLevel,
    /// The module of the program that logged it.
    pub target: String,
    /// Its message. Any text.
    pub message: String,
    /// Its fields, and those of the spans around it. Any text.
    pub fields: BTreeMap<String, String>,
}

/// Which lines to return.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct LogQuery {
    /// The lowest severity of lines. Default: all lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<LogLevel>,
    /// Items of the page: 1 to 10000, by default 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// The cursor from the `Link` header of the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}
