//! The layout of our own pages, and error pages. No script, and nothing from elsewhere.

use axum::{
    body::Body,
    http::{
        HeaderValue, Response, StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER},
    },
};

use crate::node::is_unsafe;

/// One style for light and dark modes, and for wide and narrow windows.
const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:1.5rem auto;padding:0 1rem;overflow-wrap:anywhere}\
h1{font-size:1.25rem}\
table{width:100%;border-collapse:collapse}\
td{padding:.35rem 0;border-top:1px solid #8884;vertical-align:top}\
td+td{text-align:right;white-space:nowrap;padding-left:1rem;font-variant-numeric:tabular-nums}\
a{text-decoration:none}a:hover,a:focus{text-decoration:underline}\
small{opacity:.7}\
.odd{border:1px solid;border-radius:.2em;padding:0 .2em;font-size:.75em}";

/// The beginning of a page. `title` is plain text.
pub(in crate::api) fn head(title: &str) -> String {
    let title = escaped(title);
    // The title element takes no markup, so escaped characters are shown without their frame.
    let bare = bare(&title);
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width,initial-scale=1\">\
         <title>{bare}</title><style>{STYLE}</style><h1><bdi>{title}</bdi></h1>\n"
    )
}

/// An error page.
pub(in crate::api) fn failure(status: StatusCode, title: &str, text: &str) -> Response<Body> {
    let page = format!("{}<p>{}</p>\n", head(title), escaped(text));
    let mut response = Response::new(Body::from(page));
    *response.status_mut() = status;
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, html);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let seconds = HeaderValue::from_static("10");
        response.headers_mut().insert(RETRY_AFTER, seconds);
    }
    response
}

/// Escapes text for HTML. Characters that are invisible, or that change their surroundings, appear
/// as their code point.
pub(in crate::api) fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c if is_unsafe(c) => {
                html.push_str(CODE_POINT_BEGINS);
                html.push_str(&format!("U+{:04X}", u32::from(c)));
                html.push_str(CODE_POINT_ENDS);
            }
            c => html.push(c),
        }
    }
    html
}

const CODE_POINT_BEGINS: &str = "<span class=odd>";
const CODE_POINT_ENDS: &str = "</span>";

fn bare(html: &str) -> String {
    html.replace(CODE_POINT_BEGINS, "")
        .replace(CODE_POINT_ENDS, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped() {
        assert_eq!(escaped("a & b"), "a &amp; b");
        assert_eq!(
            escaped("<script>alert('\"')</script>"),
            "&lt;script&gt;alert(&#39;&quot;&#39;)&lt;/script&gt;"
        );
        assert_eq!(
            escaped("\u{202e}gpj.exe\n\0"),
            "<span class=odd>U+202E</span>gpj.exe<span class=odd>U+000A</span>\
             <span class=odd>U+0000</span>"
        );
        assert_eq!(escaped("größe שלום"), "größe שלום");
        // A joiner combines several emoji into one.
        let joined = "\u{1f469}\u{200d}\u{1f52c}";
        assert_eq!(escaped(joined), joined);
        let page = head("</title>\u{202e}<b>");
        assert!(
            page.contains("<title>&lt;/title&gt;U+202E&lt;b&gt;</title>"),
            "{page}"
        );
    }
}
