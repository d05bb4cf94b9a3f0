//! Numbers for Prometheus: requests by route and kind as they are answered, everything else when it is asked for.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use booking_core::wire::Kind;
use booking_hosting::gateway;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::host::Host;

/// The type of [`Metrics::text`].
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// In seconds: from what a turn in memory takes to what a caller waits at most.
const BUCKETS: [f64; 12] = [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 30.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    service: &'static str,
    handler: &'static str,
    kind: &'static str,
}

/// The numbers of one server.
pub(crate) struct Metrics {
    registry: Registry,
    answered: Family<Answered, Histogram, fn() -> Histogram>,
    /// Connections that are open.
    pub(crate) connections: Gauge<i64, AtomicI64>,
    /// Connections that were turned away, as there were too many.
    pub(crate) turned_away: prometheus_client::metrics::counter::Counter<u64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let answered: Family<Answered, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(BUCKETS));
        let (connections, turned_away) = (Gauge::default(), prometheus_client::metrics::counter::Counter::default());
        let mut registry = Registry::with_prefix("booking");
        let help = "Time from a request's head to its answer, by route and by the kind of error, if any";
        registry.register_with_unit("request_duration", help, Unit::Seconds, answered.clone());
        registry.register("connections", "Open connections", connections.clone());
        registry.register("connections_turned_away", "Connections beyond the limit", turned_away.clone());
        Self { registry, answered, connections, turned_away }
    }
}

impl Metrics {
    /// Counts a request, by service and handler; both are empty for one that leads nowhere.
    pub(crate) fn answered(
        &self,
        (service, handler): (&'static str, &'static str),
        kind: Option<Kind>,
        took: Duration,
    ) {
        let kind = kind.map_or("", Kind::as_str);
        self.answered.get_or_create(&Answered { service, handler, kind }).observe(took.as_secs_f64());
    }

    /// All numbers, in the OpenMetrics text format.
    pub(crate) fn text(&self, host: &Host) -> Result<String, std::fmt::Error> {
        let mut out = String::new();
        text::encode_registry(&mut out, &self.registry)?;
        text::encode_registry(&mut out, &about(host))?;
        out.write_str("# EOF\n")?;
        Ok(out)
    }
}

/// The numbers of the engine as it is now.
fn about(host: &Host) -> Registry {
    let stats = host.stats();
    let mut registry = Registry::with_prefix("booking");
    let tickets = Family::<[(&'static str, String); 1], Gauge>::default();
    for (status, count) in &stats.tickets {
        tickets.get_or_create(&[("status", format!("{status:?}").to_lowercase())]).set(whole(*count));
    }
    registry.register("tickets", "Known tickets, by status as last recorded", tickets);
    let stages = Family::<[(&'static str, String); 1], Gauge>::default();
    for (stage, count) in &stats.stages {
        stages.get_or_create(&[("stage", (*stage).to_owned())]).set(whole(*count));
    }
    registry.register("checkouts_under_way", "Checkouts under way, by stage", stages);
    let endings = Family::<[(&'static str, String); 1], prometheus_client::metrics::counter::Counter>::default();
    for (kind, count) in &stats.endings {
        let ending = kind.map_or("completed", Kind::as_str);
        endings.get_or_create(&[("ending", ending.to_owned())]).inc_by(*count);
    }
    registry.register("checkouts_ended", "Checkouts that have ended, by how", endings);
    let (used, limits) = (Family::<[(&'static str, &'static str); 1], Gauge>::default(), Family::default());
    for filled in &stats.filled {
        used.get_or_create(&[("of", filled.what)]).set(whole(filled.used));
        let limit: &Family<[(&'static str, &'static str); 1], Gauge> = &limits;
        limit.get_or_create(&[("of", filled.what)]).set(whole(filled.limit));
    }
    registry.register("used", "How much there is of what has a limit: things, or bytes by estimate", used);
    registry.register("limit", "How much of it there may be", limits);
    gateway::numbers(&mut registry, &host.gateway());
    let gauges = [
        ("timers", "Timers that are armed", stats.timers),
        ("timers_due", "Timers whose time has come", stats.timers_due),
        ("watchers", "Open WebSockets that watch a map", host.watchers() as u64),
        ("notifications_waiting", "Messages to buyers that are still to be delivered", stats.notifications_waiting),
        (
            "notifications_parked",
            "Messages to buyers that were given up, of bookings that are kept",
            stats.notifications_parked,
        ),
        ("checkouts_stuck", "Checkouts whose payment gateway, or whose map, gives no answer", stats.stuck),
        ("kept", "Finished checkouts, idempotency keys and accounts of the mock gateway that are kept", stats.kept),
        ("kept_bytes", "What these take, by estimate", stats.kept_bytes),
        ("unstored", "Answers that wait for storage", stats.unstored),
    ];
    for (name, help, value) in gauges {
        registry.register(name, help, ConstGauge::new(whole(value)));
    }
    let counters = [
        ("holds_lapsed", "Buyers' holds that ended by themselves", stats.holds_lapsed),
        (
            "payment_retries",
            "Times that the gateway's answer was unknown, and it was asked again",
            stats.payment_retries,
        ),
        ("clock_jumps", "Times that the calendar clock has jumped", host.clock_jumps()),
    ];
    for (name, help, value) in counters {
        registry.register(name, help, ConstCounter::new(value));
    }
    registry
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
