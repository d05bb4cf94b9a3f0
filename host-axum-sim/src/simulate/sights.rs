//! What must be seen now and then, or a simulation proves nothing: the rare things that a host is built for.

macro_rules! sights {
    ($($name:ident = $text:literal,)*) => {
        /// Something that a simulation has to have met.
        #[allow(missing_docs, reason = "each is told by its name, in words")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Sight { $($name,)* }

        impl Sight {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// What it is, in words.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

sights! {
    CrashLosesBatches = "a crash loses what was not synced",
    CrashKeepsByLuck = "a crash, and what was not synced is there by luck",
    CrashTears = "a crash tears the last batch",
    CrashWhilePaying = "a crash while the gateway is asked",
    CrashWhileWaiting = "a crash while a checkout waits to ask again",
    CrashWhileUndoing = "a crash in compensation",
    CrashBeforeTheAnswer = "a crash, and somebody waits for an answer",
    CrashAgain = "a second crash",
    LapsedWhileDown = "a hold ends while nothing runs",
    AskedAgainAfterACrash = "the same key again after a crash",
    AskedAgainMeanwhile = "the same key again while the first is under way",
    ToldAgain = "the first answer told again",
    WaitsForTheDisk = "a look or a refusal waits for what it saw",
    OneCommitForMany = "one commit for several requests",
    DiskFull = "the disk is full, and has room again",
    LostAnswer = "the gateway's answer is lost",
    AsksLate = "the gateway is asked by a process that is dead",
    LateAfterVoid = "an authorisation arrives after its void",
    Confirmed = "a booking is told",
    SoldOut = "every ticket is sold",
    Declined = "declined",
    Unavailable = "no answer as often as may be asked",
    TurnedAway = "somebody is told that another has it",
    Lapsed = "a hold ends by itself",
    Cancelled = "a cancel turns a checkout back",
    AnsweredMeanwhile = "a caller is told that it takes longer",
    LetterAgain = "a message to a buyer is tried again",
    LetterParked = "a message to a buyer is given up",
    Forgotten = "a finished checkout is forgotten",
    WatchedAgain = "a watcher comes again after a crash",
    ListedInBatches = "a crash while a layout is listed",
}

const COUNT: usize = Sight::ALL.len();

/// How often each was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sights([u64; COUNT]);

impl Default for Sights {
    fn default() -> Self {
        Self([0; COUNT])
    }
}

impl Sights {
    pub(super) fn see(&mut self, sight: Sight) {
        self.0[sight as usize] += 1;
    }

    pub(super) fn see_if(&mut self, seen: bool, sight: Sight) {
        if seen {
            self.see(sight);
        }
    }

    /// Adds what others saw.
    pub fn add(&mut self, other: &Self) {
        for (mine, other) in self.0.iter_mut().zip(other.0) {
            *mine += other;
        }
    }

    /// Each with how often it was seen.
    pub fn iter(&self) -> impl Iterator<Item = (Sight, u64)> + '_ {
        Sight::ALL.iter().map(|sight| (*sight, self.0[*sight as usize]))
    }

    /// Those that were never seen.
    #[must_use]
    pub fn missing(&self) -> Vec<Sight> {
        self.iter().filter(|(_, count)| *count == 0).map(|(sight, _)| sight).collect()
    }
}
