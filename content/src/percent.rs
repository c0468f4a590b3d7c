//! Percent-encoding of the values in links.

use std::fmt::Write;

/// Why a text is not a percent-encoded value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPercentEncoding {
    /// A `%` is not followed by two hex digits.
    #[error("a `%` is not followed by two hex digits; a plain one is `%25`")]
    Escape,
    /// The decoded bytes are not text.
    #[error("it is not UTF-8")]
    Utf8,
}

/// Appends `value` to `text`. Keeps the characters that RFC 3986 calls unreserved, and `/` and `:`,
/// which a query may contain and addresses consist of.
pub fn percent_encode(value: &str, text: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
}

/// Decodes a value. Strict where leniency could mislead: `%` must precede two hex digits, and the
/// result must be UTF-8. `+` is a plus, and Unicode that a browser decoded for display is accepted.
///
/// # Errors
/// The text is not percent-encoded UTF-8.
pub fn percent_decode(value: &str) -> Result<String, InvalidPercentEncoding> {
    let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
    let mut decoded = Vec::with_capacity(value.len());
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let (high, low) = (digit(bytes.next()), digit(bytes.next()));
                let value = high.zip(low).map(|(high, low)| high * 16 + low);
                let value = value.and_then(|value| u8::try_from(value).ok());
                value.ok_or(InvalidPercentEncoding::Escape)?
            }
            byte => byte,
        });
    }
    String::from_utf8(decoded).map_err(|_| InvalidPercentEncoding::Utf8)
}
