//! What Restate can call: the handlers of the core's list, by their names there, and who may call each. A test holds the
//! two together.

use booking_core::checkout::Ending;
use booking_core::effect::Notification;
use booking_core::wire::{self, Door, answer};
use booking_hosting::restate::{Asked, CHECKOUT, Judged, Lost, RECOVER, SEAT_MAP, TICKET};
use restate_sdk::context::{Context, ObjectContext, SharedObjectContext};
use restate_sdk::endpoint::{Endpoint, HandlerOptions, ServiceOptions};
use restate_sdk::errors::HandlerResult;
use restate_sdk::serde::Json;
use restate_sdk::service::{IntoServiceDefinition, ServiceDefinition};

use crate::host::Host;
use crate::payload::{Given, Handler, Said};

/// Everything that Restate is to know of, to be served. With `admin`, whoever reaches the ingress can take sold seats
/// back: only behind something that tells operators from buyers.
///
/// # Errors
/// Where a key is no identity key of Restate's (`publickeyv1_…`).
pub fn endpoint(host: &Host, admin: bool, identity_keys: &[String]) -> Result<Endpoint, String> {
    let checkouts = CheckoutService(host.clone()).into_service_definition();
    let mut endpoint = Endpoint::builder()
        .bind(with_doors(TICKET, TicketObject(host.clone()), admin))
        .bind(with_doors(SEAT_MAP, SeatMapObject(host.clone()), admin))
        .bind(checkouts.options(ServiceOptions::new().handler(RECOVER, HandlerOptions::new().ingress_private(!admin))))
        .bind(LettersService(host.clone()));
    for key in identity_keys {
        endpoint = endpoint.identity_key(key).map_err(|why| why.to_string())?;
    }
    Ok(endpoint.build())
}

/// Closes the doors that are not to be open to the ingress.
fn with_doors(service: &str, handlers: impl IntoServiceDefinition, admin: bool) -> ServiceDefinition {
    let open = if admin { Door::Admin } else { Door::Public };
    let closed = wire::handlers().filter(|(of, _, door)| *of == service && *door > open);
    let options = closed.fold(ServiceOptions::new(), |options, (_, handler, _)| {
        options.handler(handler, HandlerOptions::new().ingress_private(true))
    });
    handlers.into_service_definition().options(options)
}

/// The handlers, as types.
macro_rules! handlers {
    ($($service:ident { $($name:ident = $text:literal $door:ident $(takes $nothing:ident)?,)* })*) => {$($(
        pub(crate) struct $name;
        impl Handler for $name {
            const SERVICE: &'static str = $service;
            const NAME: &'static str = $text;
            const DOOR: Door = Door::$door;
            const TAKES_NOTHING: bool = !stringify!($($nothing)?).is_empty();
        }
    )*)*};
}

handlers! {
    TICKET {
        Get = "get" Public takes nothing,
        Reserve = "reserve" Public,
        Release = "release" Public,
        Block = "block" Admin,
        Unblock = "unblock" Admin takes nothing,
        List = "list" Admin,
        Sell = "sell" Admin,
        Reset = "reset" Admin,
        Cleanup = "cleanup" Admin takes nothing,
        Claim = "claim" Inner,
        Confirm = "confirm" Inner,
        Revoke = "revoke" Inner,
        Expire = "expire" Inner,
    }
    SEAT_MAP {
        GetMap = "get" Public takes nothing,
        Summary = "summary" Public takes nothing,
        Plan = "plan" Public takes nothing,
        Layout = "layout" Admin,
        ResetAll = "resetAll" Admin takes nothing,
        Set = "set" Inner,
        Continue = "continue" Inner,
    }
    CHECKOUT {
        Process = "process" Public,
    }
}

/// A ticket, under its id.
pub(crate) struct TicketObject(Host);

#[restate_sdk::object(
    name = "Ticket",
    client_visibility = "pub(crate)",
    // A turn leaves nothing to look up, and there are many.
    journal_retention = "0 seconds",
    idempotency_retention = "24 hours",
    // Until it is done: a host that is away for long must not leave a seat or a payment halfway.
    invocation_retry_policy(initial_interval = "50ms", factor = 2.0, max_interval = "10s", max_attempts = 1_000_000_000)
)]
impl TicketObject {
    #[handler]
    async fn get(&self, ctx: SharedObjectContext<'_>, body: Given<Get>) -> HandlerResult<Said<Get>> {
        self.0.look_at_ticket(ctx, body).await
    }

    #[handler(invocation_retry_policy(
        initial_interval = "50ms",
        factor = 2.0,
        max_interval = "10s",
        max_attempts = 30,
        on_max_attempts = "kill"
    ))]
    async fn reserve(&self, ctx: SharedObjectContext<'_>, body: Given<Reserve>) -> HandlerResult<Said<Reserve>> {
        self.0.reserve(ctx, body).await
    }

    #[handler(ingress_private = true)]
    async fn hold(&self, ctx: ObjectContext<'_>, asked: Json<Asked>) -> HandlerResult<Json<Judged>> {
        self.0.hold(ctx, asked.into_inner()).await
    }

    #[handler]
    async fn release(&self, ctx: ObjectContext<'_>, body: Given<Release>) -> HandlerResult<Said<Release>> {
        self.0.ticket(ctx, body).await
    }

    #[handler]
    async fn block(&self, ctx: ObjectContext<'_>, body: Given<Block>) -> HandlerResult<Said<Block>> {
        self.0.ticket(ctx, body).await
    }

    #[handler]
    async fn unblock(&self, ctx: ObjectContext<'_>, body: Given<Unblock>) -> HandlerResult<Said<Unblock>> {
        self.0.ticket(ctx, body).await
    }

    #[handler]
    async fn list(&self, ctx: ObjectContext<'_>, body: Given<List>) -> HandlerResult<Said<List>> {
        self.0.ticket(ctx, body).await
    }

    #[handler]
    async fn sell(&self, ctx: ObjectContext<'_>, body: Given<Sell>) -> HandlerResult<Said<Sell>> {
        self.0.ticket(ctx, body).await
    }

    #[handler]
    async fn reset(&self, ctx: ObjectContext<'_>, body: Given<Reset>) -> HandlerResult<Said<Reset>> {
        self.0.ticket(ctx, body).await
    }

    #[handler]
    async fn cleanup(&self, ctx: ObjectContext<'_>, body: Given<Cleanup>) -> HandlerResult<Said<Cleanup>> {
        self.0.ticket(ctx, body).await
    }

    #[handler]
    async fn claim(&self, ctx: ObjectContext<'_>, body: Given<Claim>) -> HandlerResult<Said<Claim>> {
        self.0.ticket(ctx, body).await
    }

    #[handler]
    async fn confirm(&self, ctx: ObjectContext<'_>, body: Given<Confirm>) -> HandlerResult<Said<Confirm>> {
        self.0.ticket(ctx, body).await
    }

    #[handler]
    async fn revoke(&self, ctx: ObjectContext<'_>, body: Given<Revoke>) -> HandlerResult<Said<Revoke>> {
        self.0.ticket(ctx, body).await
    }

    #[handler]
    async fn expire(&self, ctx: ObjectContext<'_>, body: Given<Expire>) -> HandlerResult<Said<Expire>> {
        self.0.ticket(ctx, body).await
    }
}

/// A seat map, under its key.
pub(crate) struct SeatMapObject(Host);

#[restate_sdk::object(
    name = "SeatMap",
    client_visibility = "pub(crate)",
    // A turn leaves nothing to look up, and there are many.
    journal_retention = "0 seconds",
    idempotency_retention = "24 hours",
    // Until it is done: a host that is away for long must not leave a seat or a payment halfway.
    invocation_retry_policy(initial_interval = "50ms", factor = 2.0, max_interval = "10s", max_attempts = 1_000_000_000)
)]
impl SeatMapObject {
    #[handler]
    async fn get(&self, ctx: SharedObjectContext<'_>, body: Given<GetMap>) -> HandlerResult<Said<GetMap>> {
        self.0.look_at_map(ctx, body, answer::seat_map).await
    }

    #[handler]
    async fn summary(&self, ctx: SharedObjectContext<'_>, body: Given<Summary>) -> HandlerResult<Said<Summary>> {
        self.0.look_at_map(ctx, body, answer::summary).await
    }

    #[handler]
    async fn plan(&self, ctx: SharedObjectContext<'_>, body: Given<Plan>) -> HandlerResult<Said<Plan>> {
        self.0.look_at_map(ctx, body, answer::plan).await
    }

    #[handler]
    async fn layout(&self, ctx: ObjectContext<'_>, body: Given<Layout>) -> HandlerResult<Said<Layout>> {
        self.0.seat_map(ctx, body).await
    }

    #[handler(name = "resetAll")]
    async fn reset_all(&self, ctx: ObjectContext<'_>, body: Given<ResetAll>) -> HandlerResult<Said<ResetAll>> {
        self.0.seat_map(ctx, body).await
    }

    #[handler]
    async fn set(&self, ctx: ObjectContext<'_>, body: Given<Set>) -> HandlerResult<Said<Set>> {
        self.0.seat_map(ctx, body).await
    }

    #[handler(name = "continue")]
    async fn go_on(&self, ctx: ObjectContext<'_>, body: Given<Continue>) -> HandlerResult<Said<Continue>> {
        self.0.seat_map(ctx, body).await
    }
}

/// Checkouts.
pub(crate) struct CheckoutService(Host);

#[restate_sdk::service(
    name = "Checkout",
    client_visibility = "pub(crate)",
    idempotency_retention = "24 hours",
    // How it ended can be asked for as long.
    journal_retention = "24 hours",
    // Until it is done: a host that is away for long must not leave a seat or a payment halfway.
    invocation_retry_policy(initial_interval = "50ms", factor = 2.0, max_interval = "10s", max_attempts = 1_000_000_000)
)]
impl CheckoutService {
    #[handler]
    async fn process(&self, ctx: Context<'_>, body: Given<Process>) -> HandlerResult<Said<Process>> {
        self.0.process(ctx, body).await
    }

    #[handler]
    async fn recover(&self, ctx: Context<'_>, lost: Json<Lost>) -> HandlerResult<Json<Ending>> {
        self.0.recover(ctx, lost.into_inner()).await
    }
}

/// Messages to buyers, on their way.
pub(crate) struct LettersService(Host);

#[restate_sdk::service(
    name = "Letters",
    client_visibility = "pub(crate)",
    ingress_private = true,
    // A host that is away for long must not lose a letter; `Host::deliver` says when one is given up.
    invocation_retry_policy(initial_interval = "50ms", factor = 2.0, max_interval = "10s", max_attempts = 1_000_000_000)
)]
impl LettersService {
    #[handler]
    async fn deliver(&self, ctx: Context<'_>, letter: Json<Notification>) -> HandlerResult<()> {
        self.0.deliver(ctx, letter.into_inner()).await
    }
}
