//! A scene, its faults and its schedule drawn from a seed; in the end nothing goes wrong any more, and everything must
//! come to rest.
//!
//! Each seed draws which faults there are at all, and how often ("swarm"): a schedule with every fault at once hides what
//! needs one fault many times, or none at all. The same seed is the same run for ever, on every target.

use std::hash::Hash;
use std::sync::Arc;

use super::rules::Rules;
use super::trace::{Trace, come_to_rest};
use super::world::part::Printer;
use super::world::{Action, Buyer, Faults, How, Item, Line, Scenario, Watch, World};
use crate::checkout::Order;
use crate::dice::Dice;
use crate::ids::{CheckoutId, HoldId, PaymentMethodId, TicketId, UserId};
use crate::invariants::Violation;
use crate::map::ticket::{Offer, Reserve, TicketCommand};
use crate::map::{Layout, Place, Row, SeatMapCommand, Seats};
use crate::money::Money;
use crate::terms::{Backoff, Retry, Terms};
use crate::time::{HoldTtl, Millis, Timestamp};

/// How large the scenes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// One to three tickets, one to three buyers, and up to three lines beside that: rare interleavings, fast.
    Small,
    /// Eight tickets and 24 buyers: a house that sells out.
    House,
}

/// A simulation: draws a seed's scene and runs it, again and again.
#[derive(Debug)]
pub struct Simulation {
    rules: &'static dyn Rules,
    size: Size,
    cast: Workload,
    watch: Watch,
    actions: Vec<Action>,
    tally: Tally,
}

/// The scene of a seed.
#[must_use]
pub fn scene(size: Size, seed: u64) -> Scenario {
    let (cast, mut dice) = (Workload::new(), Dice::new(seed));
    match size {
        Size::Small => cast.small(&mut dice),
        Size::House => cast.house(&mut dice),
    }
}

/// What has been simulated so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many seeds.
    pub seeds: u64,
    /// How many checkouts were started.
    pub checkouts: u64,
    /// How many things happened.
    pub steps: u64,
}

/// Who plays: names that are made once and handed out.
#[derive(Debug)]
struct Workload {
    tickets: Vec<TicketId>,
    checkouts: Vec<CheckoutId>,
    users: Vec<UserId>,
    holds: Vec<HoldId>,
    cards: Vec<PaymentMethodId>,
}

impl Workload {
    fn new() -> Self {
        let name = |prefix: &str, count: u8| (0..count).map(|n| format!("{prefix}{n}")).collect::<Vec<_>>();
        let cards = ["card_success", "card_decline", "card_flaky", "card_lost", "card_capture_decline", "card_error"];
        let good = "a good id";
        Self {
            // Two are on a map of their own.
            tickets: ["hall:0", "hall:1", "gallery:2", "hall:3", "hall:4", "gallery:5", "hall:6", "hall:7"]
                .iter()
                .map(|id| TicketId::parse(id).expect(good))
                .collect(),
            checkouts: name("c", 24).iter().map(|id| CheckoutId::parse(id).expect(good)).collect(),
            users: name("u", 24).iter().map(|id| UserId::parse(id).expect(good)).collect(),
            holds: name("h", 24).iter().map(|id| HoldId::parse(id).expect(good)).collect(),
            cards: cards.iter().map(|id| PaymentMethodId::parse(id).expect(good)).collect(),
        }
    }
}

/// How a seed's schedule is drawn, in percent.
struct Mix {
    fault: u8,
    tick: u8,
    timer: u8,
    come: u8,
    in_order: u8,
    /// Whether copies are held back until nothing else is under way.
    late_copies: bool,
}

/// What a seed has come to.
#[derive(Clone, Debug)]
pub struct Run {
    /// A print of all that happened and of what was left.
    pub print: u128,
    /// What it has broken, if anything.
    pub broken: Option<Box<Trace>>,
}

impl Simulation {
    /// A simulation of scenes of a size.
    #[must_use]
    pub fn new(rules: &'static dyn Rules, size: Size) -> Self {
        let (cast, watch, actions, tally) = (Workload::new(), Watch::default(), Vec::new(), Tally::default());
        Self { rules, size, cast, watch, actions, tally }
    }

    /// What was seen so far.
    #[must_use]
    pub fn coverage(&self) -> &super::coverage::Coverage {
        &self.watch.coverage
    }

    /// How much was simulated so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Runs a seed.
    pub fn run(&mut self, seed: u64) -> Run {
        let mut dice = Dice::new(seed);
        let scene = Arc::new(match self.size {
            Size::Small => self.cast.small(&mut dice),
            Size::House => self.cast.house(&mut dice),
        });
        // Every judgement from all sides takes ten times as long: in some.
        self.watch.thorough = seed.is_multiple_of(256);
        self.actions.clear();
        let mut world = World::new(scene, self.rules);
        let ended = self.play(&mut world, &mut dice);
        let ended = ended.and_then(|()| come_to_rest(&mut world, &mut self.watch, &mut self.actions));
        self.tally.seeds += 1;
        self.tally.steps += self.actions.len() as u64;
        let came = |action: &&Action| matches!(action, Action::Come(_));
        self.tally.checkouts += self.actions.iter().filter(came).count() as u64;
        let mut printer = Printer::default();
        self.actions.hash(&mut printer);
        world.print_what_is_left(&mut printer);
        let broken = ended.err().map(|violation| self.trace(&world, &violation));
        Run { print: printer.print(), broken }
    }

    fn trace(&self, world: &World, violation: &Violation) -> Box<Trace> {
        let mut actions = self.actions.clone();
        if violation.property == "it_comes_to_rest" && actions.len() > super::trace::STEPS_TO_REST {
            // What it does instead is as long as one lets it be.
            actions.truncate(actions.len().saturating_sub(super::trace::STEPS_TO_REST));
        }
        Box::new(Trace::new(world.scene(), actions, violation))
    }

    /// The part in which things go wrong.
    fn play(&mut self, world: &mut World, dice: &mut Dice) -> Result<(), Violation> {
        let mix = Mix {
            fault: *dice.one_of(&[5, 15, 40]),
            tick: *dice.one_of(&[0, 2, 8, 20]),
            timer: *dice.one_of(&[1, 5, 20]),
            come: *dice.one_of(&[5, 20, 60]),
            in_order: *dice.one_of(&[0, 50, 80]),
            late_copies: dice.chance(40),
        };
        let scene = Arc::clone(world.scene());
        let buyers = scene.buyers.len();
        let lines = scene.lines.len();
        let (mut to_come, mut to_say) = (buyers, lines);
        let steps = 30 * (buyers + lines) + 20;
        for _ in 0..steps {
            let Some(action) = draw(world, dice, &mix, (buyers, &mut to_come), (lines, &mut to_say)) else {
                if to_come == 0 && to_say == 0 {
                    break;
                }
                continue;
            };
            if world.apply(action, &mut self.watch).inspect_err(|_| self.actions.push(action))? {
                self.actions.push(action);
            }
        }
        Ok(())
    }
}

/// What happens next; some of it cannot, and does nothing.
fn draw(
    world: &World,
    dice: &mut Dice,
    mix: &Mix,
    (buyers, to_come): (usize, &mut usize),
    (lines, to_say): (usize, &mut usize),
) -> Option<Action> {
    let number = |index: usize| u8::try_from(index).expect("a scene has at most 64 of each");
    if (*to_come > 0 || *to_say > 0) && dice.chance(mix.come) {
        let pick = dice.below(*to_come + *to_say);
        return Some(if pick < *to_come {
            *to_come -= 1;
            Action::Come(number(buyers - *to_come - 1))
        } else {
            *to_say -= 1;
            let how = if dice.chance(mix.fault) && world.left().copies > 0 { How::AndAgain } else { How::Well };
            Action::arrive(Item::Line(number(lines - *to_say - 1)), how)
        });
    }
    if dice.chance(mix.tick) {
        let short = dice.chance(10);
        return Some(if short { Action::Wait(Millis(dice.below(3_000) as u64)) } else { Action::Tick });
    }
    if dice.chance(mix.timer)
        && let Some(timer) = world.some_timer(dice)
    {
        let how = if dice.chance(mix.fault) { *dice.one_of(&[How::AndAgain, How::Early]) } else { How::Well };
        return Some(Action::arrive(timer, how));
    }
    let fault = dice.chance(mix.fault);
    let left = world.left();
    if fault && left.crashes + left.kills + left.cancels > 0 && dice.chance(30) {
        let buyer = number(dice.below(buyers));
        let kinds = [Action::Crash(buyer), Action::Crash(buyer), Action::Kill(buyer), Action::Cancel(buyer)];
        return Some(*dice.one_of(&kinds));
    }
    if !fault && dice.chance(mix.in_order) {
        return world.next_in_order();
    }
    let Some(item) = world.some_item(dice, mix.late_copies) else {
        return world.next_in_order();
    };
    Some(Action::arrive(item, if fault { some_fault(left, dice) } else { How::Well }))
}

/// A way of going wrong of which there is any left.
fn some_fault(left: Faults, dice: &mut Dice) -> How {
    let all = [
        (left.copies, How::AndAgain),
        (left.lost, How::AnswerLost),
        (left.silent, How::Unheard),
        (left.silent, How::TimedOut),
        (left.behind, How::Behind),
        (left.stale, How::Stale),
    ];
    let count = all.iter().filter(|(left, _)| *left > 0).count();
    let pick = dice.below(count);
    all.into_iter().filter(|(left, _)| *left > 0).nth(pick).map_or(How::Well, |(_, how)| how)
}

impl Workload {
    /// Which faults there are, each with even chances, and how many.
    fn faults(dice: &mut Dice, most: u8) -> Faults {
        let mut drawn = |percent, most| if dice.chance(percent) { dice.between(1, most) } else { 0 };
        Faults {
            copies: drawn(50, most),
            crashes: drawn(40, most),
            lost: drawn(40, most),
            silent: drawn(30, most + 3),
            early: drawn(20, 2),
            behind: drawn(30, most),
            stale: drawn(20, 2),
            kills: drawn(10, 1),
            cancels: drawn(15, 1),
        }
    }

    fn terms(dice: &mut Dice) -> Terms {
        let backoff = |cap| Backoff { first: Millis(200), cap: Millis(cap) };
        Terms {
            hold_ttl: HoldTtl::new(Millis::from_secs(dice.between(2, 20).into())).expect("within its bounds"),
            checkout_time: Millis::from_secs(dice.between(2, 20).into()),
            authorize_retry: Retry { attempts: dice.between(1, 4).into(), wait: backoff(1_000) },
            settle_retry: backoff(2_000),
            ..Terms::default()
        }
    }

    fn card(&self, dice: &mut Dice) -> PaymentMethodId {
        let good = dice.chance(60);
        if good { self.cards[0].clone() } else { dice.one_of(&self.cards[1..]).clone() }
    }

    /// Up to `most` neighbours among the first `of` tickets, forwards or backwards.
    fn some_tickets(&self, dice: &mut Dice, of: usize, most: u8) -> Vec<TicketId> {
        let count = usize::from(dice.between(1, most)).min(of);
        let first = dice.below(of);
        let step = if dice.chance(50) || of < 2 { 1 } else { of - 1 };
        (0..count).map(|n| self.tickets[(first + n * step) % of].clone()).collect()
    }

    fn buyer(&self, dice: &mut Dice, number: usize, tickets: usize, most: u8) -> Buyer {
        // Some are the same person, and some bring the same hold: who was declined tries again.
        let same = number > 0 && dice.chance(30);
        let who = if same { dice.below(number) } else { number };
        let hold = dice.chance(40).then(|| self.holds[who].clone());
        let (wanted, card) = (self.some_tickets(dice, tickets, most), self.card(dice));
        let order = Order::new(wanted, self.users[who].clone(), card, hold).expect("a few different tickets");
        Buyer { checkout: self.checkouts[number].clone(), order }
    }

    /// What a buyer or an operator may say to a map beside that.
    fn line(&self, dice: &mut Dice, terms: &Terms, tickets: usize, buyers: usize) -> Line {
        let (user, hold) = (self.users[dice.below(buyers + 1)].clone(), self.holds[dice.below(buyers + 1)].clone());
        let wanted = self.some_tickets(dice, tickets, 2);
        let at = wanted[0].map_key();
        let of_the_map = |id: &&TicketId| id.map_str() == at.as_str();
        let seats =
            Seats::new(wanted.iter().filter(of_the_map).cloned().collect()).expect("at least the first, each once");
        let price = Money::new(1 + dice.below(3) as u64, Money::DEFAULT_PRICE.currency()).expect("little money");
        let nth = dice.chance(40).then(|| dice.between(1, 3).into());
        let (ttl, version) = (terms.hold_ttl.length(), dice.below(8) as u64);
        let (away, far) = (Timestamp::from_millis(ttl.0), Timestamp::from_millis(2 * ttl.0));
        let offer = Offer::default();
        let command = match dice.below(20) {
            0..=8 => TicketCommand::Reserve(Reserve { user, hold, nth, until: away, latest: far, offer }),
            9..=11 => TicketCommand::Release { hold, nth, until: far },
            12 => TicketCommand::Block { reason: "drawn".into() },
            13 => TicketCommand::Unblock,
            14 => TicketCommand::Sell { user, hold, offer },
            15 => TicketCommand::Recall { up_to: version },
            16 => TicketCommand::Reset { up_to: version, ended: Vec::new() },
            17 => return Line { at, command: SeatMapCommand::List { seats, price } },
            18 => {
                let all: Vec<TicketId> = self.tickets[..tickets].iter().filter(of_the_map).cloned().collect();
                let fewer = dice.below(all.len() + 2);
                let kept = all.into_iter().enumerate().filter(|(i, _)| *i != fewer).map(|(_, id)| id);
                return Line { at, command: SeatMapCommand::Publish { layout: layout(kept, price) } };
            }
            _ => return Line { at, command: SeatMapCommand::ResetAll },
        };
        Line { at, command: SeatMapCommand::Seats { seats, command } }
    }

    fn small(&self, dice: &mut Dice) -> Scenario {
        let (tickets, buyers) = (usize::from(dice.between(1, 3)), usize::from(dice.between(1, 3)));
        let terms = Self::terms(dice);
        let lines = usize::from(dice.between(0, 3));
        let mut scene = Scenario {
            tickets: self.tickets[..tickets].to_vec(),
            buyers: (0..buyers).map(|number| self.buyer(dice, number, tickets, 3)).collect(),
            lines: (0..lines).map(|_| self.line(dice, &terms, tickets, buyers)).collect(),
            terms,
            forgets: false,
            checkouts_tell_time: false,
            faults: Self::faults(dice, 3),
        };
        if dice.chance(20) {
            self.forget(dice, &mut scene);
        }
        scene
    }

    /// A map that forgets is worth nothing without copies of what it has forgotten, so these come along; best of a
    /// checkout that got far before it failed.
    fn forget(&self, dice: &mut Dice, scene: &mut Scenario) {
        scene.forgets = true;
        scene.faults = Faults { copies: 3, ..if dice.chance(50) { Faults::NONE } else { scene.faults } };
        let first = &scene.buyers[0].order;
        let method = if dice.chance(50) { &self.cards[4] } else { first.method() };
        let (tickets, user, hold) = (first.tickets().to_vec(), first.user().clone(), first.hold().cloned());
        scene.buyers[0].order = Order::new(tickets, user, method.clone(), hold).expect("what it was, paid otherwise");
    }

    fn house(&self, dice: &mut Dice) -> Scenario {
        let terms = Self::terms(dice);
        Scenario {
            tickets: self.tickets.clone(),
            buyers: (0..24).map(|number| self.buyer(dice, number, 8, 3)).collect(),
            lines: (0..4).map(|_| self.line(dice, &terms, 8, 23)).collect(),
            terms,
            forgets: false,
            checkouts_tell_time: false,
            faults: Self::faults(dice, 12),
        }
    }
}

/// A layout of one row with these seats, each at this price.
pub(super) fn layout(seats: impl IntoIterator<Item = TicketId>, price: Money) -> Arc<Layout> {
    let place = |(x, ticket): (u32, TicketId)| Place { label: None, price, x, y: 0, ticket };
    let seats = (0..).zip(seats).map(place).collect();
    Arc::new(Layout::new(vec![Row { name: "A".into(), seats }]).expect("different seats"))
}
