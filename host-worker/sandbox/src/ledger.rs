//! The object that has the ledger: an account for each payment that was asked for, a row each.

#![allow(missing_docs, reason = "the macro of an object writes methods without any; what is ours is documented")]

use std::cell::Cell;
use std::panic::AssertUnwindSafe;

use booking_core::format;
use booking_core::ids::{CheckoutId, PaymentKey};
use booking_core::payment::{Account, Authorize, Ledger, Payment, PaymentAnswer};
use booking_core::time::{Millis, Timestamp};
use booking_core::wire::{
    Answer, Call, Door, GatewayCall, IDEMPOTENCY_KEY, Kind, Refusal, answer, gateway, idempotency_key, route,
};
use booking_workers::body::{self, Unread};
use booking_workers::clock::{now, pause};
use booking_workers::log::{Level, say};
use booking_workers::settings::Vars;
use worker::{DurableObject, Env, Request, Response, SqlStorage, SqlStorageValue, State, Storage, durable_object};

use crate::respond;

const DAY: Millis = Millis::from_mins(24 * 60);

/// For how long an account is kept after it was last asked for. By then the checkout that it belongs to is forgotten.
const KEPT_FOR: Millis = Millis(8 * DAY.0);

/// How many accounts there may be: an operator is shown all of them at once.
const MOST: i64 = 20_000;

/// For how long an account is kept at least, where there is no room: longer than a checkout has for its payment.
const KEPT_AT_LEAST: Millis = Millis::from_mins(3 * 60);

/// Why the ledger cannot answer: a person has to look.
type Broken = Box<dyn std::error::Error>;

/// The ledger.
///
/// A panic leaves nothing half done behind: all that matters is in storage.
#[durable_object]
pub struct LedgerObject {
    storage: AssertUnwindSafe<Storage>,
    env: AssertUnwindSafe<Env>,
    /// How many accounts there are, once they were counted: counting reads them all.
    count: AssertUnwindSafe<Cell<Option<i64>>>,
}

impl DurableObject for LedgerObject {
    fn new(state: State, env: Env) -> Self {
        Self {
            storage: AssertUnwindSafe(state.storage()),
            env: AssertUnwindSafe(env),
            count: AssertUnwindSafe(Cell::new(None)),
        }
    }

    async fn fetch(&self, request: Request) -> worker::Result<Response> {
        respond(self.answered(&request).await.unwrap_or_else(|refusal| answer::refusal(&refusal)))
    }

    /// Forgets what is old, and looks again a day later.
    async fn alarm(&self) -> worker::Result<Response> {
        self.sql().exec("DELETE FROM account WHERE asked_at < ?", vec![before(KEPT_FOR)])?;
        self.count.set(None);
        if self.count()? > 0 {
            self.storage.set_alarm(std::time::Duration::from_millis(DAY.0)).await?;
        }
        Response::empty()
    }
}

impl LedgerObject {
    async fn answered(&self, request: &Request) -> Result<Answer, Refusal> {
        let vars = Vars(&self.env);
        let delay = vars.millis("DELAY_MS", Millis(500), (Millis(0), Millis::from_mins(1)));
        let delay = delay.and_then(|delay| vars.write_log().map(|()| delay)).map_err(|why| {
            say(Level::Error, "this Worker is not set up", &[("why", why)]);
            Kind::StorageUnavailable
        })?;
        // This Worker has no address: who reaches it is bound to it, and has let its caller in.
        let (method, path) = (request.inner().method(), request.path());
        let route = route(Door::Admin, &method, &path)?;
        let body = body::read(request.inner(), route.handler.max_body(), 0).await.map_err(|why| match why {
            Unread::TooLong => Kind::PayloadTooLarge.into(),
            Unread::Broken => Refusal::invalid("body", "ended early"),
        })?;
        let call = match route.parse(&body)? {
            Call::Gateway(call) => call,
            Call::Health => return Ok(answer::health()),
            Call::Ticket(..)
            | Call::SeatMap(..)
            | Call::Process(_)
            | Call::ProcessSend(_)
            | Call::Status(_)
            | Call::Operate(..)
            | Call::Stuck(_)
            | Call::Bookings(_)
            | Call::BookingsCsv(_)
            | Call::Inbox(_)
            | Call::Retry(_)
            | Call::Erase { .. }
            | Call::Invite { .. }
            | Call::Audit(_) => return Err(Kind::NotFound.into()),
        };
        let keys = request.headers().get(IDEMPOTENCY_KEY).ok().flatten();
        // The platform joins what stood in several headers.
        let keys = keys.iter().flat_map(|keys| keys.split(", ")).map(str::as_bytes);
        let key = idempotency_key(&request.inner().method(), keys)?;
        if !matches!(call, GatewayCall::Ledger) {
            pause(delay).await;
        }
        self.called(call, key).await.map_err(|why| {
            say(Level::Error, "the ledger cannot be read or written", &[("why", why.to_string())]);
            Kind::StorageUnavailable.into()
        })
    }

    async fn called(&self, call: GatewayCall, key: Option<&str>) -> Result<Answer, Broken> {
        let payment = match call {
            GatewayCall::Ledger => return self.ledger().map(|ledger| answer::ledger(&ledger)),
            GatewayCall::Command(payment) => payment,
            GatewayCall::Pay { amount, method } => {
                let key = key.map_or_else(|| by_chance().map(|id| id.to_string()), |key| Ok(key.to_owned()))?;
                let Ok(key) = PaymentKey::parse(&key) else { return Ok(refused(Kind::InvalidRequest)) };
                self.prepare().await?;
                if self.is_full(Some(&key))? {
                    return Ok(refused(Kind::Overloaded));
                }
                let (mut broken, authorize) = (None, Authorize { key, amount, method });
                let answer = gateway::pay_in_one_go(authorize, |payment| {
                    self.ask(payment).unwrap_or_else(|why| {
                        broken = Some(why);
                        payment.unanswered()
                    })
                });
                return broken.map_or(Ok(answer), Err);
            }
        };
        self.prepare().await?;
        if self.is_full(Ledger::key_of(&payment).as_ref())? {
            return Ok(refused(Kind::Overloaded));
        }
        self.ask(&payment).map(|answer| gateway::answer(&answer))
    }

    fn sql(&self) -> SqlStorage {
        self.storage.sql()
    }

    /// Makes the table where there is none, and sees that old accounts are forgotten.
    async fn prepare(&self) -> worker::Result<()> {
        let table = "CREATE TABLE IF NOT EXISTS account \
                     (key TEXT PRIMARY KEY, account TEXT NOT NULL, asked_at INTEGER NOT NULL) WITHOUT ROWID";
        self.sql().exec(table, None)?;
        if self.storage.get_alarm().await?.is_none() {
            self.storage.set_alarm(std::time::Duration::from_millis(DAY.0)).await?;
        }
        Ok(())
    }

    fn rows(&self, query: &str, bindings: Vec<SqlStorageValue>) -> Result<Vec<Vec<SqlStorageValue>>, Broken> {
        self.sql().exec(query, bindings)?.raw().map(|row| row.map_err(Broken::from)).collect()
    }

    fn count(&self) -> worker::Result<i64> {
        if let Some(count) = self.count.get() {
            return Ok(count);
        }
        let counted = self.sql().exec("SELECT COUNT(*) FROM account", None)?.raw().next().transpose()?;
        match counted.as_deref() {
            Some([SqlStorageValue::Integer(count)]) => {
                self.count.set(Some(*count));
                Ok(*count)
            }
            _ => Err("the accounts cannot be counted".into()),
        }
    }

    /// Whether there is room for no account of this key, also once the oldest are forgotten.
    fn is_full(&self, key: Option<&PaymentKey>) -> Result<bool, Broken> {
        let Some(key) = key else { return Ok(false) };
        if self.count()? < MOST || self.account(key)?.is_some() {
            return Ok(false);
        }
        let oldest = "DELETE FROM account WHERE key IN \
                      (SELECT key FROM account WHERE asked_at < ? ORDER BY asked_at LIMIT 2000)";
        self.sql().exec(oldest, vec![before(KEPT_AT_LEAST)])?;
        self.count.set(None);
        Ok(self.count()? >= MOST)
    }

    fn account(&self, key: &PaymentKey) -> Result<Option<Account>, Broken> {
        let key = SqlStorageValue::String(key.to_string());
        let rows = self.rows("SELECT account FROM account WHERE key = ?", vec![key])?;
        rows.first().map(|row| read(row.first())).transpose()
    }

    fn ledger(&self) -> Result<Ledger, Broken> {
        let mut ledger = Ledger::default();
        let is_there = self.rows("SELECT 1 FROM sqlite_master WHERE name = 'account'", Vec::new())?;
        if is_there.is_empty() {
            return Ok(ledger);
        }
        for row in self.rows("SELECT key, account FROM account", Vec::new())? {
            let Some(SqlStorageValue::String(key)) = row.first() else { return Err("a key is no text".into()) };
            ledger.restore(PaymentKey::parse(key).map_err(|why| why.to_string())?, read(row.get(1))?);
        }
        Ok(ledger)
    }

    /// Asks the ledger, and keeps what came of it. The platform lets no answer leave before that is safe.
    fn ask(&self, payment: &Payment) -> Result<PaymentAnswer, Broken> {
        let mut ledger = Ledger::default();
        let known = Ledger::key_of(payment).map(|key| self.account(&key).map(|account| (key, account))).transpose()?;
        let is_new = known.as_ref().is_none_or(|(_, account)| account.is_none());
        if let Some((key, Some(account))) = known {
            ledger.restore(key, account);
        }
        let at = now();
        let turn = booking_core::turn(&mut ledger, payment, at);
        if let Some(event) = turn.event() {
            let account = String::from_utf8(format::write_json(&event.account))?;
            let row = [event.key.to_string(), account].map(SqlStorageValue::String).into_iter().chain([millis(at)]);
            self.sql().exec("INSERT OR REPLACE INTO account VALUES (?, ?, ?)", row.collect::<Vec<_>>())?;
            self.count.set(self.count.get().map(|count| count + i64::from(is_new)));
        }
        let Ok(answer) = turn.stored();
        Ok(answer)
    }
}

fn read(column: Option<&SqlStorageValue>) -> Result<Account, Broken> {
    let Some(SqlStorageValue::String(text)) = column else { return Err("an account is no text".into()) };
    Ok(format::read_json(text.as_bytes()).ok_or("an account cannot be read")?)
}

/// So long ago.
fn before(length: Millis) -> SqlStorageValue {
    millis(Timestamp::from_millis(now().as_millis().saturating_sub(length.0)))
}

fn millis(at: Timestamp) -> SqlStorageValue {
    SqlStorageValue::Integer(i64::try_from(at.as_millis()).unwrap_or(i64::MAX))
}

/// A name for a payment that came without one.
fn by_chance() -> Result<CheckoutId, Broken> {
    let mut chance = [0; 16];
    getrandom::fill(&mut chance).map_err(|why| why.to_string())?;
    Ok(CheckoutId::from_random(u128::from_le_bytes(chance)))
}

fn refused(kind: Kind) -> Answer {
    answer::refusal(&kind.into())
}
