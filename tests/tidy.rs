//! What is to stay true of the code itself: who may depend on whom, where names stand, what a file looks like.
//!
//! Each rule is a function over what it judges, tried first on something that breaks it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on fails"
)]
#![cfg(not(target_family = "wasm"))]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use booking_core::wire::{Handler, Kind};
use serde_json::Value;

/// What is wrong, a line each.
type Wrong = Vec<String>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every file that git knows or would know, by its path from the root.
fn files() -> BTreeMap<String, String> {
    let list = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output();
    let list = String::from_utf8(list.unwrap().stdout).unwrap();
    let read = |path: &str| Some((path.to_owned(), std::fs::read_to_string(root().join(path)).ok()?));
    let files: BTreeMap<String, String> = list.lines().filter_map(read).collect();
    assert!(files.len() > 50, "this is a git checkout of the whole project");
    files
}

fn rust(files: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    files.iter().filter(|(path, _)| path.ends_with(".rs")).map(|(path, text)| (path.as_str(), text.as_str()))
}

/// What each package of the workspace links, tests and build scripts aside.
fn links() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output =
        Command::new(cargo).args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(root()).output();
    let metadata: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    let linked = |package: &Value| {
        let normal =
            package["dependencies"].as_array().unwrap().iter().filter(|dependency| dependency["kind"].is_null());
        normal.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect()
    };
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages.map(|package| (package["name"].as_str().unwrap().to_owned(), linked(package))).collect()
}

/// The core stands on four crates, and on proptest where its feature `testing` is asked for.
const CORE_STANDS_ON: [&str; 5] = ["proptest", "serde", "serde_json", "thiserror", "unicode-normalization"];

/// Hosts know the core and never each other; nothing depends on a host but `tests` and `benches`.
fn wrong_links(links: &BTreeMap<String, BTreeSet<String>>) -> Wrong {
    let mut wrong = Wrong::new();
    for (package, linked) in links {
        for dependency in linked {
            let of_a_host = dependency.starts_with("host-") && !matches!(package.as_str(), "tests" | "benches");
            let of_the_core = package == "booking-core" && !CORE_STANDS_ON.contains(&dependency.as_str());
            if of_a_host || of_the_core {
                wrong.push(format!("{package} depends on {dependency}"));
            }
        }
        if package.starts_with("host-") && !linked.contains("booking-core") {
            wrong.push(format!("{package} does not depend on booking-core"));
        }
    }
    wrong
}

#[test]
fn dependencies_run_one_way() {
    let graph = |package: &str, linked: &[&str]| {
        BTreeMap::from([(package.to_owned(), linked.iter().map(|name| (*name).to_owned()).collect())])
    };
    assert_eq!(wrong_links(&graph("host-a", &["booking-core", "host-b"])), ["host-a depends on host-b"]);
    assert_eq!(wrong_links(&graph("host-a", &["axum"])), ["host-a does not depend on booking-core"]);
    assert_eq!(wrong_links(&graph("booking-core", &["tokio"])), ["booking-core depends on tokio"]);
    assert_eq!(wrong_links(&graph("tests", &["host-a"])), Wrong::new());
    let links = links();
    assert!(links.contains_key("booking-core"));
    assert_eq!(wrong_links(&links), Wrong::new());
}

/// The machines know ids, time, money and effects, and never how they are driven or what they are called outside.
const MACHINES: [&str; 16] = [
    "ids",
    "time",
    "money",
    "terms",
    "machine",
    "map",
    "map/layout",
    "map/table",
    "map/ticket",
    "map/timed",
    "map/turn",
    "inventory",
    "payment",
    "effect",
    "checkout",
    "checkout/settle",
];
const BEYOND_THEM: [&str; 8] = ["journal", "life", "progress", "memory", "format", "invariants", "testing", "wire"];

fn reaches_beyond(path: &str, text: &str) -> Wrong {
    let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let named = BEYOND_THEM.iter().filter(|module| code.contains(&format!("crate::{module}")));
    named.map(|module| format!("{path} knows {module}")).collect()
}

#[test]
fn machines_never_know_the_journal_or_the_wire() {
    assert_eq!(reaches_beyond("x.rs", "use crate::wire::Kind;"), ["x.rs knows wire"]);
    assert_eq!(reaches_beyond("x.rs", "/// See [`crate::wire`]."), Wrong::new());
    let files = files();
    for machine in MACHINES {
        let path = format!("booking-core/src/{machine}.rs");
        let text = files.get(&path).unwrap_or_else(|| panic!("{path} has moved: mend this list"));
        assert_eq!(reaches_beyond(&path, text), Wrong::new());
    }
}

/// What makes a program behave otherwise on another day, or wait.
const NOT_DETERMINISTIC: [&str; 9] =
    ["tokio", "axum", "hyper", "async fn", "SystemTime", "Instant", "getrandom", "HashMap", "std::env"];

/// The one place of an engine that hashes: by a hasher that is the same each time, and what is read of all of it is in order.
const HASHED: &str = "host-axum-sim/src/engine/by_id.rs";

fn not_deterministic(path: &str, text: &str) -> Wrong {
    let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let is_allowed = |word: &str| word == "HashMap" && path == HASHED && code.contains("BuildHasherDefault");
    let named = NOT_DETERMINISTIC.iter().filter(|word| code.contains(**word) && !is_allowed(word));
    named.map(|word| format!("{path} has {word} in it")).collect()
}

#[test]
fn the_in_process_engine_knows_no_runtime_no_clock_and_no_chance() {
    assert_eq!(not_deterministic("x.rs", "use tokio::time;"), ["x.rs has tokio in it"]);
    assert_eq!(not_deterministic("x.rs", "/// no tokio"), Wrong::new());
    assert_eq!(not_deterministic("x.rs", "BuildHasherDefault HashMap").len(), 1);
    assert_eq!(not_deterministic(HASHED, "HashMap::new()").len(), 1, "by chance");
    let files = files();
    let is_engine = |path: &str| {
        let name = path.strip_prefix("host-axum-sim/src/").unwrap_or_default();
        let is_simulated =
            name.starts_with("simulate/") && !["simulate/command.rs", "simulate/many.rs"].contains(&name);
        let is_other = ["effects.rs", "store.rs"].contains(&name) || path == "crates/booking-log/src/frame.rs";
        name.starts_with("engine") || is_simulated || is_other
    };
    let engine: Vec<(&str, &str)> = rust(&files).filter(|(path, _)| is_engine(path)).collect();
    assert!(engine.len() > 8, "its files have moved: mend this list");
    let wrong: Wrong = engine.iter().flat_map(|(path, text)| not_deterministic(path, text)).collect();
    assert_eq!(wrong, Wrong::new());
}

/// Names that are seen from outside, in the quotes they would be written in.
const WIRE_NAMES: [&str; 15] = [
    "\"userId\"",
    "\"holdId\"",
    "\"ticketId\"",
    "\"ticketIds\"",
    "\"paymentMethodId\"",
    "\"checkoutId\"",
    "\"reservedUntil\"",
    "\"resetAll\"",
    "\"InvalidRequest\"",
    "\"TicketReserved\"",
    "\"CheckoutInProgress\"",
    "\"CONFIRMED\"",
    "\"PENDING\"",
    "\"mock-payment\"",
    "\"Idempotency-Key\"",
];

fn wire_names_elsewhere(path: &str, text: &str) -> Wrong {
    let is_wire = path.starts_with("booking-core/src/wire/");
    let is_test = path.starts_with("tests/") || path.contains("/tests/") || path.starts_with("benches/");
    // An example that asks a host is a client of it; so is the command that tries one.
    let is_test = is_test || path.contains("/examples/") || path.starts_with("crates/booking/");
    if is_wire || is_test {
        return Wrong::new();
    }
    let names = WIRE_NAMES.iter().filter(|name| text.contains(**name));
    names.map(|name| format!("{path} has the wire's name {name}")).collect()
}

#[test]
fn every_name_seen_outside_lives_in_wire() {
    assert_eq!(wire_names_elsewhere("host-a/src/routes.rs", r#"get("holdId")"#).len(), 1);
    assert_eq!(wire_names_elsewhere("tests/x.rs", r#"get("holdId")"#), Wrong::new());
    let files = files();
    let wire: String =
        rust(&files).filter(|(path, _)| path.starts_with("booking-core/src/wire/")).map(|(_, text)| text).collect();
    for name in WIRE_NAMES {
        let field = name.trim_matches('"');
        let derived =
            field.chars().flat_map(|c| if c.is_uppercase() { vec!['_', c.to_ascii_lowercase()] } else { vec![c] });
        let derived: String = derived.collect();
        assert!(
            wire.contains(name) || wire.contains(&derived) || Kind::named(field).is_some(),
            "{name} is no name of the wire any more: mend this list"
        );
    }
    let wrong: Wrong = rust(&files).flat_map(|(path, text)| wire_names_elsewhere(path, text)).collect();
    assert_eq!(wrong, Wrong::new());
}

/// Where the names of handlers stand: the core's table, and that of the handlers that only Restate has.
const TABLES: [&str; 2] = ["booking-core/src/wire/handler.rs", "crates/booking-restate/src/handler.rs"];

/// Names of Restate's own handlers.
const OF_RESTATE: [&str; 4] = ["turn", "recover", "letMoneyGo", "deliver"];

/// A handler is one of an enum, so that the build names every place that a new one needs. So no product code tells handlers
/// apart by their names.
fn handlers_by_name(path: &str, text: &str) -> Wrong {
    let is_product = path.contains("/src/") && (path.starts_with("booking-core/") || path.starts_with("host-"));
    if !(is_product || path.starts_with("crates/")) || path.contains("/tests/") || TABLES.contains(&path) {
        return Wrong::new();
    }
    let names = Handler::ALL.iter().map(|handler| handler.name()).filter(|name| !name.is_empty()).chain(OF_RESTATE);
    let names: BTreeSet<String> = names.map(|name| format!("\"{name}\"")).collect();
    let is_told_apart = |line: &str, name: &String| {
        let code = line.split("//").next().unwrap_or_default();
        code.match_indices(name.as_str()).any(|(at, _)| {
            let (before, after) = (code[..at].trim_end(), code[at + name.len()..].trim_start());
            let compares = |text: &str| text.starts_with("==") || text.starts_with("!=");
            let is_compared = compares(after) || before.ends_with("==") || before.ends_with("!=");
            let is_searched = before.contains("matches!(") || after.contains("].contains(");
            is_compared || is_searched || after.contains("=>") || after.starts_with('|')
        })
    };
    let line = |(number, line): (usize, &str)| {
        let name = names.iter().find(|name| is_told_apart(line, name))?;
        Some(format!("{path}:{} tells handlers apart by the name {name}", number + 1))
    };
    text.lines().enumerate().filter_map(line).collect()
}

#[test]
fn no_handler_is_told_apart_by_its_name() {
    let found = |line: &str| handlers_by_name("host-a/src/x.rs", line).len();
    for planted in [
        r#"("Ticket", "reserve") => 1,"#,
        r#""get" | "summary" => Access::Shared,"#,
        r#"let door = if handler == "resetAll" { 1 } else { 2 };"#,
        r#"if "send" != handler {}"#,
        r#"matches!(handler, "get" | "plan")"#,
        r#"["watch", "send", "status"].contains(&name)"#,
        r#"(NOTIFICATIONS, "deliver") => self.deliver(ctx).await,"#,
    ] {
        assert_eq!(found(planted), 1, "{planted}");
    }
    assert_eq!(found(r#"What::Get(_) => "get".to_owned(), // == "get""#), 0);
    assert_eq!(handlers_by_name(TABLES[0], r#"if name == "get" {}"#), Wrong::new());
    let files = files();
    for table in TABLES {
        assert!(files.contains_key(table), "{table} has moved: mend this list");
    }
    let wrong: Wrong = rust(&files).flat_map(|(path, text)| handlers_by_name(path, text)).collect();
    assert_eq!(wrong, Wrong::new());
}

/// What only the core decides, by words that a host would need for it.
const DECISIONS: [(&str, &str); 8] = [
    ("Stage::", "what a checkout's stage means"),
    (".stage() {", "what a checkout's stage means"),
    ("IdempotencyKeyReused", "what an idempotency key means"),
    (".is_kept_for_its_key()", "what an idempotency key means"),
    ("Backoff {", "when something is tried again"),
    ("Retry {", "when something is tried again"),
    ("\"Retry-After\", \"", "when it is worth asking again"),
    ("property.name ==", "what a property is about"),
];

/// Waits that are the host's own: how it gets through to what it asks, and looks after what was cut short.
const WAITS_OF_A_HOST: [&str; 3] =
    ["crates/booking-restate/src/journal.rs", "host-worker/src/checkout_object.rs", "host-worker/src/inside.rs"];

/// A host decides nothing that a buyer could notice.
fn decides(path: &str, text: &str) -> Wrong {
    let is_host = ["host-", "crates/booking-hosting/", "crates/booking-restate/", "crates/booking-workers/"];
    let is_product = path.contains("/src/") && is_host.iter().any(|host| path.starts_with(host));
    // A simulator looks at what is inside.
    if !is_product || path.contains("/src/simulate/") || path.contains("/src/tests/") {
        return Wrong::new();
    }
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let code: String = code.lines().map(|line| format!("{}\n", line.split("//").next().unwrap_or_default())).collect();
    let found = DECISIONS.iter().filter(|(word, _)| code.contains(word));
    let found = found.filter(|(word, _)| *word != "Backoff {" || !WAITS_OF_A_HOST.contains(&path));
    found.map(|(word, what)| format!("{path} decides {what}: {word}")).collect()
}

#[test]
fn what_a_buyer_could_notice_is_decided_in_the_core() {
    for planted in [
        "matches!(checkout.stage(), Stage::Capturing { .. })",
        "match running.checkout().stage() {",
        "return refusal(Kind::IdempotencyKeyReused)",
        "if kind.is_kept_for_its_key() {",
        "const AGAIN: Backoff = Backoff { first: Millis(1), cap: Millis(2) };",
        "let retry = Retry { attempts: 3, wait };",
        r#"headers.set("Retry-After", "1")?;"#,
        r#"if property.name == "one_owner" {"#,
    ] {
        assert!(!decides("host-a/src/x.rs", planted).is_empty(), "{planted}");
        assert_eq!(decides("host-a/src/simulate/x.rs", planted), Wrong::new());
        assert_eq!(decides("booking-core/src/x.rs", planted), Wrong::new());
    }
    assert_eq!(decides("host-a/src/x.rs", "// Stage:: is the core's\nrecord.checkout().stage().name()"), Wrong::new());
    let files = files();
    for path in WAITS_OF_A_HOST {
        assert!(files.get(path).is_some_and(|text| text.contains("Backoff {")), "{path} waits no more: mend this list");
    }
    let wrong: Wrong = rust(&files).flat_map(|(path, text)| decides(path, text)).collect();
    assert_eq!(wrong, Wrong::new());
}

/// What a guide shows can be pasted: it says what language it is, and hides nothing that it needs.
fn cannot_be_pasted(path: &str, text: &str) -> Wrong {
    let (mut wrong, mut language) = (Wrong::new(), None);
    for (line, text) in (1..).zip(text.lines()) {
        match (text.strip_prefix("```"), language) {
            (Some(""), None) => wrong.push(format!("{path}:{line} does not say in what language it is")),
            (Some(named), None) => language = Some(named),
            (Some(_), Some(_)) => language = None,
            (None, Some("rust")) if text == "#" || text.starts_with("# ") => {
                wrong.push(format!("{path}:{line} is hidden from who reads the rendered page, and is needed"));
            }
            (None, _) => {}
        }
    }
    wrong
}

#[test]
fn what_a_guide_shows_can_be_pasted() {
    assert!(!cannot_be_pasted("a.md", "```\nlet a = 1;\n```").is_empty());
    assert!(!cannot_be_pasted("a.md", "```rust\nlet a = 1;\n# Ok::<(), ()>(())\n```").is_empty());
    assert_eq!(cannot_be_pasted("a.md", "```text\n# a comment\n```\n# A title\n```rust\n#[test]\n```"), Wrong::new());
    let files = files();
    let guides = files.iter().filter(|(path, _)| path.ends_with(".md"));
    let wrong: Wrong = guides.flat_map(|(path, text)| cannot_be_pasted(path, text)).collect();
    assert_eq!(wrong, Wrong::new());
}

/// How many names a host needs at most: they are on one page.
const NAMES_OF_A_HOST: usize = 25;

#[test]
fn a_host_needs_no_name_beyond_one_page() {
    let files = files();
    let names = files["booking-core/src/prelude.rs"].lines().filter_map(|line| line.strip_prefix("pub use crate::"));
    let names: Vec<&str> = names
        .flat_map(|line| {
            let (_, last) = line.trim_end_matches(';').rsplit_once("::").unwrap_or(("", line.trim_end_matches(';')));
            last.trim_matches(['{', '}']).split(',').map(str::trim).collect::<Vec<_>>()
        })
        .collect();
    assert!(names.len() <= NAMES_OF_A_HOST && names.len() > 20, "{names:?}");
    let example = &files["examples/sqlite-host/src/lib.rs"];
    let imports: Vec<&str> = example.lines().filter(|line| line.contains("booking_core")).collect();
    assert_eq!(imports, ["use booking_core::prelude::*;"], "the example imports that page and nothing else");
    let unused: Vec<&&str> = names.iter().filter(|name| !example.contains(**name)).collect();
    // A host whose buyers ask for holds has these, too.
    assert_eq!(unused, [&"AtTheDoor", &"TicketCall"], "the example shows how each name is used");
}

/// Whether an item has an example in its documentation, which stands above it. `None` where a file does not define it.
fn has_example(text: &str, name: &str) -> Option<bool> {
    let is_it = |line: &str| {
        let words =
            line.trim_start().strip_prefix("pub struct ").or_else(|| line.trim_start().strip_prefix("pub enum "));
        // Ids are made by a macro, which has their names and their rules in one line.
        let made = words.or_else(|| line.contains(", check").then(|| line.trim_start()));
        made.and_then(|rest| rest.strip_prefix(name)).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
    };
    let lines: Vec<&str> = text.lines().collect();
    let at = lines.iter().position(|line| is_it(line))?;
    let above = lines[..at].iter().rev().map(|line| line.trim_start());
    let mut above = above.take_while(|line| line.starts_with("///") || line.starts_with("#["));
    Some(above.any(|line| line.starts_with("/// ```")))
}

#[test]
fn every_name_that_a_host_touches_has_an_example() {
    assert_eq!(has_example("/// A seat.\npub struct Seat;", "Seat"), Some(false));
    assert_eq!(has_example("/// ```\n/// ```\n#[derive(Debug)]\npub struct Seat;", "Seat"), Some(true));
    assert_eq!(has_example("pub struct Seats;", "Seat"), None);
    let files = files();
    let prelude = files["booking-core/src/prelude.rs"].lines().filter_map(|line| line.strip_prefix("pub use crate::"));
    let names = prelude.flat_map(|line| {
        let names = line.rsplit("::").next().unwrap().trim_matches(['{', '}', ';']);
        names.split(", ").map(str::to_owned).collect::<Vec<_>>()
    });
    let names: Vec<String> = names.filter(|name| name.starts_with(char::is_uppercase)).collect();
    assert!(names.len() > 20, "{names:?}");
    let core: Vec<&str> =
        rust(&files).filter(|(path, _)| path.starts_with("booking-core/src/")).map(|(_, text)| text).collect();
    let without = names.iter().filter(|name| !core.iter().any(|text| has_example(text, name) == Some(true)));
    assert_eq!(without.collect::<Vec<_>>(), Vec::<&String>::new());
}

/// The log is keys and bytes: of the core it knows how a stored form names its version, and its tests know chance.
fn knows_bookings(path: &str, text: &str) -> Wrong {
    let names =
        text.split("booking_core::").skip(1).filter_map(|rest| rest.split(|c: char| !c.is_alphanumeric()).next());
    let others = names.filter(|name| !["format", "dice"].contains(name));
    others.map(|name| format!("{path} knows {name} of the core")).collect()
}

#[test]
fn the_log_knows_nothing_of_bookings() {
    assert_eq!(knows_bookings("a.rs", "use booking_core::map::Seat;"), ["a.rs knows map of the core"]);
    assert_eq!(knows_bookings("a.rs", "use booking_core::format::{self, Format};"), Wrong::new());
    let files = files();
    let log: Vec<_> = rust(&files).filter(|(path, _)| path.starts_with("crates/booking-log/")).collect();
    assert!(log.len() > 5, "its files have moved: mend this rule");
    assert_eq!(log.into_iter().flat_map(|(path, text)| knows_bookings(path, text)).collect::<Wrong>(), Wrong::new());
}

/// Words that make a sentence a riddle: who does what is not said.
const RIDDLES: [&str; 7] = ["whoever", "whatever", "somebody", "none of its", "so many", "is told", "goes on"];

/// The comments of a Rust file, or the prose of a document, line by line. What is shown as code in it is left out.
fn prose<'a>(path: &str, text: &'a str) -> Vec<(usize, String)> {
    let (mut lines, mut is_code) = (Vec::new(), false);
    for (number, line) in (1..).zip(text.lines()) {
        let line: &'a str = line.trim_start();
        let said = match path.rsplit('.').next() {
            Some("md") => Some(line),
            Some("rs" | "js" | "mjs") => line.strip_prefix("//").map(|rest| rest.trim_start_matches(['/', '!'])),
            _ => None,
        };
        let Some(said) = said else { continue };
        if said.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            // Names stand between backticks.
            lines.push((number, said.split('`').step_by(2).collect::<Vec<_>>().join(" ").to_lowercase()));
        }
    }
    lines
}

fn riddles(path: &str, text: &str) -> Wrong {
    let is_word = |line: &str, word: &str| {
        line.match_indices(word).any(|(at, _)| {
            let (before, after) = (line[..at].chars().next_back(), line[at + word.len()..].chars().next());
            !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
        })
    };
    let lines = prose(path, text);
    let found = lines.iter().flat_map(|(number, line)| {
        RIDDLES.iter().filter(|word| is_word(line, word)).map(move |word| format!("{path}:{number} says {word}"))
    });
    found.collect()
}

#[test]
fn comments_and_documents_say_who_does_what() {
    for word in RIDDLES {
        assert_eq!(riddles("a.rs", &format!("/// It {word} here.")).len(), 1, "{word}");
        assert_eq!(riddles("a.md", &format!("It {word} here.")).len(), 1, "{word}");
        assert_eq!(riddles("a.rs", &format!("let a = \"{word}\";")), Wrong::new(), "a text is not a comment");
        assert_eq!(riddles("a.md", &format!("```text\n{word}\n```")), Wrong::new(), "nor is what a program prints");
    }
    let files = files();
    let mine = files.iter().filter(|(path, _)| *path != "tests/tidy.rs");
    let wrong: Wrong = mine.flat_map(|(path, text)| riddles(path, text)).collect();
    assert_eq!(wrong, Wrong::new());
}

/// A package can be published from a clean clone, or says why it is not.
fn cannot_be_published(path: &str, manifest: &str, has: impl Fn(&str) -> bool) -> Wrong {
    let Some(folder) = path.strip_suffix("Cargo.toml") else { return Wrong::new() };
    if !manifest.contains("[package]") || manifest.lines().any(|line| line.starts_with("publish = false # ")) {
        return Wrong::new();
    }
    let mut wrong = Wrong::new();
    for line in ["description = ", "categories = ", "keywords = "] {
        if !manifest.lines().any(|it| it.starts_with(line)) {
            wrong.push(format!("{path} has no line {line}"));
        }
    }
    for file in ["README.md", "LICENSE-MIT", "LICENSE-APACHE"] {
        if !has(&format!("{folder}{file}")) {
            wrong.push(format!("{folder} has no {file}, and would be published without"));
        }
    }
    wrong
}

#[test]
fn a_package_can_be_published_or_says_why_not() {
    let nothing = |_: &str| false;
    assert!(!cannot_be_published("a/Cargo.toml", "[package]\nname = \"a\"", nothing).is_empty());
    assert!(!cannot_be_published("a/Cargo.toml", "[package]\npublish = false", nothing).is_empty(), "and why");
    assert_eq!(cannot_be_published("a/Cargo.toml", "[package]\npublish = false # a tool", nothing), Wrong::new());
    let files = files();
    let has = |path: &str| files.contains_key(path);
    let manifests = files.iter().filter(|(path, _)| path.ends_with("Cargo.toml"));
    let wrong: Wrong = manifests.flat_map(|(path, text)| cannot_be_published(path, text, has)).collect();
    assert_eq!(wrong, Wrong::new());
    // Nothing outside of the folder of a package that is published gets into it.
    for path in files
        .keys()
        .filter(|path| path.starts_with("booking-core/src") || path.starts_with("crates/restate-endpoint/src"))
    {
        let up = path.matches('/').count() - usize::from(path.starts_with("crates/")) - 1;
        assert!(!files[path].contains(&"../".repeat(up + 1)), "{path} reaches out of its package");
    }
}

/// A file begins with a sentence on itself, and has neither skipped tests nor leftovers.
fn wrong_text(path: &str, text: &str) -> Wrong {
    let mut wrong = Wrong::new();
    let starts = text.starts_with("//! ") || text.starts_with("#![doc = include_str!(\"../README.md\")]");
    if !starts {
        wrong.push(format!("{path} does not begin with a sentence on itself"));
    }
    // Taken apart, so that this file does not find itself.
    for leftover in [concat!("#[ig", "nore"), concat!("TO", "DO"), concat!("FIX", "ME"), concat!("should_", "panic")] {
        if text.contains(leftover) {
            wrong.push(format!("{path} has a {leftover}"));
        }
    }
    wrong
}

#[test]
fn every_file_begins_with_a_sentence_on_itself_and_has_no_leftovers() {
    assert_eq!(wrong_text("x.rs", "use std::fmt;").len(), 1);
    assert_eq!(wrong_text("x.rs", &format!("//! A file.\n// {}", concat!("TO", "DO"))).len(), 1);
    let files = files();
    let wrong: Wrong = rust(&files).flat_map(|(path, text)| wrong_text(path, text)).collect();
    assert_eq!(wrong, Wrong::new());
}

/// Definitions of links that a documentation of Rust has in front of a document.
fn is_for_rustdoc(path: &str) -> bool {
    path.ends_with("/links.md") || path.ends_with("/links-testing.md")
}

/// What a renderer makes of a heading, to be linked to.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// A link, `[text](target)` or `[label]: target`, leads to a file, and to a heading of it where it names one. Targets with `::` are items
/// of Rust: they lead somewhere in `links.md` alone, which a documentation of Rust has in front of a document.
fn broken_links(path: &str, text: &str, read: impl Fn(&Path) -> Option<String>) -> Wrong {
    if is_for_rustdoc(path) {
        return Wrong::new();
    }
    let folder = Path::new(path).parent().unwrap();
    let inline = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let defined = text.lines().filter_map(|line| line.strip_prefix('[')?.split_once("]: ").map(|(_, target)| target));
    let is_broken = |target: &&str| {
        let (file, heading) = target.split_once('#').unwrap_or((target, ""));
        let found = if file.is_empty() { Some(text.to_owned()) } else { read(&folder.join(file)) };
        let has = |text: String| {
            text.lines().any(|line| line.starts_with('#') && anchor(line.trim_start_matches('#')) == heading)
        };
        found.is_none_or(|text| !heading.is_empty() && !has(text))
    };
    let relative = inline.chain(defined).filter(|target| !target.contains("://"));
    relative.filter(is_broken).map(|target| format!("{path} links to {target}")).collect()
}

/// The links of a document that are named: each has a definition at its end, for who reads the file, and one in `links.md`, for who reads
/// the documentation of the crate.
fn undefined_links(path: &str, text: &str, links: &str) -> Wrong {
    let labels = |text: &str| -> BTreeSet<String> {
        let names = text.lines().filter_map(|line| Some(line.strip_prefix('[')?.split_once("]: ")?.0.to_owned()));
        names.collect()
    };
    let (here, there) = (labels(text), labels(links));
    let prose = text.lines().filter(|line| !(line.starts_with('[') && line.contains("]: ")));
    let prose: String = prose.flat_map(|line| [line, "\n"]).collect();
    let used: BTreeSet<String> = here.iter().filter(|label| prose.contains(&format!("[{label}]"))).cloned().collect();
    let missing = here.difference(&there).map(|label| format!("{path}: links.md does not say where [{label}] leads"));
    let idle = here.difference(&used).map(|label| format!("{path}: nothing leads to [{label}]"));
    // In the prose of a document square brackets around code are a link.
    let code = prose.split("```").step_by(2).flat_map(|text| text.split("[`").skip(1));
    let named = code.filter_map(|rest| Some(format!("`{}`", rest.split_once("`]")?.0)));
    let nowhere = named.filter(|label| !here.contains(label)).map(|label| format!("{path}: [{label}] leads nowhere"));
    missing.chain(idle).chain(nowhere).collect()
}

#[test]
fn every_link_of_a_document_leads_somewhere() {
    let other = |path: &Path| (path == Path::new("docs/b.md")).then(|| "# A `b`, or two".to_owned());
    let broken = |text: &str| broken_links("docs/a.md", text, other);
    assert_eq!(broken("[x](b.md) [y](../c.md#d)"), ["docs/a.md links to ../c.md#d"]);
    assert_eq!(broken("[x](b.md#a-b-or-two) [y](b.md#b)"), ["docs/a.md links to b.md#b"]);
    assert_eq!(broken("[x]\n\n[x]: b.md\n[y]: crate::b"), ["docs/a.md links to crate::b"]);
    let undefined = |text: &str| undefined_links("docs/a.md", text, "[`x`]: crate::x");
    assert_eq!(undefined("See [`x`].\n\n[`x`]: x.rs"), Wrong::new());
    assert_eq!(undefined("See [`y`].\n\n[`x`]: x.rs").len(), 2, "one leads nowhere, to one nothing leads");
    assert_eq!(undefined("See [`y`].\n\n[`y`]: y.rs").len(), 1);
    let files = files();
    let links = ["links.md", "links-testing.md"].map(|name| files[&format!("booking-core/docs/{name}")].clone());
    let without_testing = |path: &str| if path.ends_with("TESTING.md") { links.concat() } else { links[0].clone() };
    let wrong: Wrong = files
        .iter()
        .filter(|(path, _)| path.ends_with(".md"))
        .flat_map(|(path, text)| {
            let read = |file: &Path| {
                let file = root().join(file);
                std::fs::read_to_string(&file).ok().or_else(|| file.exists().then(String::new))
            };
            let mut wrong = broken_links(path, text, read);
            if path.starts_with("booking-core/docs/") && !is_for_rustdoc(path) {
                wrong.extend(undefined_links(path, text, &without_testing(path)));
            }
            wrong
        })
        .collect();
    assert_eq!(wrong, Wrong::new());
}
