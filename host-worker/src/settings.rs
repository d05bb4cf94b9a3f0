//! What a deployment is set to: the variables and secrets of `wrangler.toml`, read once for each isolate.

use std::cell::OnceCell;
use std::fmt::Display;
use std::rc::Rc;
use std::str::FromStr;

use booking_core::terms::Terms;
use booking_core::time::{HoldTtl, Millis};
use booking_hosting::doors::Doors;
use booking_hosting::webhook::Signing;
use worker::Env;

use crate::log::Level;

/// The settings.
pub(crate) struct Settings {
    pub(crate) terms: Terms,
    pub(crate) doors: Doors,
    /// Whose pages may ask from a browser, besides the Worker's own.
    pub(crate) origins: Vec<String>,
    pub(crate) payment: Option<Port>,
    pub(crate) notify: Option<Port>,
    /// After how long `process` answers that it works on.
    pub(crate) answer_within: Millis,
    /// How long a checkout is kept after its end.
    pub(crate) keep_for: Millis,
    pub(crate) log: Level,
    pub(crate) mode: Mode,
}

/// What keeps what this Worker knows.
pub(crate) struct Mode {
    /// Its own Durable Objects do, and it answers buyers itself.
    pub(crate) objects: bool,
    /// A Restate server does, which calls this Worker.
    #[cfg(feature = "restate")]
    pub(crate) restate: bool,
    /// Who may call: the servers whose keys these are; everybody where there are none.
    #[cfg(feature = "restate")]
    pub(crate) keys: Vec<restate_endpoint::Key>,
    /// Whether operators' handlers are open to whoever reaches the ingress.
    #[cfg(feature = "restate")]
    pub(crate) admin_handlers: bool,
}

impl Mode {
    #[cfg(not(feature = "restate"))]
    fn read(text: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        match text("MODE").as_deref() {
            None | Some("objects") => Ok(Self { objects: true }),
            Some(_) => {
                Err("MODE: this build has Durable Objects alone; `cargo xtask worker build --restate` has both".into())
            }
        }
    }

    #[cfg(feature = "restate")]
    fn read(text: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let (objects, restate) = match text("MODE").as_deref() {
            None | Some("objects") => (true, false),
            Some("restate") => (false, true),
            Some("both") => (true, true),
            Some(_) => return Err("MODE must be objects, restate or both".into()),
        };
        let keys = text("RESTATE_IDENTITY_KEYS").unwrap_or_default();
        let keys = keys.split(',').map(str::trim).filter(|key| !key.is_empty()).map(crate::restate::read_key);
        let keys: Vec<_> = keys.collect::<Result<_, _>>().map_err(|why| format!("RESTATE_IDENTITY_KEYS {why}"))?;
        let is_unsigned = match text("RESTATE_UNSIGNED").as_deref() {
            None => false,
            Some("allowed") => true,
            Some(_) => return Err("RESTATE_UNSIGNED must be allowed, or not be there".into()),
        };
        if restate && keys.is_empty() && !is_unsigned {
            // Whoever reaches this Worker could sell every seat to themselves.
            return Err("RESTATE_IDENTITY_KEYS must be there, so that nobody but your Restate server calls \
                 (or RESTATE_UNSIGNED=allowed, on a machine that nobody else reaches)"
                .into());
        }
        let admin_handlers = parsed("RESTATE_ADMIN_HANDLERS", text("RESTATE_ADMIN_HANDLERS"))?.unwrap_or(false);
        Ok(Self { objects, restate, keys, admin_handlers })
    }
}

/// Someone outside who is asked.
#[derive(Clone)]
pub(crate) struct Port {
    /// Its address, without a `/` at the end.
    pub(crate) url: String,
    /// What it knows this Worker by.
    pub(crate) token: Option<String>,
    /// What it is sent is signed with this.
    pub(crate) signing: Option<Signing>,
    /// How long one call may take.
    pub(crate) within: Millis,
}

/// The shortest time for which a checkout is kept: its idempotency key with it.
const KEEP_AT_LEAST: Millis = Millis::from_mins(24 * 60);

thread_local! {
    static READ: OnceCell<Result<Rc<Settings>, Rc<str>>> = const { OnceCell::new() };
}

impl Settings {
    /// Those of this deployment, or what is wrong with them.
    pub(crate) fn of(env: &Env) -> Result<Rc<Self>, Rc<str>> {
        READ.with(|read| read.get_or_init(|| Self::read(env).map(Rc::new).map_err(Rc::from)).clone())
    }

    fn read(env: &Env) -> Result<Self, String> {
        let text = |name: &str| env.var(name).ok().map(|value| value.to_string()).filter(|value| !value.is_empty());
        let millis = |name: &str, default: Millis, (least, most): (Millis, Millis)| {
            let length = parsed(name, text(name))?.map_or(default, Millis);
            if (least..=most).contains(&length) {
                Ok(length)
            } else {
                Err(format!("{name} must be {} to {} ms", least.0, most.0))
            }
        };
        let list = |name: &str| {
            let whole = text(name).unwrap_or_default();
            whole.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        };
        let day = Millis::from_mins(24 * 60);
        let of_terms = Terms::default();
        let ttl = |name: &str| {
            let length = parsed(name, text(name))?.map(|length| HoldTtl::new(Millis(length)));
            length.transpose().map_err(|why| format!("{name}: {why}"))
        };
        let two_hours = (Millis::from_secs(1), Millis::from_mins(120));
        let terms = Terms {
            unit_price: parsed("UNIT_PRICE", text("UNIT_PRICE"))?.unwrap_or(of_terms.unit_price),
            closed_sales: parsed("CLOSED_SALES", text("CLOSED_SALES"))?.unwrap_or(of_terms.closed_sales),
            hold_ttl: ttl("HOLD_TTL_MS")?.unwrap_or(of_terms.hold_ttl),
            hold_ttl_max: ttl("HOLD_TTL_MAX_MS")?,
            shows_buyers: parsed("SHOW_BUYERS", text("SHOW_BUYERS"))?.unwrap_or(of_terms.shows_buyers),
            checkout_time: millis("CHECKOUT_TIME_MS", of_terms.checkout_time, two_hours)?,
            auto_reset_at: parsed("AUTO_RESET_AT", text("AUTO_RESET_AT"))?,
            ..of_terms
        };
        let (tokens, admin_tokens) = (list("AUTH_TOKENS"), list("ADMIN_TOKENS"));
        let doors = Doors::new(tokens.iter().map(String::as_str), admin_tokens.iter().map(String::as_str))
            .map_err(|why| format!("AUTH_TOKENS, ADMIN_TOKENS: {why}"))?;
        let within = millis("PAYMENT_TIMEOUT_MS", Millis::from_secs(10), (Millis(1), Millis::from_mins(2)))?;
        let port = |name: &str, token: &str| {
            let Some(url) = text(name) else { return Ok(None) };
            if !url.starts_with("http://") && !url.starts_with("https://") {
                return Err(format!("{name} must be an address such as https://example.com/payments"));
            }
            Ok(Some(Port { url: url.trim_end_matches('/').to_owned(), token: text(token), signing: None, within }))
        };
        let secrets = list("NOTIFY_SECRETS");
        let signing =
            Signing::new(secrets.iter().map(String::as_str)).map_err(|why| format!("NOTIFY_SECRETS {why}"))?;
        let log = text("LOG_LEVEL").map_or(Some(Level::Info), |name| Level::read(&name));
        Ok(Self {
            mode: Mode::read(text)?,
            terms,
            doors,
            origins: list("ALLOWED_ORIGINS"),
            payment: port("PAYMENT_URL", "PAYMENT_TOKEN")?,
            notify: port("NOTIFY_URL", "NOTIFY_TOKEN")?.map(|port| Port { signing, ..port }),
            answer_within: millis("ANSWER_WITHIN_MS", Millis::from_secs(30), (Millis(0), Millis::from_mins(5)))?,
            keep_for: millis("KEEP_FOR_MS", Millis(day.0 * 7), (KEEP_AT_LEAST, Millis(day.0 * 3650)))?,
            log: log.ok_or("LOG_LEVEL must be debug, info, warn or error")?,
        })
    }

    /// Whether what things cost is to be told.
    pub(crate) fn count() -> bool {
        READ.with(|read| read.get().is_some_and(|read| read.as_ref().is_ok_and(|read| read.says(Level::Debug))))
    }

    /// Whether lines of this level are said.
    pub(crate) fn says(&self, level: Level) -> bool {
        level <= self.log
    }
}

fn parsed<T: FromStr>(name: &str, text: Option<String>) -> Result<Option<T>, String>
where
    T::Err: Display,
{
    text.map(|text| text.parse().map_err(|why| format!("{name}: {why}"))).transpose()
}
