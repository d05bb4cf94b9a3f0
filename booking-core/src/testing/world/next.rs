//! What can happen next in a world.

use super::{Action, How, Item, Mail, World, bit, narrow};
use crate::dice::Dice;
use crate::effect::Effect;
use crate::inventory::LineCommand;
use crate::map::SeatMapCommand;
use crate::map::ticket::{Reserve, TicketCommand};
use crate::time::Timestamp;

impl World {
    /// Everything that can happen next, faults among it as far as there are any left; some of it twice. Actions that
    /// are not listed can be applied too, and do nothing.
    pub fn actions(&self, actions: &mut Vec<Action>) {
        let left = self.left;
        for buyer in 0..self.runs.len() {
            match &self.runs[buyer] {
                None => actions.push(Action::Come(narrow(buyer))),
                Some(run) if self.is_under_way(run) => {
                    let buyer = narrow(buyer);
                    let may = [(left.crashes, Action::Crash(buyer)), (left.kills, Action::Kill(buyer))];
                    actions.extend(may.iter().filter(|(left, _)| *left > 0).map(|(_, action)| *action));
                    let cancellable = run.running.clone().change().cancel().is_ok();
                    actions.extend((left.cancels > 0 && cancellable).then_some(Action::Cancel(buyer)));
                }
                Some(_) => {}
            }
        }
        for line in (0..self.scene.lines.len()).filter(|line| self.said & bit(*line) == 0) {
            self.arrivals(Item::Line(narrow(line)), 0, actions);
        }
        for (index, mail) in self.mail.iter().enumerate() {
            let item = mail.item();
            let nth = self.mail[..index].iter().filter(|mail| mail.item() == item).count();
            self.arrivals(item, nth, actions);
        }
        for (map, place) in self.maps.iter().enumerate() {
            for (index, due) in place.timers.iter().enumerate() {
                let nth = place.timers[..index].iter().filter(|other| *other == due).count();
                self.arrivals(Item::Timer { map: narrow(map), due: *due }, nth, actions);
            }
        }
        if self.next_moment().is_some() {
            actions.push(Action::Tick);
        }
    }

    /// Every way in which something can arrive now.
    fn arrivals(&self, item: Item, nth: usize, actions: &mut Vec<Action>) {
        let left = self.left;
        let mut may = |possible: bool, how| {
            if possible {
                actions.push(Action::Arrive { item, how, nth: narrow(nth) });
            }
        };
        let due = match item {
            Item::Timer { due, .. } => due <= self.now,
            Item::Wake(spot) => {
                self.mail.iter().any(|mail| matches!(mail, Mail::Wake(at, due) if *at == spot && *due <= self.now))
            }
            Item::Effect(_) | Item::Outcome(_) | Item::Line(_) => true,
        };
        may(due, How::Well);
        match item {
            Item::Effect(spot) => {
                let effect = self.mail.iter().find_map(|mail| match mail {
                    Mail::Effect(at, effect) if *at == spot => Some(effect),
                    Mail::Effect(..) | Mail::Outcome(..) | Mail::Wake(..) | Mail::Line(..) => None,
                });
                let (payment, line) = effect.map_or((false, false), |effect| {
                    (matches!(**effect, Effect::Pay(_)), matches!(**effect, Effect::Line(..)))
                });
                let stale = effect.is_some_and(|effect| self.may_be_stale(effect));
                may(left.copies > 0 && (payment || line), How::AndAgain);
                may(left.lost > 0 && (payment || line), How::AnswerLost);
                may(left.silent > 0 && payment, How::Unheard);
                may(left.silent > 0 && payment, How::TimedOut);
                may(left.behind > 0 && line && self.earlier < self.now, How::Behind);
                may(left.stale > 0 && stale, How::Stale);
            }
            Item::Line(_) => {
                may(left.copies > 0, How::AndAgain);
                may(left.behind > 0 && self.earlier < self.now, How::Behind);
            }
            Item::Timer { .. } => {
                may(left.early > 0 && !due, How::Early);
                may(left.copies > 0 && due, How::AndAgain);
            }
            Item::Outcome(_) | Item::Wake(_) => {}
        }
    }

    /// Whether an effect tells a price, and its map has had another edition.
    pub(super) fn may_be_stale(&self, effect: &Effect) -> bool {
        let Effect::Line(line, LineCommand::Claim { .. }) = effect else { return false };
        self.place_of(line.at.as_str()).is_some_and(|map| self.maps[map].map.header().edition > 0)
    }

    /// The next moment at which anything ends or is due; none where nothing waits for time.
    pub(super) fn next_moment(&self) -> Option<Timestamp> {
        let now = self.now;
        let mut next: Option<Timestamp> = None;
        let mut look = |at: Timestamp| {
            if at > now {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        };
        for place in &self.maps {
            place.timers.iter().copied().for_each(&mut look);
            for (_, ticket) in place.map.tickets() {
                let Some(hold) = ticket.state.hold() else { continue };
                look(hold.end());
                hold.own().map(|own| own.until).into_iter().for_each(&mut look);
                hold.claim().map(|claim| claim.deadline).into_iter().for_each(&mut look);
            }
            place.map.ended().for_each(|(_, deadline)| look(deadline));
            place.map.last_wishes().for_each(|(_, last_wish)| look(last_wish.until));
        }
        for mail in &self.mail {
            match mail {
                Mail::Wake(_, at) => look(*at),
                Mail::Line(_, command) => command_end(command).into_iter().for_each(&mut look),
                Mail::Effect(..) | Mail::Outcome(..) => {}
            }
        }
        for run in self.runs.iter().flatten().filter(|run| self.is_under_way(run)) {
            look(run.running.checkout().deadline());
        }
        next
    }

    /// Something that is under way, at random, copies of what has arrived only if they are wanted; for simulations, which
    /// do not list what they do not take.
    pub(crate) fn some_item(&self, dice: &mut Dice, but_copies: bool) -> Option<Item> {
        let mail = self.mail.get(dice.below(self.mail.len()))?;
        (!but_copies || self.is_awaited(mail)).then(|| mail.item())
    }

    /// A timer, at random.
    pub(crate) fn some_timer(&self, dice: &mut Dice) -> Option<Item> {
        let map = dice.below(self.maps.len());
        let timers = &self.maps.get(map)?.timers;
        let due = timers.get(dice.below(timers.len()))?;
        Some(Item::Timer { map: narrow(map), due: *due })
    }

    /// What has waited longest, copies last: what happens next where nothing goes wrong. Nothing at rest.
    #[must_use]
    pub fn next_in_order(&self) -> Option<Action> {
        let due = |mail: &&Mail| !matches!(mail, Mail::Wake(_, at) if *at > self.now);
        let first = self.mail.iter().filter(due).find(|mail| self.is_awaited(mail));
        if let Some(mail) = first.or_else(|| self.mail.iter().find(due)) {
            return Some(Action::arrive(mail.item(), How::Well));
        }
        let timers =
            self.maps.iter().enumerate().flat_map(|(map, place)| place.timers.iter().map(move |due| (*due, map)));
        match timers.min() {
            Some((due, _)) if due > self.now => Some(Action::Tick),
            Some((due, map)) => Some(Action::arrive(Item::Timer { map: narrow(map), due }, How::Well)),
            None if self.mail.is_empty() => None,
            None => Some(Action::Tick),
        }
    }

    /// Whether it is no copy of what has arrived already.
    pub(super) fn is_awaited(&self, mail: &Mail) -> bool {
        match mail {
            Mail::Effect(spot, _) => {
                let pending = self.run(spot.buyer).is_some_and(|run| {
                    run.running.checkout().step() == spot.step && run.running.is_pending(spot.index)
                });
                pending && !self.mail.iter().any(|mail| matches!(mail, Mail::Outcome(at, _) if at == spot))
            }
            Mail::Line(..) => false,
            Mail::Outcome(..) | Mail::Wake(..) => true,
        }
    }
}

/// When a wish ends.
fn command_end(command: &SeatMapCommand) -> Option<Timestamp> {
    match command {
        SeatMapCommand::Seats {
            command: TicketCommand::Reserve(Reserve { until, .. }) | TicketCommand::Release { until, .. },
            ..
        } => Some(*until),
        SeatMapCommand::Seats { .. }
        | SeatMapCommand::List { .. }
        | SeatMapCommand::Publish { .. }
        | SeatMapCommand::ResetAll
        | SeatMapCommand::Erase { .. }
        | SeatMapCommand::Expire { .. } => None,
    }
}
