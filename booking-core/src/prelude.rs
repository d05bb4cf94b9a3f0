//! What a host touches, on one page: [`docs::hosts`](crate::docs::hosts) says in which order. `use booking_core::prelude::*` in a host
//! brings no other name.
//!
//! | | |
//! | --- | --- |
//! | a map's turn | [`MapCall`] says what it [`Needs`] ([`Parts`] of the [`SeatMap`], or all of it), and judges; a [`SeatMapEvent`] is what to write; [`Told`] becomes the [`Answer`] |
//! | a call from outside | [`TicketCall`] with what [`AtTheDoor`] adds |
//! | a checkout | an [`Order`] becomes a [`Checkout`] in a [`CheckoutRecord`]; each [`Effect`] has an [`Outcome`] |
//! | the outside | [`Payment`], [`PaymentAnswer`], [`Notification`] |
//! | names, times, settings | [`TicketId`], [`MapKey`], [`HoldId`], [`CheckoutId`], [`Timestamp`], [`Millis`], [`Terms`] |
//! | what is stored | [`mod@format`] |

pub use crate::checkout::{Checkout, Order};
pub use crate::effect::{Effect, Notification, Outcome};
pub use crate::format;
pub use crate::ids::{CheckoutId, HoldId, MapKey, TicketId};
pub use crate::life::{CheckoutRecord, Told};
pub use crate::map::{Needs, Parts, SeatMap, SeatMapEvent};
pub use crate::payment::{Payment, PaymentAnswer};
pub use crate::terms::Terms;
pub use crate::time::{Millis, Timestamp};
pub use crate::wire::{Answer, AtTheDoor, MapCall, TicketCall};
