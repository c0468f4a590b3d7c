//! The entries of a folder, as an HTML page or as JSON.
//!
//! Formatted piece by piece while the response is sent: a folder may have a million entries.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use futures::stream;
use serde::Serialize;

use super::{
    html::{escaped, head},
    urls::encoded,
};
use crate::{
    content::{EntryKind, ManifestEntry},
    node::ByteSize,
};

/// Entries that are formatted at a time.
const ENTRIES_AT_A_TIME: usize = 256;

/// An entry in JSON.
#[derive(Serialize)]
struct JsonEntry<'e> {
    name: &'e str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'e str>,
}

/// A page that lists the `entries` of the folder called `title`.
pub(super) fn html(title: &str, entries: Vec<ManifestEntry>, is_top: bool) -> Body {
    let mut begin = head(title);
    begin.push_str("<table>\n");
    if !is_top {
        begin.push_str("<tr><td><a href=\"../\">../</a><td>\n");
    }
    if entries.is_empty() {
        begin.push_str("<tr><td><small>nothing</small><td>\n");
    }
    in_pieces(begin, entries, "</table>\n", |_, entry| row(entry))
}

/// The same as JSON.
pub(super) fn json(entries: Vec<ManifestEntry>) -> Body {
    in_pieces("[".to_owned(), entries, "]\n", |at, entry| {
        let separator = if at == 0 { "" } else { "," };
        // Text and numbers are always valid JSON.
        let listed = serde_json::to_string(&listed(entry)).unwrap_or_default();
        format!("{separator}{listed}")
    })
}

fn in_pieces(
    begin: String,
    entries: Vec<ManifestEntry>,
    end: &'static str,
    text: impl Fn(usize, &ManifestEntry) -> String + Send + 'static,
) -> Body {
    let mut begin = Some(begin);
    let mut at = 0;
    let pieces = stream::iter(std::iter::from_fn(move || {
        if let Some(begin) = begin.take() {
            return Some(begin);
        }
        if at > entries.len() {
            return None;
        }
        let last = (at + ENTRIES_AT_A_TIME).min(entries.len());
        let numbers = at..last;
        let mut piece: String = numbers.map(|at| text(at, &entries[at])).collect();
        at = last;
        if at == entries.len() {
            piece.push_str(end);
            at += 1;
        }
        Some(piece)
    }));
    let pieces = futures::StreamExt::map(pieces, |piece| Ok::<_, Infallible>(Bytes::from(piece)));
    Body::from_stream(pieces)
}

fn row(entry: &ManifestEntry) -> String {
    let (name, href) = (escaped(&entry.name), encoded(&entry.name));
    match &entry.kind {
        EntryKind::File { descriptor, .. } => {
            let size = ByteSize(descriptor.size()).to_string();
            format!("<tr><td><a href=\"./{href}\"><bdi>{name}</bdi></a><td>{size}\n")
        }
        EntryKind::Folder { bytes: size, .. } => {
            let size = ByteSize(*size).to_string();
            format!("<tr><td><a href=\"./{href}/\"><bdi>{name}</bdi>/</a><td>{size}\n")
        }
        EntryKind::Symlink { target } => {
            let target = escaped(target);
            format!("<tr><td><bdi>{name}</bdi> <small>→ <bdi>{target}</bdi></small><td>link\n")
        }
    }
}

fn listed(entry: &ManifestEntry) -> JsonEntry<'_> {
    let name = entry.name.as_str();
    let (kind, hash, size, files, target) = match &entry.kind {
        EntryKind::File { descriptor, .. } => {
            let hash = descriptor.hash().to_string();
            ("file", Some(hash), Some(descriptor.size()), None, None)
        }
        EntryKind::Folder {
            descriptor,
            bytes,
            files,
        } => {
            let hash = descriptor.hash().to_string();
            ("folder", Some(hash), Some(*bytes), Some(*files), None)
        }
        EntryKind::Symlink { target } => ("symlink", None, None, None, Some(target.as_str())),
    };
    JsonEntry {
        name,
        kind,
        hash,
        size,
        files,
        target,
    }
}

#[cfg(test)]
mod tests {
    use pelago_content::{Descriptor, Kind};

    use super::*;

    fn file(name: &str, size: u64) -> ManifestEntry {
        let descriptor = Descriptor::new(Kind::File, size, [1; 32]).unwrap();
        ManifestEntry {
            name: name.to_owned(),
            kind: EntryKind::File {
                descriptor,
                executable: false,
            },
        }
    }

    async fn text(body: Body) -> String {
        let bytes = axum::body::to_bytes(body, 1 << 30).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn hostile_names_are_escaped() {
        let names = [
            "<img src=x onerror=alert(1)>",
            "javascript:alert(1)",
            "\u{202e}3pm.exe",
        ];
        let mut entries: Vec<_> = names.iter().map(|name| file(name, 1_500_000)).collect();
        entries.push(ManifestEntry {
            name: "link".to_owned(),
            kind: EntryKind::Symlink {
                target: "<b>".to_owned(),
            },
        });
        let page = text(html("a\"<b", entries.clone(), false)).await;
        assert!(!page.contains("<img") && !page.contains("<b>"), "{page}");
        assert!(
            page.contains("href=\"./javascript%3Aalert%281%29\""),
            "{page}"
        );
        assert!(page.contains("<td>1.5 MB"), "{page}");
        assert!(page.contains("href=\"../\""), "{page}");
        assert!(
            !page.contains('\u{202e}') && !page.contains("<script"),
            "{page}"
        );
        let listed: serde_json::Value = serde_json::from_str(&text(json(entries)).await).unwrap();
        assert_eq!(listed[0]["name"], names[0]);
        assert_eq!(listed[0]["size"], 1_500_000);
        assert_eq!(listed[3]["target"], "<b>");
    }

    #[tokio::test]
    async fn folders_of_any_number_of_entries_are_listed() {
        for count in [0, 1, 255, 256, 257, 512, 1000] {
            let entries: Vec<_> = (1..=count).map(|n| file(&format!("f{n:04}"), n)).collect();
            let page = text(html("x", entries.clone(), true)).await;
            assert_eq!(page.matches("<a href").count() as u64, count);
            assert!(page.ends_with("</table>\n"));
            let listed: Vec<serde_json::Value> =
                serde_json::from_str(&text(json(entries)).await).unwrap();
            assert_eq!(listed.len() as u64, count);
        }
    }
}
