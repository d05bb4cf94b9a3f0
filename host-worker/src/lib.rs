#![doc = include_str!("../README.md")]

mod calls;
mod checkout_object;
mod effects;
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
mod watchers;

use worker::{Context, Env, Request, Response, event};

pub use checkout_object::CheckoutObject;
pub use seat_map_object::SeatMapObject;

/// Every request from outside comes through here.
#[event(fetch)]
async fn fetch(request: Request, env: Env, _context: Context) -> worker::Result<Response> {
    routes::serve(request, &env).await
}
