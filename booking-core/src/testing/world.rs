//! A small world in which anything may go wrong: seat maps, checkouts that are pushed, the gateway, and all
//! that is under way between them. Every driver (search, simulation, crash points, proptest) moves through this one.
//!
//! ```text
//!  Scenario ──▶ World ──actions()──▶ what can happen next
//!              ▲                        │ one is chosen
//!              └──── apply(action) ◀────┘ ──▶ a property that is broken, or nothing
//! ```
//!
//! Messages arrive in any order, late, twice or never; a sender that waits for an answer asks again. Timers fire early,
//! late, twice, or when they are not armed any more. What runs a checkout crashes anywhere. Only what is asked for in
//! [`Faults`] goes wrong, each at most as often as it says there, so a small world has an end.

mod action;
mod happen;
mod next;
pub(crate) mod part;
mod scene;
mod system;
mod watch;

use std::sync::Arc;

pub use action::{Action, How, Item, Spot};
use part::{Part, Printer, print};
pub use scene::{Buyer, Faults, Line, Scenario};
pub(crate) use watch::Prints;
pub use watch::Watch;

use super::rules::Rules;
use crate::checkout::Ending;
use crate::effect::{Effect, Outcome};
use crate::ids::{CheckoutId, HoldId, MapKey, PaymentKey, TicketId};
use crate::map::{SeatMap, SeatMapCommand};
use crate::payment::Ledger;
use crate::progress::CheckoutProgress;
use crate::time::Timestamp;

/// When every world begins.
pub const START: Timestamp = Timestamp::from_millis(1_000);

/// A world at one moment. Cloning it is cheap: what it has in common with others is shared.
#[derive(Clone, Debug)]
pub struct World {
    scene: Arc<Scenario>,
    rules: &'static dyn Rules,
    now: Timestamp,
    /// The moment before the last step of time: what a clock that is behind shows.
    earlier: Timestamp,
    maps: Vec<Place>,
    runs: Vec<Option<Run>>,
    ledger: Part<Ledger>,
    mail: Vec<Mail>,
    /// The last accepted numbered wish under each hold, and until when an older one may still be on its way.
    wishes: Vec<(u8, HoldId, u32, Timestamp)>,
    said: u64,
    told: u64,
    was_reset: u64,
    left: Faults,
}

/// A map and its timers.
#[derive(Clone, Debug)]
struct Place {
    key: MapKey,
    map: Part<SeatMap>,
    timers: Vec<Timestamp>,
}

/// A checkout that was started.
#[derive(Clone, Debug)]
struct Run {
    running: Part<CheckoutProgress>,
    authorize_key: PaymentKey,
    /// Whether the gateway was ever asked for it.
    asked: bool,
    crashes: u8,
    killed: bool,
    /// What time it tells its maps, in scenes where it does.
    tells: Option<Timestamp>,
}

/// What is under way.
#[derive(Clone, Debug)]
enum Mail {
    Effect(Spot, Part<Effect>),
    Outcome(Spot, Part<Outcome>),
    Wake(Spot, Timestamp),
    /// A copy of a line that was said.
    Line(u8, Part<SeatMapCommand>),
}

impl Mail {
    fn item(&self) -> Item {
        match self {
            Self::Effect(spot, _) => Item::Effect(*spot),
            Self::Outcome(spot, _) => Item::Outcome(*spot),
            Self::Wake(spot, _) => Item::Wake(*spot),
            Self::Line(line, _) => Item::Line(*line),
        }
    }

    fn print(&self) -> u128 {
        match self {
            Self::Effect(spot, effect) => print(&(0, spot, effect.print())),
            Self::Outcome(spot, outcome) => print(&(1, spot, outcome.print())),
            Self::Wake(spot, at) => print(&(2, spot, at)),
            Self::Line(line, command) => print(&(3, line, command.print())),
        }
    }
}

/// A set of one.
fn bit(index: usize) -> u64 {
    debug_assert!(index < Scenario::MOST, "a scene is small");
    1 << (index % Scenario::MOST)
}

/// What is in a set.
fn bits(mut set: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let first = set.trailing_zeros();
        set &= set.checked_sub(1)?;
        Some(first as usize)
    })
}

fn narrow(index: usize) -> u8 {
    u8::try_from(index).expect("a scene has at most 64 of each")
}

impl World {
    /// The world at the beginning of a scene.
    ///
    /// # Panics
    /// Sooner or later, if the scene is not [valid](Scenario::validate).
    #[must_use]
    pub fn new(scene: Arc<Scenario>, rules: &'static dyn Rules) -> Self {
        let Scenario { tickets, buyers, .. } = &*scene;
        debug_assert_eq!(scene.validate(), Ok(()));
        let mut maps: Vec<Place> = Vec::new();
        let as_laid_out = Part::new(SeatMap::default());
        for ticket in tickets {
            if maps.iter().all(|place| place.key.as_str() != ticket.map_str()) {
                maps.push(Place { key: ticket.map_key(), map: as_laid_out.clone(), timers: Vec::new() });
            }
        }
        let (runs, left) = (vec![None; buyers.len()], scene.faults);
        Self {
            scene,
            rules,
            now: START,
            earlier: START,
            maps,
            runs,
            ledger: Part::new(Ledger::default()),
            mail: Vec::new(),
            wishes: Vec::new(),
            said: 0,
            told: 0,
            was_reset: 0,
            left,
        }
    }

    /// Where it began.
    #[must_use]
    pub fn scene(&self) -> &Arc<Scenario> {
        &self.scene
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The gateway's ledger.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What may still go wrong.
    #[must_use]
    pub fn left(&self) -> Faults {
        self.left
    }

    /// From now on nothing goes wrong any more.
    pub fn heal(&mut self) {
        self.left = Faults::NONE;
    }

    /// How a buyer's checkout ended, if it was started and has.
    #[must_use]
    pub fn ending_of(&self, buyer: u8) -> Option<&Ending> {
        self.run(buyer).and_then(|run| run.running.ending())
    }

    fn run(&self, buyer: u8) -> Option<&Run> {
        self.runs.get(usize::from(buyer)).and_then(Option::as_ref)
    }

    fn run_of(&self, checkout: &CheckoutId) -> Option<usize> {
        let buyers = &self.scene.buyers;
        let shared = buyers.iter().position(|buyer| std::ptr::eq(buyer.checkout.as_str(), checkout.as_str()));
        let buyer = shared.or_else(|| buyers.iter().position(|buyer| buyer.checkout == *checkout));
        buyer.filter(|buyer| self.runs[*buyer].is_some())
    }

    fn place_of(&self, map: &str) -> Option<usize> {
        self.maps.iter().position(|place| place.key.as_str() == map)
    }

    fn seat_of(&self, ticket: &TicketId) -> Option<usize> {
        // Ids are shared: most often it is the very same text.
        let shared = self.scene.tickets.iter().position(|id| std::ptr::eq(id.as_str(), ticket.as_str()));
        shared.or_else(|| self.scene.tickets.iter().position(|id| id == ticket))
    }

    fn is_under_way(&self, run: &Run) -> bool {
        !run.killed && run.running.ending().is_none()
    }

    /// What is left in the end: seats and money.
    pub(crate) fn print_what_is_left(&self, printer: &mut Printer) {
        self.maps.iter().for_each(|place| std::hash::Hasher::write_u128(printer, place.map.print()));
        std::hash::Hasher::write_u128(printer, self.ledger.print());
    }

    /// What tells this world from others: the same for worlds in which the same can happen.
    #[must_use]
    pub fn print(&self) -> u128 {
        let mut printer = Printer::default();
        let mut put = |word: u128| std::hash::Hasher::write_u128(&mut printer, word);
        let earlier = if self.left.behind > 0 { self.earlier } else { START };
        put(print(&(self.now, earlier, self.said, self.told, self.was_reset, self.left)));
        for place in &self.maps {
            put(place.map.print());
            put(place.timers.iter().map(print).fold(0, u128::wrapping_add));
        }
        for run in &self.runs {
            put(run.as_ref().map_or(0, |run| {
                let told = run.tells.map_or(0, |at| print(&at));
                run.running.print().wrapping_add(print(&(run.crashes, run.killed))).wrapping_add(told)
            }));
        }
        put(self.ledger.print());
        put(self.wishes.iter().map(print).fold(0, u128::wrapping_add));
        // The order in which messages were sent does not count: they may arrive in any order.
        put(self.mail.iter().map(Mail::print).fold(0, u128::wrapping_add));
        printer.print()
    }
}
