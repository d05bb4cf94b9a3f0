//! What an environment of a `wrangler.toml` wants to be there: as far as a release looks into it. The rest is wrangler's.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use xtask::run::Outcome;

/// A `wrangler.toml`.
#[derive(Debug, Deserialize)]
pub struct Manifest {
    account_id: Option<String>,
    workers_dev: Option<bool>,
    preview_urls: Option<bool>,
    route: Option<Route>,
    routes: Option<Vec<Route>>,
    #[serde(default)]
    migrations: Vec<Migration>,
    #[serde(default)]
    env: BTreeMap<String, Section>,
}

#[derive(Debug, Deserialize)]
struct Migration {
    tag: String,
}

/// An environment, as it stands there.
#[derive(Debug, Deserialize)]
struct Section {
    name: String,
    account_id: Option<String>,
    workers_dev: Option<bool>,
    preview_urls: Option<bool>,
    route: Option<Route>,
    routes: Option<Vec<Route>>,
    #[serde(default)]
    vars: BTreeMap<String, toml::Value>,
    #[serde(default)]
    services: Vec<Service>,
    #[serde(default)]
    ratelimits: Vec<RateLimit>,
    #[serde(default)]
    durable_objects: Objects,
    #[serde(default)]
    secrets: Secrets,
    /// What else it is given: a release does not look into that.
    #[serde(flatten)]
    others: BTreeMap<String, toml::Value>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Route {
    Pattern(String),
    Full {
        pattern: String,
        #[serde(default)]
        custom_domain: bool,
        zone_name: Option<String>,
    },
}

#[derive(Debug, Deserialize)]
struct Service {
    binding: String,
    service: String,
}

#[derive(Debug, Deserialize)]
struct RateLimit {
    name: String,
    simple: Limit,
}

#[derive(Debug, Deserialize)]
struct Limit {
    limit: u32,
    period: u32,
}

#[derive(Debug, Default, Deserialize)]
struct Objects {
    #[serde(default)]
    bindings: Vec<Object>,
}

#[derive(Debug, Deserialize)]
struct Object {
    name: String,
    class_name: String,
}

#[derive(Debug, Default, Deserialize)]
struct Secrets {
    #[serde(default)]
    required: Vec<String>,
}

/// What an environment wants to be there.
#[derive(Debug)]
pub struct Environment {
    /// What the Worker is called there.
    pub name: String,
    /// The account, where it names one.
    pub account: Option<String>,
    /// Whether it has an address under `workers.dev`.
    pub workers_dev: bool,
    /// Whether each version has one. `None` changes nothing there.
    pub preview_urls: Option<bool>,
    /// Its domains: each has a DNS record and a certificate of its own.
    pub domains: BTreeSet<String>,
    /// The patterns of its routes, each with the name of its zone.
    pub routes: BTreeMap<String, String>,
    /// What it is given, by name, in words: variables, objects, other Workers, limits.
    pub bindings: BTreeMap<String, String>,
    /// The names of what else it is given: stores, queues.
    pub others: BTreeSet<String>,
    /// The Workers that it is bound to.
    pub services: BTreeSet<String>,
    /// The secrets that it needs.
    pub secrets: BTreeSet<String>,
    /// The variables that still have an address of an example.
    pub examples: Vec<String>,
    /// The tags of its migrations of classes, in their order.
    pub migrations: Vec<String>,
}

impl Manifest {
    /// Reads one.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Outcome<Self> {
        toml::from_str(text).map_err(|error| format!("wrangler.toml: {error}"))
    }

    /// The tags of the migrations of classes, in their order.
    #[must_use]
    pub fn migrations(&self) -> Vec<String> {
        self.migrations.iter().map(|one| one.tag.clone()).collect()
    }

    /// What an environment wants.
    ///
    /// # Errors
    /// There is no such environment.
    pub fn environment(&self, name: &str) -> Outcome<Environment> {
        let there = || self.env.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let section =
            self.env.get(name).ok_or_else(|| format!("wrangler.toml has no environment {name}, but {}", there()))?;
        let own = section.route.clone().map(|one| vec![one]).or_else(|| section.routes.clone());
        let all = own.or_else(|| self.route.clone().map(|one| vec![one])).or_else(|| self.routes.clone());
        let all = all.unwrap_or_default();
        let (mut domains, mut routes) = (BTreeSet::new(), BTreeMap::new());
        for route in all {
            match route {
                Route::Full { pattern, custom_domain: true, .. } => drop(domains.insert(pattern)),
                Route::Full { pattern, zone_name: Some(zone), .. } => drop(routes.insert(pattern, zone)),
                Route::Full { pattern, .. } | Route::Pattern(pattern) => {
                    let why = "name its zone: { pattern = \"…\", zone_name = \"…\" }";
                    return Err(format!("wrangler.toml, env.{name}: route {pattern}: {why}"));
                }
            }
        }
        let shown = |value: &toml::Value| serde_json::to_value(value).unwrap_or_default().to_string();
        let vars = section.vars.iter().map(|(name, value)| (name.clone(), shown(value)));
        let objects = section.durable_objects.bindings.iter();
        let objects = objects.map(|one| (one.name.clone(), format!("objects of class {}", one.class_name)));
        let services = section.services.iter().map(|one| (one.binding.clone(), format!("the Worker {}", one.service)));
        let limits = section.ratelimits.iter();
        let limits = limits.map(|one| (one.name.clone(), format!("{} in {} s", one.simple.limit, one.simple.period)));
        let is_example = |text: &str| ["//example.com", ".example.com"].iter().any(|host| text.contains(host));
        let examples = section.vars.iter().filter(|(_, value)| is_example(&shown(value)));
        Ok(Environment {
            name: section.name.clone(),
            account: section.account_id.clone().or_else(|| self.account_id.clone()),
            // As wrangler has it.
            workers_dev: section.workers_dev.or(self.workers_dev).unwrap_or(domains.is_empty() && routes.is_empty()),
            preview_urls: section.preview_urls.or(self.preview_urls),
            examples: examples.map(|(name, _)| name.clone()).collect(),
            bindings: vars.chain(objects).chain(services).chain(limits).collect(),
            others: section.others.values().flat_map(names).collect(),
            services: section.services.iter().map(|one| one.service.clone()).collect(),
            secrets: section.secrets.required.iter().cloned().collect(),
            migrations: self.migrations(),
            domains,
            routes,
        })
    }
}

/// The names of bindings in what a release does not look into.
fn names(value: &toml::Value) -> Vec<String> {
    match value {
        toml::Value::Array(all) => all.iter().flat_map(names).collect(),
        toml::Value::Table(table) => {
            let own = ["binding", "name"].iter().filter_map(|key| table.get(*key)?.as_str()).map(str::to_owned);
            own.chain(table.values().flat_map(names)).collect()
        }
        toml::Value::String(_)
        | toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_) => Vec::new(),
    }
}
