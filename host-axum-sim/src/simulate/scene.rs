//! What a run begins with: who asks for what, on which terms, and what may go wrong.

use booking_core::checkout::Order;
use booking_core::dice::Dice;
use booking_core::ids::{HoldId, MapKey, PaymentMethodId, TicketId, UserId};
use booking_core::terms::{Backoff, Retry, Terms};
use booking_core::time::{HoldTtl, Millis};
use serde::{Deserialize, Serialize};

/// What a run begins with. All that can happen follows from this and from the actions that are chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scenario {
    /// The tickets, all of one map.
    pub tickets: Vec<TicketId>,
    /// What people ask for.
    pub asks: Vec<Ask>,
    /// What the engine is set to.
    pub terms: Terms,
    /// Which gateway is asked for money: with `None` one outside, else the mock inside the engine, which answers after this time.
    pub mock_delay: Option<Millis>,
    /// How often a message to a buyer is tried before it is given up; `None` where nobody is to be told.
    pub letter_attempts: Option<u32>,
    /// How long `process` makes its caller wait.
    pub answer_within: Millis,
    /// How long finished checkouts and keys are kept.
    pub keep_for: Millis,
    /// What may go wrong, and how often.
    pub faults: Faults,
}

/// What a client asks for, once, or again under the same key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ask {
    /// What.
    pub what: What,
    /// Whether it comes under an idempotency key. Only then it may come again.
    pub keyed: bool,
}

/// What can be asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum What {
    /// A hold.
    Reserve {
        /// Of what.
        ticket: TicketId,
        /// For whom.
        user: UserId,
        /// Under which name, if the buyer brings one.
        hold: Option<HoldId>,
        /// For how long, if the buyer says.
        ttl: Option<HoldTtl>,
    },
    /// To let a hold go.
    Release {
        /// Of what.
        ticket: TicketId,
        /// Which.
        hold: HoldId,
    },
    /// A checkout, waited for.
    Process(Order),
    /// A checkout, not waited for.
    Send(Order),
    /// That the checkout of an earlier ask turns back.
    Cancel(u8),
    /// What a ticket is.
    Get(TicketId),
    /// Every change of the map, from now on.
    Watch,
    /// That a ticket is taken off sale.
    Block(TicketId),
    /// That it is put on sale again.
    Unblock(TicketId),
    /// A sale at the box office.
    Sell {
        /// Of what.
        ticket: TicketId,
        /// To whom.
        user: UserId,
    },
    /// That a ticket is put back on sale.
    Cleanup(TicketId),
    /// That all of the map are.
    ResetAll,
    /// A layout of the map, of this number of seats.
    Publish(u16),
}

/// What may go wrong, and how often in one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Faults {
    /// The machine loses its power: what is not synced is lost, or some of it is not, or the last of it is torn.
    pub crashes: u8,
    /// A request comes twice.
    pub twice: u8,
    /// The gateway does what it is asked, and its answer is lost.
    pub lost: u8,
    /// The gateway gives no answer, and hears of it later or never.
    pub silent: u8,
    /// A message to a buyer does not arrive.
    pub undelivered: u8,
    /// The disk is full for a while.
    pub full: u8,
    /// The calendar clock jumps, by an hour or a day, ahead or back.
    pub clock: u8,
}

/// How large scenes are, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Tickets.
    pub tickets: u8,
    /// People who ask.
    pub buyers: u8,
    /// What may go wrong.
    pub faults: Faults,
}

impl Size {
    /// One ticket or two, up to five who ask, a few faults: rare interleavings, fast.
    pub const SMALL: Self = Self {
        tickets: 2,
        buyers: 5,
        faults: Faults { crashes: 2, twice: 2, lost: 2, silent: 2, undelivered: 2, full: 1, clock: 2 },
    };

    /// The most that there may be of anything.
    pub const MOST: u8 = 64;
}

/// Who plays: names that are made once and handed out.
#[derive(Debug)]
pub(super) struct Workload {
    tickets: Vec<TicketId>,
    users: Vec<UserId>,
    holds: Vec<HoldId>,
    cards: Vec<PaymentMethodId>,
}

/// The map of all tickets.
pub(super) fn map() -> MapKey {
    MapKey::parse("hall").expect("a good id")
}

impl Workload {
    pub(super) fn new(size: &Size) -> Self {
        let good = "a good id";
        let cards = ["card_success", "card_decline", "card_flaky", "card_lost", "card_capture_decline", "card_error"];
        Self {
            tickets: (0..size.tickets).map(|n| TicketId::parse(&format!("hall:{n}")).expect(good)).collect(),
            users: (0..size.buyers).map(|n| UserId::parse(&format!("buyer-{n}")).expect(good)).collect(),
            holds: (0..size.buyers).map(|n| HoldId::parse(&format!("hold-{n}")).expect(good)).collect(),
            cards: cards.iter().map(|card| PaymentMethodId::parse(card).expect(good)).collect(),
        }
    }

    /// A scene as these dice fall.
    pub(super) fn scene(&self, size: &Size, dice: &mut Dice) -> Scenario {
        let tickets = usize::from(dice.between(1, size.tickets.max(1)));
        let buyers = usize::from(dice.between(1, size.buyers.max(1)));
        let one_card = dice.chance(40);
        Scenario {
            tickets: self.tickets[..tickets].to_vec(),
            asks: (0..buyers).map(|n| self.ask(dice, n, tickets, one_card)).collect(),
            terms: Self::terms(dice),
            mock_delay: dice.chance(25).then(|| Millis(*dice.one_of(&[0, 50, 900]))),
            letter_attempts: dice.chance(40).then(|| dice.between(1, 3).into()),
            answer_within: Millis(*dice.one_of(&[0, 400, 30_000, 30_000])),
            keep_for: Millis(*dice.one_of(&[2_000, 86_400_000, 86_400_000, 86_400_000])),
            faults: Self::faults(size.faults, dice),
        }
    }

    /// Which faults there are, each with even chances, and how many: a run with all of them at once hides what needs one
    /// of them many times.
    fn faults(most: Faults, dice: &mut Dice) -> Faults {
        let mut drawn = |percent, most: u8| if most > 0 && dice.chance(percent) { dice.between(1, most) } else { 0 };
        Faults {
            crashes: drawn(65, most.crashes),
            twice: drawn(45, most.twice),
            lost: drawn(30, most.lost),
            silent: drawn(30, most.silent),
            undelivered: drawn(30, most.undelivered),
            full: drawn(15, most.full),
            clock: drawn(20, most.clock),
        }
    }

    fn terms(dice: &mut Dice) -> Terms {
        let wait = |cap| Backoff { first: Millis(200), cap: Millis(cap) };
        Terms {
            hold_ttl: HoldTtl::new(Millis::from_secs(dice.between(1, 20).into())).expect("within its bounds"),
            checkout_time: Millis::from_secs(dice.between(1, 20).into()),
            authorize_retry: Retry { attempts: dice.between(1, 3).into(), wait: wait(1_000) },
            settle_retry: wait(2_000),
            ..Terms::default()
        }
    }

    fn ask(&self, dice: &mut Dice, n: usize, tickets: usize, good_cards: bool) -> Ask {
        let ticket = self.tickets[dice.below(tickets)].clone();
        // Some are the same person: who was declined tries again, under the same hold.
        let who = if n > 0 && dice.chance(35) { dice.below(n) } else { n };
        let (user, hold) = (self.users[who].clone(), self.holds[who].clone());
        let what = match dice.below(40) {
            0..=6 => {
                let ttl = dice.chance(30).then(|| HoldTtl::new(Millis(1_000 + 500 * dice.below(8) as u64)));
                let ttl = ttl.and_then(Result::ok);
                What::Reserve { ticket, user, hold: dice.chance(80).then_some(hold), ttl }
            }
            7 | 8 => What::Release { ticket, hold },
            9..=23 => What::Process(self.order(dice, tickets, ticket, user, hold, good_cards)),
            24..=27 => What::Send(self.order(dice, tickets, ticket, user, hold, good_cards)),
            28 if n > 0 => What::Cancel(u8::try_from(dice.below(n)).expect("there are at most 64")),
            28..=31 => What::Get(ticket),
            32 | 33 => What::Watch,
            34 => What::Block(ticket),
            35 => What::Unblock(ticket),
            36 => What::Sell { ticket, user },
            37 => What::Cleanup(ticket),
            38 => What::ResetAll,
            // Only a map with more seats than fit into one batch is sent in several.
            _ => What::Publish(if dice.below(60) == 0 { 300 } else { u16::try_from(tickets).unwrap_or(u16::MAX) }),
        };
        Ask { what, keyed: dice.chance(60) }
    }

    fn order(
        &self,
        dice: &mut Dice,
        tickets: usize,
        ticket: TicketId,
        user: UserId,
        hold: HoldId,
        good_cards: bool,
    ) -> Order {
        let other = &self.tickets[dice.below(tickets)];
        let two = *other != ticket && dice.chance(40);
        let wanted = if two { vec![ticket, other.clone()] } else { vec![ticket] };
        let card = if good_cards || dice.chance(50) { &self.cards[0] } else { dice.one_of(&self.cards[1..]) };
        Order::new(wanted, user, card.clone(), dice.chance(40).then_some(hold)).expect("one ticket, or two that differ")
    }
}

impl Scenario {
    /// Whether a run can begin with it: for scenes that come from a file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn validate(&self) -> Result<(), String> {
        let most = usize::from(Size::MOST);
        if self.tickets.is_empty() || self.tickets.len() > most || self.asks.len() > most {
            return Err(format!("a scene has 1 to {most} tickets, and at most {most} who ask"));
        }
        let map = map();
        let stray = self.tickets.iter().find(|ticket| ticket.map_str() != map.as_str());
        stray.map_or(Ok(()), |ticket| Err(format!("{ticket} is not of the map {map}")))
    }
}
