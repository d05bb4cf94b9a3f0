//! What must hold of a map in each of its judgements.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::seat::Seat;
use super::{Verdict, require};
use crate::format;
use crate::ids::{CheckoutId, HoldId, TicketId};
use crate::machine::{Machine, Transition};
use crate::map::ticket::{
    Claim, Hold, MakeClaim, Offer, Reserve, TicketCommand, TicketRefusal, TicketState, TicketStatus,
};
use crate::map::{BATCH, MEMORY, Needs, News, Parts, SeatMap, SeatMapCommand, SeatMapRefusal, Seats, Wish};
use crate::money::Money;
use crate::time::Timestamp;

/// What a map decides.
pub type Decision = Result<Transition<SeatMap>, SeatMapRefusal>;

/// How a map judges: [`SeatMap::decide`](Machine::decide), or what a harness tries in its place.
pub type Decide<'a> = &'a dyn Fn(&SeatMap, &SeatMapCommand, Timestamp) -> Decision;

/// A map's judgement of one command.
#[derive(Clone, Copy)]
pub struct MapTurn<'a> {
    /// The map before.
    pub before: &'a SeatMap,
    /// What was asked.
    pub command: &'a SeatMapCommand,
    /// When, by the host's clock.
    pub now: Timestamp,
    /// What it decided.
    pub decision: &'a Decision,
    /// The map after.
    pub after: &'a SeatMap,
    /// How it judges.
    pub decide: Decide<'a>,
}

impl fmt::Debug for MapTurn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapTurn").field("command", self.command).field("now", &self.now).finish_non_exhaustive()
    }
}

/// The hold that is live at a time.
pub(super) fn live(state: &TicketState, now: Timestamp) -> Option<&Hold> {
    state.hold().filter(|hold| now < hold.end())
}

/// The claim that a hold or a sale has.
pub(super) fn claim_of(state: &TicketState) -> Option<&Claim> {
    state.hold().and_then(Hold::claim).or(state.sale().and_then(|sale| sale.claim.as_ref()))
}

impl<'a> MapTurn<'a> {
    /// A judgement by the rules as they are.
    #[must_use]
    pub fn new(
        before: &'a SeatMap,
        command: &'a SeatMapCommand,
        now: Timestamp,
        decision: &'a Decision,
        after: &'a SeatMap,
    ) -> Self {
        Self { before, command, now, decision, after, decide: &<SeatMap as Machine>::decide }
    }

    pub(super) fn effective_now(&self) -> Timestamp {
        self.now.max(self.before.header().at)
    }

    /// The seats that a command names together, and what they are asked.
    pub(super) fn set(&self) -> Option<(&'a Seats, &'a TicketCommand)> {
        match self.command {
            SeatMapCommand::Seats { seats, command } => Some((seats, command)),
            SeatMapCommand::List { .. }
            | SeatMapCommand::Publish { .. }
            | SeatMapCommand::ResetAll
            | SeatMapCommand::Erase { .. }
            | SeatMapCommand::Expire { .. } => None,
        }
    }

    /// What a seat was asked; `None` where the command does not name it.
    pub(super) fn of_seat(&self, seat: &TicketId) -> Option<&'a TicketCommand> {
        self.set().filter(|(seats, _)| seats.as_slice().contains(seat)).map(|(_, command)| command)
    }

    /// Looks at each seat that is stored before or after.
    pub(super) fn each_seat(&self, look: impl Fn(&Seat<'a>) -> Verdict) -> Verdict {
        let new = self.after.tickets().filter(|(id, _)| self.before.ticket(id).is_none());
        let ids = self.before.tickets().chain(new).map(|(id, _)| id);
        ids.into_iter().try_for_each(|id| look(&Seat::of(self, id)))
    }

    /// Looks at each seat whose state changed.
    pub(super) fn each_changed(&self, look: impl Fn(&Seat<'a>) -> Verdict) -> Verdict {
        self.each_seat(|seat| if seat.before == seat.after { Ok(()) } else { look(seat) })
    }

    pub(super) fn offer(&self) -> Option<&'a Offer> {
        match self.set()?.1 {
            TicketCommand::Reserve(Reserve { offer, .. })
            | TicketCommand::Claim(MakeClaim { offer, .. })
            | TicketCommand::Sell { offer, .. } => Some(offer),
            TicketCommand::Confirm { .. }
            | TicketCommand::Revoke { .. }
            | TicketCommand::Release { .. }
            | TicketCommand::Block { .. }
            | TicketCommand::Unblock
            | TicketCommand::Recall { .. }
            | TicketCommand::Reset { .. } => None,
        }
    }

    /// The price that the caller attests for a seat.
    fn attested(&self, seat: &TicketId) -> Option<Money> {
        let at = self.set()?.0.as_slice().iter().position(|named| named == seat)?;
        self.offer()?.prices.get(at).copied().flatten()
    }

    /// What a seat costs: what the caller attests, or what is listed, in the same currency.
    pub(super) fn price(&self, seat: &TicketId) -> Option<Money> {
        let attested = self.attested(seat)?;
        let listed = self.before.ticket(seat).and_then(|ticket| ticket.listed);
        Some(listed.unwrap_or(attested)).filter(|price| price.currency() == attested.currency())
    }

    /// The checkout that asks.
    fn by_checkout(&self) -> Option<&'a CheckoutId> {
        match self.set()?.1 {
            TicketCommand::Claim(MakeClaim { checkout, .. })
            | TicketCommand::Confirm { checkout, .. }
            | TicketCommand::Revoke { checkout, .. } => Some(checkout),
            TicketCommand::Reserve(_)
            | TicketCommand::Release { .. }
            | TicketCommand::Block { .. }
            | TicketCommand::Unblock
            | TicketCommand::Sell { .. }
            | TicketCommand::Recall { .. }
            | TicketCommand::Reset { .. } => None,
        }
    }

    /// Whether the command is a numbered wish, and how its number stands to the last one.
    fn wish(&self) -> Option<(u32, Wish, &'a HoldId)> {
        let command = self.set()?.1;
        if let TicketCommand::Reserve(Reserve { nth: Some(nth), hold, .. }) = command {
            return Some((*nth, Wish::Reserve, hold));
        }
        if let TicketCommand::Release { nth: Some(nth), hold, .. } = command {
            return Some((*nth, Wish::Release, hold));
        }
        None
    }

    fn is_repeated_wish(&self) -> bool {
        let last = |hold| self.before.last_wish(hold).map(|last_wish| last_wish.last);
        self.wish().is_some_and(|(nth, _, hold)| last(hold).is_some_and(|last| nth <= last))
    }
}

/// A checkout has all seats of its line under one fence, claimed or sold, or none of them. What it has changes as one.
pub(super) fn a_set_is_whole(turn: &MapTurn<'_>) -> Verdict {
    let now = turn.effective_now();
    let sets = |map: &SeatMap| {
        let mut sets: BTreeMap<CheckoutId, BTreeSet<(TicketId, u64, TicketStatus)>> = BTreeMap::new();
        for (id, ticket) in map.tickets() {
            let held = live(&ticket.state, now).and_then(Hold::claim).filter(|claim| now < claim.deadline);
            let sold = ticket.state.sale().and_then(|sale| sale.claim.as_ref());
            if let Some(claim) = held.or(sold) {
                let seat = (id.clone(), claim.fence, ticket.state.status());
                sets.entry(claim.checkout.clone()).or_default().insert(seat);
            }
        }
        sets
    };
    // What an operator puts back on sale may be a part.
    let reset = matches!(
        turn.command,
        SeatMapCommand::ResetAll | SeatMapCommand::Seats { command: TicketCommand::Reset { .. }, .. }
    );
    let (before, after) = (sets(turn.before), sets(turn.after));
    if reset || before == after {
        return Ok(());
    }
    // A host that asks for another line than before has not asked for the whole.
    let names = turn.set().map(|(named, _)| named.as_slice().iter().collect::<BTreeSet<_>>());
    let asks_for_another = |checkout: &CheckoutId, had: &BTreeSet<(TicketId, u64, TicketStatus)>| {
        let had: BTreeSet<&TicketId> = had.iter().map(|(id, ..)| id).collect();
        turn.by_checkout() == Some(checkout) && names.as_ref() != Some(&had)
    };
    let is_alike = |set: &BTreeSet<(TicketId, u64, TicketStatus)>| {
        set.iter().map(|(_, fence, status)| (fence, status)).collect::<BTreeSet<_>>().len() == 1
    };
    // What was in parts before stays in parts.
    let is_judged = |checkout: &CheckoutId| {
        before.get(checkout).is_none_or(|had| is_alike(had) && !asks_for_another(checkout, had))
    };
    for (checkout, set) in after.iter().filter(|(checkout, _)| is_judged(checkout)) {
        require(is_alike(set), || format!("{checkout} has seats in more than one state: {set:?}"))?;
        let seats = set.iter().map(|(id, ..)| id);
        let whole = match (before.get(checkout), &names) {
            (Some(before), _) => before.iter().map(|(id, ..)| id).eq(seats),
            (None, Some(named)) => seats.eq(named.iter().copied()),
            (None, None) => false,
        };
        require(whole, || format!("{checkout} has a part of its seats"))?;
    }
    Ok(())
}

/// A map's history, seen one seat at a time, is a history of the table.
pub(super) fn a_map_is_its_seats(turn: &MapTurn<'_>) -> Verdict {
    let Some((seats, command)) = turn.set() else { return Ok(()) };
    turn.each_changed(|seat| {
        require(seats.as_slice().contains(seat.id), || format!("{} has changed, and was not named", seat.id))
    })?;
    if turn.is_repeated_wish() || seats.as_slice().len() == 1 {
        return Ok(());
    }
    let alone = |seat: &TicketId| {
        let map = of_one_seat(turn.before, seat);
        let command =
            SeatMapCommand::Seats { seats: seat.clone().into(), command: for_one(command, turn.attested(seat)) };
        let decision = (turn.decide)(&map, &command, turn.now)?;
        let mut after = map;
        decision.event.iter().for_each(|event| after.apply(event));
        Ok::<_, SeatMapRefusal>(after.ticket(seat).map(|ticket| ticket.state.clone()).unwrap_or_default())
    };
    match turn.decision {
        Ok(_) => seats.as_slice().iter().try_for_each(|id| {
            let is = turn.after.ticket(id).map(|ticket| ticket.state.clone()).unwrap_or_default();
            require(alone(id) == Ok(is), || format!("{id} alone would have become something else"))
        }),
        Err(SeatMapRefusal { ticket: Some(named), why }) => {
            let before = seats.as_slice().iter().take_while(|seat| *seat != named);
            let first = before.into_iter().find(|seat| alone(seat).is_err());
            require(first.is_none(), || format!("{named} is named, and {first:?} before it refuses"))?;
            let of_a_part = *why == TicketRefusal::HoldExpired && matches!(command, TicketCommand::Claim(_));
            let refused = alone(named).err().is_some_and(|refusal| refusal.why == *why);
            require(refused || of_a_part, || format!("{named} alone does not refuse with {why:?}"))
        }
        Err(SeatMapRefusal { ticket: None, .. }) => Ok(()),
    }
}

/// A map as one of its seats knows it: the others are as they were laid out.
fn of_one_seat(map: &SeatMap, seat: &TicketId) -> SeatMap {
    let ticket = map.ticket(seat).map(|ticket| (seat.clone(), ticket.clone()));
    let ended = map.ended().map(|(checkout, deadline)| (checkout.clone(), deadline));
    let last_wishes = map.last_wishes().map(|(hold, last_wish)| (hold.clone(), last_wish.clone()));
    SeatMap::from_parts(*map.header(), map.layout().cloned(), ticket, ended, last_wishes)
}

/// The command as one of its seats hears it.
fn for_one(command: &TicketCommand, price: Option<Money>) -> TicketCommand {
    let mut command = command.clone();
    if let TicketCommand::Reserve(Reserve { offer, .. })
    | TicketCommand::Claim(MakeClaim { offer, .. })
    | TicketCommand::Sell { offer, .. } = &mut command
    {
        offer.prices = vec![price];
    }
    command
}

pub(super) fn same_command_same_answer(turn: &MapTurn<'_>) -> Verdict {
    let takes_a_part = turn.before.header().tickets > BATCH as u64;
    if takes_a_part && matches!(turn.command, SeatMapCommand::Expire { .. }) {
        return Ok(());
    }
    let again = (turn.decide)(turn.after, turn.command, turn.now);
    let same = match (turn.decision, &again) {
        (Ok(first), Ok(again)) => {
            let counts = matches!(
                turn.command,
                SeatMapCommand::Publish { .. }
                    | SeatMapCommand::List { .. }
                    | SeatMapCommand::ResetAll
                    | SeatMapCommand::Erase { .. }
            );
            again.event.is_none() && (counts || first.reply == again.reply)
        }
        (Err(first), Err(again)) => first == again,
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
    };
    require(same, || {
        let reply = |decision: &Decision| match decision {
            Ok(decision) => format!("{:?}", decision.reply),
            Err(refusal) => format!("{refusal:?}"),
        };
        format!("it was answered {}, and its copy {}", reply(turn.decision), reply(&again))
    })
}

pub(super) fn one_change_one_version(turn: &MapTurn<'_>) -> Verdict {
    let (before, after) = (turn.before, turn.after);
    require(turn.decision.is_ok() || before == after, || "a refused command changed the map".into())?;
    let changed = !before.tickets().eq(after.tickets()) || before.layout() != after.layout();
    let expected = before.version() + u64::from(changed);
    require(after.version() == expected, || format!("version {} became {}", before.version(), after.version()))?;
    let at = after.header().at;
    let right =
        if changed { at == turn.effective_now() } else { before.header().at <= at && at <= turn.effective_now() };
    require(right, || format!("the change was recorded at {at:?}"))?;
    for (id, ticket) in after.tickets().filter(|(id, ticket)| before.ticket(id) != Some(*ticket)) {
        require(ticket.version == after.version(), || format!("{id} has changed, and has another version"))?;
    }
    let header = after.header();
    let sold = after.tickets().filter(|(_, ticket)| ticket.state.sale().is_some()).count();
    let counts = [after.tickets().count(), sold, after.ended().count(), after.last_wishes().count()].map(|n| n as u64);
    let counted = [header.tickets, header.sold, header.ended, header.last_wishes];
    require(counted == counts, || format!("the header counts {counted:?}, and there are {counts:?}"))
}

/// Wherever a claim goes before its deadline, the map remembers that its checkout has ended; until its stored time has
/// reached the deadline.
pub(super) fn what_goes_has_ended(turn: &MapTurn<'_>) -> Verdict {
    let at = turn.after.header().at;
    let marked = |checkout: &CheckoutId, deadline: Timestamp| {
        at >= deadline || turn.after.ended_at(checkout).is_some_and(|until| until >= deadline)
    };
    turn.each_changed(|seat| {
        let Some(before) = claim_of(seat.before) else { return Ok(()) };
        let stays = claim_of(seat.after).is_some_and(|after| after.checkout == before.checkout);
        let known = stays || marked(&before.checkout, before.deadline);
        require(known, || format!("{}'s claim is gone, and not remembered as ended", before.checkout))
    })?;
    for (checkout, deadline) in turn.before.ended() {
        require(marked(checkout, deadline), || format!("it was forgotten too early that {checkout} has ended"))?;
    }
    for (hold, last_wish) in turn.before.last_wishes() {
        let kept = turn.after.last_wish(hold);
        let right =
            kept.map_or(at >= last_wish.until, |after| after.last >= last_wish.last && after.until >= last_wish.until);
        require(right, || "the last wish under a hold was forgotten too early".into())?;
    }
    Ok(())
}

/// The stored form of a map, and as much of it as a command needs, lead to the same.
pub(super) fn determinism(turn: &MapTurn<'_>) -> Verdict {
    let stored = format::write(turn.before);
    let read = format::read::<SeatMap>(&stored).map_err(|error| error.to_string())?;
    require(format::write(&read) == stored, || "the stored form changes when it is read and written".into())?;
    for map in [read, loaded(turn.before, turn.command.needs(turn.before.header()))] {
        let again = (turn.decide)(&map, turn.command, turn.now);
        let same = match (turn.decision, &again) {
            (Ok(first), Ok(again)) => {
                (&first.event, &first.reply, &first.notices) == (&again.event, &again.reply, &again.notices)
            }
            (Err(first), Err(again)) => first == again,
            (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
        };
        require(same, || format!("{:?} ended otherwise on what was stored", turn.command))?;
    }
    Ok(())
}

/// As much of a map as is needed, and no more: what a host that keeps a map in rows has in hand when it judges.
#[must_use]
pub fn loaded(map: &SeatMap, needs: Needs<'_>) -> SeatMap {
    let header = *map.header();
    let tickets = map.tickets().map(|(id, ticket)| (id.clone(), ticket.clone()));
    let ended = map.ended().map(|(checkout, deadline)| (checkout.clone(), deadline));
    let last_wishes = map.last_wishes().map(|(hold, last_wish)| (hold.clone(), last_wish.clone()));
    match needs {
        Needs::Parts(Parts { seats, checkout, hold, ending, layout }) => {
            let tickets = part(tickets, seats, ending, |ticket| ticket.state.hold().map(Hold::end));
            let ended = part(ended, checkout, ending, |deadline| Some(*deadline));
            let last_wishes = part(last_wishes, hold, ending, |last_wish| Some(last_wish.until));
            let layout = map.layout().filter(|_| layout).cloned();
            SeatMap::from_parts(header, layout, tickets, ended, last_wishes)
        }
        Needs::All => SeatMap::from_parts(header, None, tickets, ended, last_wishes),
        Needs::AllAndLayout => SeatMap::from_parts(header, map.layout().cloned(), tickets, ended, last_wishes),
    }
}

/// Of a map's entries those that are named, and those that end first.
fn part<'a, K: Ord + 'a, V>(
    entries: impl Iterator<Item = (K, V)>,
    named: impl IntoIterator<Item = &'a K>,
    ending: bool,
    end: impl Fn(&V) -> Option<Timestamp>,
) -> Vec<(K, V)> {
    let named: BTreeSet<&K> = named.into_iter().collect();
    let (mut part, others): (Vec<_>, Vec<_>) = entries.partition(|(key, _)| named.contains(key));
    if ending {
        let mut ending: Vec<_> = others.into_iter().filter_map(|entry| Some((end(&entry.1)?, entry))).collect();
        ending.sort_by(|(one, (name, _)), (other, (another, _))| one.cmp(other).then(name.cmp(another)));
        part.extend(ending.into_iter().take(BATCH + 1).map(|(_, entry)| entry));
    }
    part
}

/// A timer is armed that fires no later than the first hold ends.
pub(super) fn a_timer_is_armed(turn: &MapTurn<'_>) -> Verdict {
    let armed = turn.after.header().armed;
    let end = turn.after.tickets().filter_map(|(_, ticket)| ticket.state.hold()).map(Hold::end).min();
    let in_time = end.is_none_or(|end| armed.is_some_and(|armed| armed <= end));
    require(in_time, || format!("a hold ends at {end:?}, and the timer is armed for {armed:?}"))?;
    let told = turn.decision.as_ref().ok().and_then(|decision| decision.notices.timer);
    let was = turn.before.header().armed;
    let right = told.is_none_or(|told| armed == Some(told)) && (armed == was || armed.is_none() || told.is_some());
    require(right, || format!("the timer is armed for {armed:?}, and the host was told {told:?}"))
}

pub(super) fn a_layout_forgets_no_seat(turn: &MapTurn<'_>) -> Verdict {
    let published = turn.before.layout() != turn.after.layout();
    let Some(layout) = turn.after.layout().filter(|_| published) else { return Ok(()) };
    let now = turn.effective_now();
    let known: BTreeSet<&TicketId> = layout.places().map(|place| &place.ticket).collect();
    let on_sale = |state: &TicketState| match state {
        TicketState::Available => true,
        TicketState::Reserved(hold) => hold.end() <= now && hold.then_blocked.is_none(),
        TicketState::Sold(_) | TicketState::Blocked { .. } => false,
    };
    let lost = turn.after.tickets().find(|(id, ticket)| !known.contains(id) && !on_sale(&ticket.state));
    lost.map_or(Ok(()), |(id, _)| Err(format!("{id} is not on sale, and the layout has no such seat")))
}

pub(super) fn watchers_hear_each_change(turn: &MapTurn<'_>) -> Verdict {
    let Ok(Transition { notices, .. }) = turn.decision else { return Ok(()) };
    let (before, after) = (turn.before, turn.after);
    let news = match &notices.watchers {
        None => return require(before.version() == after.version(), || "a change was not told".into()),
        Some(news) => news,
    };
    let version = news.version();
    let right = version == after.version() && before.version() + 1 == after.version();
    require(right, || format!("version {} was told as {version}", after.version()))?;
    let republished = matches!(news, News::Republished { .. });
    require(republished == (before.layout() != after.layout()), || "a layout was not told".into())?;
    if republished {
        return Ok(());
    }
    turn.each_changed(|seat| {
        let told = news.seats().iter().any(|(id, status)| id == seat.id && *status == seat.after.status());
        require(told, || format!("watchers do not hear what {} has become", seat.id))
    })
}

pub(super) fn justified_refusal(turn: &MapTurn<'_>) -> Verdict {
    let Err(SeatMapRefusal { ticket, why }) = turn.decision else { return Ok(()) };
    let never = match turn.command {
        SeatMapCommand::Seats { command, .. } => match command {
            TicketCommand::Revoke { .. } | TicketCommand::Unblock | TicketCommand::Recall { .. } => true,
            TicketCommand::Reserve(_)
            | TicketCommand::Claim(_)
            | TicketCommand::Confirm { .. }
            | TicketCommand::Release { .. }
            | TicketCommand::Block { .. }
            | TicketCommand::Sell { .. }
            | TicketCommand::Reset { .. } => false,
        },
        SeatMapCommand::List { .. } => turn.before.layout().is_none(),
        SeatMapCommand::Publish { .. } => false,
        SeatMapCommand::ResetAll | SeatMapCommand::Erase { .. } | SeatMapCommand::Expire { .. } => true,
    };
    require(!never, || format!("refused with {why:?}, which it never is"))?;
    let true_then = match ticket {
        Some(id) => is_true_of_seat(turn, id, *why),
        None => is_true_of_map(turn, *why),
    };
    require(true_then, || format!("{:?} was refused with {why:?} for {ticket:?}", turn.command))
}

fn has_ended(turn: &MapTurn<'_>, checkout: &CheckoutId) -> bool {
    turn.before.ended_at(checkout).is_some()
}

fn is_true_of_seat(turn: &MapTurn<'_>, id: &TicketId, why: TicketRefusal) -> bool {
    let now = turn.effective_now();
    let seat = Seat::of(turn, id);
    let held = live(seat.before, now);
    let lapsed = seat.before.hold().filter(|hold| hold.end() <= now);
    match why {
        TicketRefusal::TicketReserved { until } => {
            held.is_some_and(|hold| hold.own().map_or(hold.end(), |own| own.until) == until)
        }
        TicketRefusal::TicketSold => seat.before.sale().is_some(),
        TicketRefusal::TicketBlocked => {
            let by_its_end = lapsed.is_some_and(|hold| hold.then_blocked.is_some());
            by_its_end || seat.before.status() == TicketStatus::Blocked
        }
        TicketRefusal::TicketNotForSale => {
            if let SeatMapCommand::List { .. } = turn.command {
                return turn.before.layout().is_some_and(|it| it.places().all(|place| place.ticket != *id));
            }
            turn.price(id).is_none()
        }
        TicketRefusal::CheckoutInProgress => match turn.set() {
            Some((_, TicketCommand::Reset { ended, .. })) => {
                let claim = seat.before.sale().and_then(|sale| sale.claim.as_ref());
                claim.is_some_and(|claim| !ended.contains(&claim.checkout))
            }
            _ => held.and_then(Hold::claim).is_some_and(|claim| now < claim.deadline),
        },
        TicketRefusal::HoldExpired => match turn.set() {
            Some((seats, TicketCommand::Claim(MakeClaim { brought, checkout, .. }))) => {
                let free = held.is_none() && seat.before.sale().is_none();
                let part = || {
                    seats.as_slice().iter().any(|other| {
                        let other = Seat::of(turn, other);
                        claim_of(other.before).is_some_and(|claim| claim.checkout == *checkout)
                    })
                };
                *brought && free || part()
            }
            Some((_, TicketCommand::Confirm { checkout, .. })) => held.is_none() && has_ended(turn, checkout),
            _ => false,
        },
        TicketRefusal::HoldNotFound => match turn.set() {
            Some((_, TicketCommand::Confirm { hold, checkout, fence })) => {
                let exactly = |held: &Hold| {
                    let claim = held.claim().filter(|claim| now < claim.deadline);
                    held.id == *hold && claim.is_some_and(|claim| claim.checkout == *checkout && claim.fence == *fence)
                };
                !held.is_some_and(exactly)
            }
            _ => false,
        },
        TicketRefusal::Overtaken { .. }
        | TicketRefusal::HoldInUse
        | TicketRefusal::StaleEdition { .. }
        | TicketRefusal::Overloaded => false,
    }
}

fn is_true_of_map(turn: &MapTurn<'_>, why: TicketRefusal) -> bool {
    let (now, header) = (turn.effective_now(), turn.before.header());
    let last_wish = |hold: &HoldId| turn.before.last_wish(hold);
    match (why, turn.set().map(|(_, command)| command)) {
        (TicketRefusal::HoldExpired, Some(TicketCommand::Claim(claim))) => {
            has_ended(turn, &claim.checkout) || claim.deadline <= now
        }
        (TicketRefusal::HoldExpired, Some(TicketCommand::Reserve(Reserve { until, .. }))) => {
            *until <= now || turn.is_repeated_wish()
        }
        (TicketRefusal::HoldExpired, Some(TicketCommand::Release { .. })) => turn.is_repeated_wish(),
        // Some of its seats are sold to it already, and others are not.
        (TicketRefusal::HoldNotFound, Some(TicketCommand::Confirm { .. })) => true,
        (TicketRefusal::Overtaken { last }, _) => turn.wish().is_some_and(|(nth, _, hold)| {
            last_wish(hold).is_some_and(|last_wish| last_wish.last == last && nth < last)
        }),
        (TicketRefusal::HoldInUse, _) => {
            turn.wish().is_some_and(|(nth, _, hold)| last_wish(hold).is_some_and(|last_wish| last_wish.last == nth))
        }
        (TicketRefusal::StaleEdition { edition }, _) => {
            edition == header.edition && turn.offer().is_some_and(|offer| offer.edition != edition)
        }
        (TicketRefusal::Overloaded, _) => {
            let full = header.ended >= MEMORY || header.last_wishes >= MEMORY;
            full || turn.offer().is_some_and(|offer| header.edition == 0 && header.tickets >= offer.room)
        }
        (_, _) => false,
    }
}
