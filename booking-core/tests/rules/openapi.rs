//! The OpenAPI document says what the parser takes and what the answers are: neither more nor less.

#[path = "../../examples/openapi.rs"]
#[allow(dead_code, reason = "it has a main of its own")]
mod generator;

use booking_core::wire::{Door, openapi, parse};
use serde_json::{Value, json};

/// Whether a value is as a JSON Schema says, for the words of JSON Schema that the document uses. Patterns are left to
/// the tests of the ids themselves.
fn fits(value: &Value, schema: &Value) -> bool {
    let Value::Object(words) = schema else { return true };
    words.iter().all(|(word, is)| match word.as_str() {
        "type" => match is.as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_u64() || value.is_i64(),
            "boolean" => value.is_boolean(),
            "null" => value.is_null(),
            other => panic!("{other}"),
        },
        "const" => value == is,
        "enum" => is.as_array().unwrap().contains(value),
        "anyOf" => is.as_array().unwrap().iter().any(|schema| fits(value, schema)),
        "oneOf" => is.as_array().unwrap().iter().filter(|schema| fits(value, schema)).count() == 1,
        "properties" => value.as_object().is_none_or(|fields| {
            fields.iter().all(|(name, field)| is.get(name).is_none_or(|schema| fits(field, schema)))
        }),
        "required" => value
            .as_object()
            .is_none_or(|fields| is.as_array().unwrap().iter().all(|name| fields.contains_key(name.as_str().unwrap()))),
        "additionalProperties" => {
            assert_eq!(is, &json!(false));
            let known = &schema["properties"];
            value.as_object().is_none_or(|fields| fields.keys().all(|name| known.get(name).is_some()))
        }
        "items" => value.as_array().is_none_or(|items| items.iter().all(|item| fits(item, is))),
        "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= is.as_u64().unwrap()),
        "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= is.as_u64().unwrap()),
        "uniqueItems" => {
            value.as_array().is_none_or(|items| items.iter().enumerate().all(|(i, item)| !items[..i].contains(item)))
        }
        "minLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 >= is.as_u64().unwrap()),
        "maxLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 <= is.as_u64().unwrap()),
        "minimum" => !value.is_number() || value.as_u64().is_some_and(|number| number >= is.as_u64().unwrap()),
        "maximum" => !value.is_number() || value.as_u64().is_some_and(|number| number <= is.as_u64().unwrap()),
        "pattern" => value.as_str().is_none_or(|text| matches(text, is.as_str().unwrap())),
        "description" => true,
        other => panic!("the document uses {other}: teach this test what it means"),
    })
}

/// Whether a text matches one of the document's patterns, each told in another way here.
fn matches(text: &str, pattern: &str) -> bool {
    let id = |text: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
        !text.is_empty() && text.bytes().all(allowed) && !text.starts_with(':') && text != "." && text != ".."
    };
    let is_number = |text: &str| (1..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    match pattern {
        "^[A-Z]{3}$" => text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase()),
        "^[!-~]+$" => !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()),
        r"^[^\u0000-\u001f\u007f-\u009f]+$" => !text.is_empty() && !text.chars().any(char::is_control),
        r"^[^\u0000-\u001f\u007f-\u00a0\u00ad\u061c\u200b-\u200f\u2028-\u202f\u205f-\u206f\ufeff]+$" => {
            let is_hidden = |char| {
                matches!(char, '\u{a0}' | '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{feff}')
                    || matches!(char, '\u{2028}'..='\u{202f}' | '\u{205f}'..='\u{206f}')
            };
            !text.is_empty() && !text.chars().any(|char| char.is_control() || is_hidden(char))
        }
        r"^(?!\.{1,2}$)(?!:)[A-Za-z0-9._:-]+$" => id(text),
        r"^(?!\.{1,2}(:[^:]*)?$)(?!:)[A-Za-z0-9._:-]+$" => {
            id(text) && !matches!(text.rsplit_once(':'), Some(("." | "..", _)))
        }
        r"^[0-9]{1,16}:(?!\.{1,2}$)(?!:)[A-Za-z0-9._:-]{1,128}$" => {
            text.split_once(':').is_some_and(|(digits, of)| is_number(digits) && id(of))
        }
        r"^(notification:(?!\.{1,2}$)(?!:)[A-Za-z0-9._:-]{1,128}|line:[0-9]{1,16})$" => match text.split_once(':') {
            Some(("notification", of)) => id(of),
            Some(("line", digits)) => is_number(digits),
            Some(_) | None => false,
        },
        other => panic!("the document uses the pattern {other}: teach this test what it means"),
    }
}

fn document() -> Value {
    serde_json::from_str(openapi::document()).unwrap()
}

/// The operation of a request, if the document has it.
fn operation<'a>(document: &'a Value, method: &str, path: &str) -> Option<&'a Value> {
    let path = path.split('?').next().unwrap_or_default();
    let matches = |template: &str| {
        let (one, other): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
        one.len() == other.len() && one.iter().zip(&other).all(|(part, is)| part.starts_with('{') || part == is)
    };
    let paths = document["paths"].as_object().unwrap();
    // A path without a placeholder comes before one with.
    let mut found: Vec<&String> = paths.keys().filter(|template| matches(template)).collect();
    found.sort_by_key(|template| template.contains('{'));
    paths[*found.first()?].get(method.to_lowercase())
}

struct Fixture {
    from: Door,
    method: String,
    path: String,
    body: Option<Value>,
}

fn requests() -> impl Iterator<Item = Fixture> {
    include_str!("../fixtures/requests.jsonl").lines().map(|line| {
        let (head, body) = line.split_once(",\"body\":").unwrap();
        let head: Value = serde_json::from_str(&format!("{head}}}")).unwrap();
        let text = |name: &str| head[name].as_str().unwrap().to_owned();
        let from = if text("from") == "admin" { Door::Admin } else { Door::Public };
        let body = serde_json::from_str(body.strip_suffix('}').unwrap()).ok();
        Fixture { from, method: text("method"), path: text("path"), body }
    })
}

/// Every value that is one change away: a field less, one more, or something else in a place.
fn neighbours(value: &Value) -> Vec<Value> {
    let odd = [
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(1.5),
        json!(1_000),
        json!(u64::MAX),
        json!(""),
        json!("x"),
        json!("x".repeat(129)),
        json!("x".repeat(201)),
        json!("x".repeat(257)),
        json!("zo\u{eb}@example.com"),
        json!("\u{202e}x"),
        json!([]),
        json!(["x", "x"]),
        json!(["x", "y"]),
        json!((0..11).map(|n| n.to_string()).collect::<Vec<_>>()),
        json!({}),
    ];
    let mut all = odd.to_vec();
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let mut without = fields.clone();
                without.remove(name);
                all.push(without.into());
                for other in neighbours(field) {
                    let mut with = fields.clone();
                    with.insert(name.clone(), other);
                    all.push(with.into());
                }
            }
            for name in ["x", "ticketId", "ticketIds", "holdId", "ttlMs", "edition", "checkout", "contact"] {
                for other in &odd {
                    let mut with = fields.clone();
                    with.entry(name).or_insert(other.clone());
                    all.push(with.into());
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                for other in neighbours(item) {
                    let mut with = items.clone();
                    with[index] = other;
                    all.push(with.into());
                }
            }
        }
        _ => {}
    }
    all
}

#[test]
fn it_describes_just_the_bodies_that_are_taken() {
    let document = document();
    let (mut taken, mut refused) = (0, 0);
    for Fixture { from, method, path, body } in requests() {
        let operation = operation(&document, &method, &path);
        let operation = operation.unwrap_or_else(|| panic!("{method} {path} is not described"));
        let Some(body) = body else { continue };
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        assert!(schema.is_object() && fits(&body, schema), "{method} {path} {body}");
        // What a schema cannot say: that the seats of a layout are of its map, and that there is one.
        if path.ends_with("/layout") {
            continue;
        }
        for body in neighbours(&body) {
            // No body and a null are one to the parser, as is a schema that needs neither.
            let is_taken = parse(from, &method, &path, body.to_string().as_bytes()).is_ok();
            assert_eq!(fits(&body, schema), is_taken, "{method} {path} {body}");
            if is_taken { taken += 1 } else { refused += 1 }
        }
    }
    assert!(taken > 100 && refused > 2_000, "{taken} {refused}");
}

#[test]
fn it_describes_every_answer() {
    let document = document();
    let operations =
        document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values());
    let responses: Vec<(String, Value)> = operations
        .flat_map(|operation| operation["responses"].as_object().unwrap().clone())
        .map(|(status, response)| (status, response["content"]["application/json"]["schema"].clone()))
        .filter(|(_, schema)| schema.is_object())
        .collect();
    let fits_one = |status: &Value, body: &Value| {
        let status = status.to_string();
        responses.iter().any(|(of, schema)| *of == status && fits(body, schema))
    };
    let (answers, refusals) = (include_str!("../fixtures/answers.jsonl"), include_str!("../fixtures/refusals.jsonl"));
    for line in answers.lines().chain(refusals.lines()) {
        let Value::Object(answer) = serde_json::from_str(line).unwrap() else { panic!("{line}") };
        // No public handler has this refusal.
        let is_inner = answer["is"] == "HoldNotFound";
        assert_ne!(fits_one(&answer["status"], &answer["body"]), is_inner, "{line}");
        // Nothing in it is left out of the description.
        if let (Value::Object(fields), false) = (&answer["body"], is_inner) {
            let mut more = fields.clone();
            more.insert("more".to_owned(), json!(1));
            assert!(!fits_one(&answer["status"], &more.into()), "{line}");
        }
    }
}

#[test]
fn the_file_is_what_the_code_makes() {
    let is_current = openapi::document() == generator::made();
    assert!(is_current, "cargo run -p booking-core --example openapi > booking-core/openapi.json");
}

#[test]
fn it_names_no_handler_of_the_cores_own() {
    let text = openapi::document();
    for inner in ["claim", "confirm", "revoke", "expire", "/set", "continue"] {
        assert!(!text.contains(&format!("{inner}\":{{")), "{inner}");
    }
}
