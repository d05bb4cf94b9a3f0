//! A payment gateway over HTTP, and what its answers say about itself: whether it knows us, and whether it answers at all.
//!
//! **Odd answers.** One that refuses our credentials, or that says what this contract does not know, is no answer to a checkout. To an
//! operator it is an alarm: no buyer can pay until a person has looked.
//!
//! **The circuit breaker.** A gateway that hangs makes every buyer wait for as long as a call may take, several times. Once it has let
//! [`SILENT_IN_A_ROW`] calls go unanswered one after the other, it is not asked for [`REST`]. Each call ends at once without an
//! answer meanwhile, and a checkout knows what to do about that. Then one call tries it again.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use booking_core::payment::{Payment, PaymentAnswer};
use booking_core::wire::answer::Troubles;
use booking_core::wire::gateway::{self, Sense};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::ports::{HttpPort, PaymentGateway};

/// How many calls in a row go unanswered before the gateway is left alone.
pub const SILENT_IN_A_ROW: u32 = 20;

/// For how long it is left alone.
pub const REST: Duration = Duration::from_secs(5);

/// How often it is said that something is wrong, at most.
const SAY_AGAIN: Duration = Duration::from_secs(30);

/// How many kinds of odd answers are counted apart.
const KINDS: usize = 64;

/// What the answers of a gateway say about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How often it gave answers that it never should, by what was asked and by their status.
    pub odd: BTreeMap<(&'static str, u16), u64>,
    /// The status of the last of them, until an answer is as it should be. None hides one that does not let this host in (401, 403),
    /// but another of those.
    pub odd_now: Option<u16>,
    /// How many calls got no answer in time.
    pub unanswered: u64,
    /// Whether it is left alone, as it does not answer.
    pub is_left_alone: bool,
    /// How many calls were not made for that.
    pub not_asked: u64,
}

impl Report {
    /// What is wrong outside a host with this gateway, whose calendar clock is off by so much if it is.
    #[must_use]
    pub fn troubles(&self, clock_off: Option<i64>) -> Troubles {
        Troubles { clock_off, gateway_status: self.odd_now, gateway_silent: self.is_left_alone }
    }
}

/// Registers the numbers of a report, for Prometheus.
pub fn numbers(registry: &mut Registry, report: &Report) {
    let odd = Family::<[(&'static str, String); 2], Counter>::default();
    for ((asked, status), count) in &report.odd {
        odd.get_or_create(&[("asked", (*asked).to_owned()), ("status", status.to_string())]).inc_by(*count);
    }
    registry.register("gateway_odd_answers", "Answers of the payment gateway that refuse this host or are none", odd);
    for (name, help, count) in [
        ("gateway_unanswered", "Calls that the payment gateway did not answer in time", report.unanswered),
        ("gateway_not_asked", "Calls that were not made, as the payment gateway was left alone", report.not_asked),
    ] {
        registry.register(name, help, ConstCounter::new(count));
    }
    let help = "Whether the payment gateway is left alone, as it does not answer";
    registry.register("gateway_left_alone", help, ConstGauge::new(i64::from(report.is_left_alone)));
}

/// A payment gateway by its address.
#[derive(Debug)]
pub struct HttpGateway {
    port: HttpPort,
    watch: Mutex<Watch>,
}

impl HttpGateway {
    /// The gateway behind this port.
    #[must_use]
    pub fn new(port: HttpPort) -> Self {
        Self { port, watch: Mutex::default() }
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl PaymentGateway for HttpGateway {
    async fn pay(&self, payment: &Payment) -> PaymentAnswer {
        if !self.watch().may_ask(Instant::now()) {
            return payment.unanswered();
        }
        let said = self.port.ask(gateway::request(payment)).await;
        let said = said.as_ref().map(|(status, body)| (*status, &body[..]));
        self.watch().hears(payment.name(), gateway::sense(payment, said), Instant::now());
        gateway::read(payment, said)
    }

    fn report(&self) -> Report {
        self.watch().report.clone()
    }
}

#[derive(Debug, Default)]
struct Watch {
    report: Report,
    silent_in_a_row: u32,
    /// When it may be tried again, where it is left alone.
    try_at: Option<Instant>,
    said_at: Option<Instant>,
}

impl Watch {
    /// Whether it may be asked. Of those who ask when its rest is over, the first may.
    fn may_ask(&mut self, now: Instant) -> bool {
        let Some(try_at) = self.try_at else { return true };
        let may = try_at <= now;
        if may {
            self.try_at = Some(now + REST);
        } else {
            self.report.not_asked += 1;
        }
        may
    }

    /// Takes note of an answer.
    fn hears(&mut self, asked: &'static str, sense: Sense, now: Instant) {
        match sense {
            Sense::Silent => {
                self.report.unanswered += 1;
                self.silent_in_a_row = self.silent_in_a_row.saturating_add(1);
                if self.silent_in_a_row >= SILENT_IN_A_ROW {
                    self.try_at = Some(now + REST);
                    if !self.report.is_left_alone {
                        self.report.is_left_alone = true;
                        tracing::error!(
                            "the payment gateway does not answer: it is left alone for a while, and checkouts that need it fail"
                        );
                    }
                }
                return;
            }
            Sense::Odd(status) => {
                // That it does not let this host in says more than what it makes of a void then.
                let shuts_out = |status| matches!(status, 401 | 403);
                self.report.odd_now =
                    self.report.odd_now.filter(|said| shuts_out(*said) && !shuts_out(status)).or(Some(status));
                if self.report.odd.len() < KINDS || self.report.odd.contains_key(&(asked, status)) {
                    *self.report.odd.entry((asked, status)).or_default() += 1;
                }
                if self.said_at.is_none_or(|said| now.duration_since(said) >= SAY_AGAIN) {
                    self.said_at = Some(now);
                    tracing::error!(
                        asked,
                        status,
                        "the payment gateway refuses this server, or says what it never should: a person should look"
                    );
                }
            }
            Sense::Busy => {}
            Sense::Clear => {
                if self.report.odd_now.take().is_some() {
                    self.said_at = None;
                    tracing::info!("the payment gateway answers as it should again");
                }
            }
        }
        self.silent_in_a_row = 0;
        self.try_at = None;
        if std::mem::take(&mut self.report.is_left_alone) {
            tracing::info!("the payment gateway answers again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_that_does_not_answer_is_left_alone_and_tried_by_one_at_a_time() {
        let (mut watch, start) = (Watch::default(), Instant::now());
        for _ in 1..SILENT_IN_A_ROW {
            watch.hears("authorize", Sense::Silent, start);
            assert!(watch.may_ask(start));
        }
        watch.hears("capture", Sense::Silent, start);
        assert!(watch.report.is_left_alone && !watch.may_ask(start) && !watch.may_ask(start + REST / 2));
        let later = start + REST;
        assert!(watch.may_ask(later) && !watch.may_ask(later), "one tries");
        watch.hears("void", Sense::Silent, later);
        assert!(!watch.may_ask(later + REST / 2), "it still does not answer");
        let later = later + REST;
        assert!(watch.may_ask(later));
        // Any answer will do.
        watch.hears("void", Sense::Busy, later);
        assert!(!watch.report.is_left_alone && watch.may_ask(later) && watch.may_ask(later));
        let Report { unanswered, not_asked, .. } = watch.report;
        assert_eq!((unanswered, not_asked), (u64::from(SILENT_IN_A_ROW) + 1, 4));
    }

    #[test]
    fn one_that_tries_and_never_comes_back_keeps_nobody_out_for_ever() {
        let (mut watch, start) = (Watch::default(), Instant::now());
        (0..SILENT_IN_A_ROW).for_each(|_| watch.hears("authorize", Sense::Silent, start));
        assert!(watch.may_ask(start + REST) && !watch.may_ask(start + REST));
        assert!(watch.may_ask(start + 2 * REST));
    }

    #[test]
    fn an_answer_in_between_begins_the_count_anew() {
        let (mut watch, now) = (Watch::default(), Instant::now());
        for _ in 0..3 {
            (1..SILENT_IN_A_ROW).for_each(|_| watch.hears("authorize", Sense::Silent, now));
            watch.hears("authorize", Sense::Clear, now);
        }
        assert!(!watch.report.is_left_alone);
    }

    #[test]
    fn odd_answers_are_counted_until_a_clear_one_comes() {
        let (mut watch, now) = (Watch::default(), Instant::now());
        for (asked, status) in [("authorize", 401), ("authorize", 401), ("void", 404)] {
            watch.hears(asked, Sense::Odd(status), now);
        }
        assert_eq!(watch.report.odd_now, Some(401), "what comes of a 401 hides it");
        watch.hears("authorize", Sense::Busy, now);
        assert_eq!(watch.report.odd_now, Some(401), "that it is busy says nothing");
        watch.hears("capture", Sense::Odd(403), now);
        assert_eq!(watch.report.odd_now, Some(403));
        watch.hears("authorize", Sense::Clear, now);
        assert_eq!(watch.report.odd_now, None);
        assert_eq!(watch.report.odd, [(("authorize", 401), 2), (("capture", 403), 1), (("void", 404), 1)].into());
        // A gateway that makes up statuses does not fill the memory.
        (0..1_000).for_each(|status| watch.hears("void", Sense::Odd(status), now));
        assert_eq!(watch.report.odd.len(), KINDS);
    }
}
