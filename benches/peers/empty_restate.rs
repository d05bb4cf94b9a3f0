//! A Restate service with a handler that does nothing: what Restate alone costs here.

use hyper_util::rt::{TokioExecutor, TokioIo};
use restate_sdk::context::Context;
use restate_sdk::endpoint::Endpoint;
use restate_sdk::errors::HandlerResult;
use restate_sdk::hyper::HyperEndpoint;
use tokio::net::TcpListener;

struct Empty;

#[restate_sdk::service(name = "Empty", client_visibility = "pub(crate)")]
impl Empty {
    #[handler]
    async fn nothing(&self, _ctx: Context<'_>, _order: Vec<u8>) -> HandlerResult<()> {
        Ok(())
    }
}

/// If this process was started to be this service: is it, until it is killed.
#[must_use]
pub fn serve_if_asked() -> Option<()> {
    let port: u16 = std::env::var("BOOKING_BENCH_EMPTY").ok()?.parse().ok()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().ok()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.ok()?;
        let endpoint = HyperEndpoint::new(Endpoint::builder().bind(Empty).build());
        loop {
            let (stream, _) = listener.accept().await.ok()?;
            let _as_it_is = stream.set_nodelay(true);
            let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            let endpoint = endpoint.clone();
            tokio::spawn(async move { http.serve_connection(TokioIo::new(stream), endpoint).await });
        }
    })
}
