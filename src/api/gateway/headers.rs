//! What browsers are told of content, which may be hostile.

use axum::http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS,
    },
};

use super::urls::encoded;

/// What content may do: what it shows comes from here, and it has no forms and is in no frame.
macro_rules! content_policy {
    ($sandbox:literal) => {
        concat!(
            $sandbox,
            "; default-src 'none'; img-src 'self' data:; media-src 'self' data:; ",
            "style-src 'self' 'unsafe-inline'; font-src 'self' data:; ",
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
    };
}

/// Of content: nobody's origin, no script, no window.
const CONTENT_POLICY: &str = content_policy!("sandbox");

/// Of sounds, films and pictures: the same with this origin, as browsers load what they play from the page
/// that they make for it; no script runs there either.
const MEDIA_POLICY: &str = content_policy!("sandbox allow-same-origin");

/// Of pages of our own, which have a style and nothing else.
pub(super) const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What a hash or a path below it stands for never changes.
const FOREVER: &str = "private, max-age=31536000, immutable";

const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Bytes of a type that is not known.
const ANY_TYPE: &str = "application/octet-stream";

/// Characters of the name in a header, at most: file systems have 255 bytes.
const MAX_NAME: usize = 255;

/// What every answer has.
pub(super) fn common(headers: &mut HeaderMap) {
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(X_CONTENT_TYPE_OPTIONS, nosniff);
    let no_referrer = HeaderValue::from_static("no-referrer");
    headers.insert(REFERRER_POLICY, no_referrer);
    // The URL of what is shown holds a secret: only whoever knows that can embed it. A sandboxed page
    // has no origin that could be the same as this one, and shows its own pictures only like this.
    headers.insert(CORP, HeaderValue::from_static("cross-origin"));
    let policy = HeaderValue::from_static(PAGE_POLICY);
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(policy);
    let no_store = HeaderValue::from_static("no-store");
    headers.entry(CACHE_CONTROL).or_insert(no_store);
}

/// What a file has that is called `name`, if it is called anything.
pub(super) fn of_file(headers: &mut HeaderMap, name: Option<&str>, is_download: bool) {
    let content_type = content_type(name);
    let policy = match is_media(&content_type) {
        true => MEDIA_POLICY,
        false => CONTENT_POLICY,
    };
    let policy = HeaderValue::from_static(policy);
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(FOREVER));
    let disposition = disposition(name, is_download);
    if let Ok(disposition) = HeaderValue::from_str(&disposition) {
        headers.insert(CONTENT_DISPOSITION, disposition);
    }
}

/// By the ending of the name: what the content says of itself is not looked at.
fn content_type(name: Option<&str>) -> HeaderValue {
    let guessed = name.and_then(|name| mime_guess::from_path(name).first_raw());
    let guessed = guessed.unwrap_or(ANY_TYPE);
    let text = match guessed.starts_with("text/") {
        true => HeaderValue::from_str(&format!("{guessed}; charset=utf-8")),
        false => HeaderValue::from_str(guessed),
    };
    text.unwrap_or(HeaderValue::from_static(ANY_TYPE))
}

/// Whether it is a sound, a film or a picture; but not one that is a document, as SVG is.
fn is_media(content_type: &HeaderValue) -> bool {
    let text = content_type.to_str().unwrap_or_default();
    let kinds = ["audio/", "video/", "image/"];
    kinds.iter().any(|kind| text.starts_with(kind)) && !text.contains("xml")
}

/// How the file is to be shown, and what it is called if it is saved: once for all, once in ASCII for
/// programs that know no better.
fn disposition(name: Option<&str>, is_download: bool) -> String {
    let how = if is_download { "attachment" } else { "inline" };
    let Some(name) = name else {
        return how.to_owned();
    };
    let harmless = |c: char| match c {
        ' '..='~' if !"\"\\/:*?<>|%".contains(c) => c,
        _ => '_',
    };
    let name: String = name.chars().take(MAX_NAME).collect();
    let ascii: String = name.chars().map(harmless).collect();
    format!(
        "{how}; filename=\"{ascii}\"; filename*=UTF-8''{}",
        encoded(&name)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_follow_endings() {
        for (name, expected) in [
            ("film.mp4", "video/mp4"),
            ("film.webm", "video/webm"),
            ("film.mkv", "video/x-matroska"),
            ("song.FLAC", "audio/flac"),
            ("page.html", "text/html; charset=utf-8"),
            ("style.css", "text/css; charset=utf-8"),
            ("notes.txt", "text/plain; charset=utf-8"),
            ("picture.svg", "image/svg+xml"),
            ("picture.jpeg", "image/jpeg"),
            ("a.html.nothing", ANY_TYPE),
            ("html", ANY_TYPE),
            ("", ANY_TYPE),
            ("\u{202e}gpj.svg", "image/svg+xml"),
        ] {
            assert_eq!(content_type(Some(name)), expected, "{name}");
        }
        assert_eq!(content_type(None), ANY_TYPE);
    }

    #[test]
    fn only_what_is_no_document_keeps_its_origin() {
        let policy = |name| {
            let mut headers = HeaderMap::new();
            of_file(&mut headers, Some(name), false);
            let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
            policy.split(';').next().unwrap().to_owned()
        };
        for name in ["a.mp4", "a.webm", "a.mp3", "a.flac", "a.png", "a.jpg"] {
            assert_eq!(policy(name), "sandbox allow-same-origin", "{name}");
        }
        for name in [
            "a.html", "a.svg", "a.svgz", "a.xml", "a.xhtml", "a.pdf", "a.js", "a", "a.txt",
        ] {
            assert_eq!(policy(name), "sandbox", "{name}");
        }
    }

    #[test]
    fn a_name_cannot_say_anything_else_in_a_header() {
        assert_eq!(disposition(None, false), "inline");
        assert_eq!(disposition(None, true), "attachment");
        for (name, ascii, all) in [
            ("a b.txt", "a b.txt", "a%20b.txt"),
            (
                "x\"; filename=y",
                "x_; filename=y",
                "x%22%3B%20filename%3Dy",
            ),
            (
                "a\r\nSet-Cookie: x",
                "a__Set-Cookie_ x",
                "a%0D%0ASet-Cookie%3A%20x",
            ),
            ("ä\u{202e}.txt", "__.txt", "%C3%A4%E2%80%AE.txt"),
            ("../../x", ".._.._x", "..%2F..%2Fx"),
        ] {
            let text = disposition(Some(name), true);
            let expected = format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{all}");
            assert_eq!(text, expected);
            assert!(HeaderValue::from_str(&text).is_ok());
        }
        let long = "ä".repeat(10_000);
        assert!(disposition(Some(&long), false).len() < 4096);
    }
}
