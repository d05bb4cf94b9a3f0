//! The host on Restate, in the Worker: tickets, maps and checkouts are kept by a Restate server that calls this Worker at
//! `/restate`. What it calls is [`booking_restate`], as in `host-restate`.

mod context;
mod endpoint;
mod platform;

pub(crate) use endpoint::{MOUNTED, answer, read_key};
