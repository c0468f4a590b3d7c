//! Settings: what there is to set, and which layer had the last word.
//!
//! Owns `config/default.toml`, which is the base layer, and the order of layers: defaults < file <
//! what was set while a node ran < environment < flags. Never acts on a setting. A setting that
//! does not exist, or a value that is not allowed, leaves as a [`ConfigError`] that says where it
//! was found and what is allowed there.
//!
//! | file | owns |
//! |---|---|
//! | `sections` | the settings: names, types, meanings |
//! | `values` | which values are allowed |
//! | `layers`, `set_by` | the layers; who set what |
//! | `error` | why settings are refused |
//! | `schema` | what is told of each setting: kind, unit, what is allowed |
//! | `live` | the settings of a program as it runs |

mod error;
#[cfg(all(feature = "api", any(test, feature = "fuzzing")))]
pub(crate) mod fuzzing;
mod layers;
mod live;
mod schema;
mod sections;
mod set_by;
mod values;

pub use error::{ChangeError, ConfigError};
pub use layers::Layers;
pub use live::{LiveSettings, NewValue, Setting};
pub use schema::ValueKind;
pub use sections::{
    Api, Config, Gateway, LogFormat, LogLevel, Logging, Network, Storage, Transfer,
};
pub use set_by::SetBy;
