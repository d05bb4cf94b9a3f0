//! A ticket as clients see it: the table of the specification (§2) once more, on purpose not by the code under test.

use std::collections::BTreeMap;

/// A user, a hold or a checkout, by number.
pub type Name = u32;

/// A ticket at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seat {
    is: Is,
    /// What has ended here, and how much had then.
    ended: BTreeMap<Name, u32>,
    /// How much has ended here in all.
    endings: u32,
    /// The newest version that anybody was told.
    version: u64,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Somebody looks, and sees this.
    Get {
        /// The status.
        status: Status,
        /// Whose it is.
        by: Option<Name>,
        /// The version.
        version: u64,
    },
    /// A checkout takes its grip.
    Claim {
        /// Which.
        checkout: Name,
        /// For whom.
        user: Name,
        /// Under which hold.
        hold: Name,
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
}

/// What anybody may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// On sale.
    Available,
    /// Held.
    Reserved,
    /// Sold.
    Sold,
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum No {
    /// Somebody else's hold is on it.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It was done.
    Yes,
    /// It was refused.
    No(No),
    /// Nobody knows.
    Unknown,
}

/// How many ended ids a ticket remembers.
const MEMORY: u32 = 16;

impl Seat {
    /// Whether it remembers that this has ended.
    fn has_ended(&self, name: Name) -> bool {
        self.ended.get(&name).is_some_and(|at| self.endings - at <= MEMORY)
    }

    fn end(&mut self, name: Name) {
        if !self.has_ended(name) {
            self.ended.insert(name, self.endings);
            self.endings += 1;
        }
    }

    /// The ticket after it was asked, if it could have given this answer.
    #[must_use]
    pub fn after(&self, ask: &Ask, said: Said) -> Option<Self> {
        let (next, answer) = self.judge(ask);
        let could = said == Said::Unknown || said == answer;
        could.then_some(next)
    }

    /// What it becomes, and what it answers.
    fn judge(&self, ask: &Ask) -> (Self, Said) {
        let stay = |said| (self.clone(), said);
        let refuse = |no| stay(Said::No(no));
        let become_ = |is| (Self { is, ..self.clone() }, Said::Yes);
        match *ask {
            Ask::Reserve { hold, .. } if self.has_ended(hold) => refuse(No::Expired),
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
                Is::Held(held) if held.id == hold => (self.without(held), Said::Yes),
                Is::Free | Is::Held(_) => stay(Said::Yes),
                Is::Sold(_) => refuse(No::Sold),
            },
            Ask::Lapse { hold } => match self.is {
                Is::Held(held) if held.id == hold && held.checkout.is_none() => (self.without(held), Said::Yes),
                Is::Held(held) if held.id == hold => become_(Is::Held(Hold { own_end: OwnEnd::Over, ..held })),
                Is::Sold(held) if held.id == hold => become_(Is::Sold(Hold { own_end: OwnEnd::Over, ..held })),
                Is::Free | Is::Held(_) | Is::Sold(_) => stay(Said::Yes),
            },
            Ask::Get { status, by, version } => {
                let is = match self.is {
                    Is::Free => (Status::Available, None),
                    Is::Held(hold) => (Status::Reserved, Some(hold.by)),
                    Is::Sold(hold) => (Status::Sold, Some(hold.by)),
                };
                let so = is == (status, by) && version >= self.version;
                (
                    Self { version: version.max(self.version), ..self.clone() },
                    if so { Said::Yes } else { Said::No(No::NotFound) },
                )
            }
            Ask::Claim { checkout, user, hold } => match self.is {
                Is::Sold(held) if held.checkout == Some(checkout) => stay(Said::Yes),
                _ if self.has_ended(hold) => refuse(No::Expired),
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
            Ask::Revoke { checkout } => {
                let mut marked = self.clone();
                marked.end(checkout);
                match self.is {
                    Is::Held(held) | Is::Sold(held) if held.checkout == Some(checkout) => match held.own_end {
                        OwnEnd::Ahead => (Self { is: Is::Held(Hold { checkout: None, ..held }), ..marked }, Said::Yes),
                        OwnEnd::None | OwnEnd::Over => (marked.without(Hold { checkout: None, ..held }), Said::Yes),
                    },
                    Is::Free | Is::Held(_) | Is::Sold(_) => (marked, Said::Yes),
                }
            }
            Ask::Cleanup => match self.is {
                Is::Free => stay(Said::Yes),
                Is::Held(_) => refuse(No::Reserved),
                Is::Sold(held) => {
                    let mut marked = self.clone();
                    marked.end(held.id);
                    (marked.without(held), Said::Yes)
                }
            },
        }
    }

    /// On sale, and the hold is never to be had again if it had an end of its own.
    fn without(&self, held: Hold) -> Self {
        let mut free = Self { is: Is::Free, ..self.clone() };
        if held.own_end != OwnEnd::None {
            free.end(held.id);
        }
        held.checkout.into_iter().for_each(|checkout| free.end(checkout));
        free
    }
}
