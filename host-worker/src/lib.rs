#![doc = include_str!("../README.md")]

mod books;
mod calls;
mod checkout_object;
mod effects;
mod erase;
mod errors;
mod inside;
mod later;
mod limits;
mod map;
mod map_tables;
mod routes;
mod seat_map_object;
mod settings;
mod store;
mod tokens;
mod watchers;

use booking_workers::log::{Level, say};
use worker::{Context, Env, Request, Response, ScheduleContext, ScheduledEvent, event};

pub use checkout_object::CheckoutObject;
pub use seat_map_object::SeatMapObject;

/// Every request from outside comes through here.
#[event(fetch)]
async fn fetch(request: Request, env: Env, _context: Context) -> worker::Result<Response> {
    routes::serve(request, &env).await
}

/// From time to time: checkouts of which nothing was heard are asked how they stand.
#[event(scheduled)]
async fn scheduled(_event: ScheduledEvent, env: Env, _context: ScheduleContext) {
    if let Err(why) = books::revive(&env).await {
        say(Level::Error, "it is not known which checkouts are overdue", &[("why", why.to_string())]);
    }
}
