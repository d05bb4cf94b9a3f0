//! The kits for a host and a gateway of others: what is right passes, and each planted bug is found.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use booking_core::checkout::{Checkout, Order};
use booking_core::effect::{Effect, Outcome};
use booking_core::format;
use booking_core::ids::{CheckoutId, MapKey};
use booking_core::inventory::of_map;
use booking_core::life::CheckoutRecord;
use booking_core::machine::turn;
use booking_core::map::{SeatMap, SeatMapCommand};
use booking_core::payment::{
    AuthorizeAnswer, CaptureAnswer, DeclineReason, Ledger, Payment, PaymentAnswer, VoidAnswer,
};
use booking_core::terms::Terms;
use booking_core::testing::gateway::{Breach, Cards, Contract, TRIES};
use booking_core::testing::host::{Coverage, Crash, Failed, Host, Outside, Run, Stored, Trial, Why};
use booking_core::time::Timestamp;

use crate::support::*;

/// What is wrong with a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Bug {
    #[default]
    None,
    /// It says that it has an order, and stores it later.
    AnswersFirst,
    /// What a map has changed is stored when there is time.
    KeepsMapsInMemory,
    /// After a crash it continues with new orders alone.
    ResumesNothing,
    /// It takes no answer of the gateway for a refusal.
    TakesSilenceForNo,
    /// It takes no answer of the gateway for a yes to letting go.
    NeverVoids,
    /// It delivers no message.
    TellsNobody,
    /// It gives a message up that was not taken at once.
    TellsOnce,
    /// An order that comes again is begun again, under another name.
    StartsTwice,
    /// It polls for ever.
    NeverRests,
}

/// The smallest host that stores anything: a table of bytes.
struct Tiny {
    disk: Disk,
    outside: Outside,
    terms: Terms,
    maps: BTreeMap<MapKey, SeatMap>,
    started: BTreeSet<CheckoutId>,
}

type Rows = BTreeMap<String, Vec<u8>>;

#[derive(Clone, Default)]
struct Disk {
    rows: Rc<RefCell<Rows>>,
    bug: Bug,
}

#[derive(Debug, thiserror::Error)]
enum TinyError {
    #[error(transparent)]
    Crash(#[from] Crash),
    #[error(transparent)]
    Impossible(#[from] booking_core::checkout::Impossible),
}

impl Tiny {
    fn write(&self, rows: Vec<(String, Vec<u8>)>) -> Result<(), Crash> {
        self.outside.boundary()?;
        self.disk.rows.borrow_mut().extend(rows);
        self.outside.boundary()
    }

    fn record(&self, id: &CheckoutId) -> Option<CheckoutRecord> {
        self.disk.rows.borrow().get(&format!("checkout {id}")).map(|row| format::read(row).unwrap())
    }

    fn row(record: &CheckoutRecord) -> (String, Vec<u8>) {
        (format!("checkout {}", record.checkout().id()), format::write(record))
    }

    fn checkouts(&self) -> Vec<CheckoutId> {
        let rows = self.disk.rows.borrow();
        rows.keys().filter_map(|key| key.strip_prefix("checkout ")).map(checkout_id).collect()
    }

    fn map(&self, key: &MapKey) -> SeatMap {
        if let Some(map) = self.maps.get(key) {
            return map.clone();
        }
        self.disk.rows.borrow().get(&format!("map {key}")).map(|row| format::read(row).unwrap()).unwrap_or_default()
    }

    fn ask(&mut self, key: &MapKey, command: &SeatMapCommand) -> Result<Outcome, Crash> {
        let mut map = self.map(key);
        let turn = turn(&mut map, command, self.outside.now());
        if turn.changed() {
            match self.disk.bug {
                Bug::KeepsMapsInMemory => drop(self.maps.insert(key.clone(), map)),
                _ => self.write(vec![(format!("map {key}"), format::write(&map))])?,
            }
        }
        Ok(Outcome::Line(of_map(turn.stored())))
    }

    fn perform(&mut self, effect: Effect) -> Result<Outcome, Crash> {
        Ok(match effect {
            Effect::Line(line, command) => {
                let map = self.map(&line.at);
                let command = line.ask(&command, |seats| map.offer(seats, self.terms.default_price(), Terms::ROOM));
                self.ask(&line.at, &command)?
            }
            Effect::Pay(payment) => {
                let bug = self.disk.bug;
                let no = || DeclineReason::new("no answer");
                Outcome::Paid(match (payment, bug) {
                    (Payment::Void(_), Bug::NeverVoids) => PaymentAnswer::Void(VoidAnswer::Voided),
                    (payment, bug) => match (self.outside.pay(&payment)?, bug) {
                        (PaymentAnswer::Authorize(AuthorizeAnswer::Unavailable), Bug::TakesSilenceForNo) => {
                            PaymentAnswer::Authorize(AuthorizeAnswer::Declined(no()))
                        }
                        (PaymentAnswer::Capture(CaptureAnswer::Unavailable), Bug::TakesSilenceForNo) => {
                            PaymentAnswer::Capture(CaptureAnswer::Declined(no()))
                        }
                        (answer, _) => answer,
                    },
                })
            }
            Effect::Sleep(_) | Effect::Notify(_) => unreachable!("the record's own"),
        })
    }

    /// One step of a checkout, or its message.
    fn advance(&mut self, mut record: CheckoutRecord) -> Result<(), TinyError> {
        let (now, retry) = (self.outside.now(), self.terms.notify_retry);
        if let Some(message) = record.notification_due(now) {
            let taken = match self.disk.bug {
                Bug::TellsNobody => true,
                Bug::TellsOnce => self.outside.notify(&message).map(|_| true)?,
                _ => self.outside.notify(&message)?,
            };
            record.notified(taken, now, retry);
            return Ok(self.write(vec![Self::row(&record)])?);
        }
        let _stored_below = record.woken(now, Some(retry))?;
        for (op, effect) in record.effects() {
            let outcome = self.perform(effect)?;
            let _stored_below = record.record(&op, outcome, now, Some(retry))?;
        }
        Ok(self.write(vec![Self::row(&record)])?)
    }
}

impl Host for Tiny {
    type Disk = Disk;
    type Error = TinyError;

    fn start(disk: &Disk, outside: Outside) -> Result<Self, TinyError> {
        let (disk, terms) = (disk.clone(), Terms::default());
        Ok(Self { disk, outside, terms, maps: BTreeMap::new(), started: BTreeSet::new() })
    }

    fn process(&mut self, id: CheckoutId, order: Order) -> Result<(), TinyError> {
        let id = match (self.record(&id), self.disk.bug) {
            (None, _) => id,
            (Some(_), Bug::StartsTwice) => checkout_id(&format!("{id}-again")),
            (Some(_), _) => return Ok(()),
        };
        self.started.insert(id.clone());
        let record = CheckoutRecord::start(
            Checkout::start(id, order, self.outside.now(), &self.terms),
            None,
            self.outside.now(),
        );
        if self.disk.bug == Bug::AnswersFirst {
            return Ok(());
        }
        Ok(self.write(vec![Self::row(&record)])?)
    }

    fn run_due(&mut self) -> Result<Option<Timestamp>, TinyError> {
        let now = self.outside.now();
        let mut next = None;
        for id in self.checkouts() {
            if self.disk.bug == Bug::ResumesNothing && !self.started.contains(&id) {
                continue;
            }
            let record = self.record(&id).unwrap();
            let due = record.due(now);
            if due.is_some_and(|due| due <= now) {
                self.advance(record)?;
                next = Some(now);
            } else {
                next = [next, due].into_iter().flatten().min();
            }
        }
        for key in [MapKey::parse("hall").unwrap(), MapKey::parse("club").unwrap()] {
            let Some(due) = self.map(&key).header().armed else { continue };
            if due <= now {
                self.ask(&key, &SeatMapCommand::Expire { due })?;
            }
            next = [next, Some(due.max(now))].into_iter().flatten().min();
        }
        Ok(if self.disk.bug == Bug::NeverRests { Some(now) } else { next })
    }

    fn stored(&self) -> Result<Stored, TinyError> {
        let keys = ["hall", "club"].map(|key| MapKey::parse(key).unwrap());
        let maps = keys.into_iter().map(|key| (key.clone(), self.map(&key))).collect();
        let record = |id: CheckoutId| (id.clone(), self.record(&id).unwrap().checkout().clone());
        Ok(Stored { maps, checkouts: self.checkouts().into_iter().map(record).collect() })
    }
}

fn tried(bug: Bug) -> Result<booking_core::testing::host::Report, Failed> {
    Trial::default().run::<Tiny>(|| Disk { rows: Rc::default(), bug })
}

#[test]
fn a_host_that_is_right_stands_a_crash_at_every_boundary() {
    let report = tried(Bug::None).unwrap_or_else(|failed| panic!("{failed}"));
    assert_eq!(report.coverage.missing(), Vec::<&str>::new(), "{report:?}");
    assert!(report.runs > 1_000 && report.crashes > report.runs, "{report:?}");
    assert!(report.looked_at.contains(&"the_buyer_is_told") && report.not_looked_at.contains(&"exact_expiry"));
    assert_eq!(report.coverage.iter().count(), Coverage::ALL.len());
}

#[test]
fn each_bug_of_a_host_is_found_and_found_again() {
    use Bug::*;
    let broken = |bug: Bug, failed: &Failed| match &failed.why {
        Why::Broken(violation) => violation.property,
        Why::Lost(_) => "lost",
        Why::Stray(_) => "stray",
        Why::NeverAtRest => "never at rest",
        Why::Host(_) | Why::NotReached | Why::Unknown => panic!("{bug:?}: {failed}"),
    };
    for (bug, why) in [
        (AnswersFirst, "lost"),
        (StartsTwice, "stray"),
        (NeverRests, "never at rest"),
        (KeepsMapsInMemory, "all_or_nothing"),
        (ResumesNothing, "every_checkout_ends"),
        (TakesSilenceForNo, "no_seat_no_money"),
        (NeverVoids, "no_seat_no_money"),
        (TellsNobody, "the_buyer_is_told"),
        (TellsOnce, "the_buyer_is_told"),
    ] {
        let Err(failed) = tried(bug) else { panic!("{bug:?} was not found") };
        assert_eq!(broken(bug, &failed), why, "{bug:?}: {failed}");
        // The run is data, and is the same when it is run again.
        let kept = format::write_json(&failed.run);
        let run: Run = format::read_json(&kept).unwrap();
        let disk = Disk { rows: Rc::default(), bug };
        assert_eq!(Trial::default().replay::<Tiny>(&run, disk), Err(failed.clone()), "{bug:?}");
        assert_eq!(Trial::default().replay::<Tiny>(&run, Disk::default()), Ok(()), "{bug:?}: rightly done it holds");
    }
}

mod gateway {
    use super::*;

    fn cards() -> Cards {
        Cards { good: "card_success".parse().unwrap(), declined: "card_decline".parse().unwrap() }
    }

    fn asked(run: u128, cards: Cards, mut answers: impl FnMut(&Payment) -> PaymentAnswer) -> Result<u32, Breach> {
        let (mut contract, mut questions) = (Contract::new(run, cards), 0);
        while let Some(question) = contract.question() {
            contract.answered(answers(&question))?;
            questions += 1;
        }
        Ok(questions)
    }

    fn mock(ledger: &mut Ledger, payment: &Payment) -> PaymentAnswer {
        turn(ledger, payment, at(NOW)).stored().unwrap()
    }

    #[test]
    fn the_mock_keeps_the_contract_with_every_card_that_pays() {
        for good in ["card_success", "card_flaky", "card_lost"] {
            let mut ledger = Ledger::default();
            let cards = Cards { good: good.parse().unwrap(), ..cards() };
            let questions =
                asked(1, cards, |payment| mock(&mut ledger, payment)).unwrap_or_else(|breach| panic!("{breach}"));
            assert!(questions >= 15, "{good}: {questions}");
        }
    }

    #[test]
    fn two_runs_share_no_key() {
        let mut ledger = Ledger::default();
        for run in [1, 2, 3, 1 << 64] {
            asked(run, cards(), |payment| mock(&mut ledger, payment)).unwrap();
        }
    }

    #[test]
    fn a_gateway_that_is_silent_for_ever_is_found() {
        let mut asks = 0;
        let silent = |payment: &Payment| {
            asks += 1;
            payment.unanswered()
        };
        assert_eq!(asked(1, cards(), silent).unwrap_err().must, "there is a clear answer in the end");
        assert_eq!(asks, TRIES);
    }

    #[test]
    fn each_breach_is_named() {
        use PaymentAnswer::{Authorize, Capture, Void};
        type Wrong = fn(&Payment, PaymentAnswer, u32) -> PaymentAnswer;
        let wrongs: [(&str, Wrong); 10] = [
            ("void what was taken", |_, answer, _| match answer {
                Void(VoidAnswer::PaidBack) => Void(VoidAnswer::Voided),
                answer => answer,
            }),
            ("authorize a good card", |_, answer, _| match answer {
                Authorize(_) => Void(VoidAnswer::Voided),
                answer => answer,
            }),
            ("the same authorize again", |_, answer, n| match answer {
                Authorize(AuthorizeAnswer::Authorized(_)) if n > 1 => Authorize(AuthorizeAnswer::KeyReused),
                answer => answer,
            }),
            ("authorize another amount under the same key", |_, answer, _| match answer {
                Authorize(AuthorizeAnswer::KeyReused) => Authorize(AuthorizeAnswer::Authorized("a".parse().unwrap())),
                answer => answer,
            }),
            ("capture what is set aside", |_, answer, _| match answer {
                Capture(CaptureAnswer::Captured(_)) => Capture(CaptureAnswer::Declined(DeclineReason::new("no"))),
                answer => answer,
            }),
            ("the same capture again", |_, answer, n| match answer {
                Capture(CaptureAnswer::Captured(_)) => {
                    Capture(CaptureAnswer::Captured(format!("p{n}").parse().unwrap()))
                }
                answer => answer,
            }),
            ("the declined authorize again", |_, answer, n| match answer {
                Authorize(AuthorizeAnswer::Declined(_)) => {
                    Authorize(AuthorizeAnswer::Declined(DeclineReason::new(&format!("no {n}"))))
                }
                answer => answer,
            }),
            ("void after the card was declined", |_, answer, _| match answer {
                Void(_) => Void(VoidAnswer::PaidBack),
                answer => answer,
            }),
            ("capture what was let go", |_, answer, _| match answer {
                Capture(CaptureAnswer::Declined(_)) => Capture(CaptureAnswer::Captured("p".parse().unwrap())),
                answer => answer,
            }),
            ("authorize a good card under a key that was voided before", |payment, answer, _| {
                match (payment, answer) {
                    (Payment::Authorize(asked), Authorize(AuthorizeAnswer::Declined(_)))
                        if asked.method.as_str() == "card_success" =>
                    {
                        Authorize(AuthorizeAnswer::Authorized("a".parse().unwrap()))
                    }
                    (_, answer) => answer,
                }
            }),
        ];
        for (question, wrong) in wrongs {
            let (mut ledger, mut n) = (Ledger::default(), 0);
            let breach = asked(1, cards(), |payment| {
                n += 1;
                wrong(payment, mock(&mut ledger, payment), n)
            });
            assert_eq!(breach.unwrap_err().asked, question);
        }
    }
}
