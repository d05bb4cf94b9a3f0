//! Crashes a host of yours at every boundary, starts it again over what it has stored, and looks at what must hold.
//!
//! A host shows itself as a [`Host`]. The kit is the rest of the world: the clock, the gateway, the buyers and their mail
//! ([`Outside`]). It first runs each [`Scenario`] without a crash and counts the *boundaries*: before and after each payment and each
//! message, and wherever the host says that it is about to store something or has stored it ([`Outside::boundary`]). Then it runs the
//! scenario again for each boundary, crashes there, lets nothing run for a while, and starts the host anew.
//!
//! After each step it looks at the properties of [`invariants`](crate::invariants), and at the end at those of a system at rest. The
//! [`Report`] says what was seen, and which properties could not be looked at.
//!
//! `examples/sqlite-host` of this project is a host under this test.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::checkout::{Checkout, Ending, Failure, Order};
use crate::effect::Notification;
use crate::ids::{CheckoutId, MapKey, PaymentKey, PaymentMethodId, TicketId, UserId};
use crate::invariants::{Check, PROPERTIES, Snapshot, System, Violation, check};
use crate::machine::turn;
use crate::map::SeatMap;
use crate::map::ticket::TicketStatus;
use crate::payment::{Ledger, Payment, PaymentAnswer};
use crate::testing::crash::Cut;
use crate::time::{Millis, Timestamp};

/// A host under test: one process of it. Its state in memory goes with each crash. What its `Drop` does is done all the same: a host that
/// stores anything there is to be killed as a process, too. A checkout that has ended stays stored: switch off that the host forgets it.
pub trait Host: Sized {
    /// What outlives a crash: a directory, a database.
    type Disk;
    /// Why something could not be done.
    type Error: From<Crash> + fmt::Display;

    /// Starts over what hosts before this one have stored.
    ///
    /// # Errors
    /// The host's.
    fn start(disk: &Self::Disk, outside: Outside) -> Result<Self, Self::Error>;

    /// A buyer's order arrives. When this returns the host has stored it. It comes again after a crash, under the same id, and is the same
    /// checkout then.
    ///
    /// # Errors
    /// The host's.
    fn process(&mut self, id: CheckoutId, order: Order) -> Result<(), Self::Error>;

    /// Does what is due at the time that [`Outside::now`] tells, or some of it. When it wants to be called again; `None` where nothing is
    /// left to do, ever.
    ///
    /// # Errors
    /// The host's.
    fn run_due(&mut self) -> Result<Option<Timestamp>, Self::Error>;

    /// What is stored, read anew.
    ///
    /// # Errors
    /// The host's.
    fn stored(&self) -> Result<Stored, Self::Error>;
}

/// What a host has stored.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// Every map that has heard of anything.
    pub maps: BTreeMap<MapKey, SeatMap>,
    /// Every checkout that was ever started.
    pub checkouts: BTreeMap<CheckoutId, Checkout>,
}

/// The process has died. A host returns at once with it, and does nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the process has died")]
pub struct Crash;

/// The world around one process of a host. When the process has died, each call is a [`Crash`].
#[derive(Clone, Debug)]
pub struct Outside {
    world: Rc<RefCell<World>>,
    process: u32,
}

#[derive(Debug, Default)]
struct World {
    now: Timestamp,
    process: u32,
    /// How many boundaries are left until the crash.
    left: Option<u32>,
    passed: u32,
    ledger: Ledger,
    told: BTreeSet<CheckoutId>,
    /// How many deliveries of each message are not taken.
    refuses: u32,
    tries: BTreeMap<PaymentKey, u32>,
    /// How many answers to each question are lost.
    loses: u32,
    asked: BTreeMap<(&'static str, PaymentKey), u32>,
}

impl Outside {
    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.world.borrow().now
    }

    /// A boundary: the process may die here. A host calls this before and after everything that it stores.
    ///
    /// # Errors
    /// [`Crash`], if it does.
    pub fn boundary(&self) -> Result<(), Crash> {
        let mut world = self.world.borrow_mut();
        if world.process != self.process {
            return Err(Crash);
        }
        match &mut world.left {
            Some(0) => {
                world.left = None;
                world.process += 1;
                return Err(Crash);
            }
            Some(left) => *left -= 1,
            None => {}
        }
        world.passed += 1;
        Ok(())
    }

    /// Asks the gateway, which is the mock: its cards are those of [`Card`](crate::payment::Card).
    ///
    /// # Errors
    /// [`Crash`], before or after the gateway has heard of it.
    pub fn pay(&self, payment: &Payment) -> Result<PaymentAnswer, Crash> {
        self.boundary()?;
        let answer = {
            let mut world = self.world.borrow_mut();
            let now = world.now;
            let Ok(answer) = turn(&mut world.ledger, payment, now).stored();
            let loses = world.loses;
            let asked = world.asked.entry((payment.name(), payment.key().clone())).or_default();
            *asked = asked.saturating_add(1);
            if *asked > loses { answer } else { payment.unanswered() }
        };
        self.boundary().map(|()| answer)
    }

    /// Delivers a message to a buyer. Whether it was taken; if not, it is to be tried again.
    ///
    /// # Errors
    /// [`Crash`], before or after the buyer has it.
    pub fn notify(&self, message: &Notification) -> Result<bool, Crash> {
        self.boundary()?;
        let taken = {
            let mut world = self.world.borrow_mut();
            let refuses = world.refuses;
            let tries = world.tries.entry(message.key.clone()).or_default();
            *tries = tries.saturating_add(1);
            let taken = *tries > refuses;
            if taken {
                world.told.insert(message.checkout.clone());
            }
            taken
        };
        self.boundary().map(|()| taken)
    }
}

/// Who wants what, and when.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What it is called.
    pub name: String,
    /// Orders, with how long after the start they arrive.
    pub arrivals: Vec<(Millis, CheckoutId, Order)>,
    /// How many deliveries of each message fail before one is taken.
    pub refused_messages: u32,
    /// How many answers of the gateway to each question are lost, though it has done what it was asked.
    pub lost_answers: u32,
}

impl Scenario {
    /// The scenarios that any host should stand: a booking of one seat and of three on two maps, two buyers who want the same seat, every
    /// card of the mock gateway, answers of the gateway that are lost, and a notifier that does not take a message at first.
    ///
    /// # Panics
    /// Never: its names are in order.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let order = |seats: &[&str], user: &str, card: &str| {
            let seats = seats.iter().map(|seat| TicketId::parse(seat).expect("a ticket's name")).collect();
            let user = UserId::parse(user).expect("a buyer's name");
            let card = PaymentMethodId::parse(card).expect("a card's name");
            Order::new(seats, user, card, None).expect("each seat once")
        };
        let scenario = |name: &str, orders: Vec<Order>| {
            let arrivals = (1..).zip(orders).map(|(n, order)| {
                let id = CheckoutId::parse(&format!("c-{n}")).expect("a checkout's name");
                (Millis(0), id, order)
            });
            Self { name: name.to_owned(), arrivals: arrivals.collect(), refused_messages: 0, lost_answers: 0 }
        };
        let mut all = vec![
            scenario("one seat", vec![order(&["hall:1"], "ann", "card_success")]),
            scenario("three seats on two maps", vec![order(&["hall:1", "hall:2", "club:1"], "ann", "card_success")]),
            scenario(
                "two want one seat",
                vec![
                    order(&["hall:1", "club:1"], "ann", "card_success"),
                    order(&["club:1", "hall:1"], "bob", "card_success"),
                ],
            ),
            scenario(
                "one is declined, the other buys",
                vec![order(&["hall:1", "club:1"], "ann", "card_decline"), order(&["hall:1"], "bob", "card_success")],
            ),
        ];
        for card in ["card_lost", "card_flaky", "card_error", "card_capture_decline"] {
            all.push(scenario(card, vec![order(&["hall:1", "hall:2"], "ann", card)]));
        }
        let late = |mut scenario: Self| {
            scenario.arrivals[1].0 = Millis::from_mins(30);
            scenario
        };
        let orders = vec![order(&["hall:1"], "ann", "card_error"), order(&["hall:1"], "bob", "card_success")];
        all.push(late(scenario("a seat comes back and is sold", orders)));
        let message = scenario("a message is not taken at first", vec![order(&["hall:1"], "ann", "card_success")]);
        all.push(Self { refused_messages: 2, ..message });
        let silent = scenario("answers of the gateway are lost", vec![order(&["hall:1"], "ann", "card_success")]);
        all.push(Self { lost_answers: 2, ..silent });
        let silent = vec![order(&["hall:1"], "ann", "card_capture_decline")];
        all.push(Self { lost_answers: 1, ..scenario("answers about a refused capture are lost", silent) });
        all
    }
}

/// How hard a host is tried.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Who wants what.
    pub scenarios: Vec<Scenario>,
    /// For how long nothing runs after a crash. Each is tried.
    pub downtimes: Vec<Millis>,
    /// Whether there is a second crash after the first, at each of these numbers of boundaries from there.
    pub second: Vec<u32>,
}

/// [`Scenario::all`]; up again at once, before holds end, and after they have; and a second crash while the host recovers.
impl Default for Trial {
    fn default() -> Self {
        Self {
            scenarios: Scenario::all(),
            downtimes: vec![Millis(0), Millis::from_mins(1), Millis::from_mins(20)],
            second: vec![0, 1, 2, 3, 5],
        }
    }
}

/// One run: its crashes are data, to be run again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Which scenario, by name.
    pub scenario: String,
    /// The crashes, in order.
    pub cuts: Vec<Cut>,
}

/// What a trial has seen, if everything held.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many runs there were.
    pub runs: u64,
    /// How many crashes.
    pub crashes: u64,
    /// What was seen, and in how many of the runs.
    pub coverage: Coverage,
    /// The properties that were looked at.
    pub looked_at: Vec<&'static str>,
    /// Those that were not: what a judgement of a map must be, which a host shows to
    /// [`check_turn`](crate::invariants::check_turn) itself.
    pub not_looked_at: Vec<&'static str>,
}

/// What may be seen in a system, and how often it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage(BTreeMap<&'static str, u64>);

impl Coverage {
    /// Everything that can be seen, by name.
    pub const ALL: &[&'static str] = &[
        "a booking",
        "a hold refused",
        "a card declined",
        "a capture refused",
        "no answer of the gateway",
        "a confirm refused",
        "a seat claimed",
        "a seat sold",
        "money set aside",
        "money taken",
        "money let go",
    ];

    /// Takes note of what can be seen in a system now.
    pub fn look(&mut self, system: &dyn System) {
        let mut seen = BTreeSet::new();
        for checkout in system.checkouts() {
            seen.extend(match checkout.ending() {
                Some(Ending::Completed { .. }) => Some("a booking"),
                Some(Ending::Failed { failure, .. }) => match failure {
                    Failure::HoldRefused(_) => Some("a hold refused"),
                    Failure::PaymentDeclined(_) => Some("a card declined"),
                    Failure::CaptureRefused(_) => Some("a capture refused"),
                    Failure::PaymentUnavailable => Some("no answer of the gateway"),
                    Failure::ConfirmRefused(_) => Some("a confirm refused"),
                    Failure::NoAmount(_) | Failure::Cancelled => None,
                },
                None => None,
            });
        }
        for (_, seat) in system.tickets() {
            seen.extend(seat.claimed_by.map(|_| "a seat claimed"));
            seen.extend((seat.status == TicketStatus::Sold).then_some("a seat sold"));
        }
        for (_, account) in system.accounts() {
            seen.extend(
                (account.authorized && account.captured.is_none() && !account.voided).then_some("money set aside"),
            );
            seen.extend(account.captured.is_some().then_some("money taken"));
            seen.extend((account.authorized && account.voided).then_some("money let go"));
        }
        for what in seen {
            *self.0.entry(what).or_default() += 1;
        }
    }

    /// Each thing with how often it was seen.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Self::ALL.iter().map(|what| (*what, self.0.get(what).copied().unwrap_or_default()))
    }

    /// What was never seen: of that, a trial has proved nothing.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        self.iter().filter(|(_, count)| *count == 0).map(|(what, _)| what).collect()
    }
}

/// A run in which something did not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}, in {run:?}: give that run to `Trial::replay` to see it again")]
pub struct Failed {
    /// The run. Keep it beside your tests, as JSON.
    pub run: Run,
    /// What did not hold.
    pub why: Why,
}

/// What did not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// A property.
    #[error(transparent)]
    Broken(#[from] Violation),
    /// The host took this order, and has no such checkout.
    #[error("the host has taken the order {0}, but has no checkout of it")]
    Lost(CheckoutId),
    /// The host has this checkout, and there is no such order.
    #[error("the host has a checkout {0}, which no buyer has asked for")]
    Stray(CheckoutId),
    /// The host could not do something, and no crash was the cause.
    #[error("the host could not go on: {0}")]
    Host(String),
    /// The host has always something to do, and comes to no end.
    #[error("the host did not come to rest within {MOST_CALLS} calls")]
    NeverAtRest,
    /// The run was over before its last crash: the host has fewer boundaries than when the run was kept.
    #[error("the run was over before its last crash, so it shows nothing: find it anew")]
    NotReached,
    /// There is no scenario of this name.
    #[error("there is no such scenario")]
    Unknown,
}

/// How often a host is called at most in a run.
pub const MOST_CALLS: u32 = 10_000;

/// When each run begins.
const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

impl Trial {
    /// Runs everything. `disk` makes an empty one.
    ///
    /// # Errors
    /// The first run in which something did not hold.
    pub fn run<H: Host>(&self, mut disk: impl FnMut() -> H::Disk) -> Result<Report, Failed> {
        let per_turn = |check| matches!(check, Check::PerTurn(_));
        let names = |of_turns: bool| {
            let wanted = PROPERTIES.iter().filter(|property| per_turn(property.check) == of_turns);
            wanted.map(|property| property.name).collect()
        };
        let mut report = Report { looked_at: names(false), not_looked_at: names(true), ..Report::default() };
        for scenario in &self.scenarios {
            let boundaries = once::<H>(scenario, vec![], disk(), &mut report)?;
            for after in 0..boundaries {
                for downtime in &self.downtimes {
                    let cut = Cut { after, downtime: *downtime };
                    once::<H>(scenario, vec![cut], disk(), &mut report)?;
                }
                for second in &self.second {
                    let cuts = [after, *second].map(|after| Cut { after, downtime: Millis(0) });
                    once::<H>(scenario, cuts.into(), disk(), &mut report)?;
                }
            }
        }
        Ok(report)
    }

    /// Runs one run again.
    ///
    /// # Errors
    /// What did not hold in it.
    pub fn replay<H: Host>(&self, run: &Run, disk: H::Disk) -> Result<(), Failed> {
        match self.scenarios.iter().find(|scenario| scenario.name == run.scenario) {
            Some(scenario) => {
                let mut report = Report::default();
                once::<H>(scenario, run.cuts.clone(), disk, &mut report)?;
                let is_whole = report.crashes == run.cuts.len() as u64;
                if is_whole { Ok(()) } else { Err(Failed { run: run.clone(), why: Why::NotReached }) }
            }
            None => Err(Failed { run: run.clone(), why: Why::Unknown }),
        }
    }
}

/// One run. How many boundaries it has passed.
fn once<H: Host>(scenario: &Scenario, cuts: Vec<Cut>, disk: H::Disk, report: &mut Report) -> Result<u32, Failed> {
    let world =
        World { now: START, refuses: scenario.refused_messages, loses: scenario.lost_answers, ..World::default() };
    let world = Rc::new(RefCell::new(world));
    let (mut seen, mut crashes) = (Coverage::default(), 0);
    let ended = to_rest::<H>(scenario, &cuts, &disk, &world, &mut seen, &mut crashes);
    report.runs += 1;
    report.crashes += crashes;
    for (what, _) in seen.iter().filter(|(_, count)| *count > 0) {
        *report.coverage.0.entry(what).or_default() += 1;
    }
    let passed = world.borrow().passed;
    ended.map(|()| passed).map_err(|why| Failed { run: Run { scenario: scenario.name.clone(), cuts }, why })
}

fn to_rest<H: Host>(
    scenario: &Scenario,
    cuts: &[Cut],
    disk: &H::Disk,
    world: &Rc<RefCell<World>>,
    seen: &mut Coverage,
    crashes: &mut u64,
) -> Result<(), Why> {
    let mut arrivals: Vec<_> =
        scenario.arrivals.iter().map(|(after, id, order)| (START.plus(*after), id, order)).collect();
    arrivals.sort_by_key(|(at, ..)| *at);
    let mut arrivals = arrivals.into_iter().peekable();
    let mut cuts = cuts.iter();
    let mut cut = cuts.next();
    world.borrow_mut().left = cut.map(|cut| cut.after);
    let mut running: Option<H> = None;
    for _ in 0..MOST_CALLS {
        let (now, process) = (world.borrow().now, world.borrow().process);
        let arrival = arrivals.peek().copied();
        let mut has_come = false;
        let done = match &mut running {
            None => H::start(disk, Outside { world: Rc::clone(world), process }).map(|host| {
                running = Some(host);
                Some(now)
            }),
            Some(host) => match arrival.filter(|(at, ..)| *at <= now) {
                Some((_, id, order)) => host.process(id.clone(), order.clone()).map(|()| {
                    has_come = true;
                    Some(now)
                }),
                None => host.run_due(),
            },
        };
        if world.borrow().process != process {
            // The process has died and does nothing more. What it answered does not count.
            running = None;
            *crashes += 1;
            let downtime = cut.map_or(Millis(0), |cut| cut.downtime);
            cut = cuts.next();
            let mut world = world.borrow_mut();
            (world.left, world.now) = (cut.map(|cut| cut.after), now.plus(downtime));
            continue;
        }
        if has_come {
            arrivals.next();
        }
        let arrival = arrivals.peek().copied();
        let host_error = |error: H::Error| Why::Host(error.to_string());
        let next = done.map_err(host_error)?;
        let next = [next, arrival.map(|(at, ..)| at)].into_iter().flatten().min();
        let Some(host) = &running else { continue };
        let Stored { maps, checkouts } = host.stored().map_err(host_error)?;
        {
            let World { ledger, told, .. } = &*world.borrow();
            let at_rest = next.is_none();
            let system = Snapshot {
                maps: &maps,
                checkouts: &checkouts,
                ledger,
                told: Some(told),
                reset: &BTreeSet::new(),
                at_rest,
            };
            seen.look(&system);
            check(&system)?;
        }
        let left: BTreeSet<&CheckoutId> = arrivals.clone().map(|(_, id, _)| id).collect();
        if let Some((_, lost, _)) =
            scenario.arrivals.iter().find(|(_, id, _)| !left.contains(id) && !checkouts.contains_key(id))
        {
            return Err(Why::Lost(lost.clone()));
        }
        let is_ordered = |checkout: &&Checkout| {
            scenario.arrivals.iter().any(|(_, id, order)| (id, order) == (checkout.id(), checkout.order()))
        };
        if let Some(stray) = checkouts.values().find(|checkout| !is_ordered(checkout)) {
            return Err(Why::Stray(stray.id().clone()));
        }
        match next {
            Some(next) => world.borrow_mut().now = next.max(now),
            None => return Ok(()),
        }
    }
    Err(Why::NeverAtRest)
}
