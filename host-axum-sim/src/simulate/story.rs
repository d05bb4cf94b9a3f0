//! A run, told: who said what to whom, when, and what came of it. What a chart is drawn from.

use std::collections::BTreeMap;

use booking_core::checkout::Ending;
use booking_core::ids::{CheckoutId, TicketId};
use booking_core::life::{CheckoutRecord, NotificationStatus};
use booking_core::map::ticket::TicketStatus;
use booking_core::map::ticket::{Hold, Ticket, TicketState};
use booking_core::payment::{AuthorizeAnswer, CaptureAnswer, Payment, PaymentAnswer, VoidAnswer};
use booking_core::time::Timestamp;
use booking_core::wire::{Answer, Refusal};
use serde::Serialize;

use super::scene::What;
use super::world::{START, World};
use crate::store::Record;

/// Who takes part in a run, as a lane of its chart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lane {
    /// What events call it.
    pub name: String,
    /// What it is.
    pub kind: LaneKind,
}

/// What a lane stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum LaneKind {
    /// A client that asks: a buyer, a visitor or an operator.
    Buyer,
    /// A checkout.
    Checkout,
    /// A ticket.
    Ticket,
    /// The map of all tickets.
    Map,
    /// The payment gateway.
    Gateway,
    /// The disk.
    Disk,
}

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum EventKind {
    /// A client asks for something.
    Ask,
    /// A client gets an answer.
    Answer,
    /// A ticket, a checkout or a map has changed.
    Change,
    /// The gateway is asked.
    Pay,
    /// The gateway has answered.
    Paid,
    /// A message to a buyer.
    Letter,
    /// A map tells who watches it.
    News,
    /// The disk has taken something.
    Write,
    /// The disk has synced.
    Sync,
    /// Time has passed, and what is due happens.
    Timer,
    /// Time has passed.
    Wait,
    /// The power goes, and comes again.
    Crash,
    /// The disk is full, or has room again.
    Full,
    /// A promise is broken.
    Broken,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// When, in milliseconds from the beginning.
    pub at: u64,
    /// What kind of thing.
    pub kind: EventKind,
    /// The lane that it comes from; the same as `to` where it stays there; none where it concerns all.
    pub from: Option<String>,
    /// The lane that it goes to.
    pub to: Option<String>,
    /// What, in a few words.
    pub text: String,
    /// All there is to say of it, a line each.
    pub detail: Vec<String>,
    /// Whether something goes wrong by it.
    pub is_fault: bool,
}

/// What happened in a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Story {
    pub(super) events: Vec<Event>,
    /// Who asks, in the order of their first words.
    buyers: Vec<String>,
    /// Checkouts by the order in which they were started.
    checkouts: Vec<CheckoutId>,
    /// What caused what happens now.
    cause: Option<String>,
    /// How far each checkout was when it was last told of.
    stages: BTreeMap<CheckoutId, String>,
}

const DISK: &str = "disk";
const GATEWAY: &str = "gateway";
const MAP: &str = "map";

impl Story {
    fn checkout(&mut self, id: &CheckoutId) -> String {
        let known = self.checkouts.iter().position(|known| known == id);
        let index = known.unwrap_or_else(|| {
            self.checkouts.push(id.clone());
            self.checkouts.len() - 1
        });
        format!("checkout {}", index + 1)
    }

    fn tell(
        &mut self,
        now: Timestamp,
        kind: EventKind,
        from: Option<&str>,
        to: Option<&str>,
        text: String,
    ) -> &mut Event {
        let at = now.as_millis().saturating_sub(START.as_millis());
        let (from, to) = (from.map(str::to_owned), to.map(str::to_owned));
        self.events.push(Event { at, kind, from, to, text, detail: Vec::new(), is_fault: false });
        self.events.last_mut().expect("just told")
    }
}

impl World {
    /// Has everything be told from now on.
    pub fn start_telling(&mut self) {
        self.story = Some(Box::default());
    }

    /// What happened since [`World::start_telling`], and between whom.
    #[must_use]
    pub fn told(&self) -> (Vec<Lane>, Vec<Event>) {
        let Some(story) = &self.story else { return (Vec::new(), Vec::new()) };
        let lane = |kind| move |name: String| Lane { name, kind };
        let checkouts = (1..=story.checkouts.len()).map(|n| format!("checkout {n}"));
        let tickets = self.scene.tickets.iter().map(|ticket| ticket.as_str().to_owned());
        let lanes: Vec<Lane> = story
            .buyers
            .iter()
            .cloned()
            .map(lane(LaneKind::Buyer))
            .chain(checkouts.map(lane(LaneKind::Checkout)))
            .chain(tickets.map(lane(LaneKind::Ticket)))
            .chain([
                lane(LaneKind::Map)(MAP.into()),
                lane(LaneKind::Gateway)(GATEWAY.into()),
                lane(LaneKind::Disk)(DISK.into()),
            ])
            .collect();
        let used = |lane: &Lane| {
            let is_its = |name: &Option<String>| name.as_ref() == Some(&lane.name);
            story.events.iter().any(|event| is_its(&event.from) || is_its(&event.to))
        };
        (lanes.iter().filter(|lane| used(lane)).cloned().collect(), story.events.clone())
    }

    /// Tells something, where anybody listens.
    pub(super) fn tells(
        &mut self,
        kind: EventKind,
        from: Option<&str>,
        to: Option<&str>,
        text: impl FnOnce() -> String,
    ) -> Option<&mut Event> {
        let now = self.now;
        self.story.as_mut().map(|story| story.tell(now, kind, from, to, text()))
    }

    pub(super) fn tells_ask(&mut self, index: usize, is_again: bool) {
        let Some(story) = &mut self.story else { return };
        let ask = &self.scene.asks[index];
        let (who, what) = (who_asks(&ask.what), words(&ask.what));
        if !story.buyers.contains(&who) {
            story.buyers.push(who.clone());
        }
        let again = if is_again { " again" } else { "" };
        let to = ask.what.tickets().first().map_or(MAP, TicketId::as_str).to_owned();
        story.cause = Some(who.clone());
        // A checkout has no lane before it is there: the arrow leads back to its buyer.
        let to = if matches!(ask.what, What::Process(_) | What::Send(_)) { who.clone() } else { to };
        let event = story.tell(self.now, EventKind::Ask, Some(&who), Some(&to), format!("{what}{again}"));
        let key = if ask.keyed { format!("under the idempotency key key-{index}") } else { "without a key".to_owned() };
        event.detail = vec![format!("{:?}", ask.what), key];
    }

    pub(super) fn tells_answer(&mut self, index: usize, answer: &Answer, about: Option<&CheckoutId>) {
        let Some(story) = &mut self.story else { return };
        let what = &self.scene.asks[index].what;
        let who = who_asks(what);
        let from = match about {
            Some(id) => story.checkout(id),
            None => what.tickets().first().map_or(MAP, TicketId::as_str).to_owned(),
        };
        let kind = answer.kind.map_or("", booking_core::wire::Kind::as_str);
        let event = story.tell(
            self.now,
            EventKind::Answer,
            Some(&from),
            Some(&who),
            format!("{} {kind}", answer.status).trim_end().to_owned(),
        );
        // The answer to a hold has the hold's id in it, as has every answer to the hold's owner.
        event.detail = vec![format!("to: {}", words(what)), answer.body.clone()];
    }

    /// Tells what a batch of records says of checkouts and tickets.
    pub(super) fn tells_batch(&mut self, records: &[Record]) {
        let Some(story) = &mut self.story else { return };
        let cause = story.cause.clone();
        let checkouts: Vec<&CheckoutRecord> = records.iter().filter_map(Record::checkout).collect();
        for record in &checkouts {
            let checkout = record.checkout();
            let is_new = !story.stages.contains_key(checkout.id());
            let lane = story.checkout(checkout.id());
            let stage = stage(record);
            if is_new && let Some(cause) = cause.as_ref().filter(|cause| **cause != lane) {
                let order = checkout.order().tickets().iter().map(TicketId::as_str).collect::<Vec<_>>().join(", ");
                story.tell(self.now, EventKind::Ask, Some(cause), Some(&lane), format!("buys {order}"));
            }
            if story.stages.insert(checkout.id().clone(), stage.clone()).as_ref() != Some(&stage) {
                let event = story.tell(self.now, EventKind::Change, Some(&lane), Some(&lane), stage);
                event.detail = vec![format!("{} by {}", checkout.id(), checkout.order().user().as_str())];
                event.detail.push(format!("step {}, {:?}", checkout.step(), checkout.stage()));
            }
        }
        for record in records {
            if let Record::Seat(_, id, ticket) = record {
                if !self.scene.tickets.contains(id) {
                    continue;
                }
                let record = checkouts.iter().find(|record| record.checkout().order().tickets().contains(id));
                let from = record.map(|record| story.checkout(record.checkout().id())).or_else(|| cause.clone());
                let from = from.unwrap_or_else(|| id.as_str().to_owned());
                let event =
                    story.tell(self.now, EventKind::Change, Some(&from), Some(id.as_str()), status(ticket.as_deref()));
                event.detail = ticket.as_deref().map(state).unwrap_or_default();
            }
        }
        let text =
            if let [_] = records { "waits: 1 record".to_owned() } else { format!("waits: {} records", records.len()) };
        let event = story.tell(self.now, EventKind::Write, None, Some(DISK), text);
        event.detail = records.iter().map(named).collect();
    }

    pub(super) fn tells_payment(
        &mut self,
        id: &CheckoutId,
        payment: &Payment,
        answer: &PaymentAnswer,
        fault: Option<&str>,
    ) {
        let now = self.now;
        let Some(story) = &mut self.story else { return };
        let lane = story.checkout(id);
        let what = match payment {
            Payment::Authorize(request) => format!("authorise {}", request.amount.minor()),
            Payment::Capture(_) | Payment::Void(_) => payment.name().to_owned(),
        };
        let event = story.tell(now, EventKind::Pay, Some(&lane), Some(GATEWAY), what);
        event.is_fault = fault.is_some();
        event.detail = fault.map(str::to_owned).into_iter().collect();
        let answer = match answer {
            PaymentAnswer::Authorize(AuthorizeAnswer::Authorized(_)) => "authorised",
            PaymentAnswer::Capture(CaptureAnswer::Captured(_)) => "captured",
            PaymentAnswer::Void(VoidAnswer::Voided) => "voided",
            PaymentAnswer::Void(VoidAnswer::PaidBack) => "paid back",
            PaymentAnswer::Authorize(AuthorizeAnswer::Declined(_))
            | PaymentAnswer::Capture(CaptureAnswer::Declined(_)) => "declined",
            PaymentAnswer::Authorize(AuthorizeAnswer::KeyReused | AuthorizeAnswer::Unavailable)
            | PaymentAnswer::Capture(CaptureAnswer::Unavailable)
            | PaymentAnswer::Void(VoidAnswer::Unavailable) => "no answer",
        };
        story.cause = Some(lane.clone());
        story.tell(now, EventKind::Paid, Some(GATEWAY), Some(&lane), answer.to_owned()).is_fault = fault.is_some();
    }

    pub(super) fn tells_letter(&mut self, id: &CheckoutId, arrives: bool) {
        let now = self.now;
        let Some(story) = &mut self.story else { return };
        let lane = story.checkout(id);
        let user = self.ends.get(id).map(|end| end.checkout.order().user().as_str().to_owned());
        let text = if arrives { "is told of the booking" } else { "the message does not arrive" };
        story.tell(now, EventKind::Letter, Some(&lane), user.as_deref(), text.to_owned()).is_fault = !arrives;
    }

    /// What happens now happens by itself.
    pub(super) fn has_no_cause(&mut self) {
        if let Some(story) = &mut self.story {
            story.cause = None;
        }
    }

    /// A crash has taken back everything that was not stored: from here on the story tells of it anew.
    pub(super) fn tells_what_is_left(&mut self) {
        if let Some(story) = &mut self.story {
            let left = self.engine.checkouts().map(|record| (record.checkout().id().clone(), stage(record)));
            story.stages = left.collect();
        }
    }

    /// Who watches hears something, and so takes part.
    pub(super) fn tells_news(&mut self, text: impl FnOnce() -> String) {
        let Some(story) = &mut self.story else { return };
        let principal = who_asks(&What::Watch);
        if !story.buyers.contains(&principal) {
            story.buyers.push(principal.clone());
        }
        story.tell(self.now, EventKind::News, Some(MAP), Some(&principal), text());
    }
}

fn who_asks(what: &What) -> String {
    match what {
        What::Reserve { user, .. } => user.as_str().to_owned(),
        What::Process(order) | What::Send(order) => order.user().as_str().to_owned(),
        What::Release { hold, .. } => hold.as_str().replace("hold", "buyer"),
        What::Get(_) | What::Watch => "visitor".to_owned(),
        What::Cancel(_)
        | What::Block(_)
        | What::Unblock(_)
        | What::Sell { .. }
        | What::Cleanup(_)
        | What::ResetAll
        | What::Publish(_) => "operator".to_owned(),
    }
}

fn words(what: &What) -> String {
    match what {
        What::Reserve { .. } => "reserve".to_owned(),
        What::Release { .. } => "release".to_owned(),
        What::Process(order) => format!("process ({})", order.method().as_str()),
        What::Send(order) => format!("send ({})", order.method().as_str()),
        What::Cancel(_) => "cancel".to_owned(),
        What::Get(_) => "get".to_owned(),
        What::Watch => "watch".to_owned(),
        What::Block(_) => "block".to_owned(),
        What::Unblock(_) => "unblock".to_owned(),
        What::Sell { .. } => "sell".to_owned(),
        What::Cleanup(_) => "cleanup".to_owned(),
        What::ResetAll => "reset all".to_owned(),
        What::Publish(seats) => format!("a layout of {seats}"),
    }
}

fn stage(record: &CheckoutRecord) -> String {
    let checkout = record.checkout();
    let letter = match record.notification() {
        NotificationStatus::None | NotificationStatus::Delivered => "",
        NotificationStatus::Waiting { .. } => ", to be told",
        NotificationStatus::GivenUp => ", message given up",
    };
    match checkout.ending() {
        Some(Ending::Completed { .. }) => format!("booked{letter}"),
        Some(Ending::Failed { failure, .. }) => format!("failed: {}", Refusal::from(failure).kind.as_str()),
        None if record.wake().is_some() => format!("{}, waits", checkout.stage().name()),
        None => checkout.stage().name().to_owned(),
    }
}

fn status(ticket: Option<&Ticket>) -> String {
    let state = ticket.map(|ticket| &ticket.state);
    let claimed = state.and_then(TicketState::hold).and_then(Hold::claim).is_some();
    let status = state.map_or(TicketStatus::Available, TicketState::status);
    format!("{status:?}{}", if claimed { ", claimed" } else { "" })
}

fn state(ticket: &Ticket) -> Vec<String> {
    let since = |at: Timestamp| at.as_millis().saturating_sub(START.as_millis());
    let mut state = vec![format!("version {}", ticket.version)];
    match &ticket.state {
        TicketState::Reserved(hold) => {
            state.push(format!("held by {} until {} ms", hold.by.as_str(), since(hold.end())))
        }
        TicketState::Sold(sale) => state.push(format!("sold to {}", sale.by.as_str())),
        TicketState::Available | TicketState::Blocked { .. } => {}
    }
    state
}

/// A record's name, without what is secret.
fn named(record: &Record) -> String {
    match record {
        Record::Map(map, Some(header)) => format!("map {map}, version {}", header.version),
        Record::Map(map, None) => format!("map {map}, forgotten"),
        Record::Beginning(header) => format!("maps begin at version {}", header.version),
        Record::Layout(map, _) => format!("layout of {map}"),
        Record::Seat(_, id, Some(ticket)) => format!("seat {id}, version {}", ticket.version),
        Record::Seat(_, id, None) => format!("seat {id}, as it was laid out"),
        Record::Ended(map, id, _) => format!("end of checkout {id} on {map}"),
        Record::LastWish(map, ..) => format!("the last wish under a hold on {map}"),
        Record::Checkout(record) => format!("checkout {}", record.checkout().id()),
        Record::CheckoutForgotten(id) => format!("checkout {id}, forgotten"),
        Record::Account(key, _) => format!("account {key}"),
        Record::AccountForgotten(key) => format!("account {key}, forgotten"),
        Record::Key(..) => "an idempotency key".to_owned(),
        Record::KeyForgotten(_) => "an idempotency key, forgotten".to_owned(),
        Record::Audit(n, _) => format!("entry {n} of the audit"),
    }
}
