//! Prints `web/currencies.js`: how many decimals the page writes a currency with.
//!
//! `cargo run -p booking-core --example currencies > web/currencies.js`

#![allow(clippy::print_stdout, reason = "it prints")]

use booking_core::money::Currency;

fn main() {
    print!("{}", made());
}

/// The file, made anew.
pub(crate) fn made() -> String {
    let odd = all().filter(|currency| currency.decimals() != 2);
    let entries: Vec<String> = odd.map(|currency| format!("  {currency}: {},\n", currency.decimals())).collect();
    format!(
        "// How many decimals ISO 4217 gives a currency, where it is not two. Made of the core's table:\n\
         // cargo run -p booking-core --example currencies > web/currencies.js\n\
         export const DECIMALS = {{\n{}}};\n",
        entries.concat()
    )
}

/// Every code there can be.
pub(crate) fn all() -> impl Iterator<Item = Currency> {
    let letters = || 'A'..='Z';
    let codes = letters().flat_map(move |a| letters().flat_map(move |b| letters().map(move |c| format!("{a}{b}{c}"))));
    codes.map(|code| code.parse().expect("three letters"))
}
