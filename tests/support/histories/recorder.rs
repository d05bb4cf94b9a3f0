//! Clients that ask a host over HTTP, all at once, and write down what they saw: the histories of its tickets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use booking_core::dice::Dice;
use serde_json::{Value, json};

use super::checker::{Operation, Verdict, check};
use super::lies;
use super::seat::{Ask, Name, No, Said, Status};
use crate::http::{Client, Got};

/// How much to ask, of what.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// How many requests.
    pub requests: usize,
    /// How many clients ask at once.
    pub clients: usize,
    /// How many tickets are asked for at a time; they change as the run continues.
    pub at_a_time: usize,
    /// How many tickets in all.
    pub tickets: usize,
    /// What chance follows from.
    pub seed: u64,
    /// Whether a client that has no answer waits a little before it asks for the next thing: a client learns nothing
    /// from a server that is down, as often as it may ask.
    pub rests: bool,
    /// How long after its end a hold may still be shown, and claimed by a command that was sent before it.
    pub ends_late: Duration,
}

impl Load {
    /// This number of requests, to as many tickets as make each one's history short enough to be checked. The longer a host
    /// takes to answer, the more tickets have to be asked for at a time: what overlaps may have come in any order.
    #[must_use]
    pub fn of(requests: usize, at_a_time: usize) -> Self {
        Self {
            requests,
            clients: 16,
            at_a_time,
            tickets: (requests / 200).max(at_a_time),
            seed: 1,
            rests: false,
            ends_late: Duration::ZERO,
        }
    }

    /// On Restate, whose maps judge a command by when it was sent. They take note of the end of a hold within five seconds.
    #[must_use]
    pub fn on_restate(self) -> Self {
        Self { ends_late: Duration::from_secs(5), ..self }
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
struct Checked {
    /// How many operations there are of tickets that could have behaved so, lapses among them.
    operations: usize,
    /// The tickets that could not have.
    wrong: Vec<usize>,
    /// The tickets of which there is no verdict.
    undecided: Vec<usize>,
}

impl Recording {
    fn check(&self) -> Checked {
        let mut checked = Checked::default();
        for (ticket, history) in &self.tickets {
            match check(history) {
                Verdict::Linearizable(_) => checked.operations += history.len(),
                Verdict::Not(_) => checked.wrong.push(*ticket),
                Verdict::Undecided => checked.undecided.push(*ticket),
            }
        }
        checked
    }

    /// Checks every ticket. What was found, in a line.
    ///
    /// # Errors
    /// Where a ticket could not have behaved so, or there is no verdict: its history, the file that keeps it (named after
    /// `host`), and the command that checks it again. And where too few answers were definite, or fewer operations were
    /// recorded than `least`, for this to say much.
    pub fn is_linearizable(&self, host: &str, least: usize) -> Result<String, String> {
        let Checked { operations, wrong, undecided } = self.check();
        if let Some(ticket) = wrong.first().or(undecided.first()) {
            let what = if wrong.is_empty() { "no verdict on" } else { "no order of requests explains" };
            let history = &self.tickets[ticket];
            return Err(format!(
                "{what} ticket {ticket} (not linearizable: {wrong:?}; undecided: {undecided:?})\n{}\n{}",
                shown(history),
                keep(&format!("{host}-{ticket}"), history)
            ));
        }
        let answers = self.definite + self.unknown;
        if self.definite * 10 < answers * 9 || operations < least {
            return Err(format!(
                "{} of {answers} answers are definite, {operations} operations: too few",
                self.definite
            ));
        }
        let percent = self.definite * 100 / answers.max(1);
        let tickets = self.tickets.len();
        Ok(format!(
            "{operations} operations of {tickets} tickets are linearizable, none undecided; {percent} % of the answers are definite"
        ))
    }

    /// Plants wrong answers, one at a time, and checks each history that has one: what a faulty host would have answered.
    ///
    /// # Errors
    /// Where one is not found, or could not be planted.
    pub fn planted_lies_are_found(&self) -> Result<(), String> {
        for (name, lie) in lies::LIES {
            let lies: Vec<_> = self.tickets.values().filter_map(|history| lie(history)).take(20).collect();
            if lies.is_empty() {
                return Err(format!("{name}: it could not be planted"));
            }
            if let Some(history) = lies.iter().find(|history| !matches!(check(history), Verdict::Not(_))) {
                return Err(format!("{name}: it is not found\n{}\n{}", shown(history), keep("a-lie", history)));
            }
        }
        Ok(())
    }
}

/// Where histories are kept that are not as they should be.
fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/histories")
}

/// Keeps a history. Where it is, and how to check it again.
fn keep(name: &str, history: &[Operation]) -> String {
    let file = kept().join(format!("{name}.json"));
    let json = serde_json::to_string(history).expect("a history is JSON");
    match std::fs::create_dir_all(kept()).and_then(|()| std::fs::write(&file, json)) {
        Ok(()) => format!("kept; to check it again: cargo xtask verify history target/histories/{name}.json"),
        Err(error) => format!("it could not be kept: {error}"),
    }
}

/// Checks a history that was kept.
///
/// # Errors
/// Where it cannot be read, is not linearizable, or there is no verdict.
pub fn check_kept(file: &Path) -> Result<String, String> {
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| told(&error))?;
    let history: Vec<Operation> = serde_json::from_str(&text).map_err(|error| told(&error))?;
    let is_listed = |operation: &Operation| operation.after.is_none_or(|before| before < history.len());
    if !history.iter().all(is_listed) {
        return Err(told(&"an operation comes after one that is not there"));
    }
    match check(&history) {
        Verdict::Linearizable(_) => Ok(format!("{} operations, linearizable", history.len())),
        Verdict::Not(most) => {
            Err(format!("not linearizable: at most {most} of {} are in order\n{}", history.len(), shown(&history)))
        }
        Verdict::Undecided => Err(format!("no verdict\n{}", shown(&history))),
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
    recording.tickets.values_mut().for_each(|history| add_lapses(history, load.ends_late));
    recording
}

/// Each hold that was had ends by itself: that is an operation too, of nobody, at a time that is known well enough.
fn add_lapses(history: &mut Vec<Operation>, late: Duration) {
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
        let answered = answered.map(|answered| answered + nanos(TTL + SLACK + late));
        gone.insert(hold, answered);
        let (asked, said, ask) = (asked + nanos(TTL - SLACK), Said::Yes, Ask::Lapse { hold });
        lapses.push(Operation { asked, answered, ask, said, version: None, after: Some(index) });
    }
    history.extend(lapses);
}

/// When something was asked, what came back, and when.
type Asked = (u64, Option<Got>, u64);

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

/// Whether this ticket is a pair: two seats of a map that are only ever bought and reset together. A client that looks at either of them
/// looks at the pair. If what is done to them is not done to both at once, no order of requests explains what was seen.
fn is_pair(ticket: usize) -> bool {
    ticket % 4 == 3
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
                30..72 if is_pair(ticket) => self.buy(ticket, first),
                30..62 => self.reserve(ticket),
                62..72 => self.release(ticket),
                72..94 => self.buy(ticket, first),
                _ if is_pair(ticket) => self.reset(ticket),
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
    fn ask(&mut self, admin: bool, path: &str, body: &Value) -> Asked {
        let client = if admin { &self.admin } else { &self.public };
        let asked = self.now();
        let got = client.try_send("POST", path, &[], body.to_string().as_bytes()).ok();
        let answered = self.now();
        if got.is_none() && self.load.rests {
            std::thread::sleep(Duration::from_millis(100));
        }
        (asked, got, answered)
    }

    /// The map of a ticket; one that only this run asks for, and of no other ticket: so the map's versions are the ticket's.
    fn map(&self, ticket: usize) -> String {
        // The address of a clock would be the same twice; its reading is not.
        let clock = format!("{:?}", self.clock);
        let run = clock.bytes().fold(self.load.seed, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        format!("history-{run:x}-{ticket}")
    }

    fn seats(&self, ticket: usize) -> Vec<String> {
        let count = if is_pair(ticket) { 2 } else { 1 };
        (1..=count).map(|seat| format!("{}:{seat}", self.map(ticket))).collect()
    }

    fn path(&mut self, ticket: usize, handler: &str) -> String {
        format!("/Ticket/{}/{handler}", self.dice.one_of(&self.seats(ticket)))
    }

    /// Writes an operation down.
    fn write(&mut self, ticket: usize, (asked, got, answered): Asked, ask: Ask, said: Said) {
        let is_known = said != Said::Unknown;
        self.answers[usize::from(!is_known)] += 1;
        let answered = is_known.then_some(answered);
        let version = got.filter(|_| is_known).map(|got| {
            let version = got.body["version"].as_u64();
            version.unwrap_or_else(|| panic!("an answer about a ticket has no version: {}", got.text))
        });
        self.seen.push(Seen { ticket, operation: Operation { asked, answered, ask, said, version, after: None } });
    }

    fn get(&mut self, ticket: usize) {
        // The host shows only to an operator whose it is.
        let path = self.path(ticket, "get");
        let asked = self.ask(true, &path, &Value::Null);
        let Some(got) = asked.1.as_ref().filter(|got| got.status == 200) else {
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
        self.write(ticket, asked, Ask::Get { status, by }, Said::Yes);
    }

    fn reserve(&mut self, ticket: usize) {
        // Under a name of its own: when one ends that was had before is not known well enough.
        let hold = self.name();
        let user = self.user();
        let body = json!({ "userId": format!("user-{user}"), "holdId": format!("hold-{hold}"), "ttlMs": 1000 });
        let path = self.path(ticket, "reserve");
        let asked = self.ask(false, &path, &body);
        let said = said(asked.1.as_ref());
        self.holds.insert(ticket, hold);
        self.write(ticket, asked, Ask::Reserve { user, hold }, said);
    }

    fn release(&mut self, ticket: usize) {
        let Some(hold) = self.holds.get(&ticket).copied() else { return self.get(ticket) };
        let body = json!({ "holdId": format!("hold-{hold}") });
        let path = self.path(ticket, "release");
        let asked = self.ask(false, &path, &body);
        let said = said(asked.1.as_ref());
        self.write(ticket, asked, Ask::Release { hold }, said);
    }

    fn cleanup(&mut self, ticket: usize) {
        let path = self.path(ticket, "cleanup");
        let asked = self.ask(true, &path, &Value::Null);
        let said = said(asked.1.as_ref());
        self.write(ticket, asked, Ask::Cleanup, said);
    }

    fn reset(&mut self, ticket: usize) {
        let asked = self.ask(true, &format!("/SeatMap/{}/resetAll", self.map(ticket)), &json!({}));
        let said = said(asked.1.as_ref());
        self.write(ticket, asked, Ask::ResetAll, said);
    }

    /// A checkout of one ticket or two, each of which may be a pair. What it does to each is a claim, then a confirm or a
    /// revoke or both, all between its asking and its answer.
    fn buy(&mut self, ticket: usize, first: usize) {
        let other = first + self.dice.below(self.load.at_a_time.min(self.load.tickets));
        let two = other != ticket && self.dice.chance(25);
        let held = self.holds.get(&ticket).copied().filter(|_| self.dice.chance(70));
        let (checkout, user) = (self.name(), self.user());
        let hold = held.unwrap_or_else(|| self.name());
        let card = *self.dice.one_of(&["card_success", "card_success", "card_decline", "card_capture_decline"]);
        let wanted = if two { vec![ticket, other] } else { vec![ticket] };
        let ids: Vec<String> = wanted.iter().flat_map(|ticket| self.seats(*ticket)).collect();
        let mut body = json!({ "ticketIds": ids, "userId": format!("user-{user}"), "paymentMethodId": card });
        if let Some(hold) = held {
            body["holdId"] = json!(format!("hold-{hold}"));
        }
        let (asked, got, answered) = self.ask(false, "/Checkout/process", &body);
        let (claim, confirm, known) = match got.as_ref().map(|got| (got.status, got.kind())) {
            Some((200, _)) => (Said::Yes, Some(Said::Yes), true),
            Some((402, "PaymentDeclined")) => (Said::Yes, (card == "card_capture_decline").then_some(Said::Yes), true),
            Some((status, _)) if status < 500 && status != 202 => {
                // The answer does not say which of two has refused.
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
                self.seen
                    .push(Seen { ticket, operation: Operation { asked, answered, ask, said, version: None, after } });
                Some(index)
            };
            let mut last = write(Ask::Claim { checkout, user, hold, brought: held.is_some() }, claim, None);
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
fn shown(history: &[Operation]) -> String {
    let mut lines: Vec<&Operation> = history.iter().collect();
    lines.sort_by_key(|operation| operation.asked);
    let first = lines.first().map_or(0, |operation| operation.asked);
    let millis = |at: u64| format!("{:>6}.{:03}", (at - first) / 1_000_000, (at - first) / 1_000 % 1_000);
    let line = |operation: &&Operation| {
        let answered = operation.answered.map_or_else(|| format!("{:>10}", "never"), millis);
        let version = operation.version.map_or(String::new(), |version| format!(" at {version}"));
        format!("{} {answered}  {:?} -> {:?}{version}", millis(operation.asked), operation.ask, operation.said)
    };
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}
