//! What all of it is, for programs: an OpenAPI 3.1 document. `examples/openapi.rs` makes it, and it is kept as `openapi.json`
//! beside the manifest: for people who write clients, and so that a host need not carry what makes it.

use serde_json::Value;

use super::handler::Handler;

/// The document, as JSON.
#[must_use]
pub fn document() -> &'static str {
    include_str!("../../openapi.json")
}

/// The JSON Schemas of what a handler takes and of what it answers when all goes well, where the [`document`] has them.
/// For platforms that describe handlers one by one.
#[must_use]
pub fn schemas(document: &Value, handler: Handler) -> (Option<Value>, Option<Value>) {
    let operation = &document["paths"][handler.path()];
    let operation = if operation["post"].is_object() { &operation["post"] } else { &operation["get"] };
    let schema = |of: &Value| of.pointer("/content/application~1json/schema").cloned();
    (schema(&operation["requestBody"]), schema(&operation["responses"]["200"]))
}
