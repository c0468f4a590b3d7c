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
use futures::future::{Either, select};
use http_body_util::{BodyExt, Limited};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1},
};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::net::TcpStream;
use tower::ServiceExt;

use super::error::{CallError, MAX_LINE_LEN};
use crate::api::{Token, types::Problem};

/// Bytes of the longest response that is not a stream: more than a page of links needs.
const MAX_ANSWER_LEN: usize = 256 << 20;

/// How many connections a request gets at most. A node with many connections closes those that are
/// idle for a moment, perhaps before this process has had the time to send its request.
const MAX_ATTEMPTS: u32 = 8;

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

    let mut attempts = 1;
    loop {
        let stream = TcpStream::connect(address)
            .await
            .map_err(CallError::Connect)?;
        let _ = stream.set_nodelay(true);
        let opened = http1::handshake(TokioIo::new(stream)).await?;
        let mut error = match exchange(opened, request).await {
            Ok(response) => return Ok(response.map(Body::new)),
            Err(error) => error,
        };
        match error.take_message() {
            Some(unsent) if attempts < MAX_ATTEMPTS => request = unsent,
            _ => return Err(error.into_error().into()),
        }
        attempts += 1;
    }
}

type Opened = (
    http1::SendRequest<Body>,
    http1::Connection<TokioIo<TcpStream>, Body>,
);

/// Sends a request and returns the response, whose body another task receives. An error contains
/// the request if nothing of it was sent.
async fn exchange(
    (mut sender, connection): Opened,
    request: Request<Body>,
) -> Result<Response<Incoming>, TrySendError<Request<Body>>> {
    // This task sends the request, without waiting for another one to begin.
    let response = Box::pin(sender.try_send_request(request));
    match select(response, Box::pin(connection)).await {
        Either::Left((response, connection)) => {
            tokio::spawn(connection);
            response
        }
        Either::Right((_, response)) => response.await,
    }
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

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// The node closes an idle connection before the client sends anything: no part of the request
    /// is lost.
    #[tokio::test]
    async fn a_request_that_did_not_leave_can_be_sent_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        drop(listener.accept().await.unwrap());
        assert_eq!(stream.peek(&mut [0]).await.unwrap(), 0, "it is closed");
        let opened = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let call = request(Method::POST, "/v1/x", Some(b"{}".to_vec())).unwrap();
        let unsent = exchange(opened, call).await.unwrap_err().take_message();
        let (head, body) = unsent.unwrap().into_parts();
        assert_eq!((head.method, head.uri.path()), (Method::POST, "/v1/x"));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "{}");
    }
}
