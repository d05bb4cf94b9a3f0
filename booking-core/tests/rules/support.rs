//! A seat to try rules on, and short names for what the rules speak of.

use booking_core::ids::{CheckoutId, HoldId, TicketId, UserId};
use booking_core::money::{Currency, Money};
use booking_core::ticket::{HoldName, Ticket, TicketCommand, TicketNotices, TicketRefusal, TicketReply, TicketStatus};
use booking_core::time::{HoldTtl, Millis, Timestamp};
use booking_core::{Machine, turn};

/// When each of these tests begins.
pub(crate) const NOW: u64 = 1_000_000;
/// When a hold that was made at [`NOW`] ends.
pub(crate) const UNTIL: u64 = NOW + 900_000;
/// A checkout's deadline well before that.
pub(crate) const EARLY: u64 = NOW + 300_000;
/// A checkout's deadline after that.
pub(crate) const LATE: u64 = UNTIL + 300_000;

pub(crate) fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}
pub(crate) fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}
pub(crate) fn ticket_id(id: &str) -> TicketId {
    TicketId::parse(id).unwrap()
}
pub(crate) fn hold_id(id: &str) -> HoldId {
    HoldId::parse(id).unwrap()
}
pub(crate) fn checkout_id(id: &str) -> CheckoutId {
    CheckoutId::parse(id).unwrap()
}
pub(crate) fn usd(minor: u64) -> Money {
    Money::new(minor, Currency::USD).unwrap()
}
/// What a ticket costs that was never listed.
pub(crate) fn unit_price() -> Money {
    usd(10_000)
}

pub(crate) fn reserve(by: &str, hold: &str) -> TicketCommand {
    let hold = HoldName::Named(hold_id(hold));
    TicketCommand::Reserve { user: user(by), hold, ttl: HoldTtl::default(), unlisted: Some(unit_price()) }
}
pub(crate) fn reserve_unnamed(by: &str, fresh: &str) -> TicketCommand {
    let hold = HoldName::Fresh(hold_id(fresh));
    TicketCommand::Reserve { user: user(by), hold, ttl: HoldTtl::default(), unlisted: Some(unit_price()) }
}
pub(crate) fn claim(by: &str, hold: &str, checkout: &str, deadline: u64) -> TicketCommand {
    let (user, hold, checkout) = (user(by), hold_id(hold), checkout_id(checkout));
    TicketCommand::Claim { user, hold, checkout, deadline: at(deadline), unlisted: Some(unit_price()) }
}
pub(crate) fn confirm(hold: &str, checkout: &str, fence: u64) -> TicketCommand {
    TicketCommand::Confirm { hold: hold_id(hold), checkout: checkout_id(checkout), fence }
}
pub(crate) fn release(hold: &str) -> TicketCommand {
    TicketCommand::Release { hold: hold_id(hold) }
}
pub(crate) fn revoke(hold: &str, checkout: &str) -> TicketCommand {
    TicketCommand::Revoke { hold: hold_id(hold), checkout: checkout_id(checkout) }
}
pub(crate) fn expire(hold: &str, until: u64) -> TicketCommand {
    TicketCommand::Expire { hold: hold_id(hold), until: at(until) }
}
pub(crate) fn block() -> TicketCommand {
    TicketCommand::Block { reason: "broken seat".into() }
}
pub(crate) fn list(minor: u64) -> TicketCommand {
    TicketCommand::List { price: usd(minor), edition: None }
}
pub(crate) fn list_edition(minor: u64, edition: u64) -> TicketCommand {
    TicketCommand::List { price: usd(minor), edition: Some(edition) }
}
pub(crate) fn sell(by: &str, hold: &str) -> TicketCommand {
    TicketCommand::Sell { user: user(by), hold: hold_id(hold), unlisted: Some(unit_price()) }
}
pub(crate) fn reset(up_to: u64) -> TicketCommand {
    TicketCommand::Reset { up_to }
}
/// The same command where sales are closed.
pub(crate) fn closed(mut command: TicketCommand) -> TicketCommand {
    if let TicketCommand::Reserve { unlisted, .. }
    | TicketCommand::Claim { unlisted, .. }
    | TicketCommand::Sell { unlisted, .. } = &mut command
    {
        *unlisted = None;
    }
    command
}
/// The same command with another length of hold.
pub(crate) fn lasting(mut command: TicketCommand, millis: u64) -> TicketCommand {
    if let TicketCommand::Reserve { ttl, .. } = &mut command {
        *ttl = HoldTtl::new(Millis(millis)).unwrap();
    }
    command
}

pub(crate) fn reserved(hold: &str, until: u64) -> TicketReply {
    TicketReply::Reserved { hold: Some(hold_id(hold)), until: at(until), price: unit_price() }
}
pub(crate) fn claimed(fence: u64) -> TicketReply {
    TicketReply::Claimed { fence, price: unit_price() }
}

/// A ticket, a clock, and what the last command brought about.
#[derive(Clone)]
pub(crate) struct Seat {
    pub(crate) ticket: Ticket,
    pub(crate) now: u64,
    pub(crate) recorded: bool,
    pub(crate) notices: TicketNotices,
}

impl Seat {
    /// Nobody has spoken to it yet.
    pub(crate) fn available() -> Self {
        Self { ticket: Ticket::default(), now: NOW, recorded: false, notices: TicketNotices::default() }
    }
    /// Held by ann under `h`, unclaimed, until [`UNTIL`]; version 1.
    pub(crate) fn held() -> Self {
        Self::available().after(&reserve("ann", "h"))
    }
    /// Held as above, claimed by checkout `c` until `deadline`; version 2, which is the fence.
    pub(crate) fn held_and_claimed(deadline: u64) -> Self {
        Self::held().after(&claim("ann", "h", "c", deadline))
    }
    /// Claimed by ann's checkout `c` under a hold that it made (`h`), until [`EARLY`]; version 1, which is the fence.
    pub(crate) fn claimed() -> Self {
        Self::available().after(&claim("ann", "h", "c", EARLY))
    }
    /// Sold to ann's checkout `c` under a hold of her own; version 3, fence 2.
    pub(crate) fn sold_from_held() -> Self {
        Self::held_and_claimed(EARLY).after(&confirm("h", "c", 2))
    }
    /// Sold to ann's checkout `c` under a hold that it made; version 2, fence 1.
    pub(crate) fn sold() -> Self {
        Self::claimed().after(&confirm("h", "c", 1))
    }
    /// Off sale; version 1.
    pub(crate) fn blocked() -> Self {
        Self::available().after(&block())
    }

    pub(crate) fn at(mut self, now: u64) -> Self {
        self.now = now;
        self
    }

    /// Asks, stores, and hands out the answer.
    pub(crate) fn ask(&mut self, command: &TicketCommand) -> Result<TicketReply, TicketRefusal> {
        let mut replayed = self.ticket.clone();
        let turn = turn(&mut self.ticket, command, at(self.now));
        self.recorded = turn.changed();
        if let Some(event) = turn.event() {
            replayed.apply(event);
        }
        assert_eq!(self.ticket, replayed, "the event alone makes the same of the ticket");
        let (outcome, notices) = turn.stored();
        self.notices = notices;
        outcome
    }

    /// The seat after an accepted command that was recorded.
    pub(crate) fn after(mut self, command: &TicketCommand) -> Self {
        let outcome = self.ask(command);
        assert!(outcome.is_ok(), "{command:?} was refused: {outcome:?}");
        assert!(self.recorded, "{command:?} recorded nothing");
        self
    }

    /// The seat after an accepted command with this reply that was one change: version up by one, map told.
    #[track_caller]
    pub(crate) fn changes(mut self, command: &TicketCommand, reply: &TicketReply) -> Self {
        let before = self.ticket.version();
        assert_eq!(self.ask(command).as_ref(), Ok(reply));
        assert!(self.recorded);
        assert_eq!(self.ticket.version(), before + 1, "one change raises the version by one");
        assert_eq!(self.ticket.at(), at(self.now));
        assert_eq!(self.told_the_map(), Some((self.status(), before + 1)), "each change is told to the map");
        assert!(!self.notices.is_empty());
        self
    }

    /// An accepted command with this reply that records nothing and tells nobody.
    #[track_caller]
    pub(crate) fn keeps(mut self, command: &TicketCommand, reply: &TicketReply) {
        let before = self.ticket.clone();
        assert_eq!(self.ask(command).as_ref(), Ok(reply));
        assert!(!self.recorded);
        assert_eq!(self.ticket, before);
        assert!(self.notices.is_empty());
    }

    /// An accepted command that is stored, but is no change: only the ended ids are new.
    #[track_caller]
    pub(crate) fn remembers(mut self, command: &TicketCommand) -> Self {
        let before = self.ticket.clone();
        assert_eq!(self.ask(command), Ok(TicketReply::Done));
        assert!(self.recorded);
        assert!(self.notices.is_empty(), "no word to the map");
        assert_eq!((self.ticket.version(), self.ticket.at()), (before.version(), before.at()));
        assert_eq!(self.ticket.state(), before.state());
        assert_ne!(self.ticket.ended(), before.ended());
        self
    }

    /// A command that is refused so: records nothing and tells nobody.
    #[track_caller]
    pub(crate) fn refuses(mut self, command: &TicketCommand, refusal: TicketRefusal) {
        let before = self.ticket.clone();
        assert_eq!(self.ask(command), Err(refusal));
        assert!(!self.recorded);
        assert_eq!(self.ticket, before);
        assert!(self.notices.is_empty());
    }

    pub(crate) fn status(&self) -> TicketStatus {
        self.ticket.state().status()
    }
    pub(crate) fn has_ended_hold(&self, hold: &str) -> bool {
        self.ticket.ended().ids().contains(&booking_core::ticket::EndedId::Hold(hold_id(hold)))
    }
    pub(crate) fn has_ended_checkout(&self, checkout: &str) -> bool {
        self.ticket.ended().ids().contains(&booking_core::ticket::EndedId::Checkout(checkout_id(checkout)))
    }
    pub(crate) fn told_the_map(&self) -> Option<(TicketStatus, u64)> {
        self.notices.map.map(|update| (update.status, update.version))
    }
    /// When a timer was armed for, if one was.
    pub(crate) fn timer(&self) -> Option<u64> {
        self.notices.timer.as_ref().map(|timer| timer.until.as_millis())
    }
}

/// What a future of the memory host comes to: it never waits.
pub(crate) fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("the memory host never waits"),
    }
}
