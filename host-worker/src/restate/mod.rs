//! The host on Restate, in the Worker: the same tickets, maps and checkouts, kept by a Restate server that calls this
//! Worker at `/restate`. The files are those of `host-restate`, and so is what they do.

mod effects;
mod errors;
mod host;
mod journal;
mod objects;
mod platform;
mod routes;

pub(crate) use routes::{MOUNTED, answer, read_key};
