//! One turn of a map: read what the command needs, let the core decide, keep what has changed with the answer and the
//! alarm, then answer and tell those who watch. All of it is kept, or nothing.

use std::cell::RefCell;
use std::rc::Rc;

use booking_core::ids::{CheckoutId, MapKey, TicketId};
use booking_core::life::{Key, Known};
use booking_core::map::{Needs, News, Parts, SeatMap};
use booking_core::terms::Terms;
use booking_core::time::{Millis, Timestamp};
use booking_core::wire::search::BookingStatus;
use booking_core::wire::{Answer, AtTheDoor, Kind, MapCall, Refusal, SeatMapCall, TicketCall, answer, watch};
use booking_workers::clock::{Clock, now};
use booking_workers::faults;
use booking_workers::log::{Level, count, say};
use worker::{Env, Method, Request, Response, State};

use crate::calls::{Asked, CheckoutCall};
use crate::errors::{Broken, Result, unavailable};
use crate::inside::{self, CHECKOUTS};
use crate::map_tables::{self as tables, Layouts};
use crate::settings::Settings;
use crate::store::Store;

/// A map, as long as it is in memory. Nothing that counts is kept in it.
pub(crate) struct Map {
    pub(crate) state: State,
    env: Env,
    store: Store,
    layouts: Layouts,
    /// The last snapshot for watchers, with the version and the spread that it tells.
    snapshot: RefCell<Option<(Shows, Rc<str>)>>,
    clock: Clock,
}

type Shows = (Option<u64>, Millis);

/// An answer, and the news for watchers, once all of it is kept.
type Said = (Answer, Vec<News>);

impl Map {
    pub(crate) fn new(state: State, env: Env) -> Self {
        let store = Store::new(&state, tables::SCHEMA);
        Self { state, env, store, layouts: Layouts::default(), snapshot: RefCell::default(), clock: Clock::default() }
    }

    /// The map as it is shown.
    pub(crate) fn shown(&self) -> Result<SeatMap> {
        tables::shown(&self.store, &self.layouts)
    }

    /// What a watcher is shown first: made once for all who come before the map changes again.
    pub(crate) fn snapshot(&self, spread: Millis) -> Result<Rc<str>> {
        let version = tables::header(&self.store)?.map(|(_, header)| header.version);
        if let Some((known, text)) = self.snapshot.borrow().as_ref()
            && *known == (version, spread)
        {
            return Ok(Rc::clone(text));
        }
        // What is recorded: watchers hear of a lapse when the alarm rings.
        let text: Rc<str> = watch::snapshot(&self.shown()?.picture(Timestamp::default()), spread).into();
        self.snapshot.replace(Some(((version, spread), Rc::clone(&text))));
        Ok(text)
    }

    /// A request of the Worker's or of a checkout. `tell` gets the news of its change, once that is kept.
    pub(crate) async fn asked(&self, mut request: Request, tell: impl Fn(News)) -> worker::Result<Response> {
        let answer = match self.answered(&mut request).await {
            Ok((answer, news)) => {
                news.into_iter().for_each(tell);
                answer
            }
            Err(why) => {
                say(
                    Level::Error,
                    "a turn could not be kept",
                    &[("service", "SeatMap".to_owned()), ("why", why.to_string())],
                );
                unavailable()
            }
        };
        inside::respond(answer)
    }

    async fn answered(&self, request: &mut Request) -> Result<Said> {
        if request.method() != Method::Post {
            return Ok((answer::refusal(&Kind::NotFound.into()), Vec::new()));
        }
        let (path, body) = (request.path(), request.bytes().await?);
        let key = MapKey::parse(inside::target(&path))?;
        let asked: Asked<MapCall> = inside::read(&body)?;
        count("asked", "handler", || format!("SeatMap/{}", inside::name_of(&asked.call)));
        faults::may_panic("panic-object", || inside::names(asked.call.seats()));
        let settings = Settings::of(&self.env)?;
        match asked.call {
            MapCall::Seat(id, TicketCall::Get(reader), _) => {
                let view = self.seat(&id)?.view(&id, self.clock.now());
                Ok((answer::ticket_view(&view.seen_by(&reader, settings.terms.shows_buyers)), Vec::new()))
            }
            MapCall::Map(SeatMapCall::Get) => {
                Ok((answer::seat_map(&self.shown()?.picture(self.clock.now())), Vec::new()))
            }
            MapCall::Map(SeatMapCall::Summary) => {
                Ok((answer::summary(self.shown()?.picture(self.clock.now()).summary()), Vec::new()))
            }
            MapCall::Map(SeatMapCall::Plan) => {
                let header = tables::header(&self.store)?.map(|(_, header)| header).unwrap_or_default();
                let layout = self.layouts.of(&self.store, &header)?;
                Ok((answer::plan(header.edition, layout.as_deref()), Vec::new()))
            }
            MapCall::Map(SeatMapCall::Watch) => Ok((answer::refusal(&Kind::NotFound.into()), Vec::new())),
            MapCall::Seat(id, call @ TicketCall::Reset { .. }, door) => {
                if let Some(known) = self.answered_before(asked.key)? {
                    return Ok((known, Vec::new()));
                }
                let seat = self.seat(&id)?;
                let ended = call.takes_from(&seat, &id).cloned();
                if let Some(checkout) = &ended
                    && !self.has_ended(checkout).await?
                {
                    let version = seat.version_of(&id);
                    let refusal = Refusal::still_being_sold(id, version);
                    return Ok((answer::refusal(&refusal), Vec::new()));
                }
                let call = MapCall::Seat(id, call, AtTheDoor { ended, ..door });
                self.changed(&key, Asked { call, ..asked }, &settings.terms)
            }
            call @ (MapCall::Seat(..) | MapCall::Map(_) | MapCall::Line(..) | MapCall::Expire(_)) => {
                self.changed(&key, Asked { call, ..asked }, &settings.terms)
            }
        }
    }

    /// As much of the map as one seat is.
    fn seat(&self, id: &TicketId) -> Result<SeatMap> {
        let Some((_, header)) = tables::header(&self.store)? else { return Ok(SeatMap::default()) };
        let needs = Needs::Parts(Parts::of(std::slice::from_ref(id)));
        tables::load(&self.store, header, &self.layouts, needs)
    }

    /// Whether a checkout has ended: until then its money may be taken at any moment.
    async fn has_ended(&self, checkout: &CheckoutId) -> Result<bool> {
        let status = Asked { call: CheckoutCall::Status, key: None };
        let said = inside::ask(&self.env, CHECKOUTS, checkout.as_str(), &status).await?;
        match answer::stands(&said) {
            Some(status) => Ok(status != BookingStatus::Pending),
            // It is forgotten.
            None if said.kind == Some(Kind::NotFound) => Ok(true),
            None => Err(Broken::Missing("word of the checkout that has this seat")),
        }
    }

    /// What was answered to this key before, if that is kept still.
    fn answered_before(&self, key: Option<Key>) -> Result<Option<Answer>> {
        let Some(key) = key else { return Ok(None) };
        Ok(match tables::known(&self.store, key)? {
            Known::Nothing => None,
            Known::Answer(answer) => Some(answer),
            Known::EndOf(_) => return Err(Broken::Missing("answer of a map under this key")),
        })
    }

    /// A call that may change the map.
    fn changed(&self, map: &MapKey, asked: Asked<MapCall>, terms: &Terms) -> Result<Said> {
        let Asked { call, key } = asked;
        self.store.transaction(|| {
            if let Some(known) = self.answered_before(key)? {
                return Ok((known, Vec::new()));
            }
            let said = self.judged(map, call, terms)?;
            if let Some(key) = key {
                tables::keep_answer(&self.store, key, &said.0, self.clock.now())?;
            }
            Ok(said)
        })
    }

    /// Lets the map judge a call, and keeps what has changed with the alarm. Inside a transaction.
    fn judged(&self, key: &MapKey, call: MapCall, terms: &Terms) -> Result<Said> {
        let header = tables::header(&self.store)?.map(|(_, header)| header).unwrap_or_default();
        let mut map = tables::load(&self.store, header, &self.layouts, call.needs(&header))?;
        let judged = match call.judge(&mut map, key, self.clock.now(), terms) {
            Ok(judged) => judged,
            Err(refused) => return Ok((refused.into(), Vec::new())),
        };
        if let Some(event) = judged.event() {
            tables::write(&self.store, key, event)?;
            faults::may_panic("panic-turn", || inside::names(event.tickets.iter().map(|(id, _)| id)));
        }
        self.store.wake_at(judged.timer().map(|timer| timer.not_before))?;
        let later = match judged.follow_up() {
            Some(call) => self.judged(key, call.clone(), terms)?.1,
            None => Vec::new(),
        };
        let told = judged.stored();
        let answer = told.answer();
        Ok((answer, told.news.into_iter().chain(later).collect()))
    }

    /// The alarm has rung, perhaps again, perhaps late, perhaps for nothing.
    pub(crate) fn woken(&self, tell: impl Fn(News)) -> worker::Result<Response> {
        self.store.woken();
        count("woken", "service", || "SeatMap".to_owned());
        match self.lapsed() {
            Ok(news) => {
                let gone = inside::names(news.iter().flat_map(News::seats).map(|(id, _)| id));
                news.into_iter().for_each(tell);
                faults::may_panic("panic-alarm", || gone);
            }
            Err(why) => {
                say(
                    Level::Error,
                    "an alarm could not be seen to",
                    &[("service", "SeatMap".to_owned()), ("why", why.to_string())],
                );
                // Retries of the platform's own come to an end; this one does not.
                let again = if why.may_pass() { Millis::from_secs(1) } else { Millis::from_mins(10) };
                self.store.wake_at(Some(now().plus(again))).map_err(|why| worker::Error::RustError(why.to_string()))?;
            }
        }
        Response::empty()
    }

    /// Takes away what has lapsed, if that is what the alarm is for.
    fn lapsed(&self) -> Result<Vec<News>> {
        let settings = Settings::of(&self.env)?;
        self.store.transaction(|| {
            let Some((key, header)) = tables::header(&self.store)? else { return Ok(Vec::new()) };
            let Some(due) = header.armed else { return Ok(Vec::new()) };
            if due > self.clock.now() {
                return self.store.wake_at(Some(due)).map(|()| Vec::new());
            }
            self.judged(&key, MapCall::Expire(due), &settings.terms).map(|(_, news)| news)
        })
    }
}
