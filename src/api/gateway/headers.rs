//! Response headers that confine content, which may be hostile.

use axum::http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS,
    },
};

use super::urls::encoded;

/// The policy for content: it loads from this origin only, submits no forms and is in no frame.
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

/// For content: an opaque origin, no scripts, no windows.
const CONTENT_POLICY: &str = content_policy!("sandbox");

/// For audio, video and images: the same with this origin. The page that a browser makes for a
/// media file loads the file from there. Scripts stay forbidden.
const MEDIA_POLICY: &str = content_policy!("sandbox allow-same-origin");

/// For our own pages, which have an inline style and nothing else.
pub(super) const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The content of a hash, or of a path below it, never changes.
const FOREVER: &str = "private, max-age=31536000, immutable";

const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The type of files with an unknown ending.
const ANY_TYPE: &str = "application/octet-stream";

/// Characters of a file name in a header, at most. File systems allow 255 bytes.
const MAX_NAME: usize = 255;

/// Sets the headers of every response.
pub(in crate::api) fn common(headers: &mut HeaderMap) {
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(X_CONTENT_TYPE_OPTIONS, nosniff);
    let no_referrer = HeaderValue::from_static("no-referrer");
    headers.insert(REFERRER_POLICY, no_referrer);
    // The URL holds a secret, so only pages that know it can embed the content. A sandboxed page
    // has an opaque origin and needs this to show its own images.
    headers.insert(CORP, HeaderValue::from_static("cross-origin"));
    let policy = HeaderValue::from_static(PAGE_POLICY);
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(policy);
    let no_store = HeaderValue::from_static("no-store");
    headers.entry(CACHE_CONTROL).or_insert(no_store);
}

/// Sets the headers of a file called `name`.
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

/// The content type, by the ending of the name. The content itself is not examined.
fn content_type(name: Option<&str>) -> HeaderValue {
    let guessed = name.and_then(|name| mime_guess::from_path(name).first_raw());
    let guessed = guessed.unwrap_or(ANY_TYPE);
    let text = match guessed.starts_with("text/") {
        true => HeaderValue::from_str(&format!("{guessed}; charset=utf-8")),
        false => HeaderValue::from_str(guessed),
    };
    text.unwrap_or(HeaderValue::from_static(ANY_TYPE))
}

/// Whether it is audio, video or an image, but not a document as SVG is.
fn is_media(content_type: &HeaderValue) -> bool {
    let text = content_type.to_str().unwrap_or_default();
    let kinds = ["audio/", "video/", "image/"];
    kinds.iter().any(|kind| text.starts_with(kind)) && !text.contains("xml")
}

/// The `Content-Disposition`: whether to show or to save the file, and its name in full and in
/// ASCII for older clients.
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
    fn the_ending_of_the_name_gives_the_type() {
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
    fn only_media_files_keep_their_origin() {
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
    fn a_name_cannot_inject_into_a_header() {
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
