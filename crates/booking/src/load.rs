//! `booking load`: many buyers at once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::report;
use crate::shop::{Shop, ShopFlags};
use crate::smoke::fresh;

/// It sells for as long as it runs, so point it at a deployment whose gateway is no real one.
#[derive(Args)]
pub(crate) struct LoadArgs {
    #[command(flatten)]
    shop: ShopFlags,
    /// How many buyers ask at once, each over a connection of its own
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    clients: u16,
    /// For how long
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// What they want
    #[arg(long, value_enum, default_value_t = Wanted::Fifty)]
    wanted: Wanted,
    /// The map that they buy on [default: one of its own]
    #[arg(long)]
    map: Option<String>,
    /// Writes what came of it as a page, too
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
}

/// What buyers want.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wanted {
    /// Any of fifty seats: most buyers come too late. Of ten cards eight pay, one is declined, and one gets no answer of the gateway
    Fifty,
    /// Each buyer a seat of their own, with a card that pays
    Distinct,
}

/// One answer.
pub(crate) struct Seen {
    /// When it came, since the start.
    pub(crate) at: Duration,
    pub(crate) took: Duration,
    /// The status and the kind; `no answer` where there was none.
    pub(crate) what: String,
}

/// What came of a load.
pub(crate) struct Loaded {
    pub(crate) url: String,
    pub(crate) clients: u16,
    pub(crate) wanted: Wanted,
    /// For how long buyers asked. The last answers may have come later.
    pub(crate) lasted: Duration,
    /// In the order in which they came.
    pub(crate) seen: Vec<Seen>,
    /// The first reason that there was no answer.
    pub(crate) no_answer: Option<String>,
}

/// The answer of a booking.
pub(crate) const BOOKED: &str = "200 booked";

impl Loaded {
    /// How long answers took, in order; of one kind, or of all.
    pub(crate) fn took(&self, what: Option<&str>) -> Vec<Duration> {
        let mut took: Vec<_> =
            self.seen.iter().filter(|seen| what.is_none_or(|what| seen.what == what)).map(|seen| seen.took).collect();
        took.sort_unstable();
        took
    }

    /// How many came while buyers asked, of one kind or of all.
    pub(crate) fn in_time(&self, what: Option<&str>) -> usize {
        let is_in_time = |seen: &&Seen| seen.at <= self.lasted && what.is_none_or(|what| seen.what == what);
        self.seen.iter().filter(is_in_time).count()
    }

    /// How many answers of each kind there were.
    pub(crate) fn kinds(&self) -> BTreeMap<&str, usize> {
        let mut kinds = BTreeMap::new();
        self.seen.iter().for_each(|seen| *kinds.entry(seen.what.as_str()).or_default() += 1);
        kinds
    }

    /// The rate of this number over the whole time: per second, with one decimal.
    pub(crate) fn rate(&self, count: usize) -> String {
        let tenths = (count as u128 * 10_000) / self.lasted.as_millis().max(1);
        format!("{}.{}", tenths / 10, tenths % 10)
    }
}

/// What a share of the sorted times stays below.
pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let at = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(at).or(sorted.last()).copied().unwrap_or_default()
}

impl LoadArgs {
    /// Whether every request was answered, and something was booked.
    pub(crate) fn run(self) -> Result<bool, String> {
        let shop = self.shop.clone().open()?;
        let map = self.map.clone().map_or_else(|| fresh().map(|name| format!("load-{name}")), Ok)?;
        // A path that cannot be written to is found out before, not after.
        let report = self
            .report
            .as_ref()
            .map(|path| std::fs::File::create(path).map_err(|why| format!("--report {}: {why}", path.display())));
        let report = report.transpose()?;
        let loaded = self.load(&shop, &map)?;
        if let Some(file) = report {
            report::page(&loaded, file).map_err(|why| format!("--report: {why}"))?;
        }
        report::text(&loaded).map_err(|why| format!("standard output: {why}"))?;
        Ok(loaded.no_answer.is_none() && loaded.kinds().contains_key(BOOKED))
    }

    fn load(&self, shop: &Shop, map: &str) -> Result<Loaded, String> {
        let (next, is_over, booked, asked) =
            (AtomicU64::new(0), AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
        let bar = ProgressBar::new(self.duration.as_millis().try_into().unwrap_or(u64::MAX));
        bar.set_style(
            ProgressStyle::with_template("{bar:40} {elapsed} of a load of {prefix}: {msg}")
                .map_err(|why| why.to_string())?,
        );
        bar.set_prefix(humantime::format_duration(self.duration).to_string());
        let start = Instant::now();
        let (seen, no_answer) = std::thread::scope(|scope| {
            let buyer = |number: u16| {
                let shop = shop.another();
                let (next, is_over, booked, asked) = (&next, &is_over, &booked, &asked);
                move || {
                    let (mut seen, mut no_answer) = (Vec::new(), None);
                    while !is_over.load(Ordering::Relaxed) {
                        let (seat, card) = match self.wanted {
                            Wanted::Distinct => (next.fetch_add(1, Ordering::Relaxed), "card_success"),
                            Wanted::Fifty => drawn(),
                        };
                        let body = json!({ "ticketId": format!("{map}:{seat}"), "userId": format!("load-{number}"), "paymentMethodId": card });
                        let since = Instant::now();
                        let answer = shop.post("/Checkout/process", &body);
                        let what = match &answer {
                            Ok(answer) if answer.status == 200 => BOOKED.to_owned(),
                            Ok(answer) => format!("{} {}", answer.status, answer.kind).trim_end().to_owned(),
                            Err(_) => "no answer".to_owned(),
                        };
                        asked.fetch_add(1, Ordering::Relaxed);
                        booked.fetch_add(u64::from(what == BOOKED), Ordering::Relaxed);
                        if let Err(why) = answer {
                            no_answer.get_or_insert(why);
                            // Who asks a server that is down learns nothing, as often as it may ask.
                            std::thread::sleep(Duration::from_millis(100));
                        }
                        seen.push(Seen { at: start.elapsed(), took: since.elapsed(), what });
                    }
                    (seen, no_answer)
                }
            };
            let buyers: Vec<_> = (0..self.clients).map(|number| scope.spawn(buyer(number))).collect();
            while start.elapsed() < self.duration {
                let left = self.duration.saturating_sub(start.elapsed());
                std::thread::sleep(left.min(Duration::from_millis(200)));
                bar.set_position(start.elapsed().as_millis().try_into().unwrap_or(u64::MAX));
                bar.set_message(format!(
                    "{} asked, {} booked",
                    asked.load(Ordering::Relaxed),
                    booked.load(Ordering::Relaxed)
                ));
            }
            is_over.store(true, Ordering::Relaxed);
            let (mut all, mut first) = (Vec::new(), None);
            for buyer in buyers {
                // A buyer that panics is a bug of this program; the others' answers are worth telling.
                if let Ok((seen, no_answer)) = buyer.join() {
                    all.extend(seen);
                    first = first.or(no_answer);
                }
            }
            (all, first)
        });
        bar.finish_and_clear();
        let mut loaded = Loaded {
            url: shop.url.clone(),
            clients: self.clients,
            wanted: self.wanted,
            lasted: self.duration,
            seen,
            no_answer,
        };
        loaded.seen.sort_unstable_by_key(|seen| seen.at);
        Ok(loaded)
    }
}

/// Any of fifty seats, and a card: eight of ten pay, one is declined, one gets no answer of the gateway.
fn drawn() -> (u64, &'static str) {
    let mut chance = [0; 2];
    // Without chance everybody wants the first seat: that is a load, too.
    let _no_chance = getrandom::fill(&mut chance);
    let [seat, card] = chance;
    let card = match card % 10 {
        0 => "card_decline",
        1 => "card_error",
        _ => "card_success",
    };
    (u64::from(seat % 50) + 1, card)
}
