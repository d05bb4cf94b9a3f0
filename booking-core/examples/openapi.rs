//! Writes the description of the wire: `cargo run -p booking-core --example openapi > booking-core/openapi.json`, after a
//! change of the wire. A test tells when it is due.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

fn main() {
    print!("{}", booking_core::wire::openapi::made());
}
