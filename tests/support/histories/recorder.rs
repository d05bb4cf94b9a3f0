//! Clients that ask a host over HTTP, all at once, and write down what they saw: the histories of its tickets.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use booking_core::testing::dice::Dice;
use serde_json::{Value, json};

use super::checker::{Operation, Verdict, check};
use super::seat::{Ask, Name, No, Said, Status};
use crate::http::{Client, Got};

/// How much to ask, of what.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// How many requests.
    pub requests: usize,
    /// How many clients ask at once.
    pub clients: usize,
    /// How many tickets are asked for at a time; they change as the run goes on.
    pub at_a_time: usize,
    /// How many tickets in all.
    pub tickets: usize,
    /// What chance follows from.
    pub seed: u64,
    /// Whether a client that has no answer waits a little before it asks for the next thing: whoever asks a server that is
    /// down learns nothing, as often as it may ask.
    pub rests: bool,
}

impl Load {
    /// So many requests, to as many tickets as make each one's history short enough to be checked. The longer a host
    /// takes to answer, the more tickets have to be asked for at a time: what overlaps may have come in any order.
    #[must_use]
    pub fn of(requests: usize, at_a_time: usize) -> Self {
        Self { requests, clients: 16, at_a_time, tickets: (requests / 200).max(at_a_time), seed: 1, rests: false }
    }
}

/// What all clients saw, ticket by ticket.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// The histories, by ticket.
    pub tickets: BTreeMap<usize, Vec<Operation>>,
    /// How many requests had a definite answer.
    pub definite: usize,
    /// How many had none.
    pub unknown: usize,
}

/// What was found of a recording.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// How many tickets could have behaved so.
    pub linearizable: usize,
    /// How many operations that were, lapses among them.
    pub operations: usize,
    /// The tickets that could not have.
    pub wrong: Vec<(usize, Vec<Operation>)>,
    /// The tickets of which there was no saying.
    pub undecided: Vec<usize>,
}

impl Recording {
    /// Checks every ticket.
    #[must_use]
    pub fn check(&self) -> Checked {
        let mut checked = Checked::default();
        for (ticket, history) in &self.tickets {
            checked.operations += history.len();
            match check(history) {
                Verdict::Linearizable(_) => checked.linearizable += 1,
                Verdict::Not(_) => checked.wrong.push((*ticket, history.clone())),
                Verdict::Undecided => checked.undecided.push(*ticket),
            }
        }
        checked
    }
}

/// Every hold lasts as long: the shortest that there is.
const TTL: Duration = Duration::from_secs(1);

/// What a server's clock of whole milliseconds, and its being corrected, may make of a second.
const SLACK: Duration = Duration::from_millis(20);

/// One request, as its client wrote it down.
struct Seen {
    ticket: usize,
    operation: Operation,
}

/// Asks, and writes down. `public` asks as a buyer, `admin` as an operator.
///
/// # Panics
/// If a client does.
#[must_use]
pub fn record(load: Load, public: &Client, admin: &Client) -> Recording {
    let (clock, asked) = (Instant::now(), AtomicUsize::new(0));
    let seen: Vec<(Vec<Seen>, [usize; 2])> = std::thread::scope(|scope| {
        let asked = &asked;
        let run = |number: usize| {
            let (public, admin) = (public.another(), admin.another());
            let dice = Dice::new(load.seed.wrapping_mul(1_000).wrapping_add(number as u64));
            let names = u32::try_from(number + 1).unwrap() * 1_000_000;
            let clients = One {
                load,
                clock,
                public,
                admin,
                dice,
                names,
                holds: BTreeMap::new(),
                seen: Vec::new(),
                answers: [0; 2],
            };
            scope.spawn(move || clients.run(asked))
        };
        let threads: Vec<_> = (0..load.clients).map(run).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut recording = Recording::default();
    for (seen, [definite, unknown]) in seen {
        recording.definite += definite;
        recording.unknown += unknown;
        let mut offsets: BTreeMap<usize, usize> = BTreeMap::new();
        for Seen { ticket, mut operation } in seen {
            let history = recording.tickets.entry(ticket).or_default();
            // A client counts its own operations of a ticket; others' are before them here.
            let offset = *offsets.entry(ticket).or_insert(history.len());
            operation.after = operation.after.map(|index| index + offset);
            history.push(operation);
        }
    }
    recording.tickets.values_mut().for_each(add_lapses);
    recording
}

/// Each hold that was had ends by itself: that is an operation too, of nobody, at a time that is known well enough.
fn add_lapses(history: &mut Vec<Operation>) {
    let nanos = |length: Duration| u64::try_from(length.as_nanos()).unwrap();
    // A hold that the ticket has forgotten can be had again under its old name: that is another, with a lapse of its own.
    let mut gone: BTreeMap<Name, Option<u64>> = BTreeMap::new();
    let mut lapses = Vec::new();
    let mut reserves: Vec<usize> = (0..history.len()).collect();
    reserves.sort_by_key(|index| history[*index].asked);
    for index in reserves {
        let Operation { asked, answered, ask: Ask::Reserve { hold, .. }, said, .. } = history[index] else { continue };
        let is_had = gone.get(&hold).is_some_and(|gone| gone.is_none_or(|gone| asked < gone));
        if !matches!(said, Said::Yes | Said::Unknown) || is_had {
            continue;
        }
        let answered = answered.map(|answered| answered + nanos(TTL + SLACK));
        gone.insert(hold, answered);
        let (asked, said, ask) = (asked + nanos(TTL - SLACK), Said::Yes, Ask::Lapse { hold });
        lapses.push(Operation { asked, answered, ask, said, after: Some(index) });
    }
    history.extend(lapses);
}

/// One client.
struct One {
    load: Load,
    clock: Instant,
    public: Client,
    admin: Client,
    dice: Dice,
    names: Name,
    /// The hold that it has, or had, on a ticket. One that ended long ago is not asked for again: the ticket may have
    /// forgotten it.
    holds: BTreeMap<usize, Name>,
    seen: Vec<Seen>,
    /// Definite and unknown ones.
    answers: [usize; 2],
}

/// A ticket's id; one that only this run asks for.
fn id(load: &Load, clock: Instant, ticket: usize) -> String {
    // The address of a clock would be the same twice; its reading is not.
    let run = format!("{clock:?}").bytes().fold(load.seed, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    format!("history-{run:x}:{ticket}")
}

impl One {
    fn run(mut self, asked: &AtomicUsize) -> (Vec<Seen>, [usize; 2]) {
        loop {
            let done = asked.fetch_add(1, Ordering::Relaxed);
            if done >= self.load.requests {
                return (self.seen, self.answers);
            }
            let first = done * self.load.tickets.saturating_sub(self.load.at_a_time) / self.load.requests;
            let ticket = first + self.dice.below(self.load.at_a_time.min(self.load.tickets));
            match self.dice.below(100) {
                0..30 => self.get(ticket),
                30..62 => self.reserve(ticket),
                62..72 => self.release(ticket),
                72..94 => self.buy(ticket, first),
                _ => self.cleanup(ticket),
            }
        }
    }

    fn name(&mut self) -> Name {
        self.names += 1;
        self.names
    }

    fn user(&self) -> Name {
        self.names / 1_000_000
    }

    fn now(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_nanos()).unwrap()
    }

    /// Asks, and tells when that was.
    fn ask(&mut self, admin: bool, path: &str, body: &Value) -> (u64, Option<Got>, u64) {
        let client = if admin { &self.admin } else { &self.public };
        let asked = self.now();
        let got = client.try_send("POST", path, &[], body.to_string().as_bytes()).ok();
        let answered = self.now();
        if got.is_none() && self.load.rests {
            std::thread::sleep(Duration::from_millis(100));
        }
        (asked, got, answered)
    }

    fn path(&self, ticket: usize, handler: &str) -> String {
        format!("/Ticket/{}/{handler}", id(&self.load, self.clock, ticket))
    }

    /// Writes an operation down.
    fn write(&mut self, ticket: usize, asked: u64, answered: u64, ask: Ask, said: Said) {
        self.answers[usize::from(said == Said::Unknown)] += 1;
        let answered = (said != Said::Unknown).then_some(answered);
        self.seen.push(Seen { ticket, operation: Operation { asked, answered, ask, said, after: None } });
    }

    fn get(&mut self, ticket: usize) {
        let (asked, got, answered) = self.ask(false, &self.path(ticket, "get"), &Value::Null);
        let Some(got) = got.filter(|got| got.status == 200) else {
            // Who has not seen anything has nothing to tell.
            self.answers[1] += 1;
            return;
        };
        let status = match got.body["status"].as_str() {
            Some("AVAILABLE") => Status::Available,
            Some("RESERVED") => Status::Reserved,
            Some("SOLD") => Status::Sold,
            other => panic!("a ticket that is {other:?}"),
        };
        let by = got.body["reservedBy"].as_str().map(|by| by.strip_prefix("user-").unwrap().parse().unwrap());
        let version = got.body["version"].as_u64().unwrap();
        self.write(ticket, asked, answered, Ask::Get { status, by, version }, Said::Yes);
    }

    fn reserve(&mut self, ticket: usize) {
        let again = self.dice.chance(20).then(|| self.holds.get(&ticket).copied()).flatten();
        let hold = again.unwrap_or_else(|| self.name());
        let user = self.user();
        let body = json!({ "userId": format!("user-{user}"), "holdId": format!("hold-{hold}"), "ttlMs": 1000 });
        let (asked, got, answered) = self.ask(false, &self.path(ticket, "reserve"), &body);
        let said = said(got.as_ref());
        if again.is_some() || said == Said::No(No::Expired) {
            self.holds.remove(&ticket);
        } else {
            self.holds.insert(ticket, hold);
        }
        self.write(ticket, asked, answered, Ask::Reserve { user, hold }, said);
    }

    fn release(&mut self, ticket: usize) {
        let Some(hold) = self.holds.get(&ticket).copied() else { return self.get(ticket) };
        let body = json!({ "holdId": format!("hold-{hold}") });
        let (asked, got, answered) = self.ask(false, &self.path(ticket, "release"), &body);
        self.write(ticket, asked, answered, Ask::Release { hold }, said(got.as_ref()));
    }

    fn cleanup(&mut self, ticket: usize) {
        let (asked, got, answered) = self.ask(true, &self.path(ticket, "cleanup"), &Value::Null);
        self.write(ticket, asked, answered, Ask::Cleanup, said(got.as_ref()));
    }

    /// A checkout of one ticket or two. What it does to each is a claim, then a confirm or a revoke or both, all between
    /// its asking and its answer.
    fn buy(&mut self, ticket: usize, first: usize) {
        let other = first + self.dice.below(self.load.at_a_time.min(self.load.tickets));
        let two = other != ticket && self.dice.chance(25);
        let held = self.holds.get(&ticket).copied().filter(|_| self.dice.chance(70));
        let (checkout, user) = (self.name(), self.user());
        let hold = held.unwrap_or_else(|| self.name());
        let card = *self.dice.one_of(&["card_success", "card_success", "card_decline", "card_capture_decline"]);
        let wanted = if two { vec![ticket, other] } else { vec![ticket] };
        let ids: Vec<String> = wanted.iter().map(|ticket| id(&self.load, self.clock, *ticket)).collect();
        let mut body = json!({ "ticketIds": ids, "userId": format!("user-{user}"), "paymentMethodId": card });
        if let Some(hold) = held {
            body["holdId"] = json!(format!("hold-{hold}"));
        }
        let (asked, got, answered) = self.ask(false, "/Checkout/process", &body);
        let (claim, confirm, known) = match got.as_ref().map(|got| (got.status, got.kind())) {
            Some((200, _)) => (Said::Yes, Some(Said::Yes), true),
            Some((402, "PaymentDeclined")) => (Said::Yes, (card == "card_capture_decline").then_some(Said::Yes), true),
            Some((status, _)) if status < 500 && status != 202 => {
                // Which of two has refused, nobody is told.
                let refused = said(got.as_ref());
                (if two { Said::Unknown } else { refused }, None, true)
            }
            _ => (Said::Unknown, Some(Said::Unknown), false),
        };
        let revoke = got.as_ref().is_none_or(|got| got.status != 200);
        for ticket in wanted {
            self.answers[usize::from(!known)] += 1;
            let mut write = |ask, said, after| {
                let answered = known.then_some(answered);
                let index = self.seen.iter().filter(|seen| seen.ticket == ticket).count();
                self.seen.push(Seen { ticket, operation: Operation { asked, answered, ask, said, after } });
                Some(index)
            };
            let mut last = write(Ask::Claim { checkout, user, hold }, claim, None);
            if let Some(said) = confirm {
                last = write(Ask::Confirm { checkout }, said, last);
            }
            if revoke {
                write(Ask::Revoke { checkout }, if known { Said::Yes } else { Said::Unknown }, last);
            }
        }
    }
}

/// What an answer says.
fn said(got: Option<&Got>) -> Said {
    match got.map(|got| (got.status, got.kind())) {
        Some((200..300, _)) => Said::Yes,
        Some((_, "TicketReserved")) => Said::No(No::Reserved),
        Some((_, "TicketSold")) => Said::No(No::Sold),
        Some((_, "HoldExpired")) => Said::No(No::Expired),
        Some((_, "CheckoutInProgress")) => Said::No(No::InProgress),
        Some((_, "HoldNotFound")) => Said::No(No::NotFound),
        Some((status, kind)) if status < 500 => panic!("nobody asked for {status} {kind}"),
        Some(_) | None => Said::Unknown,
    }
}

/// A history, a line each, in the order of asking; times in milliseconds.
#[must_use]
pub fn shown(history: &[Operation]) -> String {
    let mut lines: Vec<&Operation> = history.iter().collect();
    lines.sort_by_key(|operation| operation.asked);
    let first = lines.first().map_or(0, |operation| operation.asked);
    let millis = |at: u64| format!("{:>6}.{:03}", (at - first) / 1_000_000, (at - first) / 1_000 % 1_000);
    let line = |operation: &&Operation| {
        let answered = operation.answered.map_or_else(|| format!("{:>10}", "never"), millis);
        format!("{} {answered}  {:?} -> {:?}", millis(operation.asked), operation.ask, operation.said)
    };
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}
