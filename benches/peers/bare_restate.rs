//! Restate services that decide nothing: what Restate alone costs here, for one handler, and for the steps of a
//! checkout. They are built like host-restate: one thread, and the same journals and idempotency keys kept for as long.

use hyper_util::rt::{TokioExecutor, TokioIo};
use restate_sdk::context::{
    Context, ContextClient, ContextReadState, ContextSideEffects, ContextWriteState, ObjectContext, RequestTarget,
};
use restate_sdk::endpoint::Endpoint;
use restate_sdk::errors::{HandlerResult, TerminalError};
use restate_sdk::hyper::HyperEndpoint;
use serde_json::Value;
use tokio::net::TcpListener;

struct Empty;

#[restate_sdk::service(
    name = "Empty",
    client_visibility = "pub(crate)",
    idempotency_retention = "24 hours",
    journal_retention = "24 hours"
)]
impl Empty {
    #[handler]
    async fn nothing(&self, _ctx: Context<'_>, _order: Vec<u8>) -> HandlerResult<()> {
        Ok(())
    }
}

/// What a checkout awaits, and no more: its time, a hold of each seat side by side, an authorisation, a confirmation of
/// each seat side by side, a capture, each recorded before the next. It tells no map, and sets no timer.
struct Bare;

#[restate_sdk::service(
    name = "Bare",
    client_visibility = "pub(crate)",
    idempotency_retention = "24 hours",
    journal_retention = "24 hours"
)]
impl Bare {
    #[handler]
    async fn steps(&self, ctx: Context<'_>, order: Vec<u8>) -> HandlerResult<()> {
        let order: Value = serde_json::from_slice(&order).map_err(|error| TerminalError::new(error.to_string()))?;
        let seats: Vec<&str> = order["ticketIds"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if seats.is_empty() {
            return Err(TerminalError::new("an order of no seat").into());
        }
        ctx.run(|| async { Ok(1_u64) }).await?;
        for _ in 0..2 {
            // Called first, awaited later, as the host does it.
            let turn = |seat: &&str| RequestTarget::object("BareSeat", *seat, "turn");
            let turns: Vec<_> = seats.iter().map(|seat| ctx.request::<(), u64>(turn(seat), ()).call()).collect();
            for turn in turns {
                turn.await?;
            }
            ctx.run(|| async { Ok(1_u64) }).await?;
        }
        Ok(())
    }
}

struct BareSeat;

#[restate_sdk::object(
    name = "BareSeat",
    client_visibility = "pub(crate)",
    journal_retention = "0 seconds",
    idempotency_retention = "24 hours"
)]
impl BareSeat {
    #[handler]
    async fn turn(&self, ctx: ObjectContext<'_>) -> HandlerResult<u64> {
        let turns = ctx.get::<u64>("turns").await?.unwrap_or_default() + 1;
        ctx.set("turns", turns);
        Ok(turns)
    }
}

/// If this process was started to be these services: is them, until it is killed.
#[must_use]
pub fn serve_if_asked() -> Option<()> {
    let port: u16 = std::env::var("BOOKING_BENCH_BARE").ok()?.parse().ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(serve(port, Endpoint::builder().bind(Empty).bind(Bare).bind(BareSeat).build()))
}

/// Serves these services on this port, as host-restate does; ends only where it cannot.
pub(crate) async fn serve(port: u16, endpoint: Endpoint) -> Option<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.ok()?;
    let endpoint = HyperEndpoint::new(endpoint);
    loop {
        let (stream, _) = listener.accept().await.ok()?;
        let _as_it_is = stream.set_nodelay(true);
        let mut http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        // As many invocations at a time as Restate likes to send.
        http.max_concurrent_streams(None);
        let endpoint = endpoint.clone();
        tokio::spawn(async move { http.serve_connection(TokioIo::new(stream), endpoint).await });
    }
}
