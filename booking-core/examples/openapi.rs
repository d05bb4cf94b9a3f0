//! Writes the description of the wire, an OpenAPI 3.1 document made from the table of handlers:
//! `cargo run -p booking-core --example openapi > booking-core/openapi.json`, after a change of the wire. A test tells when it
//! is due, and others hold it to what the parser takes and what the answers are.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use booking_core::checkout::{MAX_TICKETS, MoneyState};
use booking_core::ids::{
    AuthorizationId, CheckoutId, HoldId, MAX_GATEWAY_NAME_LEN, MAX_ID_LEN, MAX_KEY_LEN, MAX_USER_LEN, MapKey,
    PaymentId, PaymentKey, PaymentMethodId, TicketId, UserId,
};
use booking_core::map::ticket::TicketStatus;
use booking_core::money::{Currency, Money};
use booking_core::time::{HoldTtl, MAX_EXACT, Timestamp};
use booking_core::wire::search::{LONGEST_PAGE, PAGE};
use booking_core::wire::{Door, Handler, IDEMPOTENCY_KEY, InvitationTtl, Kind, MAX_TEXT, Service};
use serde_json::{Map, Value, json};

fn main() {
    print!("{}", made());
}

/// The document, made anew.
pub(crate) fn made() -> String {
    let mut paths: Map<String, Value> = Map::new();
    for handler in Handler::ALL {
        // `HEAD` goes where `GET` goes.
        let methods = handler.allow().split(", ").filter(|method| *method != "HEAD").map(str::to_lowercase);
        let operations: Map<String, Value> =
            methods.map(|method| (method.clone(), operation(*handler, &method))).collect();
        paths.insert(handler.path(), operations.into());
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

/// A type whose values a JSON Schema describes.
trait Described {
    fn schema() -> Value;
}

macro_rules! described {
    ($($type:ty => $schema:expr;)*) => {$(
        impl Described for $type {
            fn schema() -> Value {
                $schema
            }
        }
    )*};
}
described! {
    UserId => described(
        id_schema(r"^[^\u0000-\u001f\u007f-\u00a0\u00ad\u061c\u200b-\u200f\u2028-\u202f\u205f-\u206f\ufeff]+$", MAX_USER_LEN),
        "characters that can be seen, in Unicode's normal form C",
    );
    MapKey => id_schema(r"^(?!\.{1,2}$)(?!:)[A-Za-z0-9._:-]+$", MAX_ID_LEN);
    CheckoutId => MapKey::schema();
    HoldId => MapKey::schema();
    PaymentMethodId => MapKey::schema();
    TicketId => id_schema(r"^(?!\.{1,2}(:[^:]*)?$)(?!:)[A-Za-z0-9._:-]+$", MAX_ID_LEN);
    PaymentKey => id_schema("^[!-~]+$", MAX_KEY_LEN);
    AuthorizationId => id_schema("^[!-~]+$", MAX_GATEWAY_NAME_LEN);
    PaymentId => AuthorizationId::schema();
    u64 => json!({ "type": "integer", "minimum": 0, "maximum": MAX_EXACT });
    u32 => json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX });
    Timestamp => json!({
        "type": "integer", "minimum": 0, "maximum": MAX_EXACT, "description": "milliseconds since the Unix epoch",
    });
    Currency => json!({ "type": "string", "pattern": "^[A-Z]{3}$", "description": "ISO 4217" });
    Money => json!({
        "type": "object",
        "properties": { "minor": u64::schema(), "currency": Currency::schema() },
        "required": ["minor", "currency"],
        "additionalProperties": false,
    });
    TicketStatus => json!({ "type": "string", "enum": ["AVAILABLE", "RESERVED", "SOLD", "BLOCKED"] });
}

fn id_schema(pattern: &str, longest: usize) -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": longest, "pattern": pattern })
}

/// One handler: what it takes, gives and refuses. Refusals that any handler may give are not among these.
struct About {
    body: Value,
    answer: Value,
    /// Answered with 202 as well.
    is_accepted: bool,
    kinds: &'static [Kind],
}

fn about(handler: Handler) -> About {
    use Kind::{
        CheckoutInProgress, DuplicateTicket, HoldExpired, HoldInUse, IdempotencyKeyReused, InvitationUsed,
        MixedCurrencies, NotFound, Overtaken, PaymentDeclined, PaymentUnavailable, RateLimited, TicketBlocked,
        TicketNotForSale, TicketReserved, TicketSold, TooManyTickets, TtlOutOfRange,
    };
    let plain = |body, answer, kinds| About { body, answer, is_accepted: false, kinds };
    match handler {
        Handler::TicketGet => plain(nullable(object(&[], &[("holdId", HoldId::schema())])), ticket(), &[]),
        Handler::TicketReserve => plain(
            json!({ "oneOf": [UserId::schema(), object(
                &[("userId", UserId::schema())],
                &[("holdId", HoldId::schema()), ("nth", nth()), ("ttlMs", ttl())],
            )] }),
            object(
                &[
                    ("holdId", HoldId::schema()),
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
                Overtaken,
                HoldInUse,
                TtlOutOfRange,
                RateLimited,
            ],
        ),
        Handler::TicketRelease => plain(
            object(&[("holdId", HoldId::schema())], &[("nth", nth())]),
            taken(),
            &[CheckoutInProgress, TicketSold, HoldExpired, Overtaken, HoldInUse],
        ),
        Handler::TicketBlock => plain(object(&[("reason", line())], &[]), taken(), &[TicketSold, TicketNotForSale]),
        Handler::TicketUnblock => plain(nothing(), taken(), &[]),
        Handler::TicketList => plain(object(&[("price", Money::schema())], &[]), taken(), &[TicketNotForSale]),
        Handler::TicketSell => plain(
            json!({ "oneOf": [UserId::schema(), object(&[("userId", UserId::schema())], &[])] }),
            object(
                &[("status", json!({ "const": "SOLD" })), ("price", Money::schema()), ("version", u64::schema())],
                &[],
            ),
            &[TicketReserved, TicketSold, TicketBlocked, TicketNotForSale],
        ),
        Handler::TicketReset => plain(object(&[("upTo", u64::schema())], &[]), taken(), &[TicketReserved]),
        Handler::TicketCleanup => plain(nothing(), taken(), &[TicketReserved]),
        Handler::MapGet => plain(nothing(), list(seat()), &[]),
        Handler::MapSummary => plain(nothing(), summary(), &[]),
        Handler::MapPlan => plain(nothing(), plan(), &[]),
        Handler::MapWatch => plain(nothing(), json!({}), &[]),
        Handler::MapLayout => plain(
            layout(),
            object(
                &[
                    ("edition", u64::schema()),
                    ("tickets", u64::schema()),
                    ("added", u64::schema()),
                    ("removed", u64::schema()),
                    ("repriced", u64::schema()),
                    ("version", u64::schema()),
                ],
                &[],
            ),
            &[DuplicateTicket, TicketReserved, TicketSold, TicketBlocked],
        ),
        Handler::MapResetAll => {
            plain(nothing(), object(&[("tickets", u64::schema()), ("version", u64::schema())], &[]), &[])
        }
        Handler::MapRecall => plain(
            object(&[("ticketIds", some(TicketId::schema())), ("upTo", u64::schema())], &[]),
            taken(),
            &[DuplicateTicket],
        ),
        Handler::MapErase => {
            let numbers = [("tickets", u64::schema()), ("held", u64::schema()), ("version", u64::schema())];
            plain(buyer_to_erase(), object(&numbers, &[]), &[])
        }
        Handler::Process => About {
            is_accepted: true,
            ..plain(
                order(),
                confirmed(),
                &[
                    PaymentDeclined,
                    TicketReserved,
                    TicketSold,
                    TicketBlocked,
                    TicketNotForSale,
                    CheckoutInProgress,
                    InvitationUsed,
                    HoldExpired,
                    TooManyTickets,
                    DuplicateTicket,
                    MixedCurrencies,
                    PaymentUnavailable,
                ],
            )
        },
        Handler::ProcessSend => About {
            is_accepted: true,
            ..plain(order(), Value::Null, &[InvitationUsed, TooManyTickets, DuplicateTicket])
        },
        Handler::CheckoutStatus => {
            let answer = json!({ "oneOf": [pending(), confirmed(), failed()] });
            plain(nothing(), answer, &[NotFound])
        }
        Handler::CheckoutsStuck => plain(nullable(object(&[], &[("after", CheckoutId::schema())])), stuck(), &[]),
        Handler::Bookings => plain(nullable(bookings_search()), page("bookings", booking(), booking_cursor()), &[]),
        Handler::BookingsCsv => plain(nullable(bookings_search()), Value::Null, &[]),
        Handler::Inbox => {
            let message = object(&[("id", inbox_id())], &[("booking", booking()), ("why", text())]);
            plain(nullable(paging(inbox_id())), page("messages", message, inbox_id()), &[])
        }
        Handler::InboxRetry => {
            // Of a message to a buyer, how the checkout stands; of a line of the books, that it was taken.
            let answer = json!({ "oneOf": [pending(), confirmed(), failed(), object(&[("ok", json!({ "const": true }))], &[])] });
            plain(nothing(), answer, &[NotFound, CheckoutInProgress])
        }
        Handler::Audit => plain(nullable(paging(u64::schema())), page("entries", audited(), u64::schema()), &[]),
        Handler::CheckoutCancel => {
            let answer = json!({ "oneOf": [pending(), confirmed(), failed()] });
            plain(object(&[("reason", line())], &[]), answer, &[NotFound, CheckoutInProgress])
        }
        Handler::CheckoutResolve => {
            let outcome = |known: &[&str]| {
                let words = "what became of the money: it was taken (`captured`), or was not and will not be (`refused`); nothing is set aside any more (`letGo`), or what was taken has been paid back (`paidBack`)";
                ("outcome", described(json!({ "enum": known }), words))
            };
            let payment = described(PaymentId::schema(), "what the gateway calls the payment");
            let captured = object(&[outcome(&["captured"]), ("paymentId", payment), ("reason", line())], &[]);
            let mut others = object(&[outcome(&["refused", "letGo", "paidBack"]), ("reason", line())], &[]);
            others["properties"]["paymentId"] = json!({ "type": "null" });
            let answer = json!({ "oneOf": [pending(), confirmed(), failed()] });
            plain(json!({ "oneOf": [captured, others] }), answer, &[NotFound, CheckoutInProgress])
        }
        Handler::CheckoutNotify => {
            let answer = json!({ "oneOf": [pending(), confirmed(), failed()] });
            plain(nothing(), answer, &[NotFound, CheckoutInProgress])
        }
        Handler::CheckoutErase => {
            let answer = json!({ "oneOf": [pending(), confirmed(), failed()] });
            plain(object(&[("reason", line())], &[]), answer, &[NotFound, CheckoutInProgress])
        }
        Handler::Erase => {
            let numbers = [("bookings", u64::schema()), ("tickets", u64::schema()), ("left", u64::schema())];
            plain(buyer_to_erase(), object(&numbers, &[]), &[])
        }
        Handler::Invite => {
            let range = InvitationTtl::RANGE;
            let ttl = json!({ "type": "integer", "minimum": range.start(), "maximum": range.end() });
            let invitation = described(json!({ "type": "string" }), "a bearer token, which is a secret");
            let answer =
                object(&[("invitation", invitation), ("mapKey", MapKey::schema()), ("expiresAt", u64::schema())], &[]);
            plain(object(&[("mapKey", MapKey::schema())], &[("ttlMs", ttl)]), answer, &[RateLimited])
        }
        Handler::GatewayAuthorize => plain(
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
        Handler::GatewayCapture => plain(
            object(&[("key", PaymentKey::schema()), ("authorizationId", AuthorizationId::schema())], &[]),
            object(&[("paymentId", PaymentId::schema())], &[]),
            &[PaymentDeclined, PaymentUnavailable],
        ),
        Handler::GatewayVoid => plain(
            object(&[("authorizeKey", PaymentKey::schema())], &[]),
            object(
                &[("ok", json!({ "const": true }))],
                &[("paidBack", described(json!({ "const": true }), "where the money was taken already"))],
            ),
            &[],
        ),
        Handler::GatewayLedger => plain(nothing(), ledger(), &[]),
        Handler::GatewayPay => plain(
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
        Handler::Health => plain(
            nothing(),
            object(
                &[("status", json!({ "const": "ok" }))],
                &[
                    (
                        "clockOffMs",
                        json!({ "type": "integer", "description": "by how much the host's calendar clock is off, while it has jumped and is not believed" }),
                    ),
                    (
                        "gatewayStatus",
                        json!({ "type": "integer", "description": "the status of the payment gateway's last answer, where that refuses this host or says what it never should" }),
                    ),
                    (
                        "gatewaySilent",
                        json!({ "const": true, "description": "the payment gateway does not answer, and is left alone for a while" }),
                    ),
                ],
            ),
            &[],
        ),
    }
}

fn buyer_to_erase() -> Value {
    object(&[("userId", UserId::schema()), ("reason", line())], &[])
}

fn operation(handler: Handler, method: &str) -> Value {
    let about = about(handler);
    let mut parameters = Vec::new();
    let id = handler.id_name().map(|name| {
        (
            name,
            match handler.service() {
                Service::Ticket => TicketId::schema(),
                Service::Operators => described(inbox_id(), "the `id` of a message in the inbox"),
                Service::SeatMap | Service::Checkout | Service::Gateway | Service::Health => MapKey::schema(),
            },
        )
    });
    if let Some((name, schema)) = &id {
        parameters.push(json!({ "name": name, "in": "path", "required": true, "schema": schema }));
    }
    if method == "get" && handler.takes_query() {
        // The same fields as in a body, but for the buyer: addresses are written into logs.
        let fields = about.body["anyOf"][0]["properties"].as_object().cloned().unwrap_or_default();
        for (name, schema) in fields.into_iter().filter(|(name, _)| name != "userId") {
            parameters.push(json!({ "name": name, "in": "query", "required": false, "schema": schema["anyOf"][0] }));
        }
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
    let (service, door) = (handler.service().as_str(), handler.door());
    let name = [service, handler.name()].join("-");
    let mut operation = json!({
        "operationId": format!("{method}-{}", name.trim_end_matches('-')),
        "summary": handler.summary(),
        "tags": [if door == Door::Admin { "admin" } else { service }],
        "parameters": parameters,
        "responses": responses(handler, method, &about, id.is_some()),
    });
    if method == "post" {
        // Without a body is as with a null.
        let is_needed = about.body["anyOf"].as_array().is_none_or(|any| !any.contains(&json!({ "type": "null" })));
        operation["requestBody"] =
            json!({ "required": is_needed, "content": { "application/json": { "schema": about.body } } });
    }
    operation
}

fn responses(handler: Handler, method: &str, about: &About, has_id: bool) -> Value {
    let (service, door) = (handler.service(), handler.door());
    let json_of = |description: &str, schema: &Value| json!({ "description": description, "content": { "application/json": { "schema": schema } } });
    let mut responses = Map::new();
    if handler == Handler::MapWatch {
        responses.insert("101".into(), json!({ "description": "What follows is a WebSocket" }));
    } else if handler == Handler::BookingsCsv {
        let table = json!({ "text/csv": { "schema": { "type": "string" } } });
        responses.insert(
            "200".into(),
            json!({ "description": "A table, its first line the names of its columns", "content": table }),
        );
    } else if about.answer != Value::Null {
        responses.insert("200".into(), json_of("Done", &about.answer));
    }
    if handler == Handler::MapPlan {
        responses.insert("304".into(), json!({ "description": "What `If-None-Match` stands for is still so" }));
    }
    if about.is_accepted {
        responses.insert("202".into(), json_of("Under way", &pending()));
    }
    let mut kinds = about.kinds.to_vec();
    if service != Service::Health {
        kinds.extend([Kind::Unauthorized, Kind::Overloaded]);
    }
    kinds.extend([Kind::InvalidRequest, Kind::MethodNotAllowed, Kind::PayloadTooLarge, Kind::StorageUnavailable]);
    // Also where an id is needed and the path has none.
    if door == Door::Admin || service == Service::Gateway || has_id {
        kinds.push(Kind::NotFound);
    }
    if method == "post" && service != Service::Gateway {
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

/// At least one of these, each once.
fn some(of: Value) -> Value {
    json!({ "type": "array", "items": of, "minItems": 1, "uniqueItems": true })
}

fn list(of: Value) -> Value {
    json!({ "type": "array", "items": of })
}

/// What a handler takes that needs nothing: `{}`, `null`, or no body at all.
fn nothing() -> Value {
    json!({ "anyOf": [object(&[], &[]), { "type": "null" }] })
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
    for (name, schema) in in_the_way() {
        error["properties"][name] = schema;
    }
    // Where the money of a checkout is still to be asked for.
    error["properties"]["checkoutId"] = CheckoutId::schema();
    // The mock gateway tells the bare reason as well.
    if kinds.contains(&Kind::PaymentDeclined.as_str()) {
        error["properties"]["reason"] = text();
    }
    error
}

/// What an error may tell of a ticket, and of the money of a checkout.
fn in_the_way() -> [(&'static str, Value); 3] {
    let ticket = described(TicketId::schema(), "the ticket that is in the way, where the request named several");
    let until =
        described(Timestamp::schema(), "when the hold that is in the way ends: milliseconds since the Unix epoch");
    let states = [MoneyState::None, MoneyState::LettingGo, MoneyState::PaidBack].map(MoneyState::as_str);
    let money = json!({ "enum": states });
    let money = described(money, "where the money of a checkout is that failed, by now");
    [("ticketId", ticket), ("reservedUntil", until), ("money", money)]
}

fn described(mut schema: Value, description: &str) -> Value {
    schema["description"] = description.into();
    schema
}

fn line() -> Value {
    json!({
        "type": "string", "minLength": 1, "maxLength": MAX_TEXT, "pattern": r"^[^\u0000-\u001f\u007f-\u009f]+$",
    })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn ttl() -> Value {
    json!({ "type": "integer", "minimum": HoldTtl::MIN.0, "maximum": HoldTtl::MAX.0, "description": "milliseconds" })
}

fn nth() -> Value {
    json!({
        "type": "integer", "minimum": 1, "maximum": u32::MAX,
        "description": "the number of this wish under the hold: 1, 2, 3",
    })
}

fn ticket() -> Value {
    object(
        &[
            ("status", TicketStatus::schema()),
            ("reservedBy", described(nullable(UserId::schema()), "for operators, and for who shows the hold")),
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
        &[("label", described(line(), "what the seat is called; without it, what its id ends with"))],
    );
    list(object(&[("name", line()), ("seats", list(seat))], &[]))
}

/// What the notification says of how the buyer can be reached.
fn contact() -> Value {
    described(json!({ "type": "object" }), "for the notification alone; at most 1 KiB, written without spaces")
}

/// One ticket or several, never both.
fn order() -> Value {
    let with = |tickets: (&str, Value), none: &str| {
        let mut order = object(
            &[tickets, ("userId", UserId::schema())],
            &[("paymentMethodId", PaymentMethodId::schema()), ("holdId", HoldId::schema()), ("contact", contact())],
        );
        order["properties"][none] = json!({ "type": "null" });
        order
    };
    let several = json!({ "type": "array", "items": TicketId::schema(), "minItems": 1, "maxItems": MAX_TICKETS, "uniqueItems": true });
    json!({ "oneOf": [with(("ticketId", TicketId::schema()), "ticketIds"), with(("ticketIds", several), "ticketId")] })
}

/// Checkouts that wait in vain.
fn stuck() -> Value {
    let one = object(
        &[
            ("checkoutId", CheckoutId::schema()),
            ("status", json!({ "enum": ["PENDING", "CONFIRMED", "FAILED"] })),
            ("stage", text()),
            ("waitsFor", json!({ "enum": ["gateway", "map", "notifier"] })),
            (
                "inVain",
                described(u32::schema(), "how often the gateway was asked for what this is at, and gave no answer"),
            ),
            ("deadline", described(Timestamp::schema(), "when its claims end: milliseconds since the Unix epoch")),
            ("tickets", list(TicketId::schema())),
            ("amount", nullable(Money::schema())),
            ("money", nullable(json!({ "enum": ["none", "lettingGo", "paidBack"] }))),
        ],
        &[],
    );
    let more =
        described(json!({ "type": "boolean" }), "whether there are others: ask again, with `after` the last of these");
    object(&[("checkouts", list(one)), ("more", more)], &[])
}

fn booking_cursor() -> Value {
    json!({ "type": "string", "pattern": r"^[0-9]{1,16}:(?!\.{1,2}$)(?!:)[A-Za-z0-9._:-]{1,128}$" })
}

fn inbox_id() -> Value {
    json!({ "type": "string", "pattern": r"^(notification:(?!\.{1,2}$)(?!:)[A-Za-z0-9._:-]{1,128}|line:[0-9]{1,16})$" })
}

fn status() -> Value {
    json!({ "enum": ["PENDING", "CONFIRMED", "FAILED"] })
}

/// The fields that turn pages.
fn paging(after: Value) -> Value {
    object(&[], &[("after", described(after, "the `next` of the page before")), ("limit", limit())])
}

fn limit() -> Value {
    let words = format!("how many at most; {PAGE} where nothing is said");
    described(json!({ "type": "integer", "minimum": 1, "maximum": LONGEST_PAGE }), &words)
}

fn bookings_search() -> Value {
    object(
        &[],
        &[
            ("map", described(MapKey::schema(), "with a seat of this map")),
            ("ticketId", described(TicketId::schema(), "with this seat")),
            ("userId", described(UserId::schema(), "of this buyer")),
            ("status", status()),
            ("from", described(Timestamp::schema(), "begun then, or later: milliseconds since the Unix epoch")),
            ("until", described(Timestamp::schema(), "begun before then: milliseconds since the Unix epoch")),
            ("after", described(booking_cursor(), "the `next` of the page before")),
            ("limit", limit()),
        ],
    )
}

/// A page of a list, the newest first.
fn page(name: &str, of: Value, next: Value) -> Value {
    let next = described(nullable(next), "where the next page begins; null where there is none");
    object(&[(name, list(of)), ("next", next)], &[])
}

fn booking() -> Value {
    object(
        &[
            ("checkoutId", CheckoutId::schema()),
            ("status", status()),
            ("userId", UserId::schema()),
            ("tickets", list(TicketId::schema())),
            ("startedAt", Timestamp::schema()),
        ],
        &[
            ("amount", Money::schema()),
            ("paymentId", PaymentId::schema()),
            ("kind", described(text(), "what it was refused with")),
            ("endedAt", Timestamp::schema()),
            (
                "notification",
                described(
                    json!({ "enum": ["WAITING", "DELIVERED", "GIVEN_UP"] }),
                    "what has become of the message to the buyer",
                ),
            ),
            ("reset", described(list(TicketId::schema()), "the tickets that an operator has put back on sale since")),
        ],
    )
}

fn audited() -> Value {
    object(
        &[
            ("n", u64::schema()),
            ("at", Timestamp::schema()),
            ("who", described(text(), "the name of a token, or what kind of token it was")),
            ("asked", described(text(), "a service and a handler")),
            ("outcome", described(text(), "`done`, `unknown`, or the kind that it was refused with")),
            ("times", described(u32::schema(), "how often: what happens often has one entry")),
        ],
        &[("about", described(text(), "a seat, a map or a checkout")), ("reason", text())],
    )
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
            ("paymentId", described(nullable(PaymentId::schema()), "null where there was nothing to pay")),
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
        &in_the_way(),
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
