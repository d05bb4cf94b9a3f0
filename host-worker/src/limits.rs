//! How often a caller may ask. The platform counts, where `wrangler.toml` binds a limit. A caller is a token at an address: many
//! buyers may share a token (the shop's page has one), or an address.

use std::net::IpAddr;

use booking_core::ids::MapKey;
use booking_core::wire::Kind;
use booking_hosting::callers::network;
use js_sys::futures::JsFuture;
use js_sys::{Object, Promise, Reflect};
use wasm_bindgen::prelude::{JsCast as _, JsValue, wasm_bindgen};
use worker::{Env, Request};

/// The binding that counts requests, where there is one.
const RATE_LIMITER: &str = "RATE_LIMITER";

#[wasm_bindgen]
extern "C" {
    /// The platform's counter. (That of the SDK brings a reader of every JavaScript value with it.)
    #[wasm_bindgen(extends = Object)]
    type Limiter;

    #[wasm_bindgen(method, catch)]
    fn limit(this: &Limiter, options: &Object) -> Result<Promise, JsValue>;
}

/// The binding that counts invitations to a map.
const INVITATIONS: &str = "INVITATIONS";

/// Whose requests are counted together.
pub(crate) enum Counted {
    /// Those of a token, or of nobody in particular, at the address of the request.
    Let(Option<[u8; 32]>),
    /// Those that no door was open to, at the address of the request.
    Refused,
}

/// Counts a request; whether its caller asks too often. Who cannot be counted is let in.
pub(crate) async fn asks_too_often(env: &Env, who: &Counted, request: &Request) -> bool {
    let Some(limiter) = bound(env, RATE_LIMITER) else { return false };
    let address = request.headers().get("CF-Connecting-IP").ok().flatten().unwrap_or_default();
    let address = address.parse::<IpAddr>().map_or(address, |address| network(address).to_string());
    let token = match who {
        Counted::Let(Some(token)) => token.iter().map(|byte| format!("{byte:02x}")).collect(),
        Counted::Let(None) => String::new(),
        Counted::Refused => "refused".to_owned(),
    };
    let who = format!("{token}|{address}");
    !counted(&limiter, &who).await.unwrap_or(true)
}

/// Counts an invitation to this map; whether there are too many. One that cannot be counted is not made.
pub(crate) async fn invites_too_often(env: &Env, map: &MapKey) -> Result<bool, Kind> {
    let limiter = bound(env, INVITATIONS).ok_or(Kind::NotFound)?;
    counted(&limiter, map.as_str()).await.map(|is_within| !is_within).map_err(|_| Kind::StorageUnavailable)
}

fn bound(env: &Env, name: &str) -> Option<Limiter> {
    Reflect::get(env.as_ref(), &name.into()).ok().filter(JsValue::is_object).map(JsValue::unchecked_into)
}

/// Whether this one is within the limit.
async fn counted(limiter: &Limiter, who: &str) -> Result<bool, JsValue> {
    let options = Object::new();
    Reflect::set(&options, &"key".into(), &who.into())?;
    let outcome = JsFuture::from(limiter.limit(&options)?).await?;
    Ok(Reflect::get(&outcome, &"success".into())?.is_truthy())
}
