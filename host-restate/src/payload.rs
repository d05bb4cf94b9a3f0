//! What goes in and out of a handler: bytes, whatever they are, with the core's schema for Restate's catalogue.

use std::convert::Infallible;
use std::marker::PhantomData;

use booking_core::wire::{Door, openapi};
use bytes::Bytes;
use restate_sdk::serde::{Deserialize, InputMetadata, OutputMetadata, PayloadMetadata, Serialize};

/// A handler of the core's list, as a type.
pub(crate) trait Handler: Send + 'static {
    /// The service or object.
    const SERVICE: &'static str;
    /// The handler.
    const NAME: &'static str;
    /// Who may call it.
    const DOOR: Door;
    /// Whether its body is empty.
    const TAKES_NOTHING: bool;
}

/// The bytes of a request: the core says what is wrong with them.
pub(crate) struct Given<H>(pub(crate) Bytes, PhantomData<fn() -> H>);

/// An answer that went well.
pub(crate) struct Said<H>(Bytes, PhantomData<fn() -> H>);

impl<H> Said<H> {
    pub(crate) fn new(json: String) -> Self {
        Self(json.into(), PhantomData)
    }
}

impl<H> Deserialize for Given<H> {
    type Error = Infallible;
    fn deserialize(bytes: &mut Bytes) -> Result<Self, Infallible> {
        Ok(Self(bytes.clone(), PhantomData))
    }
}

impl<H> Serialize for Given<H> {
    type Error = Infallible;
    fn serialize(&self) -> Result<Bytes, Infallible> {
        Ok(self.0.clone())
    }
}

impl<H: Handler> PayloadMetadata for Given<H> {
    fn json_schema() -> Option<serde_json::Value> {
        // Where there is a schema, Restate lets nobody in without a body.
        openapi::schemas(H::SERVICE, H::NAME).map(|(body, _)| body).filter(|_| !H::TAKES_NOTHING)
    }
    fn input_metadata() -> InputMetadata {
        InputMetadata { accept_content_type: "*/*", is_required: false }
    }
}

impl<H> Deserialize for Said<H> {
    type Error = Infallible;
    fn deserialize(bytes: &mut Bytes) -> Result<Self, Infallible> {
        Ok(Self(bytes.clone(), PhantomData))
    }
}

impl<H> Serialize for Said<H> {
    type Error = Infallible;
    fn serialize(&self) -> Result<Bytes, Infallible> {
        Ok(self.0.clone())
    }
}

impl<H: Handler> PayloadMetadata for Said<H> {
    fn json_schema() -> Option<serde_json::Value> {
        openapi::schemas(H::SERVICE, H::NAME).map(|(_, answer)| answer)
    }
    fn output_metadata() -> OutputMetadata {
        OutputMetadata { content_type: "application/json", set_content_type_if_empty: false }
    }
}
