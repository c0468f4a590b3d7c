//! Whether a client has the content already, by RFC 9110, section 13.

use axum::http::{
    HeaderMap, HeaderValue,
    header::{IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE},
};

/// Whether the client says that it has what is called `etag`. A weak tag is as good here.
pub(super) fn is_not_modified(headers: &HeaderMap, etag: &str) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter();
    let mut texts = values.filter_map(|value| value.to_str().ok());
    texts.any(|text| text.trim() == "*" || tags(text).any(|tag| tag == etag))
}

/// Whether the client wants nothing but another version. There is no other, so that it gets none.
pub(super) fn fails_precondition(headers: &HeaderMap, etag: &str) -> bool {
    let values = headers.get_all(IF_MATCH).iter();
    let mut values = values.peekable();
    let is_conditional = values.peek().is_some();
    let mut texts = values.filter_map(|value| value.to_str().ok());
    is_conditional
        && !texts.any(|text| text.trim() == "*" || strong_tags(text).any(|tag| tag == etag))
}

/// The `Range` header that counts: there is one, and it is for what the client has a part of.
pub(super) fn range<'h>(headers: &'h HeaderMap, etag: &str) -> Option<&'h HeaderValue> {
    let mut ranges = headers.get_all(RANGE).iter();
    let (Some(range), None) = (ranges.next(), ranges.next()) else {
        return None;
    };
    let mut conditions = headers.get_all(IF_RANGE).iter();
    // Not a date, as nothing here has one; and not a weak tag, as parts are put together byte by byte.
    match (conditions.next(), conditions.next()) {
        (None, _) => Some(range),
        (Some(only), None) if only.as_bytes() == etag.as_bytes() => Some(range),
        _ => None,
    }
}

/// The tags of a list, without their weakness. A tag holds no comma of ours, so that one which does is
/// cut into what matches nothing.
fn tags(list: &str) -> impl Iterator<Item = &str> {
    strong_tags(list).map(|tag| tag.strip_prefix("W/").unwrap_or(tag))
}

/// The tags of a list as they are.
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
    fn what_the_client_has_is_not_sent_again() {
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
    fn another_version_is_not_sent_in_its_place() {
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
    fn a_part_is_sent_of_what_the_client_has_the_rest_of() {
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
