#![doc = include_str!("../README.md")]

mod context;
mod endpoint;
mod platform;
mod settings;

use worker::{Context, Env, Request, Response, event};

/// Every request from outside comes through here.
#[event(fetch)]
async fn fetch(request: Request, env: Env, _context: Context) -> worker::Result<Response> {
    endpoint::answer(request, &env).await
}
