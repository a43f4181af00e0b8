//! The transport of production: what it counts, and when it gives up.

use std::time::Duration;

use axum::body::Body;
use axum::response::IntoResponse;
use bytes::Bytes;
use shared::config::tls::http_client;
use shared::merge::{Limits, ReqwestTransport, Transport, TransportError};

use crate::server::Server;

async fn raw(server: &Server, limits: Limits) -> Result<Bytes, TransportError> {
    let request = http::Request::get(&server.origin).body(Bytes::new()).unwrap();
    let transport = ReqwestTransport::new(http_client().unwrap());
    transport.send(request, limits).await.map(http::Response::into_body)
}

#[tokio::test]
async fn checklist_32_a_compressed_body_counts_by_what_it_becomes() {
    // printf '{"results":[],"next":null}' | gzip -n
    const GZIPPED: [u8; 46] = [
        31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 171, 86, 42, 74, 45, 46, 205, 41, 41, 86, 178, 138, 142, 213, 81, 202, 75,
        173, 40, 81, 178, 202, 43, 205, 201, 169, 5, 0, 76, 225, 109, 135, 26, 0, 0, 0,
    ];
    let server = Server::start(|_| ([("content-encoding", "gzip")], GZIPPED.to_vec()).into_response()).await;
    let limits = Limits { timeout: Duration::from_secs(10), body: 26 };
    assert_eq!(raw(&server, limits).await.unwrap(), "{\"results\":[],\"next\":null}");
    assert_eq!(server.last().header("accept-encoding"), "gzip");
    let less = Limits { body: 25, ..limits };
    assert!(matches!(raw(&server, less).await, Err(TransportError::TooLarge)));
}

#[tokio::test]
async fn checklist_32_a_slow_drip_ends_at_the_deadline() {
    let server = Server::start(|_| {
        let every = tokio::time::interval(Duration::from_millis(20));
        let drops = futures::stream::unfold(every, |mut every| async {
            every.tick().await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b" ")), every))
        });
        Body::from_stream(drops).into_response()
    })
    .await;
    let limits = Limits { timeout: Duration::from_millis(300), body: 1024 * 1024 };
    assert!(matches!(raw(&server, limits).await, Err(TransportError::Timeout)));
}
