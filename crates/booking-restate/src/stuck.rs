//! Checkouts that wait in vain, for operators: what each waits for, and what an operator has said about that.
//!
//! Each is an object named after its checkout, which keeps something while the checkout waits, and nothing before and after. So the
//! list of all is a query for what `Stuck` keeps, and a checkout whose gateway answers has nothing to do with any of this.

use booking_core::format::{self, Format};
use booking_core::ids::CheckoutId;
use booking_core::progress::{NotInVain, Resolution};
use booking_core::time::Timestamp;
use booking_core::wire::{self, Answer, Call, Kind, Operation, Refusal, answer, parse_call};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::context::{Context, json};
use crate::handler::Handler;
use crate::host::{End, is_posted};
use crate::journal::recorded;
use crate::records::{Waiting, WaitsFor};

/// Under this key it is kept what a checkout waits for: a [`Waiting`].
pub const WAITING: &str = "waiting";

/// Under this key it is kept what an operator has said.
const WORD: &str = "word";

/// What an operator has said, and how they know.
#[derive(Serialize, Deserialize)]
pub(crate) struct Word {
    resolution: Resolution,
    reason: String,
}

impl Format for Word {
    const NAME: &'static str = "operator's word";
    const VERSION: u32 = 1;
}

/// What is kept. What another build has kept in a form that this one cannot read counts as nothing: no checkout waits for that.
async fn kept<C: Context, T: Format>(ctx: &C, key: &str) -> Result<Option<T>, End> {
    Ok(ctx.get(key).await?.and_then(|bytes| format::read(&bytes).ok()))
}

/// A checkout waits in vain. What an operator has said about that, if one has.
pub(crate) async fn report<C: Context>(ctx: &C) -> Result<Bytes, End> {
    let waiting: Waiting = recorded(&ctx.input())?;
    ctx.set(WAITING, format::write(&waiting).into())?;
    let said = kept::<_, Word>(ctx, WORD).await?.map(|word| word.resolution);
    let fits = said.filter(|said| waiting.is_answered_by(said));
    if fits.is_none() {
        // It was about something that is over.
        ctx.clear(WORD)?;
    }
    Ok(json(&fits))
}

/// An operator says what the gateway does not. The checkout takes it for the gateway's answer when it is about to ask again.
pub(crate) async fn resolve<C: Context>(ctx: &C) -> Result<Answer, End> {
    let call = parse_call(wire::Handler::CheckoutResolve, ctx.key(), &ctx.input())?;
    let Call::Operate(id, Operation::Resolve { resolution, reason }) = call else {
        return Err(Refusal::from(Kind::NotFound).into());
    };
    let waiting = kept::<_, Waiting>(ctx, WAITING).await?;
    if !waiting.is_some_and(|waiting| waiting.is_answered_by(&resolution)) {
        return Err(Refusal::new(Kind::CheckoutInProgress, NotInVain.to_string()).into());
    }
    ctx.set(WORD, format::write(&Word { resolution, reason }).into())?;
    Ok(answer::accepted(&id))
}

/// An operator has a message sent again that was given up.
pub(crate) async fn notify<C: Context>(ctx: &C) -> Result<Answer, End> {
    is_posted(ctx)?;
    let id = CheckoutId::parse(ctx.key()).map_err(|_| Refusal::from(Kind::NotFound))?;
    let Some(Waiting { waits_for: WaitsFor::Notifier(notification), .. }) = kept(ctx, WAITING).await? else {
        return Err(Refusal::new(Kind::NotFound, "No message of this checkout was given up").into());
    };
    ctx.send(Handler::Deliver.target(None), json(&notification), None)?;
    ctx.clear(WAITING)?;
    Ok(answer::accepted(&id))
}

/// Nothing is waited for any more; or, where a time comes with it, what was first waited for then need not be known any more.
pub(crate) async fn clear<C: Context>(ctx: &C) -> Result<Bytes, End> {
    let since: Option<Timestamp> = format::read_json(&ctx.input());
    if since.is_some() && kept::<_, Waiting>(ctx, WAITING).await?.is_none_or(|waiting| Some(waiting.since) != since) {
        return Ok(Bytes::new());
    }
    ctx.clear(WAITING)?;
    ctx.clear(WORD)?;
    Ok(Bytes::new())
}

impl Waiting {
    fn is_answered_by(&self, said: &Resolution) -> bool {
        matches!(&self.waits_for, WaitsFor::Gateway(payment) if said.answers(payment).is_some())
    }
}
