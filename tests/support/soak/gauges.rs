//! What is measured while everything happens, what is to be said of it, and whether anything drifts.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Office;
use super::faults::Happened;
use crate::http::Client;

/// What took its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A request whose answer is on disk.
    Write,
    /// A look at a checkout.
    Look,
    /// A map, or what it sums up to.
    Map,
    /// A checkout, from its order until its buyer was told how it ended.
    Booking,
    /// The disk alone: 512 bytes written and synced, beside the directory, by another process.
    Disk,
    /// The machine: a look at the gateway's health, while it does not hang.
    Machine,
}

/// What one process has, at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// When, since the beginning.
    pub at: Duration,
    /// Its memory, in KiB.
    pub memory: u64,
    /// Its open descriptors.
    pub descriptors: u64,
    /// What it has on disk, in KiB.
    pub disk: u64,
}

/// All that was measured.
#[derive(Debug, Default)]
pub struct Gauges {
    took: Mutex<Vec<(What, Duration, Duration)>>,
    samples: Mutex<Vec<Sample>>,
}

impl Gauges {
    /// Something took as long, and was over then.
    ///
    /// # Panics
    /// Where another thread has.
    pub fn took(&self, what: What, at: Duration, length: Duration) {
        self.took.lock().unwrap().push((what, at, length));
    }

    /// Asks another server how it is, ten times a second, until everything is to end.
    pub fn ask(&self, office: &Office, other: &Client) {
        while !office.ends() {
            office.rest(Duration::from_millis(100));
            let start = Instant::now();
            if other.try_send("GET", "/health", &[], b"").is_ok() {
                self.took(What::Machine, office.age(), start.elapsed());
            }
        }
    }

    /// Looks at the server once a second, until everything is to end. `process` tells which one it is.
    ///
    /// # Panics
    /// Where another thread has.
    pub fn watch(&self, office: &Office, process: &AtomicU32, data: &Path) {
        let yard = data.with_file_name("yardstick");
        while !office.ends() {
            office.rest(Duration::from_secs(1));
            let start = Instant::now();
            if synced(&yard).is_ok() {
                self.took(What::Disk, office.age(), start.elapsed());
            }
            let id = process.load(Ordering::Relaxed);
            let sample = sample(id, data).map(|sample| Sample { at: office.age(), ..sample });
            // What was looked at is still what it was.
            self.samples.lock().unwrap().extend(sample.filter(|_| id > 0 && id == process.load(Ordering::Relaxed)));
        }
    }

    /// What was measured, period by period.
    ///
    /// # Panics
    /// Where another thread has.
    #[must_use]
    pub fn periods(&self, length: Duration, count: u32) -> Vec<Period> {
        let (took, samples) = (self.took.lock().unwrap(), self.samples.lock().unwrap());
        let period = |n: u32| {
            let is_in = |at: &Duration| *at >= length * n && *at < length * (n + 1);
            let took = |what: What| {
                let took = took.iter().filter(|(of, at, _)| *of == what && is_in(at));
                Lengths::of(took.map(|(_, _, took)| *took).collect())
            };
            let most = |of: fn(&Sample) -> u64| {
                samples.iter().filter(|sample| is_in(&sample.at)).map(of).max().unwrap_or_default()
            };
            Period {
                ends: length * (n + 1),
                writes: took(What::Write),
                looks: took(What::Look),
                maps: took(What::Map),
                bookings: took(What::Booking),
                disk_alone: took(What::Disk),
                machine: took(What::Machine),
                memory: most(|sample| sample.memory),
                descriptors: most(|sample| sample.descriptors),
                disk: most(|sample| sample.disk),
            }
        };
        (0..count).map(period).collect()
    }
}

fn synced(file: &Path) -> std::io::Result<()> {
    let mut file = fs::File::create(file)?;
    file.write_all(&[7; 512])?;
    file.sync_data()
}

/// The memory of a process, in KiB, if it is there.
#[must_use]
pub fn memory(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?.parse().ok()
}

fn sample(process: u32, data: &Path) -> Option<Sample> {
    let memory = memory(process)?;
    let descriptors = fs::read_dir(format!("/proc/{process}/fd")).ok()?.count() as u64;
    let files = fs::read_dir(data).ok()?.filter_map(|entry| entry.ok()?.metadata().ok());
    let disk = files.map(|about| about.len()).sum::<u64>() / 1024;
    Some(Sample { at: Duration::ZERO, memory, descriptors, disk })
}

/// How long something took, again and again.
#[derive(Clone, Debug, Default)]
pub struct Lengths(Vec<Duration>);

impl Lengths {
    fn of(mut lengths: Vec<Duration>) -> Self {
        lengths.sort_unstable();
        Self(lengths)
    }

    /// How often.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// As many of a hundred took no longer.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Duration {
        let at = self.0.len() * percent / 100;
        self.0.get(at.min(self.0.len().saturating_sub(1))).copied().unwrap_or_default()
    }
}

/// What was measured in a part of the time. Memory, descriptors and disk are the most that there was.
#[derive(Clone, Debug, Default)]
pub struct Period {
    /// When it ends, since the beginning.
    pub ends: Duration,
    /// Requests whose answer is on disk.
    pub writes: Lengths,
    /// Looks at checkouts.
    pub looks: Lengths,
    /// Maps that were read.
    pub maps: Lengths,
    /// Checkouts, from their order to their end.
    pub bookings: Lengths,
    /// The disk alone.
    pub disk_alone: Lengths,
    /// The machine.
    pub machine: Lengths,
    /// KiB.
    pub memory: u64,
    /// Open descriptors of the server.
    pub descriptors: u64,
    /// KiB in the data directory.
    pub disk: u64,
}

/// What may not grow without end, and how much more of it there may be: by chance, besides a tenth, and for each KiB more on disk.
type Most = (&'static str, fn(&Period) -> u64, u64, u64);

/// Memory and descriptors. What is stored is in memory too, and where old logs are made into a base what they say is there twice: in a short
/// run it grows with what is sold. (A run was seen in which 2 MiB more on disk were 14 MiB more in memory.)
pub const IN_MEMORY: [Most; 2] =
    [("KiB of memory", |period| period.memory, 8 * 1024, 4), ("descriptors", |period| period.descriptors, 32, 0)];

/// The files. In a short run they follow what was sold in it.
pub const ON_DISK: Most = ("KiB on disk", |period| period.disk, 4 * 1024, 0);

/// Whether any of these grows: the last third of the periods beside the third before it. In the first, everything does.
///
/// # Errors
/// What grows.
pub fn drift(periods: &[Period], of: &[Most]) -> Result<(), String> {
    let third = periods.len() / 3;
    let most = |of: fn(&Period) -> u64| {
        let most = |periods: &[Period]| periods.iter().map(of).max().unwrap_or_default();
        (most(&periods[third..2 * third]), most(&periods[2 * third..]))
    };
    let (stored_before, stored) = most(|period| period.disk);
    for (name, of, by_chance, each) in of {
        let (before, last) = most(*of);
        let slack = by_chance + each * stored.saturating_sub(stored_before);
        if last * 10 > before * 11 + slack * 10 {
            return Err(format!("{name}: {last}, and {before} before"));
        }
    }
    Ok(())
}

/// Whether the server takes longer and longer: writes beside the disk alone, maps beside another server. Only a long run can tell.
///
/// # Errors
/// What takes longer.
pub fn slows_down(periods: &[Period]) -> Result<(), String> {
    type Of = fn(&Period) -> &Lengths;
    let third = periods.len() / 3;
    let beside: [(&str, Of, Of); 2] = [
        ("writes", |period| &period.writes, |period| &period.disk_alone),
        ("maps", |period| &period.maps, |period| &period.machine),
    ];
    for (name, of, other) in beside {
        let median = |of: Of, periods: &[Period]| {
            let mut medians: Vec<u128> = periods.iter().map(|period| of(period).percentile(50).as_micros()).collect();
            medians.sort_unstable();
            medians[medians.len() / 2].max(1)
        };
        let ratio = |periods: &[Period]| median(of, periods) * 1000 / median(other, periods);
        let (before, last) = (ratio(&periods[third..2 * third]), ratio(&periods[2 * third..]));
        if last * 2 > before * 3 {
            return Err(format!("{name} take {last} thousandths of what is beside them, and {before} before"));
        }
    }
    Ok(())
}

fn ms(length: Duration) -> String {
    let tenths = (length.as_micros() + 50) / 100;
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// What was measured, as a table for a document.
#[must_use]
pub fn table(periods: &[Period]) -> String {
    let mut table = String::from(
        "| until | checkouts | p50 · p99 ms | writes p50 · p99 ms | looks p50 · p99 ms | maps read | p50 · p99 ms | disk alone p50 ms | other server p50 ms | memory MiB | descriptors | on disk MiB |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for period in periods {
        let both = |lengths: &Lengths| format!("{} · {}", ms(lengths.percentile(50)), ms(lengths.percentile(99)));
        let seconds = period.ends.as_secs();
        let _into_a_string = writeln!(
            table,
            "| {}:{:02} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            seconds / 60,
            seconds % 60,
            period.bookings.count(),
            both(&period.bookings),
            both(&period.writes),
            both(&period.looks),
            period.maps.count(),
            both(&period.maps),
            ms(period.disk_alone.percentile(50)),
            ms(period.machine.percentile(50)),
            period.memory / 1024,
            period.descriptors,
            period.disk / 1024,
        );
    }
    table
}

/// What happened, in a sentence.
///
/// # Panics
/// Where another thread has.
#[must_use]
pub fn sentence(office: &Office) -> String {
    let Happened { kills, hangs, stalls, .. } = &*office.happened.lock().unwrap();
    let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
    format!(
        "{kills} kills; the gateway hung {hangs} times, the disk {stalls} times; {} shows; {} checkouts told their end, {} more were \
         refused; watchers heard of {} changes, and came again {} times.",
        office.shows.on_sale(),
        office.told.lock().unwrap().len(),
        count(&office.refused),
        count(&office.changes),
        count(&office.returns)
    )
}
