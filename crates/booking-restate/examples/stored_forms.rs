//! Prints the forms that each Worker keeps, in this build: of each the version that it writes, and the oldest that it reads.
//! `cargo xtask release build` puts them into the release, which so knows what it can take over from.

use std::io::Write as _;

use booking_core::format::Form;
use booking_core::life::{CheckoutRecord, IdempotencyRecord};
use booking_core::map::ticket::Ticket;
use booking_core::map::{Header, LastWish, Layout};
use booking_core::wire::log::LogLine;

fn main() -> std::io::Result<()> {
    let shop = [
        Form::of::<Header>(),
        Form::of::<Ticket>(),
        Form::of::<Layout>(),
        Form::of::<LastWish>(),
        Form::of::<CheckoutRecord>(),
        Form::of::<IdempotencyRecord>(),
    ];
    let forms = serde_json::json!({ "shop": shop, "restate": booking_restate::forms(), "sandbox": [], "operations": [Form::of::<LogLine>()] });
    writeln!(std::io::stdout(), "{forms}")
}
