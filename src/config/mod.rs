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
//! | `layers` | the layers, and who set what |
//! | `memory` | how much memory there is, and how much of it goes to what |
//! | `schema` | what is told of each setting: kind, unit, what is allowed |
//! | `live` | the settings of a program as it runs |

#[cfg(all(feature = "api", any(test, feature = "fuzzing")))]
pub(crate) mod fuzzing;
mod layers;
mod live;
mod schema;
mod sections;
mod values;

pub use layers::{ConfigError, Layers, Origin};
pub use live::{ChangeError, Setting, Settings, Wanted};
pub use schema::Kind;
pub use sections::{
    Api, Config, Gateway, LogFormat, LogLevel, Logging, Network, Storage, Transfer,
};
