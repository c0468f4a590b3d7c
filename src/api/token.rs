//! The token, which grants commands access to the API.

use std::fmt::{self, Write};

use subtle::ConstantTimeEq;

/// 32 random bytes in hex. Every start of an API makes a new token. Never logged: `Debug` hides it.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// A new token, from the system's random number generator.
    pub fn generate() -> Self {
        let bytes: [u8; 32] = rand::random();
        Self(bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        }))
    }

    /// Whether `claimed` is this token, compared in constant time.
    pub(super) fn is(&self, claimed: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(claimed).into()
    }

    /// The token as text.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Token {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}
