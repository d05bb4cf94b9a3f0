//! What can happen next in a world.

use super::{Action, How, Item, Mail, World, bit, narrow};
use crate::effect::Effect;
use crate::testing::dice::Dice;
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
        for (ticket, seat) in self.seats.iter().enumerate() {
            for (index, timer) in seat.timers.iter().enumerate() {
                let nth = seat.timers[..index].iter().filter(|other| other.until == timer.until).count();
                self.arrivals(Item::Timer { ticket: narrow(ticket), until: timer.until }, nth, actions);
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
            Item::Timer { until, .. } => until <= self.now,
            Item::Wake(spot) => {
                self.mail.iter().any(|mail| matches!(mail, Mail::Wake(at, due) if *at == spot && *due <= self.now))
            }
            Item::Effect(_) | Item::Outcome(_) | Item::Update { .. } | Item::Line(_) => true,
        };
        may(due, How::Well);
        match item {
            Item::Effect(spot) => {
                let effect = self.mail.iter().find_map(|mail| match mail {
                    Mail::Effect(at, effect) if *at == spot => Some(effect),
                    Mail::Effect(..) | Mail::Outcome(..) | Mail::Wake(..) | Mail::Update { .. } | Mail::Line(_) => None,
                });
                let (payment, ticket) = effect.map_or((false, false), |effect| {
                    (matches!(**effect, Effect::Pay(_)), matches!(**effect, Effect::Line(..)))
                });
                may(left.copies > 0 && (payment || ticket), How::AndAgain);
                may(left.lost > 0 && (payment || ticket), How::AnswerLost);
                may(left.silent > 0 && payment, How::Unheard);
                may(left.silent > 0 && payment, How::TimedOut);
                may(left.behind > 0 && ticket && self.earlier < self.now, How::Behind);
            }
            Item::Line(_) => {
                may(left.copies > 0, How::AndAgain);
                may(left.behind > 0 && self.earlier < self.now, How::Behind);
            }
            Item::Update { .. } => may(left.copies > 0, How::AndAgain),
            Item::Timer { .. } => {
                may(left.early > 0 && !due, How::Early);
                may(left.copies > 0 && due, How::AndAgain);
            }
            Item::Outcome(_) | Item::Wake(_) => {}
        }
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
        for seat in &self.seats {
            seat.timers.iter().for_each(|timer| look(timer.until));
            if let Some(hold) = seat.ticket.hold() {
                look(hold.end());
                hold.until().into_iter().for_each(&mut look);
                hold.claim().map(|claim| claim.deadline).into_iter().for_each(&mut look);
            }
        }
        for mail in &self.mail {
            if let Mail::Wake(_, at) = mail {
                look(*at);
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
        let ticket = dice.below(self.seats.len());
        let timers = &self.seats.get(ticket)?.timers;
        let timer = timers.get(dice.below(timers.len()))?;
        Some(Item::Timer { ticket: narrow(ticket), until: timer.until })
    }

    /// What has waited longest, copies last: what happens next where nothing goes wrong. Nothing at rest.
    #[must_use]
    pub fn in_order(&self) -> Option<Action> {
        let due = |mail: &&Mail| !matches!(mail, Mail::Wake(_, at) if *at > self.now);
        let first = self.mail.iter().filter(due).find(|mail| self.is_awaited(mail));
        if let Some(mail) = first.or_else(|| self.mail.iter().find(due)) {
            return Some(Action::arrive(mail.item(), How::Well));
        }
        let timers = self.seats.iter().enumerate().flat_map(|(ticket, seat)| {
            seat.timers.iter().map(move |timer| Item::Timer { ticket: narrow(ticket), until: timer.until })
        });
        let first = timers.min_by_key(|timer| if let Item::Timer { until, .. } = timer { *until } else { self.now });
        match first {
            Some(Item::Timer { until, .. }) if until > self.now => Some(Action::Tick),
            Some(timer) => Some(Action::arrive(timer, How::Well)),
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
            Mail::Line(_) => false,
            Mail::Outcome(..) | Mail::Wake(..) | Mail::Update { .. } => true,
        }
    }
}
