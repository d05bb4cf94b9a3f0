//! One generic turn: read the state, let the core decide, keep the new state with the messages that follow and the alarm,
//! then answer and send. Every handler of a ticket or a map comes down to it.

use std::rc::Rc;

use booking_core::format::{self, Format};
use booking_core::ids::{HoldId, TicketId};
use booking_core::machine::{Machine, turn};
use booking_core::seat_map::{
    News, Published, Seat, SeatMap, SeatMapCommand, SeatMapEvent, SeatMapNotices, SeatMapReply,
};
use booking_core::terms::Terms;
use booking_core::ticket::{
    Hold, Ticket, TicketCommand, TicketEvent, TicketNotices, TicketRefusal, TicketReply, TicketStatus,
};
use booking_core::time::{Millis, Timestamp};
use booking_core::wire::{Answer, Kind, SeatMapCall, Service, TicketCall, answer};
use serde::de::DeserializeOwned;
use worker::{Env, Method, Request, Response, State};

use crate::clock::{Clock, now};
use crate::errors::{Broken, Result, unavailable};
use crate::faults;
use crate::inside::{self, Asked, How, Key, SEAT_MAPS, TICKETS};
use crate::later::meanwhile;
use crate::log::{Level, count, say};
use crate::outbox::{self, Letter, OUTBOX, Postman, Work};
use crate::settings::Settings;
use crate::store::{Row, Store, Table, json, number, stored, text, time};

/// A machine whose state an object keeps.
pub(crate) trait Stored: Machine + 'static {
    /// What it is called in a log.
    const SERVICE: Service;
    /// What it can be asked.
    type Call: DeserializeOwned;
    /// The tables it needs.
    const SCHEMA: &'static [Table];
    /// What goes to those who watch.
    type News;

    /// As much of the state as this command needs.
    fn load(store: &Store, command: &Self::Command) -> Result<Self>;
    /// Writes what this event has changed.
    fn store(&self, store: &Store, name: &str, event: &Self::Event) -> Result<()>;
    /// Keeps the messages to others, or hands those back that follow from the state.
    fn post(store: &Store, name: &str, notices: Self::Notices, at: Timestamp) -> Result<Posted<Self::News>>;
    /// The answer to the caller, from the state after the turn.
    fn answer(&self, outcome: std::result::Result<Self::Reply, Self::Refusal>, how: How) -> Answer;
    /// When something is to happen by itself, and which command that is. `None` while nothing is.
    fn timer(&self) -> Option<(Timestamp, Self::Command)>;
    /// The object's name and state, where its alarm is for more than kept messages.
    fn woken(store: &Store) -> Result<Option<(String, Self)>>;
    /// The message that follows from the state, whether it was sent or not.
    fn message(&self, name: &str) -> Result<Option<Letter>>;
    /// What a call means: a command, or a question that is answered at once.
    fn understand(store: &Store, terms: &Terms, call: Self::Call, chance: u128, at: Timestamp) -> Result<Meant<Self>>;
}

/// What is to be told of a change.
pub(crate) struct Posted<N> {
    /// To those who watch.
    news: Option<N>,
    /// To another object: what follows from the state.
    letter: Option<Letter>,
    /// Whether more was kept for others.
    is_posted: bool,
}

/// What a call means.
pub(crate) enum Meant<M: Machine> {
    /// A command.
    Command(M::Command),
    /// A question, and its answer.
    Answered(Answer),
    /// Nothing that this object knows.
    Unknown,
}

/// One object, as long as it is in memory. Nothing that counts is kept in it.
pub(crate) struct Object<M> {
    pub(crate) state: State,
    pub(crate) env: Env,
    pub(crate) store: Store,
    postman: Postman,
    clock: Clock,
    machine: std::marker::PhantomData<M>,
}

/// Answers that are given again to the same idempotency key.
const KEYS: Table = Table(
    "keys",
    "(scope TEXT PRIMARY KEY, request TEXT NOT NULL, at INTEGER NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL) \
     WITHOUT ROWID",
);

/// How long they are kept, at least: until the next one comes after that.
const KEEP_KEYS: Millis = Millis::from_mins(24 * 60);

impl<M: Stored> Object<M> {
    pub(crate) fn new(state: State, env: Env) -> Self {
        let store = Store::new(&state, M::SCHEMA);
        let machine = std::marker::PhantomData;
        Self { state, env, store, postman: Postman::default(), clock: Clock::default(), machine }
    }

    /// A request of the Worker's or of another object. `tell` is told the news of its change, once that is kept.
    pub(crate) async fn asked(
        self: Rc<Self>,
        mut request: Request,
        tell: impl FnOnce(M::News),
    ) -> worker::Result<Response> {
        let answer = match self.answered(&mut request, tell).await {
            Ok(answer) => answer,
            Err(why) => {
                say(
                    Level::Error,
                    "a turn could not be kept",
                    &[("service", M::SERVICE.as_str().to_owned()), ("why", why.to_string())],
                );
                unavailable()
            }
        };
        inside::respond(answer)
    }

    async fn answered(self: &Rc<Self>, request: &mut Request, tell: impl FnOnce(M::News)) -> Result<Answer> {
        if request.method() != Method::Post {
            return Ok(answer::refusal(&Kind::NotFound.into()));
        }
        let (path, body) = (request.path(), request.bytes().await?);
        let (name, how) = inside::target(&path);
        count("asked", "handler", || format!("{}/{}", M::SERVICE.as_str(), how.as_str()));
        faults::may_panic("panic-object", || name.to_owned());
        let Asked { call, chance, key } = match how {
            How::Call => inside::read(&body)?,
            How::Turn => Asked { call: inside::read(&body)?, chance: String::new(), key: None },
        };
        let chance = u128::from_str_radix(&chance, 16).unwrap_or_default();
        let settings = Settings::of(&self.env)?;
        let command = match M::understand(&self.store, &settings.terms, call, chance, self.clock.now())? {
            Meant::Command(command) => command,
            Meant::Answered(answer) => return Ok(answer),
            Meant::Unknown => return Ok(answer::refusal(&Kind::NotFound.into())),
        };
        let (answer, news) = self.turn(name, &command, how, key)?;
        if let Some(news) = news {
            tell(news);
        }
        if self.postman.has_work() {
            self.send();
        }
        Ok(answer)
    }

    /// Lets the machine judge a command. All of it is kept, or nothing.
    fn turn(&self, name: &str, command: &M::Command, how: How, key: Option<Key>) -> Result<(Answer, Option<M::News>)> {
        let (store, at) = (&self.store, self.clock.now());
        let mut work = Work::default();
        let said = store.transaction(|| {
            if let Some(key) = &key
                && let Some(known) = answered_before(store, key)?
            {
                return Ok((known, None));
            }
            let mut state = M::load(store, command)?;
            let turn = turn(&mut state, command, at);
            let is_stored = turn.event().is_some();
            if let Some(event) = turn.event() {
                state.store(store, name, event)?;
            }
            faults::may_panic("panic-turn", || name.to_owned());
            let (outcome, notices) = turn.stored();
            let Posted { news, letter, is_posted } = M::post(store, name, notices, at)?;
            let answer = state.answer(outcome, how);
            if let Some(key) = key
                && answer.kind.is_none_or(Kind::is_recorded)
            {
                keep_answer(store, key, &answer, at)?;
            }
            if is_stored {
                work.struck_out = self.postman.strike_out(store)?;
                // Also where an earlier change may not have been told: the alarm is set anew here, and was for that too.
                let is_untold = letter.is_some() || !self.postman.is_told() && state.message(name)?.is_some();
                let looks = is_untold.then(|| at.plus(outbox::LOOK_AFTER));
                self.arm(state.timer().map(|(at, _)| at), looks)?;
            }
            (work.letter, work.is_posted) = (letter, is_posted);
            Ok((answer, news))
        })?;
        self.postman.take(work);
        Ok(said)
    }

    /// Sets the alarm to what is due first.
    fn arm(&self, timer: Option<Timestamp>, looks: Option<Timestamp>) -> Result<()> {
        // What is overdue is being sent by somebody, or follows soon: an alarm at once, and again, would only cost.
        let soon = now().plus(outbox::PAUSE);
        let letters = outbox::due(&self.store)?.map(|due| due.max(soon));
        self.store.wake_at([timer, looks, letters].into_iter().flatten().min())
    }

    /// Sends what is to be sent, while the caller already has their answer.
    fn send(self: &Rc<Self>) {
        let object = Rc::clone(self);
        meanwhile(&self.state, async move {
            if let Err(why) = object.postman.go(&object.store, &object.env).await {
                // The alarm is set: it tries again.
                say(
                    Level::Warn,
                    "a message waits",
                    &[("service", M::SERVICE.as_str().to_owned()), ("why", why.to_string())],
                );
            }
        });
    }

    /// The alarm has rung, perhaps again, perhaps late, perhaps for nothing.
    pub(crate) async fn woken(self: Rc<Self>, tell: impl Fn(M::News)) -> worker::Result<Response> {
        self.store.woken();
        count("woken", "service", || M::SERVICE.as_str().to_owned());
        if let Err(why) = self.see_to_it(tell).await {
            say(
                Level::Error,
                "an alarm could not be seen to",
                &[("service", M::SERVICE.as_str().to_owned()), ("why", why.to_string())],
            );
            // Retries of the platform's own come to an end; this one does not.
            let again = if why.may_pass() { Millis::from_secs(1) } else { Millis::from_mins(10) };
            self.store.wake_at(Some(now().plus(again))).map_err(|why| worker::Error::RustError(why.to_string()))?;
        }
        faults::may_panic("panic-alarm", || M::woken(&self.store).ok().flatten().unwrap_or_default().0);
        Response::empty()
    }

    async fn see_to_it(&self, tell: impl Fn(M::News)) -> Result<()> {
        if let Some((name, state)) = M::woken(&self.store)?
            && let Some((at, command)) = state.timer()
            && at <= self.clock.now()
            && let (_, Some(news)) = self.turn(&name, &command, How::Turn, None)?
        {
            tell(news);
        }
        if self.postman.may_be_untold()
            && let Some((name, state)) = M::woken(&self.store)?
        {
            match state.message(&name)? {
                Some(letter) => self.postman.take(Work { letter: Some(letter), ..Work::default() }),
                None => self.postman.has_nothing_to_tell(),
            }
        }
        self.postman.go(&self.store, &self.env).await?;
        let struck_out = self.store.transaction(|| {
            let struck_out = self.postman.strike_out(&self.store)?;
            let (timer, looks) = match M::woken(&self.store)? {
                Some((_, state)) => (state.timer().map(|(at, _)| at), self.postman.looks_again_at()),
                None => (None, None),
            };
            self.arm(timer, looks)?;
            Ok(struck_out)
        })?;
        self.postman.take(Work { struck_out, ..Work::default() });
        Ok(())
    }
}

fn answered_before(store: &Store, Key { scope, request }: &Key) -> Result<Option<Answer>> {
    let query = "SELECT request, status, body FROM keys WHERE scope = ?";
    let known = store.row("keys", query, &[text(scope.as_str())])?;
    let Some(mut row) = known else { return Ok(None) };
    if row.text()? != *request {
        return Ok(Some(answer::refusal(&Kind::IdempotencyKeyReused.into())));
    }
    let status = u16::try_from(row.number()?).map_err(|_| Broken::Column("a status"))?;
    Ok(Some(Answer { status, body: row.text()?, kind: None }))
}

fn keep_answer(store: &Store, Key { scope, request }: Key, answer: &Answer, at: Timestamp) -> Result<()> {
    let old = at.as_millis().saturating_sub(KEEP_KEYS.0);
    store.write("keys", "DELETE FROM keys WHERE at < ?", &[number(old)])?;
    let status = number(u64::from(answer.status));
    let row = [text(scope), text(request), time(at), status, text(answer.body.as_str())];
    store.write("keys", "INSERT INTO keys (scope, request, at, status, body) VALUES (?, ?, ?, ?, ?)", &row)
}

/// A state as it was written down.
pub(crate) fn read<T: Format>(row: &mut Row) -> Result<T> {
    Ok(format::read(row.text()?.as_bytes())?)
}

/// A ticket as it is.
fn ticket(store: &Store) -> Result<Ticket> {
    let row = store.row("ticket", "SELECT state FROM ticket", &[])?;
    row.map_or_else(|| Ok(Ticket::default()), |mut row| read(&mut row))
}

impl Stored for Ticket {
    const SERVICE: Service = Service::Ticket;
    type Call = TicketCall;
    const SCHEMA: &'static [Table] =
        &[Table("ticket", "(one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL, state TEXT NOT NULL)"), KEYS];
    type News = std::convert::Infallible;

    fn load(store: &Store, _: &TicketCommand) -> Result<Self> {
        ticket(store)
    }

    fn store(&self, store: &Store, name: &str, _: &TicketEvent) -> Result<()> {
        let row = [text(name), stored(self)];
        store.write("ticket", "INSERT OR REPLACE INTO ticket (one, id, state) VALUES (1, ?, ?)", &row)
    }

    /// What a ticket tells its map follows from the ticket, so it is kept with it. (And what the timer is armed for
    /// stands there too.)
    fn post(_: &Store, name: &str, notices: TicketNotices, _: Timestamp) -> Result<Posted<Self::News>> {
        let TicketNotices { map, timer: _ } = notices;
        let letter = map.map(|update| told(name, update.status, update.version)).transpose()?;
        Ok(Posted { news: None, letter, is_posted: false })
    }

    fn answer(&self, outcome: std::result::Result<TicketReply, TicketRefusal>, how: How) -> Answer {
        match how {
            How::Call => answer::ticket(&outcome, self.version()),
            How::Turn => Answer { status: 200, body: json(&outcome), kind: None },
        }
    }

    fn timer(&self) -> Option<(Timestamp, TicketCommand)> {
        let expire = |hold: &Hold| (hold.end(), TicketCommand::Expire { hold: hold.id.clone(), until: hold.end() });
        self.hold().map(expire)
    }

    fn woken(store: &Store) -> Result<Option<(String, Self)>> {
        let Some(mut row) = store.row("ticket", "SELECT id, state FROM ticket", &[])? else { return Ok(None) };
        Ok(Some((row.text()?, read(&mut row)?)))
    }

    fn message(&self, name: &str) -> Result<Option<Letter>> {
        // One that never changed has never told anything.
        let has_changed = self.version() > 0;
        has_changed.then(|| told(name, self.state().status(), self.version())).transpose()
    }

    fn understand(store: &Store, terms: &Terms, call: TicketCall, chance: u128, at: Timestamp) -> Result<Meant<Self>> {
        if let TicketCall::Get(reader) = &call {
            let view = ticket(store)?.get(at).seen_by(reader, terms.shows_buyers);
            return Ok(Meant::Answered(answer::ticket_view(&view)));
        }
        Ok(call.command(terms, || HoldId::of_chance(chance)).map_or(Meant::Unknown, Meant::Command))
    }
}

/// What a ticket tells its map.
fn told(name: &str, status: TicketStatus, version: u64) -> Result<Letter> {
    let ticket = TicketId::parse(name)?;
    let map = ticket.map_key();
    Ok(Letter::new(SEAT_MAPS, map.as_str(), &SeatMapCall::Update { ticket, status, version }))
}

fn seats(rows: Vec<Row>) -> Result<Vec<(TicketId, Seat)>> {
    rows.into_iter().map(|mut row| Ok((TicketId::parse(&row.text()?)?, read(&mut row)?))).collect()
}

/// The layout of a map, if it has one.
fn laid(store: &Store) -> Result<Option<Published>> {
    let row = store.row("layout", "SELECT published FROM layout", &[])?;
    row.map(|mut row| read(&mut row)).transpose()
}

/// A map as it is.
pub(crate) fn seat_map(store: &Store) -> Result<SeatMap> {
    let seats = seats(store.rows("seats", "SELECT ticket, seat FROM seats", &[])?)?;
    Ok(SeatMap::restored(laid(store)?, seats))
}

impl Stored for SeatMap {
    const SERVICE: Service = Service::SeatMap;
    type Call = SeatMapCall;
    const SCHEMA: &'static [Table] = &[
        Table("layout", "(one INTEGER PRIMARY KEY CHECK (one = 1), published TEXT NOT NULL)"),
        Table("seats", "(ticket TEXT PRIMARY KEY, seat TEXT NOT NULL) WITHOUT ROWID"),
        Table("version", "(one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL)"),
        OUTBOX,
        KEYS,
    ];
    type News = News;

    fn load(store: &Store, command: &SeatMapCommand) -> Result<Self> {
        match command {
            SeatMapCommand::Update { ticket, auto_reset_at: None, .. } => {
                let version = store
                    .row("version", "SELECT version FROM version", &[])?
                    .map(|mut row| row.number())
                    .transpose()?;
                let seat =
                    store.rows("seats", "SELECT ticket, seat FROM seats WHERE ticket = ?", &[text(ticket.as_str())])?;
                Ok(Self::around(version.unwrap_or_default(), seats(seat)?))
            }
            SeatMapCommand::Update { .. }
            | SeatMapCommand::Publish { .. }
            | SeatMapCommand::ResetAll
            | SeatMapCommand::Continue(_) => seat_map(store),
        }
    }

    fn store(&self, store: &Store, _: &str, event: &SeatMapEvent) -> Result<()> {
        match event {
            SeatMapEvent::Updated { ticket, .. } => {
                let seat = self.seat(ticket).ok_or(Broken::Missing("such seat"))?;
                let row = [text(ticket.as_str()), stored(seat)];
                store.write("seats", "INSERT OR REPLACE INTO seats (ticket, seat) VALUES (?, ?)", &row)?;
            }
            SeatMapEvent::Published { .. } => {
                let row = [stored(&self.published().ok_or(Broken::Missing("layout"))?)];
                store.write("layout", "INSERT OR REPLACE INTO layout (one, published) VALUES (1, ?)", &row)?;
            }
        }
        store.write("version", "INSERT OR REPLACE INTO version (one, version) VALUES (1, ?)", &[number(self.version())])
    }

    fn post(store: &Store, name: &str, notices: SeatMapNotices, at: Timestamp) -> Result<Posted<News>> {
        let SeatMapNotices { watchers, tickets, go_on } = notices;
        let is_posted = !tickets.is_empty() || go_on.is_some();
        for (ticket, command) in tickets {
            outbox::post(store, at, &Letter::new(TICKETS, ticket.as_str(), &TicketCall::Command(command)))?;
        }
        if let Some(errand) = go_on {
            let call = SeatMapCall::Command(SeatMapCommand::Continue(errand));
            outbox::post(store, at, &Letter::new(SEAT_MAPS, name, &call))?;
        }
        Ok(Posted { news: watchers, letter: None, is_posted })
    }

    fn answer(&self, outcome: std::result::Result<SeatMapReply, std::convert::Infallible>, _: How) -> Answer {
        let Ok(reply) = outcome;
        answer::seat_map_reply(&reply, self.version())
    }

    fn timer(&self) -> Option<(Timestamp, SeatMapCommand)> {
        None
    }

    fn woken(_: &Store) -> Result<Option<(String, Self)>> {
        Ok(None)
    }

    fn message(&self, _: &str) -> Result<Option<Letter>> {
        Ok(None)
    }

    fn understand(store: &Store, terms: &Terms, call: SeatMapCall, _: u128, _: Timestamp) -> Result<Meant<Self>> {
        use SeatMapCall::{Command, Get, Plan, Summary, Update, Watch};
        Ok(match &call {
            Get => Meant::Answered(answer::seat_map(&seat_map(store)?)),
            Summary => Meant::Answered(answer::summary(&seat_map(store)?)),
            // Its seats are many rows, and none of them is asked for.
            Plan => Meant::Answered(answer::plan(&SeatMap::restored(laid(store)?, []))),
            Watch => Meant::Unknown,
            Update { .. } | Command(_) => call.command(terms).map_or(Meant::Unknown, Meant::Command),
        })
    }
}
