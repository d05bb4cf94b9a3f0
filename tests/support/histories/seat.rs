//! A ticket as clients see it: the table of the specification (§2) once more, on purpose not by the code under test.

use serde::{Deserialize, Serialize};

/// A user, a hold or a checkout, by number.
pub type Name = u32;

/// A ticket at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seat {
    is: Is,
    versions: Versions,
}

/// The versions that a ticket may be at, as far as its answers have told.
///
/// A command that changes a ticket raises the version by one. A hold that lapses raises it too, but only when the ticket
/// records that: with the next accepted command, in one change with it, or by a timer, at a time that no client sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Versions {
    /// If all that has happened is recorded.
    recorded: Option<Range>,
    /// If a lapse is not recorded yet.
    unrecorded: Option<Range>,
}

/// From one version to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Range {
    least: u64,
    most: u64,
}

impl Range {
    fn raised(self) -> Self {
        Self { least: self.least + 1, most: self.most + 1 }
    }

    /// Everything in either of the two, which meet or overlap.
    fn joined(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => {
                Some(Self { least: one.least.min(other.least), most: one.most.max(other.most) })
            }
            (one, other) => one.or(other),
        }
    }

    fn only(self, version: u64) -> Option<Self> {
        (self.least..=self.most).contains(&version).then_some(Self { least: version, most: version })
    }
}

impl Default for Versions {
    fn default() -> Self {
        Self { recorded: Some(Range { least: 0, most: 0 }), unrecorded: None }
    }
}

impl Versions {
    /// After an accepted command that changes nothing. It records a lapse.
    fn kept(self) -> Self {
        let lapse = self.unrecorded.map(Range::raised);
        Self { recorded: Range::joined(self.recorded, lapse), unrecorded: None }
    }

    /// After an accepted command that changes the ticket. It records a lapse with that, in one change.
    fn changed(self) -> Self {
        Self { recorded: Range::joined(self.recorded, self.unrecorded).map(Range::raised), unrecorded: None }
    }

    /// After a hold has lapsed. A timer may record that at any time from now on.
    fn lapsed(self) -> Self {
        Self { recorded: self.recorded.map(Range::raised), unrecorded: self.recorded }
    }

    /// If the ticket is at this version; `None` if it cannot be.
    fn only(self, version: u64) -> Option<Self> {
        let [recorded, unrecorded] =
            [self.recorded, self.unrecorded].map(|range| range.and_then(|range| range.only(version)));
        recorded.or(unrecorded)?;
        // A lapse that is not recorded yet may be from now on.
        Some(Self { recorded: Range::joined(recorded, unrecorded.map(Range::raised)), unrecorded })
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Is {
    #[default]
    Free,
    Held(Hold),
    Sold(Hold),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Hold {
    id: Name,
    by: Name,
    own_end: OwnEnd,
    checkout: Option<Name>,
}

/// The end that a hold has of its own, apart from its claim's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum OwnEnd {
    None,
    Ahead,
    Over,
}

/// What is asked of a ticket, or happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// A buyer asks for a hold.
    Reserve {
        /// The buyer.
        user: Name,
        /// The hold.
        hold: Name,
    },
    /// A buyer gives one back.
    Release {
        /// The hold.
        hold: Name,
    },
    /// The time of a hold is over.
    Lapse {
        /// The hold.
        hold: Name,
    },
    /// A client looks, and sees this.
    Get {
        /// The status.
        status: Status,
        /// Whose it is.
        by: Option<Name>,
    },
    /// A checkout takes its grip.
    Claim {
        /// Which.
        checkout: Name,
        /// For whom.
        user: Name,
        /// Under which hold.
        hold: Name,
        /// Whether the buyer brought it.
        brought: bool,
    },
    /// A checkout takes the ticket.
    Confirm {
        /// Which.
        checkout: Name,
    },
    /// A checkout undoes what it did.
    Revoke {
        /// Which.
        checkout: Name,
    },
    /// An operator puts the ticket back on sale.
    Cleanup,
    /// An operator resets its whole map.
    ResetAll,
}

/// What anybody may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// On sale.
    Available,
    /// Held.
    Reserved,
    /// Sold.
    Sold,
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum No {
    /// Another buyer's hold is on it.
    Reserved,
    /// It is sold.
    Sold,
    /// The hold has ended.
    Expired,
    /// A checkout is paying for it.
    InProgress,
    /// There is no such hold.
    NotFound,
}

/// What the client was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Said {
    /// It was done.
    Yes,
    /// It was refused.
    No(No),
    /// Nobody knows.
    Unknown,
}

impl Seat {
    /// Whether this checkout holds or has the ticket.
    #[must_use]
    pub fn is_of(&self, checkout: Name) -> bool {
        match self.is {
            Is::Free => false,
            Is::Held(hold) | Is::Sold(hold) => hold.checkout == Some(checkout),
        }
    }

    /// The ticket after it was asked, if it could have given this answer at this version.
    #[must_use]
    pub fn after(&self, ask: &Ask, said: Said, version: Option<u64>) -> Option<Self> {
        let (mut next, answer) = self.judge(ask);
        if said != Said::Unknown && said != answer {
            return None;
        }
        let is_command = !matches!(ask, Ask::Get { .. } | Ask::Lapse { .. });
        let has_lapsed = matches!(ask, Ask::Lapse { .. }) && self.is != Is::Free && next.is == Is::Free;
        next.versions = match (is_command && answer == Said::Yes, next.is != self.is) {
            (true, true) => self.versions.changed(),
            (true, false) => self.versions.kept(),
            (false, _) if has_lapsed => self.versions.lapsed(),
            (false, _) => self.versions,
        };
        if let Some(version) = version {
            next.versions = next.versions.only(version)?;
        }
        Some(next)
    }

    /// The same ticket, and the checkout that it is sold to, if it could have refused to be reset as that is under way.
    #[must_use]
    pub fn kept_for_its_checkout(&self, ask: &Ask, said: Said, version: Option<u64>) -> Option<(Self, Name)> {
        let (Ask::Cleanup | Ask::ResetAll, Said::No(No::InProgress), Is::Sold(hold)) = (ask, said, &self.is) else {
            return None;
        };
        let (mut same, checkout) = (self.clone(), hold.checkout?);
        if let Some(version) = version {
            same.versions = same.versions.only(version)?;
        }
        Some((same, checkout))
    }

    /// The lowest version that it may be at. Versions never fall.
    #[must_use]
    pub fn least_version(&self) -> u64 {
        let Versions { recorded, unrecorded } = self.versions;
        [recorded, unrecorded].into_iter().flatten().map(|range| range.least).min().unwrap_or_default()
    }

    /// What it becomes, apart from its version, and what it answers.
    fn judge(&self, ask: &Ask) -> (Self, Said) {
        let stay = |said| (self.clone(), said);
        let refuse = |no| stay(Said::No(no));
        let become_ = |is| (Self { is, ..self.clone() }, Said::Yes);
        match *ask {
            Ask::Reserve { user, hold } => match self.is {
                Is::Free => become_(Is::Held(Hold { id: hold, by: user, own_end: OwnEnd::Ahead, checkout: None })),
                Is::Held(held) if held.id == hold && held.by == user => match held.own_end {
                    OwnEnd::None => refuse(No::InProgress),
                    OwnEnd::Ahead | OwnEnd::Over => stay(Said::Yes),
                },
                Is::Held(_) => refuse(No::Reserved),
                Is::Sold(_) => refuse(No::Sold),
            },
            Ask::Release { hold } => match self.is {
                Is::Held(held) if held.id == hold && held.checkout.is_some() => refuse(No::InProgress),
                Is::Held(held) if held.id == hold => become_(Is::Free),
                Is::Free | Is::Held(_) => stay(Said::Yes),
                Is::Sold(_) => refuse(No::Sold),
            },
            Ask::Lapse { hold } => match self.is {
                Is::Held(held) if held.id == hold && held.checkout.is_none() => become_(Is::Free),
                Is::Held(held) if held.id == hold => become_(Is::Held(Hold { own_end: OwnEnd::Over, ..held })),
                Is::Sold(held) if held.id == hold => become_(Is::Sold(Hold { own_end: OwnEnd::Over, ..held })),
                Is::Free | Is::Held(_) | Is::Sold(_) => stay(Said::Yes),
            },
            Ask::Get { status, by } => {
                let is = match self.is {
                    Is::Free => (Status::Available, None),
                    Is::Held(hold) => (Status::Reserved, Some(hold.by)),
                    Is::Sold(hold) => (Status::Sold, Some(hold.by)),
                };
                stay(if is == (status, by) { Said::Yes } else { Said::No(No::NotFound) })
            }
            Ask::Claim { checkout, user, hold, brought } => match self.is {
                Is::Sold(held) if held.checkout == Some(checkout) => stay(Said::Yes),
                Is::Free if brought => refuse(No::Expired),
                Is::Free => {
                    become_(Is::Held(Hold { id: hold, by: user, own_end: OwnEnd::None, checkout: Some(checkout) }))
                }
                Is::Held(held) if held.id == hold && held.by == user => match held.checkout {
                    None => become_(Is::Held(Hold { checkout: Some(checkout), ..held })),
                    Some(other) if other == checkout => stay(Said::Yes),
                    Some(_) => refuse(No::InProgress),
                },
                Is::Held(_) => refuse(No::Reserved),
                Is::Sold(_) => refuse(No::Sold),
            },
            Ask::Confirm { checkout } => match self.is {
                Is::Held(held) if held.checkout == Some(checkout) => become_(Is::Sold(held)),
                Is::Sold(held) if held.checkout == Some(checkout) => stay(Said::Yes),
                Is::Sold(_) => refuse(No::Sold),
                Is::Free | Is::Held(_) => refuse(No::NotFound),
            },
            Ask::Revoke { checkout } => match self.is {
                Is::Held(held) | Is::Sold(held) if held.checkout == Some(checkout) => match held.own_end {
                    OwnEnd::Ahead => become_(Is::Held(Hold { checkout: None, ..held })),
                    OwnEnd::None | OwnEnd::Over => become_(Is::Free),
                },
                Is::Free | Is::Held(_) | Is::Sold(_) => stay(Said::Yes),
            },
            Ask::Cleanup => match self.is {
                Is::Free => stay(Said::Yes),
                Is::Held(_) => refuse(No::Reserved),
                Is::Sold(_) => become_(Is::Free),
            },
            Ask::ResetAll => match self.is {
                Is::Free | Is::Held(_) => stay(Said::Yes),
                Is::Sold(_) => become_(Is::Free),
            },
        }
    }
}
