//! What operators look at, as Restate keeps it: a booking is an invocation of `Checkout/process`, a message that was given up stands in the
//! object `Stuck`, and what operators did are invocations of their handlers. All of it is asked of Restate's admin API when it is looked for, so
//! a booking costs nothing more; and it is there for as long as Restate keeps an invocation (a day).

use std::collections::{BTreeMap, BTreeSet};

use booking_core::checkout::{Ending, Order};
use booking_core::format;
use booking_core::ids::{CheckoutId, PaymentId};
use booking_core::money::Money;
use booking_core::time::Timestamp;
use booking_core::wire::answer::{self, InboxItem};
use booking_core::wire::audit::{AuditEntry, AuditOutcome};
use booking_core::wire::export::Booking;
use booking_core::wire::search::{AuditSearch, BookingCursor, BookingSearch, BookingStatus, InboxId, InboxSearch};
use booking_core::wire::{self, Answer, Call, Kind, Refusal, parse_call};
use booking_hosting::flags::CannotRun;
use booking_restate::{Handler, KilledCheckout, STUCK, WAITING, Waiting, WaitsFor};
use futures_util::future::try_join_all;
use serde_json::Value;

use crate::admin::RestateFlags;

/// How many bookings one page looks at. The next page continues there.
const LOOKED_AT: usize = 200;

/// How many journals are read at a time.
const AT_A_TIME: usize = 16;

/// Under this name the door says who an operator is.
pub(crate) const OPERATOR: &str = "x-booking-operator";

type Rows = Result<Vec<Value>, CannotRun>;

/// Of the invocations: the times in milliseconds.
const COLUMNS: &str = "id, target_service_name, target_handler_name, target_service_key, status, completion_result, \
    completion_failure, CAST(created_at AS BIGINT) AS began, CAST(completed_at AS BIGINT) AS ended";

fn process() -> (&'static str, &'static str) {
    wire::Handler::Process.labels()
}

/// Where an invocation stands among others, and what it came to.
struct Invocation {
    id: CheckoutId,
    began: Timestamp,
    ended: Option<Timestamp>,
    service: String,
    handler: String,
    key: String,
    /// What it failed with.
    failure: Option<String>,
}

impl Invocation {
    fn of(row: &Value) -> Option<Self> {
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let has_ended = row["status"] == "completed";
        let ended = row["ended"].as_u64().filter(|_| has_ended).map(Timestamp::from_millis);
        Some(Self {
            id: CheckoutId::parse(row["id"].as_str()?).ok()?,
            began: Timestamp::from_millis(row["began"].as_u64()?),
            ended,
            service: text("target_service_name"),
            handler: text("target_handler_name"),
            key: text("target_service_key"),
            failure: row["completion_failure"].as_str().filter(|_| has_ended).map(str::to_owned),
        })
    }

    fn cursor(&self) -> BookingCursor {
        BookingCursor { started: self.began, checkout: self.id.clone() }
    }

    /// The kind at the end of what it failed with: `… [TicketSold]`.
    fn kind(&self) -> Option<Kind> {
        Kind::named(self.failure.as_ref()?.strip_suffix(']')?.rsplit_once('[')?.1)
    }

    fn was_killed(&self) -> bool {
        self.failure.as_ref().is_some_and(|why| why.ends_with("killed"))
    }
}

/// What the journal of an invocation has of its beginning and its end.
#[derive(Default)]
struct Journal {
    input: Vec<u8>,
    /// Who the door says it was.
    operator: Option<String>,
    output: Option<Vec<u8>>,
    /// Whether it has sent its buyer's message.
    tells: bool,
}

impl Journal {
    fn of(entries: &[Value]) -> Self {
        let mut journal = Self::default();
        for entry in entries {
            let json = entry["entry_json"].as_str().and_then(|json| serde_json::from_str::<Value>(json).ok());
            let command = json.unwrap_or_default()["Command"].take();
            let bytes = |value: &Value| serde_json::from_value::<Vec<u8>>(value.clone()).ok();
            let (input, output, sent) = (&command["Input"], &command["Output"], &command["OneWayCall"]);
            if let Some(input) = input.as_object() {
                journal.input = bytes(&input["payload"]).unwrap_or_default();
                let headers = input["headers"].as_array().into_iter().flatten();
                let mut named = headers.filter(|header| header["name"] == OPERATOR);
                journal.operator = named.find_map(|header| header["value"].as_str().map(str::to_owned));
            }
            if output.is_object() {
                journal.output = bytes(&output["result"]["Success"]);
            }
            let target = sent["request"]["invocation_target"].as_object().and_then(|kinds| kinds.values().next());
            journal.tells |= target.is_some_and(|target| target["name"] == Handler::Deliver.service());
        }
        journal
    }
}

/// What a list is read from.
pub(crate) struct Lists<'a>(pub(crate) &'a RestateFlags);

/// What is known of all messages to buyers.
struct Messages {
    /// Of these checkouts they are on their way.
    under_way: BTreeSet<String>,
    given_up: BTreeSet<String>,
}

impl Lists<'_> {
    async fn invocations(&self, wanted: &str, most: usize) -> Result<Vec<Invocation>, CannotRun> {
        let query =
            format!("SELECT {COLUMNS} FROM sys_invocation WHERE {wanted} ORDER BY began DESC, id DESC LIMIT {most}");
        Ok(self.0.query(query).await?.iter().filter_map(Invocation::of).collect())
    }

    async fn journal(&self, id: &CheckoutId) -> Result<Journal, CannotRun> {
        // An id has no quotes.
        let query = format!(
            "SELECT entry_json FROM sys_journal WHERE id = '{id}' \
             AND entry_type IN ('Command: Input', 'Command: Output', 'Command: OneWayCall')"
        );
        Ok(Journal::of(&self.0.query(query).await?))
    }

    /// A page of bookings, and where the next one begins.
    pub(crate) async fn bookings(
        &self,
        search: &BookingSearch,
    ) -> Result<(Vec<Booking>, Option<BookingCursor>), CannotRun> {
        let (service, handler) = process();
        let mut wanted = format!("target_service_name = '{service}' AND target_handler_name = '{handler}'");
        let mut and = |condition: String| wanted.push_str(&format!(" AND {condition}"));
        if let Some(from) = search.from {
            and(format!("CAST(created_at AS BIGINT) >= {}", from.as_millis()));
        }
        if let Some(until) = search.until {
            and(format!("CAST(created_at AS BIGINT) < {}", until.as_millis()));
        }
        if let Some(BookingCursor { started, checkout }) = &search.after {
            let (at, began) = (started.as_millis(), "CAST(created_at AS BIGINT)");
            and(format!("({began} < {at} OR ({began} = {at} AND id < '{checkout}'))"));
        }
        let found = self.invocations(&wanted, LOOKED_AT).await?;
        let messages = self.messages().await?;
        let recovered = self.recovered(&found).await?;
        let (mut page, mut looked) = (Vec::new(), 0);
        'page: for some in found.chunks(AT_A_TIME) {
            let journals = try_join_all(some.iter().map(|one| self.journal(&one.id))).await?;
            for (invocation, journal) in some.iter().zip(&journals) {
                if page.len() == search.limit {
                    break 'page;
                }
                looked += 1;
                let booking = booking(invocation, journal, &messages, recovered.get(invocation.id.as_str()));
                page.extend(booking.filter(|booking| search.finds(booking)));
            }
        }
        let is_all = looked == found.len() && found.len() < LOOKED_AT;
        let next = found.get(looked.wrapping_sub(1)).filter(|_| !is_all).map(Invocation::cursor);
        Ok((page, next))
    }

    /// How the checkouts ended of which an operator has brought the killed invocation to its end.
    async fn recovered(&self, found: &[Invocation]) -> Result<BTreeMap<String, Ending>, CannotRun> {
        let mut all = BTreeMap::new();
        if !found.iter().any(Invocation::was_killed) {
            return Ok(all);
        }
        let (service, handler) = (Handler::Recover.service(), Handler::Recover.name());
        let wanted = format!(
            "target_service_name = '{service}' AND target_handler_name = '{handler}' AND completion_result = 'success'"
        );
        for invocation in self.invocations(&wanted, LOOKED_AT).await? {
            let Journal { input, output, .. } = self.journal(&invocation.id).await?;
            let of: Option<KilledCheckout> = format::read_json(&input);
            let ending = output.and_then(|output| format::read_json(&output));
            if let (Some(of), Some(ending)) = (of, ending) {
                all.insert(of.began.checkout.id().to_string(), ending);
            }
        }
        Ok(all)
    }

    async fn messages(&self) -> Result<Messages, CannotRun> {
        let service = Handler::Deliver.service();
        let under_way = self.0.query(format!(
            "SELECT invoked_by_id FROM sys_invocation WHERE target_service_name = '{service}' AND status != 'completed'"
        ));
        let under_way = under_way.await?;
        let under_way = under_way.iter().filter_map(|row| row["invoked_by_id"].as_str().map(str::to_owned)).collect();
        let given_up = self.given_up(None).await?;
        Ok(Messages { under_way, given_up: given_up.into_iter().map(|id| id.to_string()).collect() })
    }

    /// The checkouts whose message was given up, by their names.
    async fn given_up(&self, after: Option<&CheckoutId>) -> Result<Vec<CheckoutId>, CannotRun> {
        let after = after.map(|id| format!(" AND service_key > '{id}'")).unwrap_or_default();
        let rows: Rows = self
            .0
            .query(format!(
                "SELECT service_key, value_utf8 FROM state WHERE service_name = '{STUCK}' AND key = '{WAITING}'{after} \
                 ORDER BY service_key"
            ))
            .await;
        let is_message = |row: &&Value| {
            let waiting = format::read::<Waiting>(row["value_utf8"].as_str().unwrap_or_default().as_bytes());
            waiting.is_ok_and(|waiting| matches!(waiting.waits_for, WaitsFor::Notifier(_)))
        };
        let rows = rows?;
        let ids = rows.iter().filter(is_message).filter_map(|row| CheckoutId::parse(row["service_key"].as_str()?).ok());
        Ok(ids.collect())
    }

    /// A page of the inbox.
    pub(crate) async fn inbox(&self, search: &InboxSearch) -> Result<Answer, CannotRun> {
        let after = match &search.after {
            Some(InboxId::Notification(checkout)) => Some(checkout),
            // Lines come after all notifications, and nothing here is kept apart from what it is about.
            Some(InboxId::Line(_)) => return Ok(answer::inbox(&[], None)),
            None => None,
        };
        let mut ids = self.given_up(after).await?;
        let is_more = ids.len() > search.limit;
        ids.truncate(search.limit);
        let given_up = ids.iter().map(CheckoutId::to_string).collect();
        let messages = Messages { under_way: BTreeSet::new(), given_up };
        let mut items = Vec::new();
        for some in ids.chunks(AT_A_TIME) {
            let found = try_join_all(some.iter().map(async |id| {
                let invocation = self.invocations(&format!("id = '{id}'"), 1).await?.pop();
                let Some(invocation) = invocation else { return Ok(None) };
                Ok(booking(&invocation, &self.journal(id).await?, &messages, None))
            }));
            let found: Vec<Option<Booking>> = found.await?;
            let item = |(id, booking): (&CheckoutId, _)| InboxItem {
                id: InboxId::Notification(id.clone()),
                booking,
                why: None,
            };
            items.extend(some.iter().zip(found).map(item));
        }
        let next = items.last().filter(|_| is_more).map(|item: &InboxItem| item.id.clone());
        Ok(answer::inbox(&items, next.as_ref()))
    }

    /// A page of what operators did. An entry is numbered by when it began, in milliseconds; those of one millisecond are on one page, as
    /// far as it has room.
    pub(crate) async fn audit(&self, AuditSearch { after, limit }: &AuditSearch) -> Result<Answer, CannotRun> {
        let is_one = |handler: &Handler| {
            format!("(target_service_name = '{}' AND target_handler_name = '{}')", handler.service(), handler.name())
        };
        let of_operators: Vec<String> = Handler::of_operators().map(|handler| is_one(&handler)).collect();
        let mut wanted = format!("invoked_by = 'ingress' AND ({})", of_operators.join(" OR "));
        if let Some(after) = after {
            wanted.push_str(&format!(" AND CAST(created_at AS BIGINT) < {after}"));
        }
        let mut found = self.invocations(&wanted, limit + 1).await?;
        let is_more = found.len() > *limit;
        if let Some(cut) = found.pop_if(|_| is_more) {
            let whole = found.partition_point(|one| one.began > cut.began);
            found.truncate(if whole > 0 { whole } else { *limit });
        }
        let mut entries = Vec::new();
        for some in found.chunks(AT_A_TIME) {
            let journals = try_join_all(some.iter().map(|one| self.journal(&one.id))).await?;
            entries.extend(some.iter().zip(&journals).map(|(one, journal)| (one.began.as_millis(), did(one, journal))));
        }
        let next = entries.last().filter(|_| is_more).map(|(n, _)| *n);
        Ok(answer::audit(entries.iter().map(|(n, entry)| (*n, entry)), next))
    }
}

/// The order that a buyer has sent; `None` where that was none, so that nothing began.
fn order(journal: &Journal) -> Option<Order> {
    match parse_call(wire::Handler::Process, "", &journal.input) {
        Ok(Call::Process(order)) => Some(order),
        Ok(_) | Err(_) => None,
    }
}

/// What was paid, as `process` answered it.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Paid {
    amount: Money,
    payment_id: Option<PaymentId>,
}

/// An invocation as a booking.
fn booking(
    invocation: &Invocation,
    journal: &Journal,
    messages: &Messages,
    recovered: Option<&Ending>,
) -> Option<Booking> {
    let order = order(journal)?;
    let (mut status, mut paid, mut kind) = (BookingStatus::Pending, (None, None), None);
    if invocation.was_killed() {
        // Until an operator has brought it to its end, how it ends is open.
        match recovered {
            Some(Ending::Completed { amount, payment }) => {
                (status, paid) = (BookingStatus::Confirmed, (Some(*amount), payment.clone()));
            }
            Some(Ending::Failed { failure, .. }) => {
                (status, kind) = (BookingStatus::Failed, Some(Refusal::from(failure).kind));
            }
            None => {}
        }
    } else if invocation.failure.is_some() {
        (status, kind) = (BookingStatus::Failed, invocation.kind());
    } else if let Some(output) = &journal.output {
        status = BookingStatus::Confirmed;
        if let Ok(Paid { amount, payment_id }) = serde_json::from_slice(output) {
            paid = (Some(amount), payment_id);
        }
    }
    let id = invocation.id.as_str();
    let notification = if messages.given_up.contains(id) {
        Some("GIVEN_UP")
    } else if messages.under_way.contains(id) {
        Some("WAITING")
    } else {
        (journal.tells && status == BookingStatus::Confirmed).then_some("DELIVERED")
    };
    Some(Booking {
        checkout_id: invocation.id.clone(),
        status,
        user_id: order.user().clone(),
        tickets: order.tickets().to_vec(),
        amount: paid.0,
        payment_id: paid.1,
        kind: kind.map(|kind| kind.as_str().to_owned()),
        started_at: invocation.began,
        ended_at: invocation.ended.filter(|_| status != BookingStatus::Pending),
        notification: notification.map(str::to_owned),
        reset: Vec::new(),
    })
}

/// An invocation as what an operator did.
fn did(invocation: &Invocation, journal: &Journal) -> AuditEntry {
    let handler = Handler::named(&invocation.service, &invocation.handler);
    let call = handler.and_then(Handler::of_the_core).map(|core| parse_call(core, &invocation.key, &journal.input));
    let reason = call.and_then(Result::ok).map(|call| call.reason().to_owned()).unwrap_or_default();
    let outcome = match (&invocation.failure, invocation.ended) {
        (Some(_), _) => {
            invocation.kind().map_or(AuditOutcome::Unknown, |kind| AuditOutcome::Refused(kind.as_str().to_owned()))
        }
        (None, Some(_)) => AuditOutcome::Done,
        (None, None) => AuditOutcome::Unknown,
    };
    AuditEntry {
        at: invocation.began,
        who: journal.operator.clone().unwrap_or_else(|| "an operator".to_owned()),
        asked: format!("{}/{}", invocation.service, invocation.handler),
        about: invocation.key.clone(),
        reason,
        outcome,
        times: 1,
    }
}
