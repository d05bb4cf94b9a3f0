//! A shop of your own, with the booking API under a path of it: `cargo run -p host-axum-sim --example embed`.
//!
//! The engine is one value, its routes are an `axum::Router`. What you build around them is yours.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use axum::routing::get;
use booking_core::money::Money;
use booking_core::terms::Terms;
use booking_core::time::Millis;
use host_axum_sim::engine::{Engine, Gateway, Settings};
use host_axum_sim::{Host, RouteSettings, router};
use tower::ServiceExt as _;

type Failed = Box<dyn std::error::Error>;

/// Your app: one page of yours, and the booking API under `/booking`.
fn shop() -> Result<Router, Failed> {
    let unit_price: Money = "45.00:EUR".parse()?;
    let settings = Settings {
        terms: Terms { unit_price, ..Terms::default() },
        gateway: Gateway::Mock { delay: Millis(20) },
        ..Settings::default()
    };
    let host = Host::new(Engine::new(settings));
    let booking = router(host, RouteSettings::default());
    Ok(Router::new().route("/", get(|| async { "Welcome" })).nest("/booking", booking))
}

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let shop = shop()?;
    // With `axum::serve(listener, shop)` this would be a server. Here it is asked directly.
    let order = r#"{"ticketIds":["arena:A:12","arena:A:13"],"userId":"ann"}"#;
    say(&shop, "GET", "/", "").await?;
    say(&shop, "POST", "/booking/Ticket/arena:A:11/reserve", r#""bob""#).await?;
    say(&shop, "POST", "/booking/Checkout/process", order).await?;
    say(&shop, "POST", "/booking/Checkout/process", order).await?;
    say(&shop, "GET", "/booking/SeatMap/arena:A/get", "").await?;
    Ok(())
}

/// Asks the shop something, and prints what it says.
async fn say(shop: &Router, method: &str, path: &str, body: &str) -> Result<(), Failed> {
    let request = Request::builder().method(method).uri(path).body(Body::from(body.to_owned()))?;
    let response = shop.clone().oneshot(request).await?;
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), 64 * 1024).await?;
    tell(&format!("{method} {path}\n  {status} {}", String::from_utf8_lossy(&body)));
    Ok(())
}

#[allow(clippy::print_stdout, reason = "an example is there to be read")]
fn tell(line: &str) {
    println!("{line}");
}
