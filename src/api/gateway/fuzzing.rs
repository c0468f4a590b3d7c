//! The parsers of what clients of the gateway send, for fuzzing.

use axum::http::{
    HeaderMap, HeaderValue,
    header::{IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE},
};

use super::{conditions, key::Key, path::Target, range::SelectedRange};
use crate::content::Hash;

/// A `Range` header. The first eight bytes are the size of the content.
pub(crate) fn range(data: &[u8]) {
    let Some((size, header)) = data.split_first_chunk::<8>() else {
        return;
    };
    let size = u64::from_be_bytes(*size);
    if let Ok(header) = HeaderValue::from_bytes(header)
        && let SelectedRange::Part(part) = SelectedRange::new(&header, size)
    {
        assert!(part.start < part.end && part.end <= size);
    }
}

/// Conditional headers: each line is the value of the next of four headers.
pub(crate) fn conditions(data: &[u8]) {
    let mut headers = HeaderMap::new();
    let names = [IF_NONE_MATCH, IF_MATCH, IF_RANGE, RANGE];
    for (line, name) in data.split(|byte| *byte == b'\n').zip(names.iter().cycle()) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(name, value);
        }
    }
    let etag = "\"abc\"";
    let _ = (
        conditions::is_not_modified(&headers, etag),
        conditions::fails_precondition(&headers, etag),
        conditions::range(&headers, etag),
    );
}

/// The path of a URL: alone, and after a valid capability.
pub(crate) fn gateway_path(text: &str) {
    let key = Key::from_bytes(vec![7; 32]).expect("the key has the right length and is not zero");
    let _ = Target::parse(text, &key);
    let hash = Hash::from_bytes([7; 32]);
    let _ = Target::parse(&format!("/{}/{hash}/{text}", key.capability(&hash)), &key);
}
