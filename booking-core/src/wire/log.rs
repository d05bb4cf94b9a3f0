//! The operators' log, where it is kept apart from what it is about: each line is sent at least once, late, or before an older one. So
//! a line about one thing has a number, and the greater one counts.

use serde::{Deserialize, Serialize};

use super::audit::AuditEntry;
use super::export::Booking;
use super::search::{AuditSearch, BookingSearch, InboxSearch};
use crate::format::Format;
use crate::ids::CheckoutId;
use crate::time::Timestamp;

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LogLine {
    /// A booking as it stands.
    Booking {
        /// The number of this line among those about this booking.
        line: u64,
        /// The booking.
        booking: Booking,
    },
    /// Something that an operator asked for; again once its outcome is known.
    Audit {
        /// Its name, made by chance.
        id: String,
        /// What it was.
        entry: AuditEntry,
    },
}

impl Format for LogLine {
    const NAME: &'static str = "line of the operators' log";
    const VERSION: u32 = 1;
}

/// What is asked of the host that keeps what the log becomes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LogCall {
    /// A page of bookings.
    Bookings(BookingSearch),
    /// All of them, as a table.
    BookingsCsv(BookingSearch),
    /// A page of the inbox.
    Inbox(InboxSearch),
    /// That a line which was not taken in is tried again.
    Resend {
        /// Its number.
        line: u64,
    },
    /// A page of the audit.
    Audit(AuditSearch),
    /// That the buyers of these bookings are forgotten.
    Erase {
        /// The bookings.
        checkouts: Vec<CheckoutId>,
    },
    /// The ids of a few checkouts that began before then, and of whose end nothing is known: those that were asked for longest ago.
    Overdue {
        /// When they have begun at the latest.
        before: Timestamp,
    },
}
