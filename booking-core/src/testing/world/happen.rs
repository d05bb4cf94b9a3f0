//! What happens in a world: each step that an action takes, with everything that must hold of it.

use super::part::{Part, print};
use super::watch::Watch;
use super::{Action, Buyer, How, Item, Line, Mail, Run, Spot, World, bit, bits, narrow};
use crate::checkout::{Checkout, Ending, MoneyState, Stage};
use crate::effect::{Effect, Op, Outcome};
use crate::format;
use crate::ids::{PaymentKey, TicketId};
use crate::invariants::{
    self, MapTurn, SeatFacts, System, Violation, check_checkout, check_ticket, check_turn, check_turn_quickly,
};
use crate::inventory::of_map;
use crate::machine::{Machine, Transition};
use crate::map::ticket::{Offer, Reserve, TicketCommand};
use crate::map::{Header, SeatMap, SeatMapCommand, SeatMapEvent, SeatMapNotices, SeatMapRefusal, SeatMapReply, Seats};
use crate::payment::{Payment, PaymentAnswer};
use crate::progress::{CheckoutProgress, Recorded};
use crate::terms::Terms;
use crate::testing::coverage::CoveragePoint;
use crate::time::{Millis, Timestamp};

/// A step that is not possible now, or that breaks a property.
type Step<T = ()> = Result<T, Violation>;

impl World {
    /// Lets something happen, and looks at what must hold. False where it cannot happen now: then nothing has.
    ///
    /// # Errors
    /// The first property that does not hold any more.
    pub fn apply(&mut self, action: Action, watch: &mut Watch) -> Result<bool, Violation> {
        (watch.touched_runs, watch.touched_tickets) = (0, 0);
        let happened = match action {
            Action::Come(buyer) => self.come(usize::from(buyer), watch),
            Action::Arrive { item, how, nth } => self.arrive(item, how, nth, watch)?,
            Action::Crash(buyer) => self.crash(buyer, watch)?,
            Action::Kill(buyer) => self.kill(buyer),
            Action::Cancel(buyer) => self.cancel(buyer),
            Action::Tick => self.next_moment().is_some_and(|at| self.pass_to(at)),
            Action::Wait(length) => self.pass_to(self.now.plus(length)),
        };
        if !happened {
            return Ok(false);
        }
        if self.is_at_rest() {
            invariants::check(self)?;
        } else {
            for run in bits(watch.touched_runs).filter_map(|index| self.runs[index].as_ref()) {
                check_checkout(self, run.running.checkout())?;
            }
            for id in bits(watch.touched_tickets).map(|index| &self.scene.tickets[index]) {
                check_ticket(self, id, self.ticket(id).unwrap_or_default())?;
            }
        }
        Ok(true)
    }

    fn pass_to(&mut self, at: Timestamp) -> bool {
        (self.earlier, self.now) = (self.now, at);
        true
    }

    fn come(&mut self, buyer: usize, watch: &mut Watch) -> bool {
        let Some(None) = self.runs.get(buyer) else { return false };
        let Buyer { checkout, order } = &self.scene.buyers[buyer];
        let checkout = Checkout::start(checkout.clone(), order.clone(), self.now, &self.scene.terms);
        let authorize_key = PaymentKey::authorize(checkout.id());
        let running = Part::new(CheckoutProgress::start(checkout));
        let tells = self.scene.checkouts_tell_time.then_some(self.now);
        self.runs[buyer] = Some(Run { running, authorize_key, asked: false, crashes: 0, killed: false, tells });
        watch.touched_runs |= bit(buyer);
        self.ask(buyer, true);
        true
    }

    /// Sends what a checkout has no outcome for, unless it is under way already; nothing is, of a step that is new.
    fn ask(&mut self, buyer: usize, is_new: bool) {
        let Some(run) = &self.runs[buyer] else { return };
        let pending = run.running.pending();
        for (op, effect) in pending {
            let spot = Spot { buyer: narrow(buyer), step: op.step, index: op.index };
            let asked = !is_new
                && self.mail.iter().any(|mail| match mail {
                    Mail::Effect(at, _) | Mail::Wake(at, _) => *at == spot,
                    Mail::Outcome(..) | Mail::Line(..) => false,
                });
            if asked {
                continue;
            }
            let effect = self.rules.effect(&run.running, &op, effect, run.crashes, self.now);
            self.mail.push(match effect {
                Effect::Sleep(length) => Mail::Wake(spot, self.now.plus(length)),
                Effect::Line(..) | Effect::Pay(_) | Effect::Notify(_) => Mail::Effect(spot, Part::new(effect)),
            });
        }
    }

    fn crash(&mut self, buyer: u8, watch: &mut Watch) -> Step<bool> {
        let (index, crashes_left) = (usize::from(buyer), self.left.crashes);
        let Some(Some(run)) = self.runs.get(index) else { return Ok(false) };
        if crashes_left == 0 || !self.is_under_way(run) {
            return Ok(false);
        }
        let lost = |mail: &Mail| matches!(mail, Mail::Outcome(spot, _) if spot.buyer == buyer);
        let after_effect = self.mail.iter().any(lost);
        let (all, pending) = (run.running.width(), run.running.pending().len());
        let undoing = matches!(run.running.checkout().stage(), Stage::Undoing { .. });
        let seen = [
            (after_effect, CoveragePoint::CrashAfterEffect),
            (!after_effect && pending == all, CoveragePoint::CrashBeforeEffect),
            (pending < all, CoveragePoint::CrashAfterRecord),
            (undoing, CoveragePoint::CrashWhileUndoing),
            (run.crashes > 0, CoveragePoint::CrashTwice),
        ];
        seen.iter().filter(|(seen, _)| *seen).for_each(|(_, sight)| watch.coverage.hit(*sight));
        self.left.crashes -= 1;
        self.mail.retain(|mail| !lost(mail));
        let rules = self.rules;
        if let Some(run) = &mut self.runs[index] {
            run.crashes = run.crashes.saturating_add(1);
            let start = self.scene.buyers[index].order.clone();
            let checkout = run.running.checkout();
            let start = Checkout::start(checkout.id().clone(), start, self.now, &self.scene.terms);
            let recovered = rules.recover(&run.running, &start, run.crashes);
            let known = watch.judged.as_mut().is_some_and(|judged| !judged.insert(print(&("stored", &recovered))));
            if watch.thorough
                && !known
                && format::read::<CheckoutProgress>(&format::write(&recovered)).as_ref() != Ok(&recovered)
            {
                return Err(broken("what_is_stored_is_read_back", recovered.checkout().id().to_string()));
            }
            if recovered != *run.running {
                run.running = Part::new(recovered);
            }
        }
        watch.touched_runs |= bit(index);
        self.ask(index, false);
        Ok(true)
    }

    fn kill(&mut self, buyer: u8) -> bool {
        let Some(run) = self.run(buyer) else { return false };
        if self.left.kills == 0 || !self.is_under_way(run) {
            return false;
        }
        self.left.kills -= 1;
        // What it has sent may arrive still; nobody waits for an answer.
        self.mail.retain(|mail| !matches!(mail, Mail::Outcome(spot, _) | Mail::Wake(spot, _) if spot.buyer == buyer));
        if let Some(run) = &mut self.runs[usize::from(buyer)] {
            run.killed = true;
        }
        true
    }

    fn cancel(&mut self, buyer: u8) -> bool {
        let Some(run) = self.run(buyer) else { return false };
        if self.left.cancels == 0 || !self.is_under_way(run) || run.running.clone().change().cancel().is_err() {
            return false;
        }
        self.left.cancels -= 1;
        if let Some(run) = &mut self.runs[usize::from(buyer)] {
            let _it_may = run.running.change().cancel();
        }
        true
    }

    fn arrive(&mut self, item: Item, how: How, nth: u8, watch: &mut Watch) -> Step<bool> {
        let budget = match how {
            How::Well => None,
            How::AndAgain => Some(self.left.copies),
            How::AnswerLost => Some(self.left.lost),
            How::Unheard | How::TimedOut => Some(self.left.silent),
            How::Behind => Some(self.left.behind),
            How::Stale => Some(self.left.stale),
            How::Early => Some(self.left.early),
        };
        if budget == Some(0) || (how == How::Behind && self.earlier >= self.now) {
            return Ok(false);
        }
        let arrived = match item {
            Item::Line(line) => self.hear(line, how, watch)?,
            Item::Timer { map, due } => self.fire(usize::from(map), due, nth, how, watch)?,
            Item::Effect(_) | Item::Outcome(_) | Item::Wake(_) => {
                let mut named = self.mail.iter().enumerate().filter(|(_, mail)| mail.item() == item);
                match named.nth(nth.into()) {
                    Some((index, _)) => self.open(index, how, watch)?,
                    None => false,
                }
            }
        };
        if arrived {
            let left = &mut self.left;
            let spent = match how {
                How::Well => None,
                How::AndAgain => Some(&mut left.copies),
                How::AnswerLost => Some(&mut left.lost),
                How::Unheard | How::TimedOut => Some(&mut left.silent),
                How::Behind => Some(&mut left.behind),
                How::Stale => Some(&mut left.stale),
                How::Early => Some(&mut left.early),
            };
            if let Some(spent) = spent {
                // Rules that are tried may end with less than they began with.
                *spent = spent.saturating_sub(1);
            }
        }
        Ok(arrived)
    }

    /// The time at which a map judges.
    fn clock(&self, how: How) -> Timestamp {
        if how == How::Behind { self.earlier } else { self.now }
    }

    /// A buyer or an operator says a line, or a copy of it arrives.
    fn hear(&mut self, line: u8, how: How, watch: &mut Watch) -> Step<bool> {
        let index = usize::from(line);
        let Some(Line { at, command }) = self.scene.lines.get(index) else { return Ok(false) };
        if !matches!(how, How::Well | How::AndAgain | How::Behind) {
            return Ok(false);
        }
        let map = self.place_of(at.as_str()).expect("a line is about a map of the scene");
        let copy = self.mail.iter().position(|mail| mail.item() == Item::Line(line));
        let command = if self.said & bit(index) == 0 {
            self.said |= bit(index);
            Part::new(self.at_the_door(map, command.clone(), self.clock(how)))
        } else {
            match copy.map(|copy| self.mail.remove(copy)) {
                Some(Mail::Line(_, command)) => command,
                Some(_) | None => return Ok(false),
            }
        };
        if how == How::AndAgain {
            self.mail.push(Mail::Line(line, command.clone()));
        }
        let _accepted_or_refused = self.judge(map, &command, None, self.clock(how), true, watch)?;
        Ok(true)
    }

    /// What the door adds to a command, once: when a wish ends, what the seats cost, and which checkouts have ended.
    fn at_the_door(&self, map: usize, mut command: SeatMapCommand, now: Timestamp) -> SeatMapCommand {
        if let SeatMapCommand::Seats { seats, command } = &mut command {
            if let TicketCommand::Reserve(Reserve { until, .. }) | TicketCommand::Release { until, .. } = command {
                *until = now.plus(Millis(until.as_millis()));
            }
            if let TicketCommand::Reserve(Reserve { latest, .. }) = command {
                *latest = now.plus(Millis(latest.as_millis()));
            }
            if let TicketCommand::Reserve(Reserve { offer, .. }) | TicketCommand::Sell { offer, .. } = command {
                *offer = self.offer(map, seats, false);
            }
            if let TicketCommand::Reset { ended, .. } = command {
                let over = self.runs.iter().flatten().filter(|run| run.running.ending().is_some());
                *ended = over.map(|run| run.running.checkout().id().clone()).collect();
            }
        }
        command
    }

    /// What seats cost, as a host has read it: just now, or before the last edition.
    fn offer(&self, map: usize, seats: &Seats, stale: bool) -> Offer {
        let offer = self.maps[map].map.offer(seats, self.scene.terms.default_price(), Terms::ROOM);
        let edition = if stale { offer.edition.saturating_sub(1) } else { offer.edition };
        Offer { edition, ..offer }
    }

    /// A timer fires.
    fn fire(&mut self, map: usize, due: Timestamp, nth: u8, how: How, watch: &mut Watch) -> Step<bool> {
        let is_due = due <= self.now;
        let fitting = match how {
            How::Well | How::AndAgain => is_due,
            How::Early => !is_due,
            How::AnswerLost | How::Unheard | How::TimedOut | How::Behind | How::Stale => false,
        };
        let Some(place) = self.maps.get_mut(map).filter(|_| fitting) else { return Ok(false) };
        let mut named = place.timers.iter().enumerate().filter(|(_, timer)| **timer == due);
        let Some((index, _)) = named.nth(nth.into()) else { return Ok(false) };
        if how != How::AndAgain {
            place.timers.remove(index);
        }
        let command = Part::new(self.rules.fire(due));
        let _never_refused = self.judge(map, &command, None, self.now, true, watch)?;
        Ok(true)
    }

    /// Something arrives that was under way.
    fn open(&mut self, index: usize, how: How, watch: &mut Watch) -> Step<bool> {
        let stays = match (&self.mail[index], how) {
            (Mail::Wake(_, at), How::Well) if *at > self.now => return Ok(false),
            (_, How::Well) => false,
            (Mail::Effect(_, effect), How::AndAgain | How::AnswerLost) => {
                let asked_again = matches!(**effect, Effect::Line(..));
                if !asked_again && !matches!(**effect, Effect::Pay(_)) {
                    return Ok(false);
                }
                how == How::AndAgain || asked_again
            }
            (Mail::Effect(_, effect), How::Unheard) if matches!(**effect, Effect::Pay(_)) => false,
            (Mail::Effect(_, effect), How::TimedOut) if matches!(**effect, Effect::Pay(_)) => true,
            (Mail::Effect(_, effect), How::Behind) if matches!(**effect, Effect::Line(..)) => false,
            (Mail::Effect(_, effect), How::Stale) if self.may_be_stale(effect) => true,
            (Mail::Effect(..) | Mail::Outcome(..) | Mail::Wake(..) | Mail::Line(..), _) => return Ok(false),
        };
        let mail = if stays { self.mail[index].clone() } else { self.mail.remove(index) };
        match mail {
            Mail::Effect(spot, effect) => self.carry_out(spot, &effect, how, watch)?,
            Mail::Outcome(spot, outcome) => self.record(spot, Outcome::clone(&outcome), watch)?,
            Mail::Wake(spot, _) => self.record(spot, Outcome::Slept { at: self.now }, watch)?,
            Mail::Line(..) => {}
        }
        Ok(true)
    }

    /// An effect arrives where it is carried out.
    fn carry_out(&mut self, spot: Spot, effect: &Part<Effect>, how: How, watch: &mut Watch) -> Step {
        let over = self.run(spot.buyer).is_some_and(|run| run.running.ending().is_some());
        if over {
            watch.coverage.hit(CoveragePoint::CopyAfterTheEnd);
        }
        let outcome = match &**effect {
            Effect::Line(line, command) => {
                let map = self.place_of(line.at.as_str()).filter(|_| self.has_all(&line.seats));
                let Some(map) = map else {
                    let what = format!("{:?} are no tickets that anybody wants", line.seats.as_slice());
                    return Err(broken("every_ticket_was_asked_for", what));
                };
                let kept = how != How::AnswerLost || self.rules.keeps_notices();
                let told = self.run(spot.buyer).and_then(|run| run.tells).filter(|_| how != How::Behind);
                let now = told.unwrap_or_else(|| self.clock(how));
                let asked = Part::new(line.ask(command, |seats| self.offer(map, seats, how == How::Stale)));
                let answer = self.judge(map, &asked, Some(effect), now, kept, watch)?;
                Outcome::Line(of_map(answer))
            }
            Effect::Pay(payment) => Outcome::Paid(self.pay(spot.buyer, payment, how, watch)),
            Effect::Notify(_) => {
                self.told |= bit(usize::from(spot.buyer));
                Outcome::Notified
            }
            Effect::Sleep(_) => Outcome::Slept { at: self.now },
        };
        // A host that told an old price reads the layout again, and asks again.
        let nobody_hears = matches!(how, How::AnswerLost | How::Stale) && matches!(**effect, Effect::Line(..));
        let waits = self.run(spot.buyer).is_some_and(|run| {
            let checkout = run.running.checkout();
            self.is_under_way(run) && spot.step == checkout.step() && run.running.is_pending(spot.index)
        });
        if waits && !nobody_hears {
            self.mail.push(Mail::Outcome(spot, Part::new(outcome)));
            return Ok(());
        }
        if self.run(spot.buyer).is_some_and(|run| !run.killed) && !nobody_hears {
            // It is known already: that changes nothing whenever it comes, so it comes at once.
            self.record(spot, outcome, watch)?;
        }
        Ok(())
    }

    /// The gateway is asked.
    fn pay(&mut self, buyer: u8, payment: &Payment, how: How, watch: &mut Watch) -> PaymentAnswer {
        if matches!(how, How::Unheard | How::TimedOut) {
            return payment.unanswered();
        }
        if let Payment::Authorize(request) = payment {
            let late = self.ledger.account(&request.key).is_some_and(|account| account.voided && !account.authorized);
            late.then(|| watch.coverage.hit(CoveragePoint::LateAfterVoid));
        }
        let Transition { event, reply, .. } = self.rules.gateway(&self.ledger, payment);
        if let Some(event) = event {
            self.ledger.change().apply(&event);
        }
        watch.touched_runs |= bit(usize::from(buyer));
        if let Some(run) = &mut self.runs[usize::from(buyer)] {
            run.asked = true;
        }
        if how == How::AnswerLost {
            watch.coverage.hit(CoveragePoint::LostAnswer);
            return payment.unanswered();
        }
        reply
    }

    fn has_all(&self, seats: &Seats) -> bool {
        seats.as_slice().iter().all(|seat| self.seat_of(seat).is_some())
    }

    /// A map judges a command: the whole of its turn, with everything that must hold of it.
    fn judge(
        &mut self,
        map: usize,
        command: &Part<SeatMapCommand>,
        effect: Option<&Part<Effect>>,
        now: Timestamp,
        notices_kept: bool,
        watch: &mut Watch,
    ) -> Step<Result<SeatMapReply, SeatMapRefusal>> {
        let rules = self.rules;
        let before = self.maps[map].map.clone();
        let decision = rules.seat_map(&before, command, now);
        let event = decision.as_ref().ok().and_then(|decided| decided.event.as_ref());
        let changed = event.map(|event| {
            let mut after = SeatMap::clone(&before);
            after.apply(event);
            after
        });
        let after = changed.as_ref().unwrap_or(&before);
        self.see_turn(&before, command, now, &decision, after, watch);
        let known = watch.judged.as_mut().is_some_and(|judged| {
            // What an effect asks is the same each time, but for the prices of a layout.
            let same = effect.filter(|_| before.header().edition == 0);
            let name = same.map_or_else(|| command.print(), Part::print);
            !judged.insert(print(&(before.print(), name, now)))
        });
        if !known {
            let decide = |map: &SeatMap, command: &SeatMapCommand, now| rules.seat_map(map, command, now);
            let turn = MapTurn { before: &before, command, now, decision: &decision, after, decide: &decide };
            if watch.thorough { check_turn(&turn)? } else { check_turn_quickly(&turn)? }
        }
        if decision.is_ok() {
            self.wish(map, command)?;
        }
        if let (Some(after), Some(event)) = (changed, event) {
            self.touch(&before, &after, event, command, watch);
            let place = &mut self.maps[map];
            place.map = Part::new(if self.scene.forgets { without_marks(&after) } else { after });
        }
        let (answer, notices) = match decision {
            Ok(Transition { reply, notices, .. }) => (Ok(reply), notices),
            Err(refusal) => (Err(refusal), SeatMapNotices::default()),
        };
        if let Some(due) = notices.timer.filter(|_| notices_kept) {
            self.rules.arm(&mut self.maps[map].timers, due);
        }
        Ok(answer)
    }

    /// A wish was accepted: none that a later one under its hold has overtaken may be.
    fn wish(&mut self, map: usize, command: &SeatMapCommand) -> Step {
        let SeatMapCommand::Seats { command, .. } = command else { return Ok(()) };
        let (hold, nth, until, reserves) =
            if let TicketCommand::Reserve(Reserve { hold, nth: Some(nth), until, .. }) = command {
                (hold, *nth, *until, true)
            } else if let TicketCommand::Release { hold, nth: Some(nth), until } = command {
                (hold, *nth, *until, false)
            } else {
                return Ok(());
            };
        let map = narrow(map);
        let Some(known) = self.wishes.iter_mut().find(|(at, id, ..)| (*at, id) == (map, hold)) else {
            self.wishes.push((map, hold.clone(), nth, until));
            return Ok(());
        };
        let (_, _, last, latest) = known;
        if nth < *last && until <= *latest {
            let what = || format!("wish {nth} was carried out after wish {last}");
            return if reserves { Err(broken("a_later_wish_stands", what())) } else { Ok(()) };
        }
        // One that comes when nothing older can be on its way begins anew.
        (*last, *latest) = (nth, until.max(*latest));
        Ok(())
    }

    /// What an event has to do with, for what is looked at afterwards.
    fn touch(
        &mut self,
        before: &SeatMap,
        after: &SeatMap,
        event: &SeatMapEvent,
        command: &SeatMapCommand,
        watch: &mut Watch,
    ) {
        let resets = match command {
            SeatMapCommand::Seats { command, .. } => matches!(command, TicketCommand::Reset { .. }),
            SeatMapCommand::ResetAll => true,
            SeatMapCommand::List { .. }
            | SeatMapCommand::Publish { .. }
            | SeatMapCommand::Erase { .. }
            | SeatMapCommand::Expire { .. } => false,
        };
        for (id, _) in &event.tickets {
            let Some(seat) = self.seat_of(id) else { continue };
            watch.touched_tickets |= bit(seat);
            for ticket in [before.ticket(id), after.ticket(id)].into_iter().flatten() {
                let facts = SeatFacts::from(ticket);
                let runs =
                    facts.claimed_by.into_iter().chain(facts.sold_to).filter_map(|checkout| self.run_of(checkout));
                watch.touched_runs |= runs.fold(0, |set, run| set | bit(run));
            }
            let sold = |map: &SeatMap| map.ticket(id).is_some_and(|ticket| ticket.state.sale().is_some());
            if resets && sold(before) && !sold(after) {
                self.was_reset |= bit(seat);
            }
            let is_sold = |id: &TicketId| {
                let map = self.place_of(id.map_str()).map(|place| &*self.maps[place].map);
                map.filter(|map| !std::ptr::eq(*map, before)).and_then(|map| map.ticket(id)).or(after.ticket(id))
            };
            let all_sold = || {
                let mut sales = self.scene.tickets.iter().map(|id| is_sold(id).and_then(|ticket| ticket.state.sale()));
                sales.all(|sale| sale.is_some())
            };
            if !sold(before) && sold(after) && all_sold() {
                watch.coverage.hit(CoveragePoint::SoldOut);
            }
        }
    }

    /// An outcome comes back to its checkout.
    fn record(&mut self, spot: Spot, outcome: Outcome, watch: &mut Watch) -> Step {
        let index = usize::from(spot.buyer);
        let rules = self.rules;
        let Some(Some(run)) = self.runs.get_mut(index) else { return Ok(()) };
        let op = Op { checkout: run.running.checkout().id().clone(), step: spot.step, index: spot.index };
        let Some(outcome) = rules.outcome(&run.running, &op, outcome, run.crashes) else {
            self.ask(index, false);
            return Ok(());
        };
        let stale = spot.step < run.running.checkout().step() || !run.running.is_pending(spot.index);
        if stale {
            // Nothing may come of it. A copy that is shared would tell all others by a new print.
            let mut copy = CheckoutProgress::clone(&run.running);
            let recorded = copy.record(&op, outcome).map_err(|why| broken("every_outcome_fits", why.to_string()))?;
            let unchanged = recorded == Recorded::Stale && copy == *run.running;
            return if unchanged { Ok(()) } else { Err(broken("known_outcomes_change_nothing", op.to_string())) };
        }
        if let (Some(tells), false) = (&mut run.tells, matches!(outcome, Outcome::Line(_) | Outcome::Notified)) {
            *tells = self.now;
        }
        let undoing = matches!(run.running.checkout().stage(), Stage::Undoing { .. });
        let told = rules.told(&run.running);
        let recorded = run.running.change().record(&op, outcome);
        let recorded = recorded.map_err(|why| broken("every_outcome_fits", why.to_string()))?;
        self.told_is_true(index, told)?;
        if recorded == Recorded::Step {
            watch.touched_runs |= bit(index);
            self.see_step(index, undoing, watch);
            self.ask(index, true);
        }
        Ok(())
    }
}

impl World {
    /// Checks that a failure which the host has told the buyer is true and stays true: no seat is claimed by the checkout or sold to
    /// it, and where the host has said that no money is set aside, none is.
    fn told_is_true(&self, index: usize, before: Option<Ending>) -> Step {
        let Some(run) = &self.runs[index] else { return Ok(()) };
        let (id, told) = (run.running.checkout().id(), self.rules.told(&run.running));
        let untrue = |what: &str| Err(broken("what_a_buyer_is_told_is_so", format!("{id}: {what}")));
        if let Some(Ending::Failed { failure: was, .. }) = &before
            && !matches!(&told, Some(Ending::Failed { failure, .. }) if failure == was)
        {
            return untrue("another end than was told");
        }
        let Some(Ending::Failed { money, .. }) = told else { return Ok(()) };
        for ticket in run.running.checkout().order().tickets() {
            let seat = System::ticket(self, ticket).unwrap_or_default();
            let is_claimed = seat.claimed_by == Some(id) && !self.may_have_forgotten(ticket, id);
            if seat.sold_to == Some(id) || is_claimed {
                return untrue("a seat is still its own");
            }
        }
        let account = self.ledger.account(&run.authorize_key);
        match account.filter(|_| money == MoneyState::None) {
            Some(account) if account.authorized && !account.voided => untrue("money is set aside"),
            _ => Ok(()),
        }
    }
}

/// A map that has forgotten which checkouts have ended.
fn without_marks(map: &SeatMap) -> SeatMap {
    let tickets = map.tickets().map(|(id, ticket)| (id.clone(), ticket.clone()));
    let last_wishes = map.last_wishes().map(|(hold, last_wish)| (hold.clone(), last_wish.clone()));
    SeatMap::from_parts(Header { ended: 0, ..*map.header() }, map.layout().cloned(), tickets, [], last_wishes)
}

fn broken(property: &'static str, what: String) -> Violation {
    Violation { property, number: 8, what }
}
