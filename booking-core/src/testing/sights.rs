//! What must be seen now and then, or a run proves nothing: the rare things that the rules are for.

use serde::Serialize;

macro_rules! sights {
    ($($(#[doc = $doc:literal])* $name:ident = $text:literal,)*) => {
        /// Something that a search has to have met, or it has looked in the wrong place.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub enum Sight { $($(#[doc = $doc])* $name,)* }

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
    /// Every ticket is sold.
    SoldOut = "sold out",
    /// The card was declined.
    Declined = "declined",
    /// The capture was declined.
    CaptureDeclined = "capture declined",
    /// A claim was refused because the hold had ended.
    ExpiredBeforePay = "expired before pay",
    /// A confirm was refused because the claim had lapsed since.
    ExpiredDuringPay = "expired during pay",
    /// A confirm was refused, and what was authorised was let go.
    ConfirmRefusedThenVoid = "confirm refused after authorisation, then void",
    /// The gateway did as it was asked, and nobody heard.
    LostAnswer = "lost answer",
    /// An authorisation arrives after its void.
    LateAfterVoid = "late answer after void",
    /// A crash before an effect.
    CrashBeforeEffect = "crash before the effect",
    /// A crash after an effect, before its outcome is recorded.
    CrashAfterEffect = "crash after the effect",
    /// A crash after an outcome is recorded, while others of the step are not.
    CrashAfterRecord = "crash after the append",
    /// A crash on the way back.
    CrashWhileUndoing = "crash in compensation",
    /// A second crash of the same checkout.
    CrashTwice = "crash twice in one saga",
    /// A copy of an effect after its checkout's end.
    CopyAfterTheEnd = "duplicate after the end",
    /// A timer fires for a hold that is gone, on a ticket that is held again.
    StaleTimer = "stale timer on a re-held ticket",
    /// A timer fires before its hold's end, and is armed again.
    EarlyTimer = "early timer armed again",
    /// A command at the very moment at which the hold ends.
    AtTheEnd = "command at exactly now == until",
    /// Some tickets were confirmed, another refused, and the sales are undone.
    PartialConfirm = "partial confirm, then revoke",
    /// A map is told what is older than it knows.
    StaleUpdate = "stale map update dropped",
    /// The gateway was asked as often as it may be.
    RetriesExhausted = "retries exhausted",
    /// A claim arrives after the revoke that undoes it.
    RevokeFirst = "revoke before its claim",
    /// A ticket is told a time before its last change.
    ClockBehind = "clock behind the last change",
    /// A buyer whose checkout failed has the hold still.
    HoldKept = "a failed checkout leaves its buyer the hold",
    /// A cancel takes effect.
    Cancelled = "cancelled",
    /// A ticket of a checkout that was killed is on sale again.
    LapsedAfterKill = "a killed checkout's ticket lapses",
    /// A copy of a claim that the ticket has forgotten makes a hold again.
    Forgotten = "a claim older than the ticket remembers",
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
    /// Sees one.
    pub fn see(&mut self, sight: Sight) {
        self.0[sight as usize] += 1;
    }

    /// How often it was seen.
    #[must_use]
    pub fn of(&self, sight: Sight) -> u64 {
        self.0[sight as usize]
    }

    /// Adds what others saw.
    pub fn add(&mut self, other: &Self) {
        for (mine, other) in self.0.iter_mut().zip(other.0) {
            *mine += other;
        }
    }

    /// Each with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Sight, u64)> + '_ {
        Sight::ALL.iter().map(|sight| (*sight, self.of(*sight)))
    }

    /// The one that was seen least, and how often.
    #[must_use]
    pub fn rarest(&self) -> (Sight, u64) {
        let (sight, count) = (Sight::ALL[0], self.0[0]);
        self.iter().fold((sight, count), |rarest, other| if other.1 < rarest.1 { other } else { rarest })
    }

    /// Those that were seen less often than that.
    #[must_use]
    pub fn missing(&self, at_least: u64) -> Vec<Sight> {
        self.iter().filter(|(_, count)| *count < at_least).map(|(sight, _)| sight).collect()
    }
}
