//! What a map is asked, whichever way that comes: about one of its seats, about itself, or for a checkout. For hosts that send a
//! map its calls in the form that serde derives.

use serde::{Deserialize, Serialize};

use super::Kind;
use super::request::{AtTheDoor, SeatMapCall, TicketCall};
use crate::ids::{MapKey, TicketId};
use crate::inventory::{Line, LineCommand};
use crate::map::{Header, Needs, Parts, SeatMap, SeatMapCommand, Seats};
use crate::terms::Terms;
use crate::time::Timestamp;

/// A request to a map.
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
/// let told = call.clone().judge(&mut map, &key, now, &terms)?.stored();
/// assert_eq!(told.answer().status, 200);
///
/// // The same again finds that it is done, and changes nothing.
/// let again = call.judge(&mut map, &key, now, &terms)?;
/// assert!(again.event().is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MapCall {
    /// About one of its seats, from outside, with what the door has added.
    Seat(TicketId, TicketCall, AtTheDoor),
    /// About itself, from outside.
    Map(SeatMapCall),
    /// About seats that a checkout is to have, or to give back.
    Line(Seats, LineCommand),
    /// Its timer fires, which was armed for this time.
    Expire(Timestamp),
}

impl MapCall {
    /// The seats that it names.
    #[must_use]
    pub fn seats(&self) -> &[TicketId] {
        match self {
            Self::Seat(seat, ..) => std::slice::from_ref(seat),
            Self::Line(seats, _) | Self::Map(SeatMapCall::Recall { seats, .. }) => seats.as_slice(),
            Self::Map(_) | Self::Expire(_) => &[],
        }
    }

    /// How much of the map has to be loaded before it [judges](MapCall::judge) this.
    #[must_use]
    pub fn needs(&self, header: &Header) -> Needs<'_> {
        let seats = self.seats();
        match self {
            Self::Seat(_, call, door) => match call {
                TicketCall::Reserve { hold, nth, .. } => {
                    Needs::of_wish(seats, hold.as_ref().unwrap_or(&door.fresh), *nth, header).with_layout()
                }
                TicketCall::Release { hold, nth } => Needs::of_wish(seats, hold, *nth, header),
                TicketCall::Sell { .. } | TicketCall::Block { .. } => Needs::Parts(Parts::of(seats)).with_layout(),
                TicketCall::Get(_) | TicketCall::Unblock => Needs::Parts(Parts::of(seats)),
                TicketCall::List { .. } => Needs::AllAndLayout,
                TicketCall::Reset { .. } => Needs::All,
            },
            Self::Map(call) => match call {
                SeatMapCall::Recall { .. } => Needs::Parts(Parts::of(seats)),
                SeatMapCall::ResetAll | SeatMapCall::Erase { .. } => Needs::All,
                SeatMapCall::Get
                | SeatMapCall::Summary
                | SeatMapCall::Plan
                | SeatMapCall::Watch
                | SeatMapCall::Publish { .. } => Needs::AllAndLayout,
            },
            Self::Line(_, LineCommand::Claim { checkout, hold, .. }) => {
                Needs::of_claim(seats, checkout, hold, header).with_layout()
            }
            Self::Line(_, LineCommand::Confirm { checkout, .. } | LineCommand::Revoke { checkout, .. }) => {
                Needs::Parts(Parts { checkout: Some(checkout), ..Parts::of(seats) })
            }
            Self::Expire(_) => Needs::Parts(Parts { ending: true, ..Parts::default() }),
        }
    }

    /// What the map is asked. `map` needs to have its header and its layout, or as much of that as the seats of this call are;
    /// what seats cost is read from it.
    ///
    /// # Errors
    /// `NotFound` for a call that only reads; `TicketNotForSale` for a seat that an operator wants to block and that the layout
    /// does not have.
    pub fn command(self, key: &MapKey, map: &SeatMap) -> Result<SeatMapCommand, Kind> {
        let offer = |seats: &Seats, default_price| map.offer(seats, default_price, Terms::ROOM);
        let command = match self {
            Self::Seat(seat, call, door) => door.ask(&seat, call, |seats| offer(seats, door.default_price)),
            Self::Map(call) => AtTheDoor::ask_map(call),
            Self::Line(seats, command) => {
                let default_price = command.default_price();
                Some(Line { at: key.clone(), seats }.ask(&command, |seats| offer(seats, default_price)))
            }
            Self::Expire(due) => Some(SeatMapCommand::Expire { due }),
        };
        let command = command.ok_or(Kind::NotFound)?;
        if map.blocks_outside_layout(&command) { Err(Kind::TicketNotForSale) } else { Ok(command) }
    }
}
