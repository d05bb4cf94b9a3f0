//! `booking smoke`: whether a deployment sells seats.

use std::io::Write as _;
use std::time::{Duration, Instant};

use booking_core::money::Money;
use clap::Args;
use serde_json::json;

use crate::shop::{Answer, Engine, Shop, ShopFlags};
use crate::watcher::Watcher;

/// A step that would begin later is not tried.
const AT_MOST: Duration = Duration::from_secs(60);

#[derive(Args)]
pub(crate) struct SmokeArgs {
    #[command(flatten)]
    shop: ShopFlags,
    /// Two tickets to try it with, which nobody else buys meanwhile [default: two of a map of its own, where such maps are sold]
    #[arg(long, num_args = 2, value_names = ["TICKET", "TICKET"])]
    tickets: Option<Vec<String>>,
    /// The version of a Worker that has to answer: with a header that picks it, or once all requests go to it. It is waited for
    #[arg(long, value_name = "ID")]
    version: Option<String>,
    /// A card that pays
    #[arg(long, default_value = "card_success")]
    card: String,
    /// A card that is declined
    #[arg(long, default_value = "card_decline")]
    declined_card: String,
    /// Buy nothing and pay nothing: for a deployment whose gateway has no cards to try it with
    #[arg(long)]
    no_payments: bool,
    /// Buy also where no operator's token can put the seat back: it stays sold
    #[arg(long, conflicts_with = "no_payments")]
    leave_sold: bool,
}

/// How long a version may take until it answers: a network learns it place by place.
const VERSION_WITHIN: Duration = Duration::from_secs(30);

/// How many answers in a row have to be of it.
const IN_A_ROW: u32 = 5;

/// What a step came to.
enum Done {
    Passed(String),
    Skipped(String),
}

type Step = (&'static str, fn(&mut Smoke) -> Result<Done, String>);

const STEPS: [Step; 7] = [
    ("health", health),
    ("openapi", openapi),
    ("a buyer books a seat", books),
    ("the seat is sold, and is not sold again", is_sold),
    ("a declined card buys nothing", declined),
    ("a watcher sees a hold come and go", watched),
    ("the seats are back on sale", leaves_nothing),
];

struct Smoke {
    shop: Shop,
    args: SmokeArgs,
    tickets: [String; 2],
    /// Whether the caller named them; else they are of a map that this run has made up.
    are_given: bool,
    user: String,
    /// The checkout that bought the first ticket.
    bought: Option<String>,
    /// Whether this may have bought each ticket, as far as it knows.
    sold: [bool; 2],
    /// Why an operator could not put a ticket back on sale, once that was tried.
    cannot_reset: Option<Result<(), String>>,
    hold: Option<String>,
}

impl SmokeArgs {
    /// Whether everything passed.
    pub(crate) fn run(mut self) -> Result<bool, String> {
        let shop = self.shop.clone().open()?;
        let name = fresh()?;
        let are_given = self.tickets.is_some();
        let tickets = match self.tickets.take() {
            Some(tickets) => tickets.try_into().map_err(|_| "--tickets takes two".to_owned())?,
            None => [1, 2].map(|seat| format!("smoke-{name}:{seat}")),
        };
        let user = format!("smoke-{name}");
        Smoke {
            shop,
            args: self,
            tickets,
            are_given,
            user,
            bought: None,
            sold: [false; 2],
            cannot_reset: None,
            hold: None,
        }
        .run()
    }
}

/// A name that no other run has.
pub(crate) fn fresh() -> Result<String, String> {
    let mut chance = [0; 8];
    getrandom::fill(&mut chance).map_err(|why| format!("no chance to be had: {why}"))?;
    Ok(format!("{:016x}", u64::from_le_bytes(chance)))
}

impl Smoke {
    fn run(mut self) -> Result<bool, String> {
        let (start, mut out) = (Instant::now(), std::io::stdout());
        // Who reads no more has read enough; what was bought is put back all the same.
        let mut say = |line: String| drop(writeln!(out, "{line}"));
        say(match self.shop.engine {
            Engine::Host => format!("{} is a shop", self.shop.url),
            Engine::Restate => format!("{} is the ingress of a Restate server", self.shop.url),
        });
        for seat in [0, 1].into_iter().filter(|_| self.are_given) {
            let status = self.status(seat)?;
            if status != "AVAILABLE" {
                return Err(format!("{} is {status}: --tickets takes two that are on sale", self.tickets[seat]));
            }
        }
        let (mut passed, mut skipped, mut failed) = (0, 0, 0);
        for (name, step) in STEPS {
            let done = if start.elapsed() > AT_MOST && name != "the seats are back on sale" {
                Err(format!("no time is left: it has taken {} s until here", start.elapsed().as_secs()))
            } else {
                step(&mut self)
            };
            match done {
                Ok(Done::Passed(what)) => {
                    passed += 1;
                    say(format!("PASS  {name}: {what}"));
                }
                Ok(Done::Skipped(why)) => {
                    skipped += 1;
                    say(format!("SKIP  {name}: {why}"));
                }
                Err(why) => {
                    failed += 1;
                    say(format!("FAIL  {name}: {why}"));
                }
            }
        }
        say(format!("{passed} passed, {skipped} skipped, {failed} failed, {:.1?}", start.elapsed()));
        Ok(failed == 0)
    }

    fn ticket(&self, seat: usize, handler: &str) -> String {
        format!("/Ticket/{}/{handler}", self.tickets[seat])
    }

    fn process(&mut self, seat: usize, user: &str, card: &str) -> Result<Answer, String> {
        let body = json!({ "ticketId": self.tickets[seat], "userId": user, "paymentMethodId": card });
        let was_sold = self.sold[seat];
        // What was asked may be done even where no answer comes.
        self.sold[seat] = true;
        let answer = self.shop.post("/Checkout/process", &body)?;
        self.sold[seat] = was_sold || !(400..500).contains(&answer.status);
        Ok(answer)
    }

    fn status(&self, seat: usize) -> Result<String, String> {
        let seen = self.shop.post(&self.ticket(seat, "get"), &json!({}))?;
        let status = seen.body["status"].as_str().map(str::to_owned);
        status.ok_or_else(|| format!("{} cannot be looked at: {}", self.tickets[seat], seen.short()))
    }

    /// Waits until the ticket has this status: a checkout tells its end a moment before the seat shows it.
    fn becomes(&self, seat: usize, status: &str) -> Result<(), String> {
        let since = Instant::now();
        loop {
            let is = self.status(seat)?;
            if is == status {
                return Ok(());
            }
            if since.elapsed() > Duration::from_secs(10) {
                return Err(format!("{} is {is}, not {status}", self.tickets[seat]));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Why this run buys nothing: it buys only what an operator can put back on sale.
    fn why_not_to_buy(&mut self) -> Option<String> {
        if self.args.no_payments {
            return Some("--no-payments".to_owned());
        }
        if self.args.leave_sold {
            return None;
        }
        if !self.shop.has_operator() {
            let why = "without --admin-token it could not be put back on sale; --leave-sold buys it all the same";
            return Some(why.to_owned());
        }
        let tried = self.cannot_reset.take().unwrap_or_else(|| self.may_reset());
        let why = tried
            .as_ref()
            .err()
            .map(|why| format!("an operator could not put it back on sale ({why}); --leave-sold buys it all the same"));
        self.cannot_reset = Some(tried);
        why
    }

    /// Resets what has not changed since there was nothing: that changes nothing.
    fn may_reset(&self) -> Result<(), String> {
        let reset = self.shop.operate(&self.ticket(0, "reset"), &json!({ "upTo": 0 }))?;
        if reset.status == 200 { Ok(()) } else { Err(reset.short()) }
    }

    /// Puts back what this may have bought.
    fn put_back(&self, seat: usize) -> Result<(), String> {
        if self.shop.engine == Engine::Host {
            // The host tells an operator whose it is.
            let seen = self.shop.operate(&self.ticket(seat, "get"), &json!({}))?;
            if seen.body["status"] == "SOLD" && seen.body["reservedBy"] != self.user.as_str() {
                return Err(format!("{} is sold to somebody else: it stays so", self.tickets[seat]));
            }
        }
        let reset = self.shop.operate(&self.ticket(seat, "cleanup"), &json!({}))?;
        expect(&reset, 200, "", "The seat may stay sold: see --admin-token; on Restate, --admin-handlers")
    }
}

fn expect(answer: &Answer, status: u16, kind: &str, hint: &str) -> Result<(), String> {
    if (answer.status, answer.kind.as_str()) == (status, kind) {
        return Ok(());
    }
    let (short, hint) = (answer.short(), if hint.is_empty() { String::new() } else { format!(". {hint}") });
    let expected = format!("{status} {kind}");
    Err(format!("{short}, and not {}{hint}", expected.trim_end()))
}

/// What helps, where a first booking is refused.
fn hint(answer: &Answer) -> &'static str {
    match (answer.status, answer.kind.as_str()) {
        (401, _) => "This deployment asks buyers for a token: --token, or BOOKING_AUTH_TOKEN in .env",
        (402, _) => {
            "Its gateway does not know this card: --card and --declined-card name those that it has for trying, --no-payments buys nothing"
        }
        (404, _) => "No such handler is there: on Restate, register the deployment first",
        (_, "TicketNotForSale") => "It sells seats of a layout alone: name two with --tickets",
        (_, "PaymentUnavailable") => "Its gateway cannot be reached, or refuses it: see PAYMENT_URL, and the log",
        (202, _) => "It goes on after 30 s: its gateway does not answer in time",
        _ => "",
    }
}

fn health(smoke: &mut Smoke) -> Result<Done, String> {
    let path = if smoke.shop.engine == Engine::Host { "/health" } else { "/restate/health" };
    let Some(version) = smoke.args.version.clone() else {
        expect(&smoke.shop.get(path)?, 200, "", "")?;
        return Ok(Done::Passed(format!("{path} says 200")));
    };
    let (since, mut in_a_row) = (Instant::now(), 0);
    while in_a_row < IN_A_ROW {
        let health = smoke.shop.get(path)?;
        expect(&health, 200, "", "")?;
        in_a_row = if health.version.as_ref() == Some(&version) { in_a_row + 1 } else { 0 };
        if in_a_row == 0 && since.elapsed() > VERSION_WITHIN {
            let other = health.version.unwrap_or_else(|| "one that does not say which it is".to_owned());
            return Err(format!("version {version} does not answer each time, but {other}"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(Done::Passed(format!("{path} says 200, and is of version {version}")))
}

fn openapi(smoke: &mut Smoke) -> Result<Done, String> {
    if smoke.shop.engine == Engine::Restate {
        return Ok(Done::Skipped("an ingress does not describe itself; the admin API does".to_owned()));
    }
    let described = smoke.shop.get("/openapi.json")?;
    expect(&described, 200, "", hint(&described))?;
    let (version, paths) =
        (&described.body["openapi"], described.body["paths"].as_object().map_or(0, |paths| paths.len()));
    if !described.body["paths"]["/Checkout/process"].is_object() {
        return Err("the description has no /Checkout/process".to_owned());
    }
    Ok(Done::Passed(format!("OpenAPI {}, {paths} paths", version.as_str().unwrap_or("of no version"))))
}

fn books(smoke: &mut Smoke) -> Result<Done, String> {
    if let Some(why) = smoke.why_not_to_buy() {
        return Ok(Done::Skipped(why));
    }
    let since = Instant::now();
    let booked = smoke.process(0, &smoke.user.clone(), &smoke.args.card.clone())?;
    expect(&booked, 200, "", hint(&booked))?;
    smoke.bought = booked.body["checkoutId"].as_str().map(str::to_owned);
    let amount: Money =
        serde_json::from_value(booked.body["amount"].clone()).map_err(|why| format!("its amount: {why}"))?;
    Ok(Done::Passed(format!("{} for {amount} in {:.0?}", smoke.tickets[0], since.elapsed())))
}

fn is_sold(smoke: &mut Smoke) -> Result<Done, String> {
    if smoke.bought.is_none() {
        return Ok(Done::Skipped("nothing was bought".to_owned()));
    }
    smoke.becomes(0, "SOLD")?;
    if let (Engine::Host, Some(checkout)) = (smoke.shop.engine, &smoke.bought) {
        let status = smoke.shop.get(&format!("/Checkout/{checkout}"))?;
        if status.body["status"] != "CONFIRMED" {
            return Err(format!("its checkout is not CONFIRMED: {}", status.short()));
        }
    }
    let again = smoke.process(0, &format!("{}-2", smoke.user), &smoke.args.card.clone())?;
    expect(&again, 409, "TicketSold", "")?;
    Ok(Done::Passed("SOLD; the next buyer is told TicketSold".to_owned()))
}

fn declined(smoke: &mut Smoke) -> Result<Done, String> {
    if let Some(why) = smoke.why_not_to_buy() {
        return Ok(Done::Skipped(why));
    }
    let declined = smoke.process(1, &smoke.user.clone(), &smoke.args.declined_card.clone())?;
    expect(&declined, 402, "PaymentDeclined", hint(&declined))?;
    smoke.becomes(1, "AVAILABLE")?;
    Ok(Done::Passed("PaymentDeclined, and the seat is free".to_owned()))
}

fn watched(smoke: &mut Smoke) -> Result<Done, String> {
    let (ticket, shop) = (smoke.tickets[1].clone(), smoke.shop.clone());
    let mut watcher = match shop.engine {
        Engine::Host => {
            let mut watcher = Watcher::of(&shop, ticket.rsplit_once(':').map_or("global", |(map, _)| map))?;
            watcher.hears()?;
            Some(watcher)
        }
        Engine::Restate => None,
    };
    let held = shop.post(&smoke.ticket(1, "reserve"), &json!({ "userId": smoke.user }))?;
    expect(&held, 200, "", hint(&held))?;
    let hold = held.body["holdId"].as_str().unwrap_or_default().to_owned();
    smoke.hold = Some(hold.clone());
    let mut sees = |status| match &mut watcher {
        Some(watcher) => watcher.hears_that(&ticket, status),
        None => smoke.becomes(1, status),
    };
    sees("RESERVED")?;
    let released = shop.post(&smoke.ticket(1, "release"), &json!({ "holdId": hold }))?;
    expect(&released, 200, "", "")?;
    sees("AVAILABLE")?;
    smoke.hold = None;
    Ok(match shop.engine {
        Engine::Host => Done::Passed("RESERVED, then AVAILABLE".to_owned()),
        Engine::Restate => {
            Done::Passed("RESERVED, then AVAILABLE; nobody watches an ingress, so it was asked for".to_owned())
        }
    })
}

fn leaves_nothing(smoke: &mut Smoke) -> Result<Done, String> {
    let mut wrong = Vec::new();
    if let Some(hold) = smoke.hold.take() {
        wrong.extend(smoke.shop.post(&smoke.ticket(1, "release"), &json!({ "holdId": hold })).err());
    }
    let sold: Vec<usize> = (0..2).filter(|seat| smoke.sold[*seat]).collect();
    if !sold.is_empty() && !smoke.shop.has_operator() {
        return Ok(Done::Skipped("without --admin-token what was bought stays sold".to_owned()));
    }
    wrong.extend(sold.into_iter().filter_map(|seat| smoke.put_back(seat).err()));
    wrong.extend((0..2).filter_map(|seat| smoke.becomes(seat, "AVAILABLE").err()));
    if wrong.is_empty() { Ok(Done::Passed(smoke.tickets.join(", "))) } else { Err(wrong.join("; ")) }
}
