//! Which bytes a `Range` header asks for, by RFC 9110, section 14.

use std::ops::Range;

use axum::http::HeaderValue;

/// What is to be sent of content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SelectedRange {
    /// All of it: nothing else was asked for, or nothing that makes sense, or several parts.
    Whole,
    /// These bytes, of which there is at least one.
    Part(Range<u64>),
    /// Only what there is not: 416.
    Unsatisfiable,
}

impl SelectedRange {
    /// What the one `Range` header of a request selects of content of `size` bytes. A header that is
    /// not well-formed, or of a unit that is not known, is as good as none; several parts are answered
    /// with the whole, as is allowed.
    pub(super) fn new(header: &HeaderValue, size: u64) -> Self {
        let specs = header.to_str().ok().and_then(parse);
        let Some(specs) = specs else {
            return Self::Whole;
        };
        let mut satisfiable = specs.iter().filter_map(|spec| spec.of(size));
        match (satisfiable.next(), satisfiable.next()) {
            (None, _) => Self::Unsatisfiable,
            // Of nothing there is no part that could be named.
            (Some(part), None) if !part.is_empty() => Self::Part(part),
            _ => Self::Whole,
        }
    }
}

/// One of the parts that are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spec {
    /// From the first on, up to and with the last if there is one.
    From(u64, Option<u64>),
    /// As many at the end.
    Last(u64),
}

impl Spec {
    /// The bytes of content of `size` bytes; none if there are none such.
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

/// The parts of a well-formed header in bytes.
fn parse(header: &str) -> Option<Vec<Spec>> {
    let (unit, set) = header.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let elements = set
        .split(',')
        .map(|element| element.trim_matches([' ', '\t']));
    // Lists may have empty elements.
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

/// Digits; a number beyond all sizes is as good as the largest.
fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_sense_is_selected_and_what_does_not_is_ignored() {
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
            // One of them is left.
            ("bytes=100-,10-19", part(10..20)),
            ("bytes=0-1,3-4", whole.clone()),
            ("bytes=0-,0-,0-,0-,0-", whole.clone()),
            // Nonsense.
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
    fn of_nothing_there_is_no_part() {
        let of_nothing = |header| SelectedRange::new(&HeaderValue::from_static(header), 0);
        assert_eq!(of_nothing("bytes=0-"), SelectedRange::Unsatisfiable);
        assert_eq!(of_nothing("bytes=0-0"), SelectedRange::Unsatisfiable);
        assert_eq!(of_nothing("bytes=-0"), SelectedRange::Unsatisfiable);
        assert_eq!(of_nothing("bytes=-5"), SelectedRange::Whole);
    }
}
