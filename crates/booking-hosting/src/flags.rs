//! Flags that mean the same on every host. Each is an environment variable too.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use booking_core::money::Money;
use booking_core::terms::Terms;
use booking_core::time::{HoldTtl, Millis};
use clap::{Args, ValueEnum};
use lettre::message::Mailbox;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

use crate::email::{self, EmailNotifier, MailServer, Template};
use crate::gateway::HttpGateway;
use crate::ports::{HttpPort, Notifier};
use crate::webhook::Signing;

/// What keeps a command from running, for a person.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CannotRun(pub String);

/// Says what it was that failed.
pub fn because<E: std::fmt::Display>(what: &str) -> impl Fn(E) -> CannotRun {
    move |why| CannotRun(format!("{what}: {why}"))
}

/// Reads a length of time, such as `500ms` or `15m`.
///
/// # Errors
/// What is wrong with it.
pub fn millis(text: &str) -> Result<Millis, String> {
    let length: Duration = humantime::parse_duration(text).map_err(|why| format!("{why}, such as 500ms or 15m"))?;
    u64::try_from(length.as_millis()).map(Millis).map_err(|_| "is too long".to_owned())
}

fn some_time(text: &str) -> Result<Millis, String> {
    let length = millis(text)?;
    if length == Millis(0) { Err("must be at least 1ms".to_owned()) } else { Ok(length) }
}

fn checkout_time(text: &str) -> Result<Millis, String> {
    let length = millis(text)?;
    if (Millis::from_secs(1)..=Millis::from_mins(120)).contains(&length) {
        Ok(length)
    } else {
        Err("must be 1s to 2h".to_owned())
    }
}

fn hold_ttl(text: &str) -> Result<HoldTtl, String> {
    HoldTtl::new(millis(text)?).map_err(|why| why.to_string())
}

/// What is sold, at what price, for how long it is held.
#[derive(Args, Clone, Debug)]
pub struct TermsFlags {
    /// What a ticket costs that no layout gives a price
    #[arg(long, env = "BOOKING_UNIT_PRICE", default_value_t = Money::DEFAULT_PRICE)]
    unit_price: Money,
    /// How long a buyer's hold lasts when the buyer does not say: 1s to 2h
    #[arg(long, env = "BOOKING_HOLD_TTL", default_value = "15m", value_parser = hold_ttl)]
    hold_ttl: HoldTtl,
    /// How long it lasts at most, even if the buyer asks for longer; as long as --hold-ttl where this is not given
    #[arg(long, env = "BOOKING_HOLD_TTL_MAX", value_parser = hold_ttl)]
    hold_ttl_max: Option<HoldTtl>,
    /// How long a checkout has for its payment before its seats go back on sale
    #[arg(long, env = "BOOKING_CHECKOUT_TIME", default_value = "15m", value_parser = checkout_time)]
    checkout_time: Millis,
    /// Sell only seats of a layout: a map without one sells nothing
    #[arg(long, env = "BOOKING_CLOSED_SALES")]
    closed_sales: bool,
    /// Tell everybody who holds or has bought a ticket. Without it only operators see this, and callers that show the hold
    #[arg(long, env = "BOOKING_SHOW_BUYERS")]
    show_buyers: bool,
    /// Put a whole map back on sale when this many of its tickets are sold (for demonstrations: it takes sold seats away)
    #[arg(long, env = "BOOKING_AUTO_RESET_AT", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    auto_reset_at: Option<u32>,
}

impl TermsFlags {
    /// The terms.
    #[must_use]
    pub fn terms(&self) -> Terms {
        Terms {
            unit_price: self.unit_price,
            closed_sales: self.closed_sales,
            hold_ttl: self.hold_ttl,
            hold_ttl_max: self.hold_ttl_max,
            checkout_time: self.checkout_time,
            shows_buyers: self.show_buyers,
            auto_reset_at: self.auto_reset_at,
            ..Terms::default()
        }
    }
}

/// Who is asked for money, and who tells the buyers.
#[derive(Args, Clone, Debug)]
pub struct PortFlags {
    /// Ask this payment gateway, such as http://127.0.0.1:9090/api/mock-payment, instead of the built-in mock
    #[arg(long, env = "BOOKING_PAYMENT_URL", conflicts_with = "payment_delay")]
    payment_url: Option<String>,
    /// How long one call of the payment gateway may take before it counts as not answered
    #[arg(long, env = "BOOKING_PAYMENT_TIMEOUT", default_value = "10s", value_parser = some_time)]
    payment_timeout: Millis,
    /// How long the built-in mock gateway takes to answer
    #[arg(long, env = "BOOKING_PAYMENT_DELAY", default_value = "500ms", value_parser = millis)]
    payment_delay: Millis,
    /// Send every booking to this address, with a POST, until it answers 2xx (at most 10 times, then it is given up)
    #[arg(long, env = "BOOKING_NOTIFY_URL")]
    notify_url: Option<String>,
    /// A file with the secrets that these messages are signed with, one a line (or BOOKING_NOTIFY_SECRET: one secret), as
    /// standardwebhooks.com has it: each is whsec_ and the base64 of 24 to 64 bytes
    #[arg(long, env = "BOOKING_NOTIFY_SECRET_FILE", value_name = "FILE", requires = "notify_url")]
    notify_secret_file: Option<PathBuf>,
    /// Send every buyer an e-mail through this mail server, where their order's contact has an email: smtp://HOST:587
    /// (encrypted from its greeting on; not so on this machine) or smtps://HOST:465
    #[arg(long, env = "BOOKING_MAIL_URL", conflicts_with = "notify_url", requires = "mail_from")]
    mail_url: Option<String>,
    /// Whom these e-mails are from, such as "Town Hall <tickets@example.com>"
    #[arg(long, env = "BOOKING_MAIL_FROM", value_name = "ADDRESS", requires = "mail_url")]
    mail_from: Option<Mailbox>,
    /// The user that the mail server knows this host by
    #[arg(long, env = "BOOKING_MAIL_USER", value_name = "USER", requires = "mail_url")]
    mail_user: Option<String>,
    /// A file with that user's password (or BOOKING_MAIL_PASSWORD: the password)
    #[arg(long, env = "BOOKING_MAIL_PASSWORD_FILE", value_name = "FILE", requires = "mail_user")]
    mail_password_file: Option<PathBuf>,
    /// A file with the e-mail: `Subject: …`, an empty line, its text. {tickets}, {amount}, {checkout} and {user} are filled in
    #[arg(long, env = "BOOKING_MAIL_TEMPLATE", value_name = "FILE", requires = "mail_url")]
    mail_template: Option<PathBuf>,
}

impl PortFlags {
    fn port(&self, flag: &str, url: Option<&String>) -> Result<Option<HttpPort>, CannotRun> {
        let within = Duration::from_millis(self.payment_timeout.0);
        url.map(|url| HttpPort::new(url, within).map_err(because(flag))).transpose()
    }

    /// The payment gateway, where one is asked for.
    ///
    /// # Errors
    /// [`CannotRun`] where its address is none.
    pub fn gateway(&self) -> Result<Option<Arc<HttpGateway>>, CannotRun> {
        let port = self.port("--payment-url", self.payment_url.as_ref())?;
        Ok(port.map(HttpGateway::new).map(Arc::new))
    }

    /// The notifier, where one is asked for.
    ///
    /// # Errors
    /// [`CannotRun`] where its address is none, or what its messages are to be signed with is no secret.
    pub fn notifier(&self) -> Result<Option<Arc<dyn Notifier>>, CannotRun> {
        if let (Some(url), Some(from)) = (&self.mail_url, &self.mail_from) {
            return self.mail(url, from.clone()).map(|mail| Some(Arc::new(mail) as Arc<dyn Notifier>));
        }
        let Some(port) = self.port("--notify-url", self.notify_url.as_ref())? else { return Ok(None) };
        let (flag, variable) = ("--notify-secret-file", "BOOKING_NOTIFY_SECRET");
        let secrets = secrets(flag, self.notify_secret_file.as_deref(), variable)?;
        let signing =
            Signing::new(secrets.iter().map(String::as_str)).map_err(because(&format!("{flag}, {variable}")))?;
        Ok(Some(Arc::new(port.signed(signing)) as Arc<dyn Notifier>))
    }

    fn mail(&self, url: &str, from: Mailbox) -> Result<EmailNotifier, CannotRun> {
        let (flag, variable) = ("--mail-password-file", "BOOKING_MAIL_PASSWORD");
        let mut passwords = secrets(flag, self.mail_password_file.as_deref(), variable)?.into_iter();
        let password = passwords.next();
        if passwords.next().is_some() {
            return Err(CannotRun(format!("{flag}: it has more than one line")));
        }
        let login = match (&self.mail_user, password) {
            (Some(user), Some(password)) => Some((user.clone(), password)),
            (None, None) => None,
            (Some(_), None) => return Err(CannotRun(format!("--mail-user needs {flag} or {variable}"))),
            (None, Some(_)) => return Err(CannotRun(format!("{variable} needs --mail-user"))),
        };
        let template = match &self.mail_template {
            Some(file) => {
                let flag = format!("--mail-template {}", file.display());
                let text = std::fs::read_to_string(file).map_err(because(&flag))?;
                Template::parse(&text).map_err(because(&flag))?
            }
            None => Template::parse(email::TEMPLATE).expect("a test reads it"),
        };
        let server = MailServer { url: url.to_owned(), login, within: Duration::from_millis(self.payment_timeout.0) };
        EmailNotifier::new(server, from, template).map_err(because("--mail-url"))
    }

    /// How long the mock gateway takes to answer.
    #[must_use]
    pub fn payment_delay(&self) -> Millis {
        self.payment_delay
    }
}

/// Secrets: those of a file, one a line, or the one in the environment.
///
/// # Errors
/// [`CannotRun`] where the file cannot be read, or has none in it.
pub fn secrets(flag: &str, file: Option<&Path>, variable: &str) -> Result<Vec<String>, CannotRun> {
    if let Some(file) = file {
        let text = std::fs::read_to_string(file).map_err(because(&format!("{flag} {}", file.display())))?;
        let secrets: Vec<String> =
            text.lines().map(str::trim).filter(|line| !line.is_empty()).map(Into::into).collect();
        if secrets.is_empty() {
            return Err(CannotRun(format!("{flag} {}: there is nothing in it", file.display())));
        }
        return Ok(secrets);
    }
    match std::env::var(variable) {
        Ok(secret) => Ok(vec![secret]),
        Err(std::env::VarError::NotPresent) => Ok(Vec::new()),
        // What stands in it would be shown with the reason.
        Err(std::env::VarError::NotUnicode(_)) => Err(CannotRun(format!("{variable} is not UTF-8"))),
    }
}

/// What is logged, and how it is written.
#[derive(Args, Clone, Debug)]
pub struct LogFlags {
    /// How the log is written (to standard error)
    #[arg(long, env = "BOOKING_LOG_FORMAT", value_enum, default_value = "text", global = true)]
    log_format: LogFormat,
    /// How much is logged: error, warn, info, debug (a line for each request), or a filter such as
    /// `info,host_axum_sim=debug`
    #[arg(long, env = "BOOKING_LOG", default_value = "info", global = true)]
    log: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    /// For people
    Text,
    /// A JSON object a line
    Json,
}

impl LogFlags {
    /// Starts the log.
    ///
    /// # Errors
    /// [`CannotRun`] where the filter is none, or a log has been started before.
    pub fn start(&self) -> Result<(), CannotRun> {
        self.start_with(|log| log)
    }

    /// Starts the log with a filter of the host's own as well.
    ///
    /// # Errors
    /// As [`LogFlags::start`].
    pub fn start_with(&self, filtered: impl FnOnce(Log) -> Log) -> Result<(), CannotRun> {
        let filter = EnvFilter::from_str(&self.log).map_err(because("--log"))?;
        let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        let log = log.with_ansi(std::io::stderr().is_terminal());
        let log: Log = match self.log_format {
            LogFormat::Text => log.boxed(),
            LogFormat::Json => log.json().boxed(),
        };
        let started = tracing_subscriber::registry().with(filtered(log).with_filter(filter)).try_init();
        started.map_err(because("the log"))
    }
}

/// What writes the log.
pub type Log = Box<dyn Layer<Registry> + Send + Sync>;
