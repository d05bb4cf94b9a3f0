//! What is linked: from where, under which licence, and in how many versions.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use spdx::{Expression, ParseMode};

use xtask::run::{Outcome, cargo, output, program, run, say};

/// Licences that ask for nothing but their own text.
const LICENCES: [&str; 9] =
    ["0BSD", "MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "ISC", "Unicode-3.0", "Zlib"];

/// Packages that may stand here in two versions, each with who holds them apart.
const MAY_BE_TWICE: [(&str, &str); 22] = [
    ("base64", "axum's WebSockets have not moved to 0.23 yet, which ureq (tests only) has"),
    ("cpufeatures", "sha2 stays at 0.10 with axum's WebSockets; proptest's chacha20 (tests only) has moved on"),
    ("getrandom", "ring has not moved from 0.2, nor rand 0.9 from 0.3"),
    ("r-efi", "under getrandom, and nowhere but on UEFI"),
    ("rand", "tungstenite has not moved to 0.10 yet, which proptest (tests only) has"),
    ("rand_core", "as rand"),
    // Under restate-sdk, which checks signatures with older crates than it hashes with.
    ("block-buffer", "as digest"),
    ("const-oid", "as digest"),
    ("crypto-common", "as digest"),
    ("digest", "jsonwebtoken's curves have not moved from 0.10, which restate-sdk has"),
    ("sha2", "as digest, and axum's WebSockets"),
    ("rand_chacha", "as rand: jsonwebtoken has not moved from 0.8"),
    ("regress", "restate-sdk has 0.10, what it is generated with 0.11"),
    (
        "hashbrown",
        "regress has not moved to 0.17 yet, which indexmap has, nor from 0.14 fjall's dashmap (benchmarks only)",
    ),
    // Under worker, which is built for Cloudflare alone.
    ("matchit", "worker has not moved from 0.7, which axum has"),
    ("strum", "worker has 0.28, restate-sdk has not moved from 0.27"),
    ("strum_macros", "as strum"),
    // Built for benchmarks only.
    ("fallible-iterator", "tokio-postgres has not moved from 0.2, wasm-bindgen's tool (xtask only) has"),
    ("hmac", "tokio-postgres has 0.13; under jsonwebtoken's curves as digest"),
    ("wasi", "tokio-postgres's whoami has 0.14, getrandom 0.2 has 0.11; nowhere but on WASI"),
    ("syn", "zerocopy's derive, under criterion, has not moved to syn 3 yet"),
    ("windows-sys", "ring has not moved from 0.52, and nowhere but on Windows"),
];

/// The only place that packages come from.
const SOURCE: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(crate) fn check() -> Outcome {
    let metadata = output(&mut cargo(&["metadata", "--format-version", "1", "--locked", "--all-features"]))?;
    let metadata: Value = serde_json::from_str(&metadata).map_err(|error| format!("cargo metadata: {error}"))?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata has no packages")?;
    let mut wrong: Vec<String> = packages.iter().filter_map(wrong_with).collect();
    wrong.extend(duplicates(packages, &MAY_BE_TWICE));
    if !wrong.is_empty() {
        return Err(format!("\n  {}", wrong.join("\n  ")));
    }
    say(&format!(
        "{} packages: one source, {} licences allowed, no version twice but:",
        packages.len(),
        LICENCES.len()
    ));
    for (name, why) in MAY_BE_TWICE {
        say(&format!("  {name}: {why}"));
    }
    let deny = output(&mut program("cargo", &["deny", "--version"]));
    if deny.is_ok() { run(&mut cargo(&["deny", "--locked", "check"])) } else { Ok(()) }
}

fn name(package: &Value) -> String {
    format!("{} {}", package["name"].as_str().unwrap_or("?"), package["version"].as_str().unwrap_or("?"))
}

/// What is wrong with one package's source or licence.
fn wrong_with(package: &Value) -> Option<String> {
    if let Some(source) = package["source"].as_str()
        && source != SOURCE
    {
        return Some(format!("{} comes from {source}", name(package)));
    }
    let Some(licence) = package["license"].as_str() else {
        return Some(format!("{} names no licence", name(package)));
    };
    let Ok(expression) = Expression::parse_mode(licence, ParseMode::LAX) else {
        return Some(format!("{} has the licence {licence:?}, which nobody can read", name(package)));
    };
    let allowed = expression.evaluate(|need| need.license.id().is_some_and(|id| LICENCES.contains(&id.name)));
    (!allowed).then(|| format!("{} has the licence {licence}, which is not on the list", name(package)))
}

fn duplicates(packages: &[Value], may_be: &[(&str, &str)]) -> Vec<String> {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in packages {
        if let (Some(name), Some(version)) = (package["name"].as_str(), package["version"].as_str()) {
            versions.entry(name).or_default().insert(version);
        }
    }
    let allowed = |name: &str| may_be.iter().any(|(twice, _)| *twice == name);
    let idle = may_be.iter().filter(|(name, _)| versions.get(name).is_none_or(|versions| versions.len() < 2));
    let idle = idle.map(|(name, _)| format!("{name} stands here in one version: it needs no exception any more"));
    let twice = versions.iter().filter(|(name, versions)| versions.len() > 1 && !allowed(name));
    let twice = twice.map(|(name, versions)| format!("{name} stands here in versions {versions:?}"));
    idle.chain(twice).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn package(licence: &str, source: &str) -> Value {
        json!({ "name": "x", "version": "1.0.0", "license": licence, "source": source })
    }

    #[test]
    fn a_licence_is_allowed_if_one_of_its_choices_is() {
        for good in ["MIT", "MIT/Apache-2.0", "GPL-3.0 OR MIT", "(MIT OR Apache-2.0) AND Unicode-3.0"] {
            assert_eq!(wrong_with(&package(good, SOURCE)), None, "{good}");
        }
        for bad in ["GPL-3.0", "MIT AND GPL-3.0", "whatever"] {
            assert!(wrong_with(&package(bad, SOURCE)).is_some(), "{bad}");
        }
        assert!(wrong_with(&json!({ "name": "x", "version": "1.0.0" })).is_some(), "no licence at all");
    }

    #[test]
    fn a_package_comes_from_the_registry_or_the_workspace() {
        assert!(wrong_with(&package("MIT", "git+https://example.org/x")).is_some());
        assert_eq!(wrong_with(&json!({ "name": "x", "version": "1.0.0", "license": "MIT", "source": null })), None);
    }

    #[test]
    fn two_versions_of_a_package_are_found() {
        let package = |version: &str| json!({ "name": "x", "version": version });
        let (once, twice) = ([package("1.0.0"), package("1.0.0")], [package("1.0.0"), package("2.0.0")]);
        assert_eq!((duplicates(&once, &[]).len(), duplicates(&twice, &[]).len()), (0, 1));
        let exception = [("x", "why")];
        assert_eq!((duplicates(&once, &exception).len(), duplicates(&twice, &exception).len()), (1, 0));
    }
}
