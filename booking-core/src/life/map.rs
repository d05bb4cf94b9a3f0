//! One turn of a map, from the call to what is stored and answered.
//!
//! ```text
//!  load what call.needs() ──▶ call.judge() ──▶ store event() and timer(), in one transaction ──▶ stored(): answer, tell watchers
//! ```

use serde::{Deserialize, Serialize};

use crate::format::{self, Format};
use crate::ids::{MapKey, TicketId};
use crate::inventory::{LineAnswer, of_map};
use crate::machine;
use crate::map::{News, SeatMap, SeatMapCommand, SeatMapEvent, SeatMapRefusal, SeatMapReply};
use crate::terms::Terms;
use crate::time::Timestamp;
use crate::wire::{Answer, MapCall, Refusal, SeatMapCall, answer};

/// A call of a map's timer: one way, at least once, and not before its time. The same value serves as a row of an outbox,
/// a row of a timer table, and a message of a queue.
///
/// It does no harm where it comes late or twice. A host that has a column with the end of each map's timer
/// ([`Header::armed`](crate::map::Header::armed)) need not store it: [`SeatMap::due`] makes it anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// The map.
    pub to: MapKey,
    /// What it is asked.
    pub call: MapCall,
    /// The earliest time to ask it.
    pub not_before: Timestamp,
}

impl Format for Delivery {
    const NAME: &'static str = "delivery";
    const VERSION: u32 = 1;
}

/// A call that a map has judged, before anything of it is stored.
#[derive(Clone, Debug)]
#[must_use = "store the event with the timer, judge the follow-up, then take what to answer from `stored()`"]
pub struct Judgement {
    event: Option<SeatMapEvent>,
    timer: Option<Delivery>,
    follow_up: Option<MapCall>,
    told: Told,
}

/// What a map says to a call once the turn is stored.
///
/// ```
/// use booking_core::map::SeatMap;
/// use booking_core::terms::Terms;
/// use booking_core::time::Timestamp;
/// use booking_core::wire::{AtTheDoor, MapCall, TicketCall};
/// use booking_core::{HoldId, MapKey, TicketId, UserId};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (key, seat) = (MapKey::parse("hall")?, TicketId::parse("hall:7")?);
/// let (now, terms) = (Timestamp::from_millis(1_700_000_000_000), Terms::default());
/// let reserve = TicketCall::Reserve { user: UserId::parse("ann")?, hold: None, nth: None, ttl: None };
/// let door = AtTheDoor::new(&terms, now, HoldId::parse("an-id-that-no-one-can-guess")?);
/// let call = MapCall::Seat(seat, reserve, door);
///
/// let mut map = SeatMap::default();
/// let judgement = call.judge(&mut map, &key, now, &terms)?;
/// assert!(judgement.event().is_some()); // written first, in one transaction with the timer
/// let told = judgement.stored();
/// assert_eq!((told.version, told.answer().status), (1, 200));
/// assert!(told.news.is_some()); // for the watchers
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The reply, or why it refuses.
    pub outcome: Result<SeatMapReply, SeatMapRefusal>,
    /// The version after the turn: that of the seat, where the call was about one, or else the map's.
    pub version: u64,
    /// What the watchers of the map hear.
    pub news: Option<News>,
    asked: Asked,
}

/// What a call was about, and so in which form it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    Seat(TicketId),
    Line,
    Map,
}

impl MapCall {
    /// Lets a map judge a call. `map` is the whole map, or as much of it as the call [needs](MapCall::needs); after this it is as the
    /// event makes it. If that cannot be stored, nothing of the turn has happened: load the map anew.
    ///
    /// A call that comes again is answered as before while its effect stands, and changes nothing.
    ///
    /// # Errors
    /// The refusal to answer with where the call is none that a map judges, or is to block a seat that the map does not have. Nothing has
    /// changed then.
    ///
    /// ```
    /// use booking_core::ids::{HoldId, MapKey, TicketId, UserId};
    /// use booking_core::map::SeatMap;
    /// use booking_core::terms::Terms;
    /// use booking_core::time::Timestamp;
    /// use booking_core::wire::{AtTheDoor, MapCall, TicketCall};
    ///
    /// let (terms, now) = (Terms::default(), Timestamp::from_millis(1_700_000_000_000));
    /// let (key, seat) = (MapKey::parse("arena:A")?, TicketId::parse("arena:A:12")?);
    /// let reserve = TicketCall::Reserve { user: UserId::parse("ann")?, hold: None, nth: None, ttl: None };
    /// let door = AtTheDoor::new(&terms, now, HoldId::parse("made-by-chance")?);
    ///
    /// let call = MapCall::Seat(seat, reserve, door);
    /// let mut map = SeatMap::default(); // loaded: what `call.needs(&header)` says
    /// let judged = call.judge(&mut map, &key, now, &terms)?;
    /// assert!(judged.event().is_some() && judged.timer().is_some()); // stored: in one transaction
    /// assert_eq!(judged.stored().answer().status, 200); // and only then answered
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn judge(self, map: &mut SeatMap, key: &MapKey, now: Timestamp, terms: &Terms) -> Result<Judgement, Refusal> {
        let asked = match &self {
            Self::Seat(seat, ..) => Asked::Seat(seat.clone()),
            Self::Line(..) => Asked::Line,
            Self::Map(_) | Self::Expire(_) => Asked::Map,
        };
        let command = self.command(key, map).map_err(Refusal::from)?;
        let (event, notices, outcome) = machine::turn(map, &command, now).into_parts();
        let timer = notices.timer.map(|due| Delivery { to: key.clone(), call: Self::Expire(due), not_before: due });
        let is_full = event.is_some() && map.wants_reset(terms) && command != SeatMapCommand::ResetAll;
        let follow_up = is_full.then_some(Self::Map(SeatMapCall::ResetAll));
        let version = match &asked {
            Asked::Seat(seat) => map.version_of(seat),
            Asked::Line | Asked::Map => map.version(),
        };
        Ok(Judgement { event, timer, follow_up, told: Told { outcome, version, news: notices.watchers, asked } })
    }
}

impl Judgement {
    /// What has changed: exactly the rows that a host writes. `None` where there is nothing to store.
    #[must_use]
    pub fn event(&self) -> Option<&SeatMapEvent> {
        self.event.as_ref()
    }

    /// What the map's timer is to ask it, and when, if the timer was armed. To be stored together with the event.
    #[must_use]
    pub fn timer(&self) -> Option<&Delivery> {
        self.timer.as_ref()
    }

    /// What the map is to judge next, in the same transaction: it has sold as many seats as the operator lets it
    /// ([`Terms::auto_reset_at`], which is off by default). Not to be sent: a copy that came late would take other sales away.
    #[must_use]
    pub fn follow_up(&self) -> Option<&MapCall> {
        self.follow_up.as_ref()
    }

    /// To be called once the event and the timer are stored.
    #[must_use]
    pub fn stored(self) -> Told {
        self.told
    }
}

impl Told {
    /// The outcome as a checkout that asked for a line of its order takes it.
    ///
    /// # Errors
    /// The map's refusal.
    pub fn line(self) -> LineAnswer {
        of_map(self.outcome)
    }

    /// The answer to who called: over HTTP for a call from outside, and what [`LineAnswer`] is read from
    /// for a checkout's.
    #[must_use]
    pub fn answer(&self) -> Answer {
        match &self.asked {
            Asked::Seat(_) => answer::seat(&self.outcome, self.version),
            Asked::Map => answer::map_reply(&self.outcome, self.version),
            Asked::Line => Answer { status: 200, body: line(&self.outcome), kind: None },
        }
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        answer::refusal(&refusal)
    }
}

fn line(outcome: &Result<SeatMapReply, SeatMapRefusal>) -> String {
    String::from_utf8(format::write_json(&of_map(outcome.clone()))).expect("JSON is UTF-8")
}

impl SeatMap {
    /// What the map's timer has to ask it, and when; `None` while no timer is armed. The same as the [`Delivery`] of the turn that armed
    /// it, for a host that keeps the time in a column of its own.
    #[must_use]
    pub fn due(&self, key: &MapKey) -> Option<Delivery> {
        let due = self.header().armed?;
        Some(Delivery { to: key.clone(), call: MapCall::Expire(due), not_before: due })
    }
}
