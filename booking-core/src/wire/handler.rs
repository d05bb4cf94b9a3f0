//! The table of handlers: what can be asked, where, by whom. Routes, parser, OpenAPI, the Restate manifests and the tables of
//! the hosts come from it.
//!
//! To add a handler, add a row. The build then names every place that has to say what it does there.

use super::{Door, MAX_BODY, MAX_LAYOUT_BODY};

/// What handlers belong to. Also the first part of their paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// One ticket, by its id.
    Ticket,
    /// One seat map, by its key.
    SeatMap,
    /// Checkouts.
    Checkout,
    /// What operators look at.
    Operators,
    /// The mock payment gateway.
    Gateway,
    /// The host.
    Health,
}

impl Service {
    /// Its name, as it stands in paths, metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ticket => "Ticket",
            Self::SeatMap => "SeatMap",
            Self::Checkout => "Checkout",
            Self::Operators => "operators",
            Self::Gateway => "mock-payment",
            Self::Health => "health",
        }
    }
}

/// Which methods a handler takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Methods {
    /// It changes something.
    Post,
    /// It only reads, and may be asked either way.
    GetOrPost,
    /// It only reads, over a connection of its own or by its address alone.
    Get,
}

impl Methods {
    pub(super) fn take(self, method: &str) -> bool {
        match method {
            "POST" => self != Self::Get,
            "GET" | "HEAD" => self != Self::Post,
            _ => false,
        }
    }

    pub(super) fn allow(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::GetOrPost => "GET, HEAD, POST",
            Self::Get => "GET, HEAD",
        }
    }
}

/// In a path: the id of what is asked.
pub(super) const ID: &str = "*";

struct Row {
    service: Service,
    name: &'static str,
    door: Door,
    methods: Methods,
    path: &'static [&'static str],
}

macro_rules! handlers {
    ($($handler:ident = $service:ident $name:literal, $door:ident, $methods:ident, [$($part:expr),*], $doc:literal;)*) => {
        /// What can be asked from outside.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Handler {
            $(#[doc = $doc] $handler,)*
        }

        impl Handler {
            /// Every handler, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$handler),*];

            const fn row(self) -> Row {
                match self {
                    $(Self::$handler => Row {
                        service: Service::$service,
                        name: $name,
                        door: Door::$door,
                        methods: Methods::$methods,
                        path: &[$($part),*],
                    },)*
                }
            }

            /// What it does, in a line.
            #[must_use]
            pub const fn summary(self) -> &'static str {
                match self {
                    $(Self::$handler => $doc,)*
                }
            }
        }
    };
}

handlers! {
    TicketGet        = Ticket "get", Public, GetOrPost, ["Ticket", ID, "get"], "What a ticket is";
    TicketReserve    = Ticket "reserve", Public, Post, ["Ticket", ID, "reserve"], "Hold a ticket for a buyer";
    TicketRelease    = Ticket "release", Public, Post, ["Ticket", ID, "release"], "Give a hold back";
    TicketBlock      = Ticket "block", Admin, Post, ["Ticket", ID, "block"], "Admin: take a ticket off sale";
    TicketUnblock    = Ticket "unblock", Admin, Post, ["Ticket", ID, "unblock"], "Admin: put a blocked ticket back on sale";
    TicketList       = Ticket "list", Admin, Post, ["Ticket", ID, "list"], "Admin: set a price";
    TicketSell       = Ticket "sell", Admin, Post, ["Ticket", ID, "sell"], "Admin: sell at the box office, without a payment";
    TicketReset      = Ticket "reset", Admin, Post, ["Ticket", ID, "reset"],
        "Admin: put a sold or blocked ticket back on sale, if it has not changed since";
    TicketCleanup    = Ticket "cleanup", Admin, Post, ["Ticket", ID, "cleanup"],
        "Admin: put a sold or blocked ticket back on sale";
    MapGet           = SeatMap "get", Public, GetOrPost, ["SeatMap", ID, "get"], "The tickets of a map";
    MapSummary       = SeatMap "summary", Public, GetOrPost, ["SeatMap", ID, "summary"], "The counts of a map";
    MapPlan          = SeatMap "plan", Public, GetOrPost, ["SeatMap", ID, "plan"],
        "The layout of a map: its rows, prices and places";
    MapWatch         = SeatMap "watch", Public, Get, ["SeatMap", ID, "watch"], "The changes of a map, over a WebSocket";
    MapLayout        = SeatMap "layout", Admin, Post, ["SeatMap", ID, "layout"],
        "Admin: publish a layout, and list its tickets";
    MapResetAll      = SeatMap "resetAll", Admin, Post, ["SeatMap", ID, "resetAll"], "Admin: reset every ticket of the map";
    MapRecall        = SeatMap "recall", Admin, Post, ["SeatMap", ID, "recall"],
        "Admin: end holds that no checkout claims, if they have not changed since";
    MapErase         = SeatMap "erase", Admin, Post, ["SeatMap", ID, "erase"],
        "Admin: forget who bought the tickets of a map that this buyer has";
    Process          = Checkout "process", Public, Post, ["Checkout", "process"], "Buy tickets, and wait for the end";
    ProcessSend      = Checkout "send", Public, Post, ["Checkout", "process", "send"], "Buy tickets, without waiting";
    CheckoutsStuck   = Checkout "stuck", Admin, GetOrPost, ["Checkout", "list", "stuck"],
        "Admin: the checkouts that wait in vain, and the bookings that nobody was told of";
    CheckoutCancel   = Checkout "cancel", Admin, Post, ["Checkout", ID, "cancel"],
        "Admin: have a checkout turn back, unless its payment is being captured";
    CheckoutResolve  = Checkout "resolve", Admin, Post, ["Checkout", ID, "resolve"],
        "Admin: say what became of a payment, where the gateway does not";
    CheckoutNotify   = Checkout "notify", Admin, Post, ["Checkout", ID, "notify"],
        "Admin: send the message of a booking once more";
    CheckoutErase    = Checkout "erase", Admin, Post, ["Checkout", ID, "erase"],
        "Admin: forget the buyer of a checkout that has ended";
    CheckoutStatus   = Checkout "status", Public, Get, ["Checkout", ID], "How a checkout stands";
    Bookings         = Operators "bookings", Admin, GetOrPost, ["bookings"],
        "Admin: the bookings that are looked for, the newest first, in pages";
    BookingsCsv      = Operators "bookingsCsv", Admin, GetOrPost, ["bookings.csv"],
        "Admin: all bookings that are looked for, as a table";
    Inbox            = Operators "inbox", Admin, GetOrPost, ["inbox"],
        "Admin: the messages that were given up, in pages";
    InboxRetry       = Operators "retry", Admin, Post, ["inbox", ID, "retry"],
        "Admin: try a message of the inbox again";
    Audit            = Operators "audit", Admin, GetOrPost, ["audit"],
        "Admin: what operators did, the newest first, in pages";
    Erase            = Operators "erase", Admin, Post, ["bookings", "erase"],
        "Admin: forget a buyer, in all bookings and on all maps";
    Invite           = Operators "invite", Admin, Post, ["invitations"],
        "Admin: invite a buyer to a map, for one booking within a short time";
    GatewayPay       = Gateway "", Public, Post, ["api", "mock-payment"],
        "Mock gateway: pay in one go, under the request's idempotency key";
    GatewayAuthorize = Gateway "authorize", Public, Post, ["api", "mock-payment", "authorize"],
        "Mock gateway: set money aside";
    GatewayCapture   = Gateway "capture", Public, Post, ["api", "mock-payment", "capture"], "Mock gateway: take it";
    GatewayVoid      = Gateway "void", Public, Post, ["api", "mock-payment", "void"], "Mock gateway: let it go";
    GatewayLedger    = Gateway "ledger", Admin, Get, ["api", "mock-payment", "ledger"], "Mock gateway: what it has";
    Health           = Health "", Public, Get, ["health"], "Whether the host is up";
}

impl Handler {
    /// What it belongs to.
    #[must_use]
    pub const fn service(self) -> Service {
        self.row().service
    }

    /// Its name in its service; empty where the service has no other.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// Its service and its name, for metrics and logs.
    #[must_use]
    pub const fn labels(self) -> (&'static str, &'static str) {
        (self.service().as_str(), self.name())
    }

    /// Who may ask.
    #[must_use]
    pub const fn door(self) -> Door {
        self.row().door
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn only_reads(self) -> bool {
        self.row().methods != Methods::Post
    }

    /// Whether the audit says who asked for it: what operators change, and what takes every booking out of the house.
    #[must_use]
    pub fn is_audited(self) -> bool {
        self.door() == Door::Admin && (!self.only_reads() || self == Self::BookingsCsv)
    }

    /// Whether the query of its address may stand for its body, so that its answer is behind a link.
    #[must_use]
    pub fn takes_query(self) -> bool {
        matches!(self, Self::Bookings | Self::BookingsCsv | Self::Inbox | Self::Audit)
    }

    /// The longest body it takes, in bytes. A host need not read on after that.
    #[must_use]
    pub fn max_body(self) -> usize {
        if self == Self::MapLayout { MAX_LAYOUT_BODY } else { MAX_BODY }
    }

    /// The methods that it takes, as they stand in the header `Allow`.
    #[must_use]
    pub fn allow(self) -> &'static str {
        self.row().methods.allow()
    }

    pub(super) fn methods(self) -> Methods {
        self.row().methods
    }

    /// What the id in its path is called, where there is one.
    #[must_use]
    pub fn id_name(self) -> Option<&'static str> {
        let row = self.row();
        row.path.contains(&ID).then_some(match row.service {
            Service::Ticket => "ticketId",
            Service::SeatMap => "mapKey",
            Service::Operators => "id",
            Service::Checkout | Service::Gateway | Service::Health => "checkoutId",
        })
    }

    /// Its path, with the name of the id that stands in it.
    #[must_use]
    pub fn path(self) -> String {
        let id = self.id_name().map(|name| format!("{{{name}}}")).unwrap_or_default();
        self.row().path.iter().map(|part| format!("/{}", if *part == ID { id.as_str() } else { *part })).collect()
    }

    /// The id in a path, if the path is this handler's: empty where the handler has none.
    pub(super) fn id_in<'a>(self, parts: &[&'a str]) -> Option<&'a str> {
        let path = self.row().path;
        let mut id = "";
        if path.len() != parts.len() {
            return None;
        }
        for (known, part) in path.iter().zip(parts) {
            if *known == ID {
                id = part;
            } else if known != part {
                return None;
            }
        }
        // `/Checkout/` is no checkout.
        let is_there = path.last() != Some(&ID) || !id.is_empty();
        is_there.then_some(id)
    }

    /// The handler with this name, for platforms that route by name.
    #[must_use]
    pub fn named(service: &str, name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.name() == name && known.service().as_str() == service)
    }
}
