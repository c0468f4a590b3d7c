//! Files that a browser uploads by a link.
//!
//! The page is one document with one script, which the policy names by its hash. It sends each file
//! as the body of a PUT request. Names are made safe, nothing is replaced, and what arrives in part
//! is removed.

use std::{path::Path, sync::LazyLock, time::Duration};

use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderValue, Response, StatusCode,
        header::{CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, RETRY_AFTER},
    },
};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout_at};

use super::{links::Full, registry::WebLinks};
use crate::{
    api::gateway::{escaped, head},
    node::{CodedError as _, IncomingError, NewFileError, Node},
};

/// How long the next [`MIN_PIECE`] may take. A client that sends less keeps one of few places.
const PIECE_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes that have to arrive in that time, or the rest of the file.
const MIN_PIECE: u64 = 32 << 10;

const SCRIPT: &str = include_str!("receive.js");

/// The policy of the page: its own script, its own style, and requests to this origin.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let digest = base64(&Sha256::digest(SCRIPT));
    format!(
        "default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
});

/// Receives files.
pub(super) struct Receiver {
    node: Node,
    links: WebLinks,
}

impl Receiver {
    pub(super) const fn new(node: Node, links: WebLinks) -> Self {
        Self { node, links }
    }

    /// The page by which a person chooses files.
    pub(super) fn page(&self, id: &str) -> Response<Body> {
        let received = self.links.received(id).unwrap_or_default();
        let (files, bytes) = (received.files_left, received.bytes_left);
        let title = head(&format!("Send files to {}", self.node.name()));
        let node = escaped(self.node.name());
        let page = format!(
            "{title}<p>The files you choose are stored on the machine of <bdi>{node}</bdi>. This \
             connection is not encrypted: others on the same network can read what you send.</p>\n\
             <p><label>Files <input type=file id=files multiple data-files={files} \
             data-bytes={bytes}></label></p>\n<ul id=list aria-live=polite></ul>\n\
             <noscript>Sending files needs JavaScript.</noscript><script>{SCRIPT}</script>\n"
        );
        let mut response = Response::new(Body::from(page));
        let headers = response.headers_mut();
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        headers.insert(CONTENT_TYPE, html);
        if let Ok(policy) = HeaderValue::from_str(&POLICY) {
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        response
    }

    /// Receives one file, whose name is `below`, percent-encoded.
    pub(super) async fn receive(
        &self,
        id: &str,
        folder: &Path,
        below: &str,
        headers: &HeaderMap,
        body: Incoming,
    ) -> Response<Body> {
        let len = headers.get(CONTENT_LENGTH);
        let len: Option<u64> = len.and_then(|len| len.to_str().ok()?.parse().ok());
        let Some(len) = len else {
            return text(
                StatusCode::LENGTH_REQUIRED,
                "the size of the file is missing",
            );
        };
        let Ok(name) = percent_decode_str(below).decode_utf8() else {
            return text(StatusCode::BAD_REQUEST, "the name is not UTF-8");
        };
        if let Err(full) = self.links.reserve(id, len) {
            let why = match full {
                Full::Files => "this link takes no more files".to_owned(),
                Full::Bytes { left } => format!("this link takes {left} bytes more, at most"),
            };
            return text(StatusCode::PAYLOAD_TOO_LARGE, &why);
        }
        let reserved = Reserved {
            links: &self.links,
            id,
            len,
            is_kept: false,
        };
        match self.stored(folder, &name, len, body, reserved).await {
            Ok(name) => text(StatusCode::CREATED, &format!("stored as {name}")),
            Err(refusal) => refusal,
        }
    }

    /// Stores the file, and returns the name that it got.
    async fn stored(
        &self,
        folder: &Path,
        name: &str,
        len: u64,
        mut body: Incoming,
        mut reserved: Reserved<'_>,
    ) -> Result<String, Response<Body>> {
        // The folder may have been shared since.
        let folder = self.node.folder_for_receiving(folder.to_owned()).await;
        let folder = folder.map_err(|error| {
            tracing::warn!(%error, code = error.code(), "a file of a browser was refused");
            text(
                StatusCode::CONFLICT,
                "the folder does not take files any more",
            )
        })?;
        let file = self.node.receive_file(&folder, name, len).await;
        let mut file = file.map_err(|error| refused(&error))?;
        let (mut due, mut arrived) = (Instant::now() + PIECE_TIMEOUT, 0);
        loop {
            let frame = timeout_at(due, body.frame()).await.map_err(|_| {
                text(
                    StatusCode::REQUEST_TIMEOUT,
                    "too little arrived in 30 s: send it again",
                )
            })?;
            match frame {
                None => break,
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else {
                        continue;
                    };
                    arrived += data.len() as u64;
                    if arrived >= MIN_PIECE {
                        (due, arrived) = (Instant::now() + PIECE_TIMEOUT, 0);
                    }
                    file.write(&data).await.map_err(|error| refused(&error))?;
                }
                Some(Err(_)) => {
                    return Err(text(StatusCode::BAD_REQUEST, "the file ended early"));
                }
            }
        }
        let path = file.finish().await.map_err(|error| refused(&error))?;
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        tracing::info!(path = %path.display(), "received a file of a browser");
        self.links.arrived(reserved.id, path, len);
        reserved.is_kept = true;
        Ok(name)
    }
}

/// What a file takes of the limits of its link; given back unless it arrives.
struct Reserved<'a> {
    links: &'a WebLinks,
    id: &'a str,
    len: u64,
    is_kept: bool,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if !self.is_kept {
            self.links.release(self.id, self.len);
        }
    }
}

/// A browser learns no path of this machine.
fn refused(error: &IncomingError) -> Response<Body> {
    tracing::info!(%error, "a file of a browser was not stored");
    match error {
        IncomingError::Name { .. } => text(StatusCode::BAD_REQUEST, "no file can have this name"),
        IncomingError::Busy { .. } => {
            let why = "too many files arrive at the moment: try again";
            let mut response = text(StatusCode::SERVICE_UNAVAILABLE, why);
            let headers = response.headers_mut();
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            response
        }
        IncomingError::File(NewFileError::Full { .. }) => text(
            StatusCode::INSUFFICIENT_STORAGE,
            "the disk there has too little space",
        ),
        IncomingError::File(NewFileError::Exists { .. }) => {
            text(StatusCode::CONFLICT, "a file of this name is there already")
        }
        _ => text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the file cannot be written there",
        ),
    }
}

fn text(status: StatusCode, why: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(why.to_owned()));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

/// Bytes in Base64 (RFC 4648), as policies name scripts.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit)) & 63;
            let is_padding = digit > chunk.len();
            text.push(if is_padding {
                '='
            } else {
                char::from(DIGITS[value as usize])
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_encoded_as_the_rfc_says() {
        for (bytes, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ] {
            assert_eq!(base64(bytes.as_bytes()), encoded);
        }
    }

    #[test]
    fn the_script_makes_no_markup_of_text_and_does_not_end_early() {
        for forbidden in ["innerHTML", "outerHTML", "document.write", "eval(", "</"] {
            assert!(!SCRIPT.contains(forbidden), "{forbidden}");
        }
    }
}
