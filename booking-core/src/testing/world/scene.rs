//! Who wants what, under which terms, and how much may go wrong: where a world begins.

use serde::{Deserialize, Serialize};

use crate::checkout::Order;
use crate::ids::{CheckoutId, MapKey, TicketId};
use crate::map::SeatMapCommand;
use crate::terms::Terms;

/// Where a world begins. Everything that can happen in it follows from this and from the actions that are chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scenario {
    /// The tickets; at most [`Scenario::MOST`].
    pub tickets: Vec<TicketId>,
    /// Those who may come and buy, each once; at most [`Scenario::MOST`].
    pub buyers: Vec<Buyer>,
    /// What people may say to a map beside that, each line once, in any order; at most [`Scenario::MOST`].
    pub lines: Vec<Line>,
    /// What the host is set to.
    pub terms: Terms,
    /// Whether maps forget at once which checkouts have ended, as no map may: then only fences keep a late copy from
    /// being carried out.
    #[serde(default)]
    pub forgets: bool,
    /// Whether maps ask no clock for a checkout's commands, but judge them at the time that the checkout tells: that
    /// of its last outcome that has one (its start, a payment, the end of a wait), however late they arrive.
    #[serde(default)]
    pub checkouts_tell_time: bool,
    /// What may go wrong, and how often.
    pub faults: Faults,
}

/// A buyer who may start a checkout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Buyer {
    /// The id of that checkout.
    pub checkout: CheckoutId,
    /// What the buyer wants.
    pub order: Order,
}

/// A command that a buyer or an operator may send to a map. The ends of a wish (`until`, `latest`) are written as how long
/// they are away when it is first said; what seats cost is read from the map at that moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// To whom.
    pub at: MapKey,
    /// What.
    pub command: SeatMapCommand,
}

/// What may go wrong, and how often in one world. What is used up cannot happen any more, so a world with few faults is
/// finite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Faults {
    /// A message or a timer comes twice: a copy stays under way, for as long as it likes.
    pub copies: u8,
    /// What runs a checkout crashes.
    pub crashes: u8,
    /// The answer of a map or of the gateway is lost: what was asked is done, but nobody knows.
    pub lost: u8,
    /// The gateway gives no answer in time: it never hears, or hears later.
    pub silent: u8,
    /// A timer fires early.
    pub early: u8,
    /// A map judges at a time that is past already.
    pub behind: u8,
    /// A price comes from an older edition of the layout.
    pub stale: u8,
    /// An operator kills a checkout for good.
    pub kills: u8,
    /// An operator cancels a checkout. This is no fault, but as rare.
    pub cancels: u8,
}

impl Faults {
    /// None at all.
    pub const NONE: Self =
        Self { copies: 0, crashes: 0, lost: 0, silent: 0, early: 0, behind: 0, stale: 0, kills: 0, cancels: 0 };
}

impl Scenario {
    /// The most tickets, buyers and lines of a scene.
    pub const MOST: usize = 64;

    /// Whether a world can begin with it: for scenes that come from a file.
    ///
    /// # Errors
    /// What is wrong with it: more than [`Scenario::MOST`] of something, or a ticket that is wanted and not in it.
    pub fn validate(&self) -> Result<(), String> {
        let Self { tickets, buyers, lines, .. } = self;
        if tickets.len().max(buyers.len()).max(lines.len()) > Self::MOST {
            return Err(format!("a scene has at most {} tickets, buyers and lines", Self::MOST));
        }
        let said = lines.iter().flat_map(|line| line.command.seats());
        let wanted = buyers.iter().flat_map(|buyer| buyer.order.tickets()).chain(said);
        if let Some(line) = lines.iter().find(|line| tickets.iter().all(|ticket| ticket.map_str() != line.at.as_str()))
        {
            return Err(format!("no ticket of the scene is on {}", line.at));
        }
        let missing = wanted.into_iter().find(|ticket| !tickets.contains(ticket));
        missing.map_or(Ok(()), |ticket| Err(format!("{ticket} is wanted, and not in the scene")))
    }

    /// A scene of these tickets, in which nobody wants anything and nothing goes wrong.
    #[must_use]
    pub fn new(tickets: Vec<TicketId>, terms: Terms) -> Self {
        let (buyers, lines) = (Vec::new(), Vec::new());
        Self { tickets, buyers, lines, terms, forgets: false, checkouts_tell_time: false, faults: Faults::NONE }
    }
}
