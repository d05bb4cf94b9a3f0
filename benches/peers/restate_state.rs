//! A virtual object whose state has a size, and a handler for each way to keep and to read that state. The handlers decide
//! nothing: the figures are Restate's.
//!
//! A request's body is the key of the map and the number of a row, with a space between.

use restate_sdk::context::{
    ContextClient, ContextReadState, ContextSideEffects, ContextWriteState, ObjectContext, RequestTarget,
    SharedObjectContext,
};
use restate_sdk::endpoint::Endpoint;
use restate_sdk::errors::{HandlerError, HandlerResult, TerminalError};

use super::bare_restate::serve;

/// How many bytes a row has, and the header.
pub const ROW_BYTES: usize = 128;

const PORT: &str = "BOOKING_BENCH_STATE";
const HEADER: &str = "header";
const VALUE: &str = "value";

/// A map, under its key.
struct StateMap;

#[restate_sdk::object(
    name = "StateMap",
    client_visibility = "pub(crate)",
    journal_retention = "0 seconds",
    // A turn that cannot succeed at this size is to be answered, and soon.
    invocation_retry_policy(initial_interval = "50ms", max_attempts = 3, on_max_attempts = "kill")
)]
impl StateMap {
    /// Writes all rows as one value.
    #[handler]
    async fn value(&self, ctx: ObjectContext<'_>, rows: Vec<u8>) -> HandlerResult<()> {
        ctx.set(VALUE, bytes(Asked::of(&rows)?.row * ROW_BYTES, 0));
        Ok(())
    }

    /// Writes the header, and as many rows as one invocation should, from this one on; how many there are in all stands
    /// where the map does in other requests.
    #[handler]
    async fn fill(&self, ctx: ObjectContext<'_>, rows: Vec<u8>) -> HandlerResult<()> {
        let Asked { map: all, row: first } = Asked::of(&rows)?;
        let all: usize = all.parse().map_err(|_| TerminalError::new("not a number of rows"))?;
        ctx.set(HEADER, bytes(ROW_BYTES, 0));
        (first..all.min(first + ROWS_A_FILL)).for_each(|row| ctx.set(&row_key(row), bytes(ROW_BYTES, row)));
        Ok(())
    }

    #[handler]
    async fn whole(&self, ctx: ObjectContext<'_>, _row: Vec<u8>) -> HandlerResult<()> {
        let value = ctx.get::<Vec<u8>>(VALUE).await?;
        ctx.set(VALUE, changed(value)?);
        Ok(())
    }

    #[handler]
    async fn rows(&self, ctx: ObjectContext<'_>, row: Vec<u8>) -> HandlerResult<()> {
        turn(&ctx, &row).await
    }

    #[handler(lazy_state = true)]
    async fn lazy(&self, ctx: ObjectContext<'_>, row: Vec<u8>) -> HandlerResult<()> {
        turn(&ctx, &row).await
    }

    /// Awaits the header before it asks for the row.
    #[handler(name = "lazyTwice", lazy_state = true)]
    async fn lazy_twice(&self, ctx: ObjectContext<'_>, row: Vec<u8>) -> HandlerResult<()> {
        let key = row_key(Asked::of(&row)?.row);
        let header = ctx.get::<Vec<u8>>(HEADER).await?;
        let row = ctx.get::<Vec<u8>>(&key).await?;
        ctx.set(HEADER, changed(header)?);
        ctx.set(&key, changed(row)?);
        Ok(())
    }

    #[handler(name = "rowsRun")]
    async fn rows_run(&self, ctx: ObjectContext<'_>, row: Vec<u8>) -> HandlerResult<()> {
        ctx.run(|| async { Ok(1_u64) }).await?;
        turn(&ctx, &row).await
    }

    #[handler(name = "lazyRun", lazy_state = true)]
    async fn lazy_run(&self, ctx: ObjectContext<'_>, row: Vec<u8>) -> HandlerResult<()> {
        ctx.run(|| async { Ok(1_u64) }).await?;
        turn(&ctx, &row).await
    }

    #[handler]
    async fn look(&self, ctx: SharedObjectContext<'_>, row: Vec<u8>) -> HandlerResult<()> {
        look(&ctx, &row).await
    }

    /// Reads the header and every row, as one who shows the whole map must.
    #[handler(name = "lookAtAll")]
    async fn look_at_all(&self, ctx: SharedObjectContext<'_>, _row: Vec<u8>) -> HandlerResult<()> {
        for key in ctx.get_keys().await? {
            ctx.get::<Vec<u8>>(&key).await?.ok_or_else(not_filled)?;
        }
        Ok(())
    }

    #[handler(name = "lazyLook", lazy_state = true)]
    async fn lazy_look(&self, ctx: SharedObjectContext<'_>, row: Vec<u8>) -> HandlerResult<()> {
        look(&ctx, &row).await
    }
}

/// A second object, of which there are many, in front of the one map: it keeps nothing, and calls.
struct StateSeat;

#[restate_sdk::object(name = "StateSeat", client_visibility = "pub(crate)", journal_retention = "0 seconds")]
impl StateSeat {
    #[handler]
    async fn rows(&self, ctx: SharedObjectContext<'_>, asked: Vec<u8>) -> HandlerResult<()> {
        through(&ctx, asked, "rows").await
    }

    #[handler]
    async fn lazy(&self, ctx: SharedObjectContext<'_>, asked: Vec<u8>) -> HandlerResult<()> {
        through(&ctx, asked, "lazy").await
    }

    #[handler(name = "lazyLook")]
    async fn lazy_look(&self, ctx: SharedObjectContext<'_>, asked: Vec<u8>) -> HandlerResult<()> {
        through(&ctx, asked, "lazyLook").await
    }
}

/// How many rows one invocation of `fill` writes at most.
pub const ROWS_A_FILL: usize = 1_024;

async fn turn(ctx: &ObjectContext<'_>, asked: &[u8]) -> HandlerResult<()> {
    let key = row_key(Asked::of(asked)?.row);
    // Both are asked for before either is awaited: lazy state then costs one round trip.
    let (header, row) = (ctx.get::<Vec<u8>>(HEADER), ctx.get::<Vec<u8>>(&key));
    let (header, row) = (header.await?, row.await?);
    ctx.set(HEADER, changed(header)?);
    ctx.set(&key, changed(row)?);
    Ok(())
}

async fn look(ctx: &SharedObjectContext<'_>, asked: &[u8]) -> HandlerResult<()> {
    let key = row_key(Asked::of(asked)?.row);
    let (header, row) = (ctx.get::<Vec<u8>>(HEADER), ctx.get::<Vec<u8>>(&key));
    header.await?.zip(row.await?).map(|_both| ()).ok_or_else(not_filled)
}

async fn through(ctx: &SharedObjectContext<'_>, asked: Vec<u8>, handler: &str) -> HandlerResult<()> {
    let map = RequestTarget::object("StateMap", Asked::of(&asked)?.map, handler);
    Ok(ctx.request::<Vec<u8>, ()>(map, asked).call().await?)
}

struct Asked<'a> {
    map: &'a str,
    row: usize,
}

impl<'a> Asked<'a> {
    fn of(body: &'a [u8]) -> HandlerResult<Self> {
        let read = std::str::from_utf8(body).ok().and_then(|body| body.split_once(' '));
        let read = read.and_then(|(map, row)| Some(Self { map, row: row.parse().ok()? }));
        read.ok_or_else(|| TerminalError::new("not a map and a row").into())
    }
}

/// Letters and digits in no order, as ids have them: the server compresses what it writes, and is not to find them all
/// alike.
fn bytes(count: usize, seed: usize) -> Vec<u8> {
    let mut x = u64::try_from(seed).unwrap_or_default().wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        b'0' + x.to_be_bytes()[0] % 64
    };
    (0..count).map(|_| next()).collect()
}

fn row_key(row: usize) -> String {
    format!("row-{row}")
}

fn changed(bytes: Option<Vec<u8>>) -> HandlerResult<Vec<u8>> {
    let mut bytes = bytes.ok_or_else(not_filled)?;
    bytes.iter_mut().take(1).for_each(|first| *first = first.wrapping_add(1));
    Ok(bytes)
}

fn not_filled() -> HandlerError {
    TerminalError::new("the state was not filled").into()
}

/// Tells a process to be these services, on this port.
pub fn on(port: u16, command: &mut std::process::Command) {
    command.env(PORT, port.to_string());
}

/// If this process was started to be these services: is them, until it is killed. One thread, as host-restate has it.
#[must_use]
pub fn serve_if_asked() -> Option<()> {
    let port: u16 = std::env::var(PORT).ok()?.parse().ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(serve(port, Endpoint::builder().bind(StateMap).bind(StateSeat).build()))
}
