//! What all of it is, for programs: an OpenAPI 3.1 document, made from the list of handlers and the types that are read.
//!
//! Tests hold it to what the parser takes and what the answers are. It is made once, by a person who changes the wire, and
//! kept as `openapi.json` beside the manifest: for whoever writes a client, and so that a host need not carry what makes it.

use serde_json::{Map, Value, json};

use super::json::{Described, Line};
use super::kind::Kind;
use super::route::{CHECKOUT, GATEWAY, HANDLERS, HEALTH, Row, SEAT_MAP, TICKET};
use super::{Door, IDEMPOTENCY_KEY};
use crate::checkout::MAX_TICKETS;
use crate::ids::{
    AuthorizationId, CheckoutId, HoldId, MapKey, PaymentId, PaymentKey, PaymentMethodId, TicketId, UserId,
};
use crate::money::Money;
use crate::ticket::TicketStatus;
use crate::time::{HoldTtl, Timestamp};

/// The document, as JSON.
#[must_use]
pub fn document() -> &'static str {
    include_str!("../../openapi.json")
}

/// The JSON Schemas of what a handler takes and of what it answers when all goes well; `None` where there is no such
/// handler, or it is one of the core's own. For platforms that describe handlers one by one.
#[must_use]
pub fn schemas(service: &str, handler: &str) -> Option<(Value, Value)> {
    let is_it = |row: &&Row| row.0 == service && row.1 == handler && row.2 < Door::Inner;
    HANDLERS.iter().find(is_it).map(about).map(|about| (about.body, about.answer))
}

/// The document, made anew: what `cargo run --example openapi` writes.
#[must_use]
pub fn made() -> String {
    let mut paths: Map<String, Value> = Map::new();
    for row in HANDLERS.iter().filter(|row| row.2 < Door::Inner) {
        let operations: Map<String, Value> =
            row.methods().iter().map(|method| ((*method).to_owned(), operation(row, method))).collect();
        paths.insert(row.path(), operations.into());
    }
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Seat booking",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "No ticket is sold twice, nobody pays without a seat, no checkout gets a seat without \
                paying. Paths marked admin need an admin token, and are not there where none is configured.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer" } },
        },
        // With a token or, where none is configured, without.
        "security": [{ "bearer": [] }, {}],
    });
    format!("{document}\n")
}

/// One handler: what it does, takes, gives and refuses. Refusals that any handler may give are not among these.
struct About {
    summary: &'static str,
    body: Value,
    answer: Value,
    /// Answered with 202 as well.
    is_accepted: bool,
    kinds: &'static [Kind],
}

fn about(row: &Row) -> About {
    use Kind::{
        CheckoutInProgress, DuplicateTicket, HoldExpired, IdempotencyKeyReused, MixedCurrencies, NotFound,
        PaymentDeclined, PaymentUnavailable, RateLimited, TicketBlocked, TicketNotForSale, TicketReserved, TicketSold,
        TooManyTickets, TtlOutOfRange,
    };
    let plain = |summary, body, answer, kinds| About { summary, body, answer, is_accepted: false, kinds };
    let Row(service, handler, ..) = row;
    match (*service, *handler) {
        (TICKET, "get") => plain("What a ticket is", nothing(), ticket(), &[]),
        (TICKET, "reserve") => plain(
            "Hold a ticket for a buyer",
            json!({ "oneOf": [UserId::schema(), object(
                &[("userId", UserId::schema())],
                &[("holdId", HoldId::schema()), ("ttlMs", ttl())],
            )] }),
            object(
                &[
                    ("holdId", nullable(HoldId::schema())),
                    ("reservedUntil", Timestamp::schema()),
                    ("price", Money::schema()),
                    ("version", u64::schema()),
                ],
                &[],
            ),
            &[
                TicketReserved,
                TicketSold,
                TicketBlocked,
                TicketNotForSale,
                CheckoutInProgress,
                HoldExpired,
                TtlOutOfRange,
                RateLimited,
            ],
        ),
        (TICKET, "release") => plain(
            "Give a hold back",
            object(&[("holdId", HoldId::schema())], &[]),
            taken(),
            &[CheckoutInProgress, TicketSold],
        ),
        (TICKET, "block") => plain(
            "Admin: take a ticket off sale",
            object(&[("reason", Line::schema())], &[]),
            taken(),
            &[TicketReserved, TicketSold],
        ),
        (TICKET, "unblock") => plain("Admin: put a blocked ticket back on sale", nothing(), taken(), &[]),
        (TICKET, "list") => plain("Admin: set a price", object(&[("price", Money::schema())], &[]), taken(), &[]),
        (TICKET, "sell") => plain(
            "Admin: sell at the box office, without a payment",
            json!({ "oneOf": [UserId::schema(), object(&[("userId", UserId::schema())], &[])] }),
            object(
                &[("status", json!({ "const": "SOLD" })), ("price", Money::schema()), ("version", u64::schema())],
                &[],
            ),
            &[TicketReserved, TicketSold, TicketBlocked, TicketNotForSale, HoldExpired],
        ),
        (TICKET, "reset") => plain(
            "Admin: put a sold or blocked ticket back on sale, if it has not changed since",
            object(&[("upTo", u64::schema())], &[]),
            taken(),
            &[TicketReserved],
        ),
        (TICKET, _) => plain("Admin: put a sold or blocked ticket back on sale", nothing(), taken(), &[TicketReserved]),
        (SEAT_MAP, "get") => plain("The tickets of a map", nothing(), list(seat()), &[]),
        (SEAT_MAP, "summary") => plain("The counts of a map", nothing(), summary(), &[]),
        (SEAT_MAP, "plan") => plain("The layout of a map: its rows, prices and places", nothing(), plan(), &[]),
        (SEAT_MAP, "watch") => plain("The changes of a map, over a WebSocket", nothing(), json!({}), &[]),
        (SEAT_MAP, "layout") => plain(
            "Admin: publish a layout, and list its tickets",
            layout(),
            object(&[("tickets", u64::schema()), ("edition", u64::schema()), ("version", u64::schema())], &[]),
            &[DuplicateTicket],
        ),
        (SEAT_MAP, _) => plain(
            "Admin: reset every ticket of the map",
            nothing(),
            object(&[("tickets", u64::schema()), ("version", u64::schema())], &[]),
            &[],
        ),
        (CHECKOUT, "process") => About {
            is_accepted: true,
            ..plain(
                "Buy tickets, and wait for the end",
                order(),
                confirmed(),
                &[
                    PaymentDeclined,
                    TicketReserved,
                    TicketSold,
                    TicketBlocked,
                    TicketNotForSale,
                    CheckoutInProgress,
                    HoldExpired,
                    TooManyTickets,
                    DuplicateTicket,
                    MixedCurrencies,
                    PaymentUnavailable,
                ],
            )
        },
        (CHECKOUT, "send") => About {
            is_accepted: true,
            ..plain("Buy tickets, without waiting", order(), Value::Null, &[TooManyTickets, DuplicateTicket])
        },
        (CHECKOUT, _) => {
            let answer = json!({ "oneOf": [pending(), confirmed(), failed()] });
            plain("How a checkout stands", nothing(), answer, &[NotFound])
        }
        (GATEWAY, "authorize") => plain(
            "Mock gateway: set money aside",
            object(
                &[
                    ("key", PaymentKey::schema()),
                    ("amount", Money::schema()),
                    ("paymentMethodId", PaymentMethodId::schema()),
                ],
                &[],
            ),
            object(&[("authorizationId", AuthorizationId::schema())], &[]),
            &[PaymentDeclined, IdempotencyKeyReused, PaymentUnavailable],
        ),
        (GATEWAY, "capture") => plain(
            "Mock gateway: take it",
            object(&[("key", PaymentKey::schema()), ("authorizationId", AuthorizationId::schema())], &[]),
            object(&[("paymentId", PaymentId::schema())], &[]),
            &[PaymentDeclined, PaymentUnavailable],
        ),
        (GATEWAY, "void") => {
            plain("Mock gateway: let it go", object(&[("authorizeKey", PaymentKey::schema())], &[]), ok(), &[])
        }
        (GATEWAY, "ledger") => plain("Mock gateway: what it has", nothing(), ledger(), &[]),
        (GATEWAY, _) => plain(
            "Mock gateway: pay in one go, under the request's idempotency key",
            object(
                &[
                    ("amount", json!({ "oneOf": [Money::schema(), u64::schema()] })),
                    ("paymentMethodId", PaymentMethodId::schema()),
                ],
                &[],
            ),
            object(&[("transactionId", PaymentId::schema())], &[]),
            &[PaymentDeclined, IdempotencyKeyReused, PaymentUnavailable],
        ),
        (_, _) => plain("Whether the host is up", nothing(), object(&[("status", json!({ "const": "ok" }))], &[]), &[]),
    }
}

fn operation(row: &Row, method: &str) -> Value {
    let Row(service, handler, door, _) = row;
    let about = about(row);
    let mut parameters = Vec::new();
    let id = match (*service, *handler) {
        (TICKET, _) => Some(("ticketId", TicketId::schema())),
        (SEAT_MAP, _) => Some(("mapKey", MapKey::schema())),
        (CHECKOUT, "status") => Some(("checkoutId", CheckoutId::schema())),
        _ => None,
    };
    if let Some((name, schema)) = &id {
        parameters.push(json!({ "name": name, "in": "path", "required": true, "schema": schema }));
    }
    if method == "post" {
        parameters.push(json!({
            "name": IDEMPOTENCY_KEY,
            "in": "header",
            "required": false,
            "description": "Makes the request safe to repeat: the first answer comes again.",
            "schema": { "type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$" },
        }));
    }
    let name: String = [*service, *handler].join("-");
    let mut operation = json!({
        "operationId": format!("{method}-{}", name.trim_end_matches('-')),
        "summary": about.summary,
        "tags": [if *door == Door::Admin { "admin" } else { *service }],
        "parameters": parameters,
        "responses": responses(row, method, &about, id.is_some()),
    });
    if method == "post" {
        let is_needed = about.body != nothing();
        operation["requestBody"] =
            json!({ "required": is_needed, "content": { "application/json": { "schema": about.body } } });
    }
    operation
}

fn responses(row: &Row, method: &str, about: &About, has_id: bool) -> Value {
    let Row(service, handler, door, _) = row;
    let json_of = |description: &str, schema: &Value| json!({ "description": description, "content": { "application/json": { "schema": schema } } });
    let mut responses = Map::new();
    if (*service, *handler) == (SEAT_MAP, "watch") {
        responses.insert("101".into(), json!({ "description": "What follows is a WebSocket" }));
    } else if about.answer != Value::Null {
        responses.insert("200".into(), json_of("Done", &about.answer));
    }
    if about.is_accepted {
        responses.insert("202".into(), json_of("Under way", &pending()));
    }
    let mut kinds = about.kinds.to_vec();
    if *service != HEALTH {
        kinds.extend([Kind::Unauthorized, Kind::Overloaded]);
    }
    kinds.extend([Kind::InvalidRequest, Kind::MethodNotAllowed, Kind::PayloadTooLarge, Kind::StorageUnavailable]);
    // Also where an id is needed and the path has none.
    if *door == Door::Admin || *service == GATEWAY || has_id {
        kinds.push(Kind::NotFound);
    }
    if method == "post" && *service != GATEWAY {
        kinds.push(Kind::IdempotencyKeyReused);
    }
    kinds.sort_unstable();
    kinds.dedup();
    let mut statuses: Vec<u16> = kinds.iter().map(|kind| kind.status()).collect();
    statuses.sort_unstable();
    statuses.dedup();
    for status in statuses {
        let names: Vec<&str> = kinds.iter().filter(|kind| kind.status() == status).map(|kind| kind.as_str()).collect();
        responses.insert(status.to_string(), json_of(&names.join(", "), &error(status, &names)));
    }
    responses.into()
}

/// An object with just these fields: some that must be there, some that may, or may be null.
fn object(required: &[(&str, Value)], optional: &[(&str, Value)]) -> Value {
    let mut properties = Map::new();
    for (name, schema) in required {
        properties.insert((*name).to_owned(), schema.clone());
    }
    for (name, schema) in optional {
        properties.insert((*name).to_owned(), nullable(schema.clone()));
    }
    let required: Vec<&str> = required.iter().map(|(name, _)| *name).collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn nullable(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

fn list(of: Value) -> Value {
    json!({ "type": "array", "items": of })
}

/// What a handler takes that needs nothing: `{}`, `null`, or no body at all.
fn nothing() -> Value {
    json!({ "anyOf": [object(&[], &[]), { "type": "null" }] })
}

fn ok() -> Value {
    object(&[("ok", json!({ "const": true }))], &[])
}

/// What an object answers that took a command and has nothing to tell.
fn taken() -> Value {
    object(&[("ok", json!({ "const": true })), ("version", u64::schema())], &[])
}

fn error(status: u16, kinds: &[&str]) -> Value {
    let mut error =
        object(&[("code", json!({ "const": status })), ("kind", json!({ "enum": kinds })), ("message", text())], &[]);
    // Where a ticket refused.
    error["properties"]["version"] = u64::schema();
    // The mock gateway tells the bare reason as well.
    if kinds.contains(&Kind::PaymentDeclined.as_str()) {
        error["properties"]["reason"] = text();
    }
    error
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn ttl() -> Value {
    json!({ "type": "integer", "minimum": HoldTtl::MIN.0, "maximum": HoldTtl::MAX.0, "description": "milliseconds" })
}

fn ticket() -> Value {
    object(
        &[
            ("status", TicketStatus::schema()),
            ("reservedBy", nullable(UserId::schema())),
            ("reservedUntil", nullable(Timestamp::schema())),
            ("version", u64::schema()),
        ],
        &[],
    )
}

fn seat() -> Value {
    object(&[("id", TicketId::schema()), ("status", TicketStatus::schema())], &[])
}

fn summary() -> Value {
    let counts = ["AVAILABLE", "RESERVED", "SOLD", "BLOCKED"].map(|status| (status, u64::schema()));
    object(&[("version", u64::schema()), ("counts", object(&counts, &[]))], &[])
}

fn layout() -> Value {
    object(&[("rows", rows())], &[])
}

fn plan() -> Value {
    object(&[("edition", u64::schema()), ("rows", rows())], &[])
}

fn rows() -> Value {
    let seat = object(
        &[("ticketId", TicketId::schema()), ("price", Money::schema()), ("x", u32::schema()), ("y", u32::schema())],
        &[],
    );
    list(object(&[("name", Line::schema()), ("seats", list(seat))], &[]))
}

/// One ticket or several, never both.
fn order() -> Value {
    let with = |tickets: (&str, Value), none: &str| {
        let mut order = object(
            &[tickets, ("userId", UserId::schema())],
            &[("paymentMethodId", PaymentMethodId::schema()), ("holdId", HoldId::schema())],
        );
        order["properties"][none] = json!({ "type": "null" });
        order
    };
    let several = json!({ "type": "array", "items": TicketId::schema(), "minItems": 1, "maxItems": MAX_TICKETS, "uniqueItems": true });
    json!({ "oneOf": [with(("ticketId", TicketId::schema()), "ticketIds"), with(("ticketIds", several), "ticketId")] })
}

fn pending() -> Value {
    object(&[("checkoutId", CheckoutId::schema()), ("status", json!({ "const": "PENDING" }))], &[])
}

fn confirmed() -> Value {
    object(
        &[
            ("status", json!({ "const": "CONFIRMED" })),
            ("message", text()),
            ("checkoutId", CheckoutId::schema()),
            ("tickets", list(TicketId::schema())),
            ("amount", Money::schema()),
            ("paymentId", PaymentId::schema()),
        ],
        &[],
    )
}

fn failed() -> Value {
    let kinds: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
    object(
        &[
            ("checkoutId", CheckoutId::schema()),
            ("status", json!({ "const": "FAILED" })),
            ("code", json!({ "type": "integer" })),
            ("kind", json!({ "enum": kinds })),
            ("message", text()),
        ],
        &[],
    )
}

fn ledger() -> Value {
    let yes_or_no = || json!({ "type": "boolean" });
    let entry = object(
        &[
            ("key", PaymentKey::schema()),
            ("amount", nullable(Money::schema())),
            ("authorized", yes_or_no()),
            ("captured", yes_or_no()),
            ("voided", yes_or_no()),
            ("authorizeCalls", u32::schema()),
            ("captureCalls", u32::schema()),
            ("voidCalls", u32::schema()),
        ],
        &[],
    );
    object(&[("entries", list(entry))], &[])
}
