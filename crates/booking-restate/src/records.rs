//! What is recorded, sent and kept on Restate.

use std::collections::BTreeMap;

use booking_core::checkout::Checkout;
use booking_core::effect::{Notification, Outcome};
use booking_core::format::{Form, Format};
use booking_core::ids::{CheckoutId, HoldId, MapKey, TicketId};
use booking_core::map::ticket::Ticket;
use booking_core::map::{Header, LastWish, Layout, SeatMapRefusal, SeatMapReply};
use booking_core::money::Money;
use booking_core::payment::Payment;
use booking_core::time::Timestamp;
use booking_core::wire::{MapCall, TicketCall};
use serde::{Deserialize, Serialize};

use crate::stuck::Word;

/// A call to a map that takes a turn, and when it was made. It is recorded by the sender, so a replay is judged at the same time.
#[derive(Serialize, Deserialize)]
pub(crate) struct Message {
    /// The call.
    pub(crate) call: MapCall,
    /// When.
    pub(crate) at: Timestamp,
}

/// A request about a seat, on its way from its address to its map.
#[derive(Serialize, Deserialize)]
pub(crate) struct Forwarded {
    /// The seat.
    pub(crate) ticket: TicketId,
    /// What is asked.
    pub(crate) call: TicketCall,
}

/// What a map said to a command, and its version after that; that of the seat, where the call was about one.
#[derive(Serialize, Deserialize)]
pub(crate) struct Judged {
    /// The reply, or the refusal.
    pub(crate) outcome: Result<SeatMapReply, SeatMapRefusal>,
    /// The version.
    pub(crate) version: u64,
}

/// How a checkout began. Recorded: other terms or another time after a crash would be another checkout.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckoutStart {
    /// The checkout at its start.
    pub checkout: Checkout,
    /// When that was.
    pub at: Timestamp,
    /// Whether the host sent messages to buyers then.
    pub notifies: bool,
}

/// A checkout whose invocation was killed.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KilledCheckout {
    /// How it began, as its journal has it.
    pub began: CheckoutStart,
    /// Whether its capture was asked for, or its buyer's message sent: then it goes through, and back else.
    pub goes_through: bool,
}

/// A checkout that is run to its end beside its own invocation: it lets go of what may be set aside, and does nothing else.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Beside {
    /// The checkout.
    pub(crate) checkout: Checkout,
    /// The time of the last outcome before.
    pub(crate) at: Timestamp,
}

/// What a checkout waits for in vain. Kept for operators until that is over.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// What.
    pub waits_for: WaitsFor,
    /// How often it was asked for.
    pub in_vain: u32,
    /// When that was first in vain.
    pub since: Timestamp,
    /// What the checkout is about.
    pub tickets: Vec<TicketId>,
}

/// What a checkout can wait for in vain.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WaitsFor {
    /// The gateway's answer.
    Gateway(Payment),
    /// A map that can judge its command.
    Map(MapKey),
    /// Nothing any more: this message to the buyer was given up.
    Notifier(Box<Notification>),
}

/// What a gateway answered, and when: the time a checkout has is that of what was recorded last.
#[derive(Serialize, Deserialize)]
pub(crate) struct PaymentOutcome {
    /// The answer.
    pub(crate) outcome: Outcome,
    /// When it came.
    pub(crate) at: Timestamp,
}

/// A layout, on its way to where it is kept.
#[derive(Serialize, Deserialize)]
pub(crate) struct Edition {
    /// Its edition.
    pub(crate) edition: u64,
    /// The layout.
    pub(crate) layout: Layout,
}

/// What is written with each change of a map, as one entry: so a change is kept as a whole, or not at all.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Head {
    /// The map's header.
    pub(crate) header: Header,
    /// What has changed and is not in the parts yet. It takes the place of what they say.
    #[serde(default, skip_serializing_if = "Recent::is_empty")]
    pub(crate) recent: Recent,
}

/// The latest changes of a map.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Recent {
    /// Seats, with the version of their last change: in their own stored form, or as they were laid out.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tickets: BTreeMap<TicketId, (u64, Option<String>)>,
    /// Checkouts that claim nothing any more, and those whose end is forgotten.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) ended: BTreeMap<CheckoutId, Option<Timestamp>>,
    /// The last wishes under holds, and those that are forgotten.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) wishes: BTreeMap<HoldId, Option<LastWish>>,
}

impl Recent {
    /// How many entries it has.
    pub(crate) fn len(&self) -> usize {
        self.tickets.len() + self.ended.len() + self.wishes.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Some of a map's seats.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Seats {
    /// The map's version at the last change of any of them.
    pub(crate) version: u64,
    /// Those of the layout, and of the one before it: it is known by the header which of them counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) laid_out: Vec<LaidOut>,
    /// Those that differ from the layout, each in its own stored form: one that this build cannot read stays as it is.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tickets: BTreeMap<TicketId, String>,
}

/// Some of the seats of a layout.
#[derive(Serialize, Deserialize)]
pub(crate) struct LaidOut {
    /// Its edition.
    pub(crate) edition: u64,
    /// The seats by what they are listed at, each with its place among all seats of the layout.
    pub(crate) prices: Vec<(Money, Vec<(TicketId, u32)>)>,
}

/// Some of the checkouts that claim nothing on a map any more, and until when that is remembered.
#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Ended(pub(crate) BTreeMap<CheckoutId, Timestamp>);

/// The last numbered wish under some of a map's holds.
#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Wishes(pub(crate) BTreeMap<HoldId, LastWish>);

macro_rules! formats {
    ($($type:ty = $name:literal;)*) => {
        $(impl Format for $type {
            const NAME: &'static str = $name;
            const VERSION: u32 = 1;
        })*

        /// The forms that handlers keep with Restate, in this build: beside these, tickets and layouts, as the core has them.
        #[must_use]
        pub fn forms() -> Vec<Form> {
            vec![Form::of::<Ticket>(), Form::of::<Layout>(), Form::of::<Word>(), $(Form::of::<$type>()),*]
        }
    };
}
formats! {
    CheckoutStart = "start of a checkout";
    Beside = "checkout that lets go";
    Waiting = "wait in vain";
    Head = "seat map's header";
    Seats = "seats";
    Ended = "ended checkouts";
    Wishes = "wishes under holds";
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use booking_core::format::{read_json, write_json};
    use booking_core::ids::{PaymentId, PaymentKey, UserId};
    use booking_core::map::ticket::TicketRefusal;
    use booking_core::map::{Place, Row};
    use serde::de::DeserializeOwned;

    use super::*;

    /// What each release sends from handler to handler: while a new build takes over, both send. Oldest first; a release's
    /// file never changes once it is out.
    const RELEASES: [(&str, &str); 1] = [("0.1.0", include_str!("../messages/0.1.0.jsonl"))];

    fn text(json: Vec<u8>) -> String {
        String::from_utf8(json).unwrap()
    }

    #[test]
    fn every_message_from_handler_to_handler_is_as_the_release_has_it() {
        let ticket = || TicketId::parse("arena:A:1").unwrap();
        let at = Timestamp::from_millis(1_000_000);
        let refusal = SeatMapRefusal { ticket: Some(ticket()), why: TicketRefusal::TicketSold };
        let waits = |waits_for| Waiting { waits_for, in_vain: 10, since: at, tickets: vec![ticket()] };
        let price = Money::new(4_500, "USD".parse().unwrap()).unwrap();
        let place = Place { ticket: ticket(), label: Some("12a".into()), price, x: 1, y: 2 };
        let notification = || Notification {
            key: PaymentKey::notify(&CheckoutId::parse("c-1").unwrap()),
            checkout: CheckoutId::parse("c-1").unwrap(),
            user: UserId::parse("ann").unwrap(),
            contact: None,
            tickets: vec![ticket()],
            amount: price,
            payment: Some(PaymentId::parse("pay-1").unwrap()),
        };
        let messages = [
            write_json(&Message { call: MapCall::Expire(at), at }),
            write_json(&Forwarded { ticket: ticket(), call: TicketCall::Unblock }),
            write_json(&Judged { outcome: Ok(SeatMapReply::Done), version: 7 }),
            write_json(&Judged { outcome: Err(refusal), version: 7 }),
            write_json(&waits(WaitsFor::Map(ticket().map_key()))),
            write_json(&waits(WaitsFor::Notifier(Box::new(notification())))),
            write_json(&notification()),
            write_json(&Edition {
                edition: 3,
                layout: Layout::new(vec![Row { name: "A".into(), seats: vec![place] }]).unwrap(),
            }),
        ];
        let release = RELEASES.into_iter().find(|(release, _)| *release == env!("CARGO_PKG_VERSION"));
        let (_, golden) = release.expect("a file of what this release sends");
        assert_eq!(messages.map(text).to_vec(), golden.lines().collect::<Vec<_>>());
    }

    #[test]
    fn this_build_reads_what_every_release_has_sent() {
        fn again<T: Serialize + DeserializeOwned>(json: &str) -> Option<String> {
            read_json::<T>(json.as_bytes()).map(|message| text(write_json(&message)))
        }
        for (release, golden) in RELEASES {
            let lines: Vec<&str> = golden.lines().collect();
            let read = [
                again::<Message>(lines[0]),
                again::<Forwarded>(lines[1]),
                again::<Judged>(lines[2]),
                again::<Judged>(lines[3]),
                again::<Waiting>(lines[4]),
                again::<Waiting>(lines[5]),
                again::<Notification>(lines[6]),
                again::<Edition>(lines[7]),
            ];
            assert_eq!(read.each_ref().map(|line| line.as_deref().unwrap_or_default()).to_vec(), lines, "{release}");
        }
    }
}
