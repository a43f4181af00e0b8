//! Transport: how a request reaches Merge. One seam with two implementors: reqwest here, and the in-process sandbox of
//! the deterministic simulation.

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;

/// What one call may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the first byte sent to the last received.
    pub timeout: Duration,
    /// Bytes of the body after decompression.
    pub body: usize,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// Nothing was sent.
    #[error("no connection")]
    Connect(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The answer was not complete in time. The call may have had its effect.
    #[error("no complete answer in time")]
    Timeout,
    /// The body is larger than allowed.
    #[error("the body is larger than allowed")]
    TooLarge,
    /// The connection broke. The call may have had its effect.
    #[error("the connection broke")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Sends a request and collects the whole answer within `limits`. Follows no redirect.
pub trait Transport: Send + Sync + fmt::Debug {
    /// One call.
    fn send(
        &self,
        request: http::Request<Bytes>,
        limits: Limits,
    ) -> BoxFuture<'_, Result<http::Response<Bytes>, TransportError>>;
}

/// The transport of production: the process's HTTP client.
#[derive(Clone, Debug)]
pub struct ReqwestTransport(reqwest::Client);

impl ReqwestTransport {
    /// Over a client that follows no redirect, such as [`crate::config::tls::http_client`].
    pub fn new(client: reqwest::Client) -> Self {
        Self(client)
    }

    async fn call(&self, request: http::Request<Bytes>, most: usize) -> Result<http::Response<Bytes>, TransportError> {
        let request = reqwest::Request::try_from(request).map_err(transport_error)?;
        let mut response = self.0.execute(request).await.map_err(transport_error)?;
        let mut answer = http::Response::new(Bytes::new());
        *answer.status_mut() = response.status();
        *answer.headers_mut() = response.headers().clone();
        if response.content_length().is_some_and(|length| length > most as u64) {
            return Err(TransportError::TooLarge);
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(transport_error)? {
            if body.len() + chunk.len() > most {
                return Err(TransportError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        *answer.body_mut() = body.freeze();
        Ok(answer)
    }
}

impl Transport for ReqwestTransport {
    fn send(
        &self,
        request: http::Request<Bytes>,
        limits: Limits,
    ) -> BoxFuture<'_, Result<http::Response<Bytes>, TransportError>> {
        Box::pin(async move {
            match tokio::time::timeout(limits.timeout, self.call(request, limits.body)).await {
                Ok(answer) => answer,
                Err(_) => Err(TransportError::Timeout),
            }
        })
    }
}

/// The URL is taken out of the error: it may hold a public token.
fn transport_error(error: reqwest::Error) -> TransportError {
    let error = error.without_url();
    if error.is_connect() {
        TransportError::Connect(error.into())
    } else if error.is_timeout() {
        TransportError::Timeout
    } else {
        TransportError::Broken(error.into())
    }
}
