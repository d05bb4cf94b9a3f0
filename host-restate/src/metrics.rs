//! Numbers for Prometheus: what this process has answered, by handler and kind. What Restate keeps, Restate counts.

use booking_core::wire::Kind;
use booking_hosting::gateway::{Report, numbers};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The type of [`Metrics::text`].
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    service: &'static str,
    handler: &'static str,
    kind: &'static str,
}

/// The numbers of one process.
pub(crate) struct Metrics {
    registry: Registry,
    answered: Family<Answered, Counter>,
    /// Connections that are open.
    pub(crate) connections: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let (answered, connections) = (Family::<Answered, Counter>::default(), Gauge::default());
        let mut registry = Registry::with_prefix("booking");
        let help =
            "Invocations that this process has brought to their end, by handler and by the kind of error, if any";
        registry.register("answered", help, answered.clone());
        registry.register("connections", "Open connections", connections.clone());
        Self { registry, answered, connections }
    }
}

impl Metrics {
    /// Counts an answer.
    pub(crate) fn answered(&self, service: &'static str, handler: &'static str, kind: Option<Kind>) {
        let kind = kind.map_or("", Kind::as_str);
        self.answered.get_or_create(&Answered { service, handler, kind }).inc();
    }

    /// All numbers, in the OpenMetrics text format.
    pub(crate) fn text(&self, gateway: &Report) -> Result<String, std::fmt::Error> {
        let mut out = String::new();
        text::encode_registry(&mut out, &self.registry)?;
        let mut of_gateway = Registry::with_prefix("booking");
        numbers(&mut of_gateway, gateway);
        text::encode_registry(&mut out, &of_gateway)?;
        text::encode_eof(&mut out)?;
        Ok(out)
    }
}
