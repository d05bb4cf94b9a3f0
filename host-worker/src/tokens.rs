//! Tokens with names: the text that `booking tokens` writes, under one key of a KV namespace, if one is bound. Each isolate reads it again
//! from time to time, so what is revoked stops a little later.

use std::cell::Cell;

use booking_core::time::{Millis, Timestamp};
use booking_core::wire::Kind;
use booking_hosting::tokens::{SharedTokens, Tokens};
use booking_workers::clock::now;
use booking_workers::log::{Level, say};
use js_sys::futures::JsFuture;
use js_sys::{Object, Promise, Reflect};
use wasm_bindgen::prelude::{JsCast as _, JsValue, wasm_bindgen};
use worker::Env;

/// The binding of the namespace.
const TOKENS: &str = "TOKENS";

/// The key in it.
const KEY: &str = "tokens";

/// How old what an isolate knows may be. The namespace itself may be a minute behind.
const READ_AGAIN: Millis = Millis::from_secs(30);

/// How long a namespace is left alone that could not be read.
const TRY_AGAIN: Millis = Millis::from_secs(5);

#[wasm_bindgen]
extern "C" {
    /// The namespace.
    #[wasm_bindgen(extends = Object)]
    type Namespace;

    #[wasm_bindgen(method, catch)]
    fn get(this: &Namespace, key: &str, options: &Object) -> Result<Promise, JsValue>;
}

thread_local! {
    /// When they were read.
    static READ: Cell<Option<Timestamp>> = const { Cell::new(None) };
    /// When that was last tried in vain.
    static FAILED: Cell<Option<Timestamp>> = const { Cell::new(None) };
}

/// Reads them again, if it is time. Those from before count on where they cannot be read.
///
/// # Errors
/// `StorageUnavailable` where none were ever read: a token may have been revoked.
pub(crate) async fn refresh(env: &Env, tokens: &SharedTokens) -> Result<(), Kind> {
    let namespace = Reflect::get(env.as_ref(), &TOKENS.into()).ok().filter(JsValue::is_object);
    let is_fresh = READ.get().is_some_and(|read| now().since(read) < READ_AGAIN);
    let Some(namespace) = namespace.filter(|_| !is_fresh) else { return Ok(()) };
    if FAILED.get().is_some_and(|failed| now().since(failed) < TRY_AGAIN) {
        return READ.get().map(|_| ()).ok_or(Kind::StorageUnavailable);
    }
    match read(namespace.unchecked_ref()).await {
        Ok(read) => {
            tokens.replace(read);
            READ.set(Some(now()));
            Ok(())
        }
        Err(why) => {
            FAILED.set(Some(now()));
            say(Level::Error, "the tokens with names cannot be read: those from before still count", &[("why", why)]);
            READ.get().map(|_| ()).ok_or(Kind::StorageUnavailable)
        }
    }
}

async fn read(namespace: &Namespace) -> Result<Tokens, String> {
    let said = |_| "the namespace does not answer".to_owned();
    let options = Object::new();
    Reflect::set(&options, &"cacheTtl".into(), &30.into()).map_err(said)?;
    let text = JsFuture::from(namespace.get(KEY, &options).map_err(said)?).await.map_err(said)?;
    if text.is_null() {
        return Ok(Tokens::default());
    }
    let text = text.as_string().ok_or("it is no text")?;
    Tokens::parse(&text).map_err(|why| why.to_string())
}
