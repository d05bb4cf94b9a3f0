//! What must be seen now and then, or a run proves nothing: the rare things that the rules are for.

/// A list of things to see, and how often each was seen. For this module and the simulator of the in-process host.
#[doc(hidden)]
#[macro_export]
macro_rules! coverage {
    ($($name:ident = $text:literal,)*) => {
        /// Something that a run has to have met, or it has looked in the wrong place.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum CoveragePoint { $(#[doc = $text] $name,)* }

        impl CoveragePoint {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// What it is, in words.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }

        /// How often each was seen.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Coverage([u64; CoveragePoint::ALL.len()]);

        impl Default for Coverage {
            fn default() -> Self {
                Self([0; CoveragePoint::ALL.len()])
            }
        }

        impl Coverage {
            /// Sees one.
            pub fn hit(&mut self, sight: CoveragePoint) {
                self.0[sight as usize] += 1;
            }

            /// Sees one, if it was there to be seen.
            pub fn hit_if(&mut self, seen: bool, sight: CoveragePoint) {
                self.0[sight as usize] += u64::from(seen);
            }

            /// Adds what others saw.
            pub fn add(&mut self, other: &Self) {
                for (mine, other) in self.0.iter_mut().zip(other.0) {
                    *mine += other;
                }
            }

            /// Each with its count.
            pub fn iter(&self) -> impl Iterator<Item = (CoveragePoint, u64)> + '_ {
                CoveragePoint::ALL.iter().map(|sight| (*sight, self.0[*sight as usize]))
            }

            /// The one that was seen least, and how often.
            #[must_use]
            pub fn rarest(&self) -> (CoveragePoint, u64) {
                let first = (CoveragePoint::ALL[0], self.0[0]);
                self.iter().fold(first, |rarest, other| if other.1 < rarest.1 { other } else { rarest })
            }

            /// Those that were seen less often than that.
            #[must_use]
            pub fn missing(&self, at_least: u64) -> Vec<CoveragePoint> {
                self.iter().filter(|(_, count)| *count < at_least).map(|(sight, _)| sight).collect()
            }
        }
    };
}

coverage! {
    SoldOut = "sold out",
    Declined = "declined",
    CaptureDeclined = "capture declined",
    ExpiredBeforePay = "expired before pay",
    ExpiredDuringPay = "expired during pay",
    ConfirmRefusedThenVoid = "confirm refused after authorisation, then void",
    LostAnswer = "lost answer",
    LateAfterVoid = "late answer after void",
    CrashBeforeEffect = "crash before the effect",
    CrashAfterEffect = "crash after the effect",
    CrashAfterRecord = "crash after the append",
    CrashWhileUndoing = "crash in compensation",
    CrashTwice = "crash twice in one saga",
    CopyAfterTheEnd = "duplicate after the end",
    StaleTimer = "timer that is not armed any more",
    EarlyTimer = "early timer armed again",
    AtTheEnd = "command at exactly now == until",
    PartialConfirm = "partial confirm, then revoke",
    LayoutRefused = "layout without a held seat refused",
    LayoutWhileHeld = "layout while seats are held",
    StaleEdition = "price of an older edition refused",
    Overtaken = "wish that was overtaken",
    LaterSeatRefuses = "one seat of a set refuses",
    RetriesExhausted = "retries exhausted",
    RevokeFirst = "revoke before its claim",
    ClockBehind = "clock behind the last change",
    HoldKept = "a failed checkout leaves its buyer the hold",
    Cancelled = "cancelled",
    LapsedAfterKill = "a killed checkout's seat lapses",
    Forgotten = "a claim that a forgetful map does not know has ended",
}
