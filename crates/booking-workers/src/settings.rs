//! What a deployment is set to: the variables and secrets of its `wrangler.toml`.

use std::fmt::Display;
use std::str::FromStr;

use booking_core::terms::{Retry, Terms};
use booking_core::time::{HoldTtl, Millis};
use booking_hosting::webhook::Signing;
use js_sys::Reflect;
use worker::Env;

use crate::log::{self, Level};

/// The variables and secrets of a deployment, by their names. An empty one is none.
#[derive(Debug)]
pub struct Vars<'a>(pub &'a Env);

/// Why a variable cannot be read: its name, and what is wrong.
pub type Wrong = String;

impl Vars<'_> {
    /// A text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        self.0.var(name).ok().map(|value| value.to_string()).filter(|value| !value.is_empty())
    }

    /// Which version of the Worker this is, where the binding `VERSION` tells.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        let version = Reflect::get(self.0.as_ref(), &"VERSION".into()).ok()?;
        // What is not there has no fields.
        if !version.is_object() {
            return None;
        }
        Reflect::get(&version, &"id".into()).ok()?.as_string()
    }

    /// Texts, with commas between.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<String> {
        let whole = self.text(name).unwrap_or_default();
        whole.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect()
    }

    /// Anything that is written as a text.
    ///
    /// # Errors
    /// Where it is not.
    pub fn parsed<T: FromStr>(&self, name: &str) -> Result<Option<T>, Wrong>
    where
        T::Err: Display,
    {
        self.text(name).map(|text| text.parse().map_err(|why| format!("{name}: {why}"))).transpose()
    }

    /// Milliseconds, from the first of these to the second.
    ///
    /// # Errors
    /// Where they are not.
    pub fn millis(&self, name: &str, default: Millis, (least, most): (Millis, Millis)) -> Result<Millis, Wrong> {
        let length = self.parsed(name)?.map_or(default, Millis);
        if (least..=most).contains(&length) {
            Ok(length)
        } else {
            Err(format!("{name} must be {} to {} ms", least.0, most.0))
        }
    }

    /// Has the log written from `LOG_LEVEL` on.
    ///
    /// # Errors
    /// Where that is no level.
    pub fn write_log(&self) -> Result<(), Wrong> {
        let level = self.text("LOG_LEVEL").map_or(Some(Level::Info), |name| Level::read(&name));
        log::write_from(level.ok_or("LOG_LEVEL must be debug, info, warn or error")?);
        Ok(())
    }

    /// Whether another Worker is bound under this name.
    fn is_bound(&self, name: &str) -> bool {
        Reflect::get(self.0.as_ref(), &name.into()).is_ok_and(|bound| bound.is_object())
    }

    fn ttl(&self, name: &str) -> Result<Option<HoldTtl>, Wrong> {
        let length = self.parsed(name)?.map(|length| HoldTtl::new(Millis(length)));
        length.transpose().map_err(|why| format!("{name}: {why}"))
    }

    fn port(&self, url: &str, token: &str, within: Millis) -> Result<Option<Port>, Wrong> {
        let Some(address) = self.text(url) else { return Ok(None) };
        if !address.starts_with("http://") && !address.starts_with("https://") {
            return Err(format!("{url} must be an address such as https://example.com/payments"));
        }
        let address = address.trim_end_matches('/').to_owned();
        Ok(Some(Port { way: Way::Internet, url: address, token: self.text(token), signing: None, within }))
    }
}

/// The binding of a Worker that is asked for payments instead of `PAYMENT_URL`: the sandbox's gateway.
pub const PAYMENTS: &str = "PAYMENTS";

/// How a service outside is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By the name in its address.
    Internet,
    /// It is a Worker that is bound under this name. Its address says only a path.
    Bound(&'static str),
}

/// Someone outside who is asked.
#[derive(Clone)]
pub struct Port {
    /// How it is reached.
    pub way: Way,
    /// Its address, without a `/` at the end.
    pub url: String,
    /// What it knows this Worker by.
    pub token: Option<String>,
    /// What it is sent is signed with this.
    pub signing: Option<Signing>,
    /// How long one call may take.
    pub within: Millis,
}

impl Port {
    /// Whether it is a Worker that is bound to this one.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        matches!(self.way, Way::Bound(_))
    }
}

/// Keeps the token back.
impl std::fmt::Debug for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Port").field("way", &self.way).finish_non_exhaustive()
    }
}

/// How a deployment sells, wherever it keeps what it knows.
#[derive(Clone, Debug)]
pub struct Sale {
    /// What things cost, how long they last.
    pub terms: Terms,
    /// The payment gateway.
    pub payment: Option<Port>,
    /// Who sends messages to buyers.
    pub notify: Option<Port>,
}

impl Sale {
    /// How messages to buyers are tried again, where there is a notifier.
    #[must_use]
    pub fn notify_retry(&self) -> Option<Retry> {
        self.notify.as_ref().map(|_| self.terms.notify_retry)
    }

    /// Reads it.
    ///
    /// # Errors
    /// The first variable that cannot be read.
    pub fn read(vars: &Vars<'_>) -> Result<Self, Wrong> {
        let defaults = Terms::default();
        let two_hours = (Millis::from_secs(1), Millis::from_mins(120));
        let terms = Terms {
            unit_price: vars.parsed("UNIT_PRICE")?.unwrap_or(defaults.unit_price),
            closed_sales: vars.parsed("CLOSED_SALES")?.unwrap_or(defaults.closed_sales),
            hold_ttl: vars.ttl("HOLD_TTL_MS")?.unwrap_or(defaults.hold_ttl),
            hold_ttl_max: vars.ttl("HOLD_TTL_MAX_MS")?,
            shows_buyers: vars.parsed("SHOW_BUYERS")?.unwrap_or(defaults.shows_buyers),
            checkout_time: vars.millis("CHECKOUT_TIME_MS", defaults.checkout_time, two_hours)?,
            auto_reset_at: vars.parsed("AUTO_RESET_AT")?,
            ..defaults
        };
        let within = vars.millis("PAYMENT_TIMEOUT_MS", Millis::from_secs(10), (Millis(1), Millis::from_mins(2)))?;
        let payment = vars.port("PAYMENT_URL", "PAYMENT_TOKEN", within)?;
        let payment = match (payment, vars.is_bound(PAYMENTS)) {
            (Some(_), true) => {
                return Err(format!("PAYMENT_URL and the binding {PAYMENTS} are both there: take one of them out"));
            }
            (None, true) => Some(Port {
                way: Way::Bound(PAYMENTS),
                url: "https://sandbox/api/mock-payment".to_owned(),
                token: None,
                signing: None,
                within,
            }),
            (payment, false) => payment,
        };
        let secrets = vars.list("NOTIFY_SECRETS");
        let signing =
            Signing::new(secrets.iter().map(String::as_str)).map_err(|why| format!("NOTIFY_SECRETS {why}"))?;
        let notify = vars.port("NOTIFY_URL", "NOTIFY_TOKEN", within)?.map(|port| Port { signing, ..port });
        Ok(Self { terms, payment, notify })
    }
}
