//! What the platform knows, and does: the time, and signatures.

use std::time::Duration;

use booking_workers::clock::now;
use js_sys::futures::JsFuture;
use js_sys::{Array, Object, Promise, Uint8Array};
use restate_endpoint::Platform;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(extends = Object)]
    type SubtleCrypto;

    #[wasm_bindgen(thread_local_v2, js_namespace = crypto, js_name = subtle)]
    static SUBTLE: SubtleCrypto;

    #[wasm_bindgen(method, catch, js_name = importKey)]
    fn import_key(
        this: &SubtleCrypto,
        format: &str,
        key: &Uint8Array,
        algorithm: &str,
        extractable: bool,
        uses: &Array,
    ) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn verify(
        this: &SubtleCrypto,
        algorithm: &str,
        key: &JsValue,
        signature: &Uint8Array,
        message: &Uint8Array,
    ) -> Result<Promise, JsValue>;
}

const ED25519: &str = "Ed25519";

/// A Worker.
#[derive(Clone)]
pub(crate) struct Worker;

impl Platform for Worker {
    fn now(&self) -> Duration {
        Duration::from_millis(now().as_millis())
    }

    async fn verifies(&self, key: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
        is_signed(key, message, signature).await.unwrap_or(false)
    }
}

async fn is_signed(key: &[u8; 32], message: &[u8], signature: &[u8]) -> Result<bool, JsValue> {
    let bytes = |bytes: &[u8]| Uint8Array::from(bytes);
    let uses = Array::of1(&"verify".into());
    let key = SUBTLE.with(|subtle| subtle.import_key("raw", &bytes(&key[..]), ED25519, false, &uses))?;
    let key = JsFuture::from(key).await?;
    let is_it = SUBTLE.with(|subtle| subtle.verify(ED25519, &key, &bytes(signature), &bytes(message)))?;
    Ok(JsFuture::from(is_it).await?.is_truthy())
}
