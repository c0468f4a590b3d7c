//! How a page signs in, in JSON.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A code that a page begins its session with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Code {
    /// The code: good once.
    pub code: String,
    /// For how many seconds it is good.
    pub seconds: u64,
}

/// What a page begins its session with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// The code that it was opened with.
    pub code: String,
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(..)")
    }
}

impl fmt::Debug for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignIn(..)")
    }
}
