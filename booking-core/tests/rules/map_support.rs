//! A map to try rules on, and short names for what the rules of seats and maps speak of.

use std::sync::Arc;

use booking_core::invariants::{MapTurn, check_turn};
use booking_core::machine::{Machine, Transition};
use booking_core::map::ticket::TicketStatus;
use booking_core::map::ticket::{MakeClaim, Offer, Reserve, Ticket, TicketCommand, TicketRefusal, TicketState};
use booking_core::map::{
    Layout, Place, Row, SeatMap, SeatMapCommand, SeatMapNotices, SeatMapRefusal, SeatMapReply, Seats,
};
use booking_core::money::Money;

pub(crate) use crate::support::{EARLY, LATE, NOW, UNTIL, at, checkout_id, hold_id, ticket_id, unit_price, usd, user};

/// When a hold ends at the latest, by asking for more time.
pub(crate) const LATEST: u64 = NOW + 1_200_000;

/// Seats `a:1`, `a:2` and so on.
pub(crate) fn seats(numbers: &[u32]) -> Seats {
    Seats::new(numbers.iter().map(|number| ticket_id(&format!("a:{number}"))).collect()).unwrap()
}
fn offer() -> Offer {
    Offer { edition: 0, prices: vec![Some(unit_price()); 10], room: 1_000 }
}

pub(crate) fn reserve(by: &str, hold: &str) -> TicketCommand {
    let (user, hold) = (user(by), hold_id(hold));
    TicketCommand::Reserve(Reserve { user, hold, nth: None, until: at(UNTIL), latest: at(LATEST), offer: offer() })
}
pub(crate) fn claim(by: &str, hold: &str, checkout: &str, deadline: u64) -> TicketCommand {
    let (user, hold, checkout) = (user(by), hold_id(hold), checkout_id(checkout));
    TicketCommand::Claim(MakeClaim { user, hold, brought: false, checkout, deadline: at(deadline), offer: offer() })
}
/// The claim of a checkout whose buyer brought the hold.
pub(crate) fn claim_brought(by: &str, hold: &str, checkout: &str, deadline: u64) -> TicketCommand {
    match claim(by, hold, checkout, deadline) {
        TicketCommand::Claim(claim) => TicketCommand::Claim(MakeClaim { brought: true, ..claim }),
        other => other,
    }
}
pub(crate) fn confirm(hold: &str, checkout: &str, fence: u64) -> TicketCommand {
    TicketCommand::Confirm { hold: hold_id(hold), checkout: checkout_id(checkout), fence }
}
pub(crate) fn revoke(hold: &str, checkout: &str, deadline: u64) -> TicketCommand {
    TicketCommand::Revoke { hold: hold_id(hold), checkout: checkout_id(checkout), deadline: at(deadline) }
}
pub(crate) fn release(hold: &str) -> TicketCommand {
    TicketCommand::Release { hold: hold_id(hold), nth: None, until: at(LATE) }
}
pub(crate) fn block() -> TicketCommand {
    TicketCommand::Block { reason: "broken seat".into() }
}
pub(crate) fn sell(by: &str, hold: &str) -> TicketCommand {
    TicketCommand::Sell { user: user(by), hold: hold_id(hold), offer: offer() }
}
pub(crate) fn recall(up_to: u64) -> TicketCommand {
    TicketCommand::Recall { up_to }
}
/// Of seats that are sold to no checkout, or to "c", which has ended.
pub(crate) fn reset(up_to: u64) -> TicketCommand {
    reset_after(up_to, &["c"])
}
/// Where these checkouts are known to have ended.
pub(crate) fn reset_after(up_to: u64, ended: &[&str]) -> TicketCommand {
    TicketCommand::Reset { up_to, ended: ended.iter().map(|checkout| checkout_id(checkout)).collect() }
}
/// The same command with what it attests changed.
pub(crate) fn offering(mut command: TicketCommand, change: impl FnOnce(&mut Offer)) -> TicketCommand {
    match &mut command {
        TicketCommand::Reserve(Reserve { offer, .. })
        | TicketCommand::Claim(MakeClaim { offer, .. })
        | TicketCommand::Sell { offer, .. } => change(offer),
        _ => panic!("{command:?} attests nothing"),
    }
    command
}
/// The same command where sales are closed.
pub(crate) fn closed(command: TicketCommand) -> TicketCommand {
    offering(command, |offer| offer.prices.clear())
}
/// The same command attested from another edition of the layout.
pub(crate) fn of_edition(command: TicketCommand, edition: u64) -> TicketCommand {
    offering(command, |offer| offer.edition = edition)
}
/// The same wish with a number.
pub(crate) fn numbered(mut command: TicketCommand, number: u32) -> TicketCommand {
    match &mut command {
        TicketCommand::Reserve(Reserve { nth, .. }) | TicketCommand::Release { nth, .. } => *nth = Some(number),
        _ => panic!("{command:?} is no wish"),
    }
    command
}
/// The same wish with another end.
pub(crate) fn ending(mut command: TicketCommand, end: u64) -> TicketCommand {
    match &mut command {
        TicketCommand::Reserve(Reserve { until, .. }) | TicketCommand::Release { until, .. } => *until = at(end),
        _ => panic!("{command:?} has no end"),
    }
    command
}

pub(crate) fn reserved(hold: &str, until: u64) -> SeatMapReply {
    SeatMapReply::Reserved { hold: hold_id(hold), until: at(until), prices: vec![unit_price()] }
}
pub(crate) fn claimed(fence: u64) -> SeatMapReply {
    SeatMapReply::Claimed { fence, prices: vec![unit_price()] }
}

/// Rows of seats and their prices: `[("A", &[(1, 500), (2, 500)])]`.
pub(crate) fn layout(rows: &[(&str, &[(u32, u64)])]) -> Arc<Layout> {
    let place = |(number, minor): &(u32, u64)| Place {
        ticket: ticket_id(&format!("a:{number}")),
        label: None,
        price: usd(*minor),
        x: *number,
        y: 0,
    };
    let row = |(name, seats): &(&str, &[(u32, u64)])| Row {
        name: (*name).to_owned(),
        seats: seats.iter().map(place).collect(),
    };
    Arc::new(Layout::new(rows.iter().map(row).collect()).unwrap())
}

/// A map, a clock, and what the last command brought about. Its verbs are about seat `a:1` where they name none.
#[derive(Clone)]
pub(crate) struct Map {
    pub(crate) map: SeatMap,
    pub(crate) now: u64,
    pub(crate) recorded: bool,
    pub(crate) notices: SeatMapNotices,
}

impl Map {
    /// No command has come yet.
    pub(crate) fn available() -> Self {
        Self { map: SeatMap::default(), now: NOW, recorded: false, notices: SeatMapNotices::default() }
    }
    /// Held by ann under `h`, unclaimed, until [`UNTIL`]; version 1.
    pub(crate) fn held() -> Self {
        Self::available().after(&reserve("ann", "h"))
    }
    /// Held as above, claimed by checkout `c` until `deadline`; version 2, which is the fence.
    pub(crate) fn held_and_claimed(deadline: u64) -> Self {
        Self::held().after(&claim_brought("ann", "h", "c", deadline))
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
    /// With this layout; version 1, edition 1.
    pub(crate) fn laid_out(layout: &Arc<Layout>) -> Self {
        Self::available().then(&SeatMapCommand::Publish { layout: layout.clone() })
    }

    pub(crate) fn at(mut self, now: u64) -> Self {
        self.now = now;
        self
    }

    /// Asks, stores, and hands out the answer. Everything that must hold of a judgement is looked at each time.
    pub(crate) fn ask_map(&mut self, command: &SeatMapCommand) -> Result<SeatMapReply, SeatMapRefusal> {
        let before = self.map.clone();
        let decision = before.decide(command, at(self.now));
        let event = decision.as_ref().ok().and_then(|decided| decided.event.as_ref());
        event.into_iter().for_each(|event| self.map.apply(event));
        // A picture that is kept beside the map is the same as one that is made anew.
        let mut picture = before.recorded();
        event.into_iter().for_each(|event| picture.apply(event, &self.map));
        assert_eq!(picture, self.map.recorded());
        assert_eq!(picture.with(self.map.lapsed(at(self.now))), self.map.picture(at(self.now)));
        self.recorded = event.is_some();
        let turn = MapTurn::new(&before, command, at(self.now), &decision, &self.map);
        if let Err(violation) = check_turn(&turn) {
            panic!("{violation}\n{command:?}\nbefore {before:?}\nafter {:?}", self.map);
        }
        let Transition { reply, notices, .. } = decision.inspect_err(|_| self.notices = SeatMapNotices::default())?;
        self.notices = notices;
        Ok(reply)
    }

    pub(crate) fn ask_seats(&mut self, seats: &Seats, command: &TicketCommand) -> Result<SeatMapReply, SeatMapRefusal> {
        self.ask_map(&SeatMapCommand::Seats { seats: seats.clone(), command: command.clone() })
    }

    pub(crate) fn ask(&mut self, command: &TicketCommand) -> Result<SeatMapReply, SeatMapRefusal> {
        self.ask_seats(&seats(&[1]), command)
    }

    /// The map after an accepted command that was recorded.
    #[track_caller]
    pub(crate) fn then(mut self, command: &SeatMapCommand) -> Self {
        let outcome = self.ask_map(command);
        assert!(outcome.is_ok(), "{command:?} was refused: {outcome:?}");
        assert!(self.recorded, "{command:?} recorded nothing");
        self
    }

    #[track_caller]
    pub(crate) fn after(self, command: &TicketCommand) -> Self {
        self.after_seats(&[1], command)
    }

    #[track_caller]
    pub(crate) fn after_seats(self, numbers: &[u32], command: &TicketCommand) -> Self {
        self.then(&SeatMapCommand::Seats { seats: seats(numbers), command: command.clone() })
    }

    /// The map after an accepted command with this reply that was one change: version up by one, watchers told.
    #[track_caller]
    pub(crate) fn changes(mut self, command: &TicketCommand, reply: &SeatMapReply) -> Self {
        let before = self.map.version();
        assert_eq!(self.ask(command).as_ref(), Ok(reply));
        assert!(self.recorded);
        assert_eq!(self.map.version(), before + 1, "one change raises the version by one");
        assert_eq!(self.map.header().at, at(self.now));
        assert_eq!(self.told(), [("a:1".to_owned(), self.status())], "the watchers hear of each change");
        assert!(self.stored().is_none_or(|ticket| ticket.version == before + 1));
        self
    }

    /// An accepted command with this reply that records nothing and sends no message.
    #[track_caller]
    pub(crate) fn keeps(mut self, command: &TicketCommand, reply: &SeatMapReply) {
        let before = self.map.clone();
        assert_eq!(self.ask(command).as_ref(), Ok(reply));
        assert!(!self.recorded);
        assert_eq!(self.map, before);
        assert_eq!(self.notices, SeatMapNotices::default());
    }

    /// An accepted command that is stored, but is no change of a seat: only what the map remembers beside them is new.
    #[track_caller]
    pub(crate) fn remembers(mut self, command: &TicketCommand) -> Self {
        let before = self.map.clone();
        assert_eq!(self.ask(command), Ok(SeatMapReply::Done));
        assert!(self.recorded);
        assert_eq!(self.notices, SeatMapNotices::default());
        assert_eq!((self.map.version(), self.map.header().at), (before.version(), before.header().at));
        assert!(self.map.tickets().eq(before.tickets()));
        self
    }

    /// A command that seat `a:1` refuses so: records nothing and sends no message.
    #[track_caller]
    pub(crate) fn refuses(self, command: &TicketCommand, why: TicketRefusal) {
        self.refuses_naming(&[1], command, Some(1), why);
    }

    /// A command that no single seat refuses.
    #[track_caller]
    pub(crate) fn refuses_as_a_whole(self, command: &TicketCommand, why: TicketRefusal) {
        self.refuses_naming(&[1], command, None, why);
    }

    #[track_caller]
    pub(crate) fn refuses_naming(
        mut self,
        numbers: &[u32],
        command: &TicketCommand,
        named: Option<u32>,
        why: TicketRefusal,
    ) {
        let before = self.map.clone();
        let ticket = named.map(|number| ticket_id(&format!("a:{number}")));
        assert_eq!(self.ask_seats(&seats(numbers), command), Err(SeatMapRefusal { ticket, why }));
        assert!(!self.recorded);
        assert_eq!(self.map, before);
        assert_eq!(self.notices, SeatMapNotices::default());
    }

    pub(crate) fn stored(&self) -> Option<&Ticket> {
        self.map.ticket(&ticket_id("a:1"))
    }
    pub(crate) fn state(&self) -> TicketState {
        self.stored().map(|ticket| ticket.state.clone()).unwrap_or_default()
    }
    pub(crate) fn status(&self) -> TicketStatus {
        self.state().status()
    }
    /// The status of seats at the map's clock.
    pub(crate) fn statuses(&self, numbers: &[u32]) -> Vec<TicketStatus> {
        let status = |seat| self.map.view(seat, at(self.now)).status;
        seats(numbers).as_slice().iter().map(status).collect()
    }
    pub(crate) fn own_end(&self) -> Option<u64> {
        self.state().hold().and_then(|hold| hold.own()).map(|own| own.until.as_millis())
    }
    pub(crate) fn price(&self) -> Option<Money> {
        self.state().hold().map(|hold| hold.price)
    }
    pub(crate) fn remembers_the_end_of(&self, checkout: &str) -> bool {
        self.map.ended().any(|(ended, _)| *ended == checkout_id(checkout))
    }
    /// What the watchers heard last.
    pub(crate) fn told(&self) -> Vec<(String, TicketStatus)> {
        match &self.notices.watchers {
            Some(news) => {
                assert_eq!(news.version(), self.map.version());
                news.seats().iter().map(|(seat, status)| (seat.to_string(), *status)).collect()
            }
            None => Vec::new(),
        }
    }
    /// When the timer was armed for by the last command, if it was.
    pub(crate) fn timer(&self) -> Option<u64> {
        self.notices.timer.map(|timer| timer.as_millis())
    }
    /// When the timer fires next.
    pub(crate) fn armed(&self) -> Option<u64> {
        self.map.header().armed.map(|timer| timer.as_millis())
    }
}
