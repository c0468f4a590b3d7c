//! Settings: which exist, which values they take, and which layer set each.
//!
//! Owns the table of settings, and with it `config/default.toml`, and the order of layers: defaults
//! < file < settings changed while a node ran < environment < flags. Never acts on a setting. An
//! unknown setting or an invalid value leaves as a [`ConfigError`], which names the line, variable
//! or flag, and what is allowed.
//!
//! | file | owns |
//! |---|---|
//! | `schema` | the table of settings |
//! | `schedule` | limits at certain times of the week |
//! | `values` | which values a setting takes |
//! | `layers`, `set_by` | the layers; what set a setting |
//! | `live`, `new_value` | the settings of a running program; a value that someone gives to one |
//! | `error` | why settings are refused |

#[cfg(test)]
mod default_toml;
mod error;
#[cfg(all(feature = "api", any(test, feature = "fuzzing")))]
pub(crate) mod fuzzing;
mod layers;
mod live;
mod new_value;
mod schedule;
mod schema;
mod set_by;
mod values;

pub(crate) use error::{ChangeError, ConfigError};
pub(crate) use layers::{Ignored, Layers};
pub(crate) use live::{LiveSettings, Setting};
pub(crate) use new_value::NewValue;
pub(crate) use schedule::{Moment, OtherLimits, Period, limits_at};
pub(crate) use schema::{Config, LogFormat, LogLevel, LoggingSection};
pub(crate) use set_by::SetBy;
pub(crate) use values::ValueKind;
