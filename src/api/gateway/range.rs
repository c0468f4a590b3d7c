//! The `Range` header (RFC 9110, section 14).
//!
//! Parsed by hand: the `headers` crate drops suffixes that exceed the content, and knows no empty
//! list elements and no numbers beyond 64 bits.

use std::ops::Range;

use axum::http::HeaderValue;

/// The bytes of content to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SelectedRange {
    /// All of them: the header is absent or invalid, or asks for several ranges.
    Whole,
    /// This range, which is not empty.
    Part(Range<u64>),
    /// None: every range is beyond the end (status 416).
    Unsatisfiable,
}

impl SelectedRange {
    /// The bytes that the only `Range` header of a request selects of content of `size` bytes. A
    /// header that is malformed, or has an unknown unit, is ignored. A request for several ranges
    /// gets all bytes, as the RFC allows.
    pub(super) fn new(header: &HeaderValue, size: u64) -> Self {
        let specs = header.to_str().ok().and_then(parse);
        let Some(specs) = specs else {
            return Self::Whole;
        };
        let mut satisfiable = specs.iter().filter_map(|spec| spec.of(size));
        match (satisfiable.next(), satisfiable.next()) {
            (None, _) => Self::Unsatisfiable,
            // `Content-Range` cannot express a range of empty content.
            (Some(part), None) if !part.is_empty() => Self::Part(part),
            _ => Self::Whole,
        }
    }
}

/// One requested range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spec {
    /// From the first byte to the last one, inclusive; to the end if there is no last one.
    From(u64, Option<u64>),
    /// This many bytes at the end.
    Last(u64),
}

impl Spec {
    /// The selected bytes of content of `size` bytes; `None` if all are beyond the end.
    fn of(self, size: u64) -> Option<Range<u64>> {
        match self {
            Self::From(first, _) if first >= size => None,
            Self::From(first, None) => Some(first..size),
            Self::From(first, Some(last)) => Some(first..last.saturating_add(1).min(size)),
            Self::Last(0) => None,
            Self::Last(count) => Some(size.saturating_sub(count)..size),
        }
    }
}

/// The ranges of a well-formed header whose unit is bytes.
fn parse(header: &str) -> Option<Vec<Spec>> {
    let (unit, set) = header.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let elements = set
        .split(',')
        .map(|element| element.trim_matches([' ', '\t']));
    // Lists may have empty elements (RFC 9110, section 5.6.1.2).
    let elements = elements.filter(|element| !element.is_empty());
    let specs: Vec<_> = elements.map(spec).collect::<Option<_>>()?;
    (!specs.is_empty()).then_some(specs)
}

fn spec(text: &str) -> Option<Spec> {
    match text.split_once('-')? {
        ("", count) => Some(Spec::Last(number(count)?)),
        (first, "") => Some(Spec::From(number(first)?, None)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Spec::From(first, Some(last)))
        }
    }
}

/// A number of decimal digits. Numbers over `u64::MAX` count as that.
fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_ranges_are_selected_and_invalid_headers_are_ignored() {
        let part = |range| SelectedRange::Part(range);
        let (whole, none) = (SelectedRange::Whole, SelectedRange::Unsatisfiable);
        let huge = "9".repeat(40);
        for (header, selected) in [
            ("bytes=0-0", part(0..1)),
            ("bytes=0-", part(0..100)),
            ("bytes=99-", part(99..100)),
            ("bytes=10-19", part(10..20)),
            ("bytes=10-1000", part(10..100)),
            ("BYTES=10-19", part(10..20)),
            ("bytes= 10-19 ,, ", part(10..20)),
            ("bytes=-1", part(99..100)),
            ("bytes=-100", part(0..100)),
            ("bytes=-1000", part(0..100)),
            (&format!("bytes=5-{huge}"), part(5..100)),
            (&format!("bytes=-{huge}"), part(0..100)),
            (
                "bytes=18446744073709551615-18446744073709551615",
                none.clone(),
            ),
            ("bytes=100-", none.clone()),
            ("bytes=100-200", none.clone()),
            ("bytes=-0", none.clone()),
            (&format!("bytes={huge}-"), none.clone()),
            ("bytes=100-,200-300", none.clone()),
            // Only one of them is satisfiable.
            ("bytes=100-,10-19", part(10..20)),
            ("bytes=0-1,3-4", whole.clone()),
            ("bytes=0-,0-,0-,0-,0-", whole.clone()),
            // Invalid.
            ("", whole.clone()),
            ("bytes", whole.clone()),
            ("bytes=", whole.clone()),
            ("bytes=,", whole.clone()),
            ("bytes=-", whole.clone()),
            ("bytes=a-b", whole.clone()),
            ("bytes=1", whole.clone()),
            ("bytes=2-1", whole.clone()),
            ("bytes=0-1,2-1", whole.clone()),
            ("bytes=--1", whole.clone()),
            ("bytes=1--2", whole.clone()),
            ("bytes=+1-2", whole.clone()),
            ("bytes=0x1-2", whole.clone()),
            ("bytes=1 - 2", whole.clone()),
            ("bytes =0-1", whole.clone()),
            ("bytes:0-1", whole.clone()),
            ("items=0-1", whole.clone()),
            ("bytes=0-1;2-3", whole.clone()),
        ] {
            let value = HeaderValue::from_str(header).unwrap();
            assert_eq!(SelectedRange::new(&value, 100), selected, "{header}");
        }
        let strange = HeaderValue::from_bytes(b"bytes=0-\xff").unwrap();
        assert_eq!(SelectedRange::new(&strange, 100), whole);
    }

    #[test]
    fn empty_content_has_no_range() {
        let of_nothing = |header| SelectedRange::new(&HeaderValue::from_static(header), 0);
        assert_eq!(of_nothing("bytes=0-"), SelectedRange::Unsatisfiable);
        assert_eq!(of_nothing("bytes=0-0"), SelectedRange::Unsatisfiable);
        assert_eq!(of_nothing("bytes=-0"), SelectedRange::Unsatisfiable);
        assert_eq!(of_nothing("bytes=-5"), SelectedRange::Whole);
    }
}
