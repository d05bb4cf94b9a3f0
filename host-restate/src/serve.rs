//! Connections from Restate: HTTP/2 without waiting for more to send, `/health` and `/metrics` beside it, and an end that
//! lets what is under way finish.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::time::Duration;

use booking_core::wire::answer;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::{Service as _, service_fn};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use restate_sdk::endpoint::Endpoint;
use restate_sdk::hyper::HyperEndpoint;
use tokio::net::TcpListener;

use crate::metrics;
use crate::sdk::Host;

/// The body of an answer.
type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// Serves Restate until `stop` is done; then takes no more connections, and ends when the invocations under way have
/// ended or suspended, or `stop_within` has passed. Restate continues what is cut short on another host, or when this
/// one is back.
///
/// # Errors
/// When the listener fails in a way that does not pass.
pub async fn serve(
    listener: TcpListener,
    endpoint: Endpoint,
    host: Host,
    stop: impl Future<Output = ()>,
    stop_within: Duration,
) -> io::Result<()> {
    let endpoint = HyperEndpoint::new(endpoint);
    let graceful = GracefulShutdown::new();
    let mut http = auto::Builder::new(TokioExecutor::new());
    // As many invocations at a time as Restate likes to send.
    http.http2().max_concurrent_streams(None);
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // It has gone again, or there are too many files: both pass.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Frames are small and each is waited for.
        let _as_it_is = stream.set_nodelay(true);
        let (endpoint, of_this, host) = (endpoint.clone(), host.clone(), host.clone());
        let service = service_fn(move |request| {
            let (endpoint, host) = (endpoint.clone(), of_this.clone());
            async move { Ok::<_, Infallible>(answer(&endpoint, &host, request).await) }
        });
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service).into_owned());
        tokio::spawn(async move {
            host.metrics().connections.inc();
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection broke");
            }
            host.metrics().connections.dec();
        });
    }
    drop(listener);
    if tokio::time::timeout(stop_within, graceful.shutdown()).await.is_err() {
        tracing::warn!("some invocations were still under way: Restate goes on with them when a host is back");
    }
    Ok(())
}

async fn answer(endpoint: &HyperEndpoint, host: &Host, request: Request<Incoming>) -> Response<Body> {
    match request.uri().path() {
        "/health" => text(StatusCode::OK, "application/json", answer::health_but(host.gateway().troubles(None)).body),
        "/metrics" => match host.metrics().text(&host.gateway()) {
            Ok(numbers) => text(StatusCode::OK, metrics::CONTENT_TYPE, numbers),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", error.to_string()),
        },
        _ => match endpoint.call(request).await {
            Ok(response) => response.map(|body| body.map_err(Into::into).boxed_unsync()),
            Err(never) => match never {},
        },
    }
}

fn text(status: StatusCode, content_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Full::from(body).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
