//! `cargo xtask mutants`: changes the transition code, one place at a time, and sees whether a test notices.

use serde_json::Value;

use xtask::run::{Outcome, cargo, output, root, run, say};

/// The share of the mutants that build which tests must find, in percent.
const ENOUGH: usize = 95;

/// Where every mutant that no test finds stands, with the reason.
const REASONS: &str = "docs/MUTANTS.md";

/// Where the tool writes what it did.
const OUTPUT: &str = "target/mutants";

/// Mutates and tests, prints the score, and compares those that were not found with the reasons written down.
pub(crate) fn all() -> Outcome {
    let version = output(&mut cargo(&["mutants", "--version"]))
        .map_err(|_| "this needs cargo-mutants: `cargo install --locked cargo-mutants`")?;
    output(&mut cargo(&["nextest", "--version"]))
        .map_err(|_| "this needs cargo-nextest: `cargo install --locked cargo-nextest`")?;
    say(&format!("{}: about an hour, {OUTPUT}/mutants.out tells more meanwhile", version.trim()));
    // It ends with a failure where a mutant was missed. Which ones may be is decided below.
    let ended = run(&mut cargo(&["mutants", "--package", "booking-core", "--output", OUTPUT, "--colors", "never"]));
    let outcomes = std::fs::read_to_string(root().join(OUTPUT).join("mutants.out/outcomes.json"))
        .map_err(|error| format!("it left no outcomes ({error}); it said: {ended:?}"))?;
    let outcomes: Value = serde_json::from_str(&outcomes).map_err(|error| format!("outcomes.json: {error}"))?;
    let reasons = std::fs::read_to_string(root().join(REASONS)).map_err(|error| format!("{REASONS}: {error}"))?;
    judge(&Tally::of(&outcomes)?, &reasons)
}

/// What came of the mutants.
#[derive(Debug, Default, PartialEq)]
struct Tally {
    found: usize,
    unviable: usize,
    missed: Vec<String>,
}

impl Tally {
    fn of(outcomes: &Value) -> Outcome<Self> {
        let mut tally = Self::default();
        for outcome in outcomes["outcomes"].as_array().ok_or("outcomes.json has no outcomes")? {
            let Some(name) = outcome["scenario"]["Mutant"]["name"].as_str() else {
                continue;
            };
            match outcome["summary"].as_str() {
                Some("CaughtMutant" | "Timeout") => tally.found += 1,
                Some("MissedMutant") => {
                    tally.missed.push(without_place(name));
                }
                Some("Unviable") => tally.unviable += 1,
                other => return Err(format!("{name} ended as {other:?}")),
            }
        }
        Ok(tally)
    }
}

/// `a/b.rs:12:3: what is changed`, as `a/b.rs: what is changed`: lines come and go.
fn without_place(name: &str) -> String {
    let mut parts = name.splitn(4, ':');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(file), Some(_line), Some(_column), Some(change)) => format!("{file}:{change}"),
        _ => name.to_owned(),
    }
}

fn judge(tally: &Tally, reasons: &str) -> Outcome {
    let viable = tally.found + tally.missed.len();
    if viable == 0 {
        return Err("there was not one mutant".into());
    }
    let percent = tally.found * 1000 / viable;
    say(&format!(
        "{} mutants, {} do not build; of {viable} others {} are found: {}.{} %",
        viable + tally.unviable,
        tally.unviable,
        tally.found,
        percent / 10,
        percent % 10
    ));
    let without_reason: Vec<&str> =
        tally.missed.iter().map(String::as_str).filter(|name| !reasons.contains(&format!("`{name}`"))).collect();
    if !without_reason.is_empty() {
        return Err(format!("no test finds these, and {REASONS} has no reason:\n  {}", without_reason.join("\n  ")));
    }
    if tally.found * 100 < viable * ENOUGH { Err(format!("fewer than {ENOUGH} % are found")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(name: &str, summary: &str) -> Value {
        serde_json::json!({ "scenario": { "Mutant": { "name": name } }, "summary": summary })
    }

    #[test]
    fn what_no_test_finds_needs_a_reason() {
        let mut outcomes: Vec<Value> = (0..40).map(|_| outcome("a.rs:1:2: x", "CaughtMutant")).collect();
        outcomes.push(outcome("a.rs:3:4: replace y with z", "MissedMutant"));
        outcomes.push(outcome("a.rs:3:4: u", "Unviable"));
        outcomes.push(serde_json::json!({ "scenario": "Baseline", "summary": "Success" }));
        let tally = Tally::of(&serde_json::json!({ "outcomes": outcomes })).unwrap();
        assert_eq!((tally.found, tally.unviable, tally.missed.len()), (40, 1, 1));
        assert_eq!(judge(&tally, "| `a.rs: replace y with z` | because |"), Ok(()));
        assert!(judge(&tally, "").is_err_and(|why| why.contains("a.rs: replace y with z")));
    }

    #[test]
    fn too_few_found_is_a_failure_whatever_the_reasons() {
        let tally = Tally { found: 18, unviable: 0, missed: vec!["a.rs: x".to_owned()] };
        assert!(judge(&tally, "`a.rs: x`").is_err(), "94.7 %");
    }
}
