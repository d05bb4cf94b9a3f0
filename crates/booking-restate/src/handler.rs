//! What Restate can call, and who may: the handlers of the core's table, and those that only handlers call.

use std::time::Duration;

use booking_core::wire::{self, Door, Service as Of, openapi, parse_call};
use restate_endpoint::{Access, GiveUp, Handler as Described, Input, Kind, Output, Retries, Service, Target};
use serde_json::Value;

/// A handler on Restate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Handler {
    /// One of the core's table.
    Public(wire::Handler),
    /// A request about a seat, from its own address to its map.
    MapSeat,
    /// A call to a map that takes a turn. A checkout, the map's timer, or a handler that has understood its request sends it.
    MapTurn,
    /// A layout that is to be kept beside its map.
    LayoutKeep,
    /// A layout that is kept there.
    LayoutGet,
    /// The end of a checkout whose invocation was killed. An operator's.
    Recover,
    /// What is set aside for a checkout that failed, until it is let go of.
    LetGo,
    /// A message to a buyer, on its way.
    Deliver,
    /// That a checkout waits in vain.
    StuckReport,
    /// An operator's word for the gateway's.
    StuckResolve,
    /// An operator has a message that was given up sent again.
    StuckNotify,
    /// The wait is over.
    StuckClear,
}

const NOTIFICATIONS: &str = "Notifications";
const LAYOUTS: &str = "Layouts";
/// The checkouts that wait in vain, each an object.
pub const STUCK: &str = "Stuck";

impl Handler {
    /// Those of this platform alone.
    const OWN: [Self; 11] = [
        Self::MapSeat,
        Self::MapTurn,
        Self::LayoutKeep,
        Self::LayoutGet,
        Self::Recover,
        Self::LetGo,
        Self::Deliver,
        Self::StuckReport,
        Self::StuckResolve,
        Self::StuckNotify,
        Self::StuckClear,
    ];

    /// All that are here. The ingress has its own ways to send and to ask, operators have Restate's and the host's, and the ingress knows no WebSockets; the mock gateway is a
    /// process of its own, and health is asked of the server.
    fn all() -> impl Iterator<Item = Self> {
        use wire::Handler::{
            CheckoutCancel, CheckoutErase, CheckoutNotify, CheckoutResolve, CheckoutStatus, CheckoutsStuck, MapWatch,
            ProcessSend,
        };
        let is_here = |handler: &wire::Handler| {
            let is_restates_own = matches!(
                handler,
                CheckoutStatus
                    | CheckoutsStuck
                    | CheckoutCancel
                    | CheckoutResolve
                    | CheckoutNotify
                    | CheckoutErase
                    | ProcessSend
            );
            !is_restates_own
                && *handler != MapWatch
                && matches!(handler.service(), Of::Ticket | Of::SeatMap | Of::Checkout)
        };
        wire::Handler::ALL.iter().copied().filter(is_here).map(Self::Public).chain(Self::OWN)
    }

    /// The service or object that it belongs to.
    #[must_use]
    pub fn service(self) -> &'static str {
        match self {
            Self::Public(handler) => handler.service().as_str(),
            Self::MapSeat | Self::MapTurn => Of::SeatMap.as_str(),
            Self::LayoutKeep | Self::LayoutGet => LAYOUTS,
            Self::Recover | Self::LetGo => Of::Checkout.as_str(),
            Self::Deliver => NOTIFICATIONS,
            Self::StuckReport | Self::StuckResolve | Self::StuckNotify | Self::StuckClear => STUCK,
        }
    }

    /// Its name there.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Public(handler) => handler.name(),
            Self::MapSeat => "seat",
            Self::MapTurn => "turn",
            Self::LayoutKeep => "keep",
            Self::LayoutGet => "get",
            Self::Recover => "recover",
            Self::LetGo => "letMoneyGo",
            Self::Deliver => "deliver",
            Self::StuckReport => "report",
            Self::StuckResolve => wire::Handler::CheckoutResolve.name(),
            Self::StuckNotify => wire::Handler::CheckoutNotify.name(),
            Self::StuckClear => "clear",
        }
    }

    /// The handler with this name.
    #[must_use]
    pub fn named(service: &str, name: &str) -> Option<Self> {
        Self::all().find(|known| known.name() == name && known.service() == service)
    }

    /// Those of operators.
    pub fn of_operators() -> impl Iterator<Item = Self> {
        Self::all().filter(|handler| handler.door() == Some(Door::Admin))
    }

    /// The handler of the core's table that takes the same body.
    #[must_use]
    pub fn of_the_core(self) -> Option<wire::Handler> {
        match self {
            Self::Public(handler) => Some(handler),
            Self::StuckResolve => Some(wire::Handler::CheckoutResolve),
            Self::StuckNotify => Some(wire::Handler::CheckoutNotify),
            Self::MapSeat
            | Self::MapTurn
            | Self::LayoutKeep
            | Self::LayoutGet
            | Self::Recover
            | Self::LetGo
            | Self::Deliver
            | Self::StuckReport
            | Self::StuckClear => None,
        }
    }

    /// Whom a message goes to; `key` names the object.
    pub(crate) fn target(self, key: Option<&str>) -> Target {
        Target {
            service: self.service().to_owned(),
            handler: self.name().to_owned(),
            key: key.map(str::to_owned),
            headers: Vec::new(),
        }
    }

    /// Who may call it through the ingress; `None` where only handlers may.
    fn door(self) -> Option<Door> {
        match self {
            Self::Public(handler) => Some(handler.door()),
            Self::Recover | Self::StuckResolve | Self::StuckNotify => Some(Door::Admin),
            Self::MapSeat
            | Self::MapTurn
            | Self::LayoutKeep
            | Self::LayoutGet
            | Self::LetGo
            | Self::Deliver
            | Self::StuckReport
            | Self::StuckClear => None,
        }
    }

    /// How it is tried again, if not until it is done.
    fn retries(self) -> Option<Retries> {
        match self {
            Self::Public(wire::Handler::TicketReserve) => Some(A_WHILE),
            Self::Public(_)
            | Self::MapSeat
            | Self::MapTurn
            | Self::LayoutKeep
            | Self::LayoutGet
            | Self::Recover
            | Self::LetGo
            | Self::Deliver
            | Self::StuckReport
            | Self::StuckResolve
            | Self::StuckNotify
            | Self::StuckClear => None,
        }
    }

    fn described(self, open: Door, document: &Value) -> Described {
        let access = match self {
            // The handler of a request starts at once: what changes a map takes a turn after the handler has understood it.
            Self::Public(handler) => matches!(handler.service(), Of::Ticket | Of::SeatMap).then_some(Access::Shared),
            Self::MapSeat | Self::LayoutGet => Some(Access::Shared),
            Self::MapTurn
            | Self::LayoutKeep
            | Self::StuckReport
            | Self::StuckResolve
            | Self::StuckNotify
            | Self::StuckClear => Some(Access::Exclusive),
            Self::Recover | Self::LetGo | Self::Deliver => None,
        };
        let (input, output) = match self {
            Self::Public(handler) => {
                let (body, answer) = openapi::schemas(document, handler);
                // Where there is a schema, Restate refuses a request without a body.
                let json_schema = body.filter(|_| !takes_nothing(handler));
                let input = Input { content_type: "*/*", json_schema, required: false };
                let content_type = "application/json";
                (Some(input), Some(Output { content_type, json_schema: answer, set_content_type_if_empty: false }))
            }
            Self::MapSeat
            | Self::MapTurn
            | Self::LayoutKeep
            | Self::LayoutGet
            | Self::Recover
            | Self::LetGo
            | Self::Deliver
            | Self::StuckReport
            | Self::StuckResolve
            | Self::StuckNotify
            | Self::StuckClear => (None, None),
        };
        Described {
            is_private: self.door().is_none_or(|door| door > open),
            retries: self.retries(),
            // What operators did can be looked up for a day.
            journal_retention: (self.door() == Some(Door::Admin)).then_some(A_DAY),
            input,
            output,
            ..Described::new(self.name(), access)
        }
    }
}

/// Whether a handler of the core's table takes an empty body.
pub(crate) fn takes_nothing(handler: wire::Handler) -> bool {
    parse_call(handler, "a", b"").is_ok()
}

/// Until it is done: a host that is away for long must not leave a map, a seat or a payment halfway.
const RETRIES: Retries = Retries {
    first: Duration::from_millis(50),
    factor: 2.0,
    cap: Duration::from_secs(10),
    attempts: 1_000_000_000,
    then: GiveUp::Pause,
};

/// With a hold that was not made nothing is lost.
const A_WHILE: Retries = Retries { attempts: 30, then: GiveUp::Kill, ..RETRIES };

pub(crate) const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Everything that Restate is to know of. With `admin`, every client that reaches the ingress can take sold seats back:
/// only for an ingress behind something that tells operators from buyers.
#[must_use]
pub fn services(admin: bool) -> Vec<Service> {
    let open = if admin { Door::Admin } else { Door::Public };
    let document = serde_json::from_str(openapi::document()).unwrap_or_default();
    let service = |name: &'static str, kind, idempotency_retention, journal_retention| {
        let handlers = Handler::all().filter(|handler| handler.service() == name);
        let handlers = handlers.map(|handler| handler.described(open, &document)).collect();
        Service { name, kind, handlers, idempotency_retention, journal_retention, retries: Some(RETRIES) }
    };
    vec![
        // A turn leaves nothing to look up, and there are many.
        service(Of::Ticket.as_str(), Kind::Object, Some(A_DAY), Some(Duration::ZERO)),
        service(Of::SeatMap.as_str(), Kind::Object, Some(A_DAY), Some(Duration::ZERO)),
        service(LAYOUTS, Kind::Object, None, Some(Duration::ZERO)),
        // How a checkout ended can be asked for as long as its key is known.
        service(Of::Checkout.as_str(), Kind::Service, Some(A_DAY), Some(A_DAY)),
        service(NOTIFICATIONS, Kind::Service, None, None),
        service(STUCK, Kind::Object, None, Some(Duration::ZERO)),
    ]
}
