//! Conditional requests (RFC 9110, section 13).
//!
//! Parsed by hand: the `headers` crate panics in debug builds on tags that hold a space.

use axum::http::{
    HeaderMap, HeaderValue,
    header::{IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE},
};

/// Whether the client has the content with this `etag` already, by `If-None-Match`. Weak tags
/// match, too.
pub(super) fn is_not_modified(headers: &HeaderMap, etag: &str) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter();
    let mut texts = values.filter_map(|value| value.to_str().ok());
    texts.any(|text| text.trim() == "*" || tags(text).any(|tag| tag == etag))
}

/// Whether `If-Match` excludes the content with this `etag`.
pub(super) fn fails_precondition(headers: &HeaderMap, etag: &str) -> bool {
    let values = headers.get_all(IF_MATCH).iter();
    let mut values = values.peekable();
    let is_conditional = values.peek().is_some();
    let mut texts = values.filter_map(|value| value.to_str().ok());
    is_conditional
        && !texts.any(|text| text.trim() == "*" || strong_tags(text).any(|tag| tag == etag))
}

/// The `Range` header, if there is exactly one and `If-Range` does not exclude this `etag`.
pub(super) fn range<'h>(headers: &'h HeaderMap, etag: &str) -> Option<&'h HeaderValue> {
    let mut ranges = headers.get_all(RANGE).iter();
    let (Some(range), None) = (ranges.next(), ranges.next()) else {
        return None;
    };
    let mut conditions = headers.get_all(IF_RANGE).iter();
    // Dates do not match, as content has none. Weak tags do not match, as the client joins bytes.
    match (conditions.next(), conditions.next()) {
        (None, _) => Some(range),
        (Some(only), None) if only.as_bytes() == etag.as_bytes() => Some(range),
        _ => None,
    }
}

/// The tags of a list, without their `W/`. Our tags hold no comma, so the halves of a tag that
/// holds one match nothing.
fn tags(list: &str) -> impl Iterator<Item = &str> {
    strong_tags(list).map(|tag| tag.strip_prefix("W/").unwrap_or(tag))
}

/// The tags of a list, unchanged.
fn strong_tags(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(|tag| tag.trim_matches([' ', '\t']))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETAG: &str = "\"abc\"";

    fn headers(pairs: &[(axum::http::HeaderName, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn content_that_the_client_has_is_not_sent_again() {
        for (value, known) in [
            ("\"abc\"", true),
            ("W/\"abc\"", true),
            ("*", true),
            ("\"x\", \"abc\"", true),
            ("\"x\",W/\"abc\" ,", true),
            ("abc", false),
            ("\"ABC\"", false),
            ("w/\"abc\"", false),
            ("\"x,abc\"", false),
            ("", false),
        ] {
            let headers = headers(&[(IF_NONE_MATCH, value)]);
            assert_eq!(is_not_modified(&headers, ETAG), known, "{value}");
        }
        assert!(!is_not_modified(&HeaderMap::new(), ETAG));
        let two = headers(&[(IF_NONE_MATCH, "\"x\""), (IF_NONE_MATCH, "\"abc\"")]);
        assert!(is_not_modified(&two, ETAG));
    }

    #[test]
    fn a_client_that_expects_another_version_gets_none() {
        for (value, other) in [
            ("\"abc\"", false),
            ("*", false),
            ("\"x\", \"abc\"", false),
            ("W/\"abc\"", true),
            ("\"x\"", true),
            ("", true),
        ] {
            let headers = headers(&[(IF_MATCH, value)]);
            assert_eq!(fails_precondition(&headers, ETAG), other, "{value}");
        }
        assert!(!fails_precondition(&HeaderMap::new(), ETAG));
    }

    #[test]
    fn a_range_is_sent_if_the_client_has_the_same_content() {
        let one = (RANGE, "bytes=0-1");
        assert!(range(&headers(std::slice::from_ref(&one)), ETAG).is_some());
        assert!(range(&HeaderMap::new(), ETAG).is_none());
        assert!(range(&headers(&[one.clone(), one.clone()]), ETAG).is_none());
        for (condition, holds) in [
            ("\"abc\"", true),
            ("W/\"abc\"", false),
            ("\"x\"", false),
            ("*", false),
            ("Sat, 21 Nov 2026 12:00:00 GMT", false),
        ] {
            let headers = headers(&[one.clone(), (IF_RANGE, condition)]);
            assert_eq!(range(&headers, ETAG).is_some(), holds, "{condition}");
        }
    }
}
