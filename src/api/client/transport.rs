//! How requests reach the API: directly in this process, or through a socket.

use std::net::SocketAddr;

use axum::{
    Router,
    body::Body,
    http::{
        Method, Request, Response,
        header::{AUTHORIZATION, CONTENT_TYPE, HOST},
    },
};
use http_body_util::{BodyExt, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::net::TcpStream;
use tower::ServiceExt;

use super::error::{CallError, MAX_LINE_LEN};
use crate::api::{Token, types::Problem};

/// Bytes of the longest response that is not a stream: more than a page of links needs.
const MAX_ANSWER_LEN: usize = 256 << 20;

#[derive(Clone, Debug)]
pub(super) enum Transport {
    InProcess(Router),
    Socket(SocketAddr, Token),
}

impl Transport {
    /// Sends a request. A status other than success is an error.
    pub(super) async fn call(&self, request: Request<Body>) -> Result<Response<Body>, CallError> {
        let response = match self {
            Self::InProcess(router) => {
                let Ok(response) = router.clone().oneshot(request).await;
                response
            }
            Self::Socket(address, token) => send(*address, token, request).await?,
        };
        if response.status().is_success() {
            return Ok(response);
        }
        Err(refusal(response).await)
    }
}

/// Reads a whole response.
pub(super) async fn read<T: DeserializeOwned>(body: Body) -> Result<T, CallError> {
    let body = Limited::new(body, MAX_ANSWER_LEN).collect().await;
    let body = body.map_err(|error| CallError::Broken(error.to_string()))?;
    Ok(serde_json::from_slice(&body.to_bytes())?)
}

pub(super) fn request(
    method: Method,
    path: &str,
    json: Option<Vec<u8>>,
) -> Result<Request<Body>, CallError> {
    let mut request = Request::builder().method(method).uri(path);
    if json.is_some() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    let body = json.map_or_else(Body::empty, Body::from);
    request
        .body(body)
        .map_err(|error| CallError::Broken(error.to_string()))
}

pub(super) fn with_query(path: &str, query: &impl Serialize) -> Result<String, CallError> {
    let query = serde_urlencoded::to_string(query);
    let query = query.map_err(|error| CallError::Broken(error.to_string()))?;
    Ok(format!("{path}?{query}"))
}

/// Sends a request on a connection of its own, which closes when the response ends or is dropped.
async fn send(
    address: SocketAddr,
    token: &Token,
    mut request: Request<Body>,
) -> Result<Response<Body>, CallError> {
    let wrong =
        |error: axum::http::header::InvalidHeaderValue| CallError::Broken(error.to_string());
    let authorization = format!("Bearer {}", token.as_str())
        .parse()
        .map_err(wrong)?;
    request.headers_mut().insert(AUTHORIZATION, authorization);
    let host = address.to_string().parse().map_err(wrong)?;
    request.headers_mut().insert(HOST, host);

    let stream = TcpStream::connect(address)
        .await
        .map_err(CallError::Connect)?;
    let _ = stream.set_nodelay(true);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?.map(Body::new))
}

async fn refusal(response: Response<Body>) -> CallError {
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_LINE_LEN)
        .collect()
        .await;
    let failure = body.ok().map(|body| body.to_bytes());
    let problem = failure.and_then(|body| serde_json::from_slice::<Problem>(&body).ok());
    match problem {
        Some(problem) => CallError::Refused(problem.into()),
        None => CallError::Foreign(status),
    }
}
