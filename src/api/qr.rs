//! Links and other texts as QR codes, for the camera of another device.

use axum::{
    extract::State,
    http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
    response::{IntoResponse, Response},
};
use qrcode::{EcLevel, Version, render::svg, types::QrError};

use super::{
    error::ApiError,
    extract::{JsonBody, QueryParameters},
    openapi::Refused,
    types::{ErrorInfo, QrQuery, QrRequest},
};
use crate::{content::Link, node::Node};

/// The largest code of a link. With its margin it is 77 modules wide, which fits in 80 columns of a
/// terminal. It holds 425 bytes: a link with about three addresses.
const MAX_VERSION: i16 = 13;

/// A QR code of a text or a link.
pub struct QrCode {
    /// The code.
    pub code: qrcode::QrCode,
    /// How many addresses of the link it omits.
    pub left_out: usize,
}

impl QrCode {
    /// The code of a text, of any size.
    ///
    /// # Errors
    ///
    /// The text is too long for any QR code.
    pub fn of_text(text: &str) -> Result<Self, QrError> {
        let code = qrcode::QrCode::with_error_correction_level(text, EcLevel::L)?;
        Ok(Self { code, left_out: 0 })
    }

    /// The code of a link. Omits the last addresses, and then the name, until the code is small
    /// enough.
    ///
    /// # Errors
    ///
    /// The link is too long even without addresses and name.
    pub fn of(link: &Link) -> Result<Self, QrError> {
        let all = link.peers.len();
        let mut link = link.clone();
        loop {
            let code = qrcode::QrCode::with_error_correction_level(link.to_string(), EcLevel::L);
            match code {
                Ok(code) if fits_terminal(&code) => {
                    let left_out = all - link.peers.len();
                    return Ok(Self { code, left_out });
                }
                code => {
                    let is_less = link.peers.pop().is_some() || link.name.take().is_some();
                    if !is_less {
                        return code.map(|code| Self {
                            code,
                            left_out: all,
                        });
                    }
                }
            }
        }
    }

    /// The code as an SVG image, dark on light.
    fn svg(&self) -> String {
        let (dark, light) = (svg::Color("#000"), svg::Color("#fff"));
        let mut renderer = self.code.render();
        renderer.dark_color(dark).light_color(light).build()
    }
}

/// Whether a terminal has enough columns for the code.
fn fits_terminal(code: &qrcode::QrCode) -> bool {
    matches!(code.version(), Version::Normal(version) if version <= MAX_VERSION)
}

/// The link of a share, as a QR code.
#[utoipa::path(
    get, path = "/v1/links/qr", operation_id = "linkImage",
    params(QrQuery),
    responses(
        (
            status = 200, description = "Done",
            body = String, content_type = "image/svg+xml",
        ),
        Refused,
    ),
)]
pub(super) async fn image(
    State(node): State<Node>,
    QueryParameters(query): QueryParameters<QrQuery>,
) -> Result<Response, ApiError> {
    let mut links = node.links(Some(query.what)).await?.into_iter();
    let shared = links.next().ok_or_else(|| {
        refused("this node shares nothing: share a file or folder first".to_owned())
    })?;
    let code = QrCode::of(&shared.link).map_err(|error| refused(error.to_string()))?;
    Ok(drawn(&code))
}

/// A text as a QR code. The text is in the body, as it may be a secret.
#[utoipa::path(
    post, path = "/v1/qr", operation_id = "qr",
    request_body = QrRequest,
    responses(
        (
            status = 200, description = "Done",
            body = String, content_type = "image/svg+xml",
        ),
        Refused,
    ),
)]
pub(super) async fn of_text(JsonBody(request): JsonBody<QrRequest>) -> Result<Response, ApiError> {
    let code = QrCode::of_text(&request.text).map_err(|error| refused(error.to_string()))?;
    Ok(drawn(&code))
}

fn refused(message: String) -> ErrorInfo {
    ErrorInfo::new("not-drawn", message)
}

/// The code as the response to a request.
fn drawn(code: &QrCode) -> Response {
    let headers = [
        (CONTENT_TYPE, "image/svg+xml"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, code.svg()).into_response()
}
