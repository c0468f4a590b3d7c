//! Settings files for fuzzing.

use std::{ffi::OsString, path::Path};

use super::{Layers, SetBy};

/// A settings file, and a variable of the environment (its name in the first line).
pub(crate) fn settings(text: &str) {
    let mut layers = Layers::default();
    let _ = layers.text(Path::new("config.toml"), text, |line| SetBy::File {
        path: "config.toml".into(),
        line,
    });
    let _ = layers.config();
    if let Some((name, value)) = text.split_once('\n') {
        let mut layers = Layers::default();
        let variable = (OsString::from(name), OsString::from(value));
        let _ = layers.environment([variable].into_iter());
        let _ = layers.config();
    }
}
