//! A box office that everything happens to at once: shows are sold out one after the other, readers, watchers and a nuisance keep it
//! busy, its gateway hangs, its disk stalls, and it is killed.

pub mod faults;
pub mod gauges;
pub mod people;
pub mod shows;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::crowd::Bought;
use crate::http::Client;
use faults::Happened;
use gauges::Gauges;
use shows::Shows;

/// What is at work in one box office.
pub struct Office {
    /// Asks as a buyer.
    pub public: Client,
    /// Asks as an operator.
    pub admin: Client,
    /// The shows that are on sale, and those that were.
    pub shows: Shows,
    /// What is measured.
    pub gauges: Gauges,
    /// What has happened to it.
    pub happened: Mutex<Happened>,
    /// How many checkouts were refused that were asked for only to be refused.
    pub refused: AtomicU64,
    /// How many changes watchers were told of.
    pub changes: AtomicU64,
    /// How often a watcher came again, and was shown where the same show had come to.
    pub returns: AtomicU64,
    /// What every checkout was told in the end, with the number of its show.
    pub told: Mutex<Vec<(u64, Bought)>>,
    over: AtomicBool,
    began: Instant,
}

impl Office {
    /// One at this address, where nothing has happened yet.
    #[must_use]
    pub fn at(public: &Client, admin: &Client) -> Self {
        let (public, admin) = (public.clone(), admin.clone());
        Self {
            public,
            admin,
            shows: Shows::default(),
            gauges: Gauges::default(),
            happened: Mutex::default(),
            refused: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            returns: AtomicU64::new(0),
            told: Mutex::default(),
            over: AtomicBool::new(false),
            began: Instant::now(),
        }
    }

    /// How long it has been at work.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// Nothing is begun any more. What was begun comes to its end.
    pub fn is_to_end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Whether nothing is to be begun any more.
    #[must_use]
    pub fn ends(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Does this, and ends everything if it fails: the others would continue for ever.
    pub fn does<T>(&self, work: impl FnOnce() -> T) -> T {
        struct Ends<'a>(&'a Office);
        impl Drop for Ends<'_> {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    self.0.is_to_end();
                }
            }
        }
        let _ends = Ends(self);
        work()
    }

    /// Waits, or until it is to end.
    pub fn rest(&self, length: Duration) {
        let until = Instant::now() + length;
        while !self.ends() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(100).min(until.saturating_duration_since(Instant::now())));
        }
    }
}
