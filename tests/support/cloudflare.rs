//! Cloudflare's API, as far as wrangler and the release tool ask it: it remembers what was deployed, and refuses what Cloudflare refuses.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};

/// The account that it has.
pub const ACCOUNT: &str = "0123456789abcdef0123456789abcdef";
/// The token that it takes.
pub const TOKEN: &str = "a-token-of-cloudflare-for-tests";
/// The zone that it has.
pub const ZONE: &str = "tickets.test";

/// An account with Cloudflare, until this is dropped.
pub struct Cloudflare {
    /// Where its API is.
    pub url: String,
    state: Arc<Mutex<State>>,
}

/// What is there.
#[derive(Default)]
pub struct State {
    /// The Workers, by name.
    pub scripts: BTreeMap<String, Script>,
    /// The domains of Workers: of each the name of its Worker.
    pub domains: BTreeMap<String, String>,
    /// The names of DNS records that are no Worker's.
    pub records: BTreeSet<String>,
    /// The routes of the zone: of each pattern the name of its Worker.
    pub routes: BTreeMap<String, String>,
    /// The queues: of each who takes what is in it, and how.
    pub queues: BTreeMap<String, Vec<Value>>,
    /// What is in buckets, by bucket and key.
    pub objects: BTreeMap<String, Vec<u8>>,
    /// When the token ends.
    pub token_ends: Option<String>,
    /// Every request that changed something, or was to: its method, and its path from the account on.
    pub writes: Vec<String>,
    faults: Vec<(&'static str, &'static str, Fault)>,
    next: u32,
}

/// A Worker.
#[derive(Default)]
pub struct Script {
    /// The tag of its last migration.
    pub migration: Option<String>,
    /// The versions, the newest last.
    pub versions: Vec<Version>,
    /// Which versions answered, the newest deployment last.
    pub deployments: Vec<Vec<(String, u64)>>,
    /// The names of its secrets.
    pub secrets: BTreeSet<String>,
    /// How many versions there were when a secret was changed last: no older one is deployed without a word.
    pub secrets_since: usize,
    /// Whether it has an address under workers.dev, and each version one.
    pub subdomain: (bool, bool),
    /// What its versions have in common: its log.
    pub settings: Value,
    /// When its clock rings.
    pub schedules: Vec<String>,
}

/// A version of a Worker.
#[derive(Clone)]
pub struct Version {
    /// Its id.
    pub id: String,
    /// What wrangler has said of it.
    pub metadata: Value,
    /// The names of the files that are served beside it.
    pub assets: BTreeSet<String>,
}

impl Version {
    /// The release that it says it is.
    #[must_use]
    pub fn tag(&self) -> &str {
        self.metadata["annotations"]["workers/tag"].as_str().unwrap_or_default()
    }
}

impl Script {
    /// Which releases answer now, of how many of a hundred requests.
    #[must_use]
    pub fn answers(&self) -> Vec<(&str, u64)> {
        let tag = |id: &String| self.versions.iter().find(|one| one.id == *id).map_or("", Version::tag);
        self.deployments.last().into_iter().flatten().map(|(id, share)| (tag(id), *share)).collect()
    }
}

/// What goes wrong.
#[derive(Clone, Copy)]
pub enum Fault {
    /// It is refused: with this status and code, for this reason.
    Says(u16, u32, &'static str),
    /// It is done, and the connection ends before the answer.
    Cut,
}

/// What stands before a Worker: it picks the version that answers, and the Worker's answers tell which that was.
pub struct Edge {
    /// Where it answers.
    pub url: String,
}

impl Edge {
    /// One before this server, which is every version of the Worker of this name.
    ///
    /// # Panics
    /// Where the machine has no port for it.
    #[must_use]
    pub fn start(cloud: &Cloudflare, name: &'static str, server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (state, server) = (Arc::clone(&cloud.state), server.trim_start_matches("http://").to_owned());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (state, server) = (Arc::clone(&state), server.clone());
                std::thread::spawn(move || pass(&stream, &server, name, &state));
            }
        });
        Self { url }
    }
}

/// Passes a request on, and its answer back.
fn pass(client: &TcpStream, server: &str, name: &str, state: &Mutex<State>) -> Option<()> {
    let mut from = BufReader::new(client);
    let head = head(&mut from)?;
    let picks = format!("{name}=\"");
    let picked = head.iter().find_map(|line| line.split_once(&picks)?.1.split('"').next());
    let version = {
        let state = state.lock().ok()?;
        let shares = state.scripts.get(name)?.deployments.last()?;
        let picked = shares.iter().find(|(id, _)| Some(id.as_str()) == picked);
        picked.or_else(|| shares.iter().max_by_key(|(_, share)| *share))?.0.clone()
    };
    let mut to = TcpStream::connect(server).ok()?;
    let is_request = !head.iter().any(|line| line.to_ascii_lowercase().starts_with("upgrade:"));
    for line in head.iter().filter(|line| !is_request || !line.to_ascii_lowercase().starts_with("connection:")) {
        write!(to, "{line}\r\n").ok()?;
    }
    write!(to, "{}\r\n", if is_request { "connection: close\r\n" } else { "" }).ok()?;
    let (mut back, answers) = (client.try_clone().ok()?, to.try_clone().ok()?);
    let answering = std::thread::spawn(move || {
        let mut answers = BufReader::new(answers);
        let head = crate::cloudflare::head(&mut answers)?;
        let (status, headers) = head.split_first()?;
        write!(back, "{status}\r\nbooking-version: {version}\r\n{}\r\n\r\n", headers.join("\r\n")).ok()?;
        let _until_it_ends = std::io::copy(&mut answers, &mut back);
        back.shutdown(std::net::Shutdown::Both).ok()
    });
    let _until_it_ends = std::io::copy(&mut from, &mut to);
    answering.join().ok()?
}

/// The lines before the body.
fn head(from: &mut impl std::io::BufRead) -> Option<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        from.read_line(&mut line).ok().filter(|read| *read > 0)?;
        match line.trim_end() {
            "" => return Some(lines),
            line => lines.push(line.to_owned()),
        }
    }
}

struct Asked {
    method: String,
    path: String,
    query: String,
    token: String,
    body: Vec<u8>,
}

type Answer = (u16, Value);

fn ok(result: Value) -> Answer {
    (200, json!({ "success": true, "errors": [], "messages": [], "result": result }))
}

fn no(status: u16, code: u32, message: &str) -> Answer {
    let errors = json!([{ "code": code, "message": message }]);
    (status, json!({ "success": false, "errors": errors, "messages": [], "result": null }))
}

impl Cloudflare {
    /// An account that has nothing yet.
    ///
    /// # Panics
    /// Where the machine has no port for it.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/client/v4", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let serving = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&serving);
                std::thread::spawn(move || serve(&stream, &state));
            }
        });
        Self { url, state }
    }

    /// What is there.
    ///
    /// # Panics
    /// Where it has panicked itself.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The next request of this method whose path has this in it goes wrong.
    pub fn fails(&self, method: &'static str, path: &'static str, fault: Fault) {
        self.state().faults.push((method, path, fault));
    }

    /// What has a command ask it.
    #[must_use]
    pub fn env(&self) -> [(&'static str, &str); 3] {
        [("CLOUDFLARE_API_BASE_URL", &self.url), ("CLOUDFLARE_API_TOKEN", TOKEN), ("CLOUDFLARE_ACCOUNT_ID", ACCOUNT)]
    }
}

fn serve(stream: &TcpStream, state: &Mutex<State>) -> Option<()> {
    let asked = read(stream)?;
    let (status, body) = {
        let mut state = state.lock().ok()?;
        let fault =
            state.faults.iter().position(|(method, path, _)| *method == asked.method && asked.path.contains(path));
        match fault.map(|at| state.faults.remove(at).2) {
            Some(Fault::Says(status, code, why)) => {
                if asked.method != "GET" {
                    state.writes.push(format!("{} {} refused", asked.method, asked.path));
                }
                let (status, body) = no(status, code, why);
                (status, body.to_string().into_bytes())
            }
            Some(Fault::Cut) => {
                let _done = state.answer(&asked);
                return None;
            }
            None => state.answer(&asked),
        }
    };
    let kind = if body.first() == Some(&b'{') { "application/json" } else { "application/octet-stream" };
    let head = format!(
        "HTTP/1.1 {status} -\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let mut stream = stream;
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)).ok()
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let path = path.strip_prefix("/client/v4").unwrap_or(path).to_owned();
    let (mut length, mut chunked, mut token) = (0, false, String::new());
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "transfer-encoding" => chunked = true,
            "authorization" => value.trim().trim_start_matches("Bearer ").clone_into(&mut token),
            _ => {}
        }
    }
    let mut body = Vec::new();
    if chunked {
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).ok()?;
            let size = u64::from_str_radix(line.trim(), 16).ok()?;
            stream.by_ref().take(size).read_to_end(&mut body).ok()?;
            stream.read_line(&mut line).ok()?;
            if size == 0 {
                break;
            }
        }
    } else {
        stream.take(length).read_to_end(&mut body).ok()?;
    }
    Some(Asked { query: query.to_owned(), method, path, token, body })
}

/// The part `metadata` of a form.
fn metadata(body: &[u8]) -> Value {
    let text = String::from_utf8_lossy(body);
    let part =
        text.split_once("name=\"metadata\"").and_then(|(_, rest)| rest.split_once("\r\n\r\n")).unwrap_or_default().1;
    serde_json::from_str(part.split("\r\n--").next().unwrap_or_default()).unwrap_or_default()
}

fn parsed(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_default()
}

impl State {
    fn answer(&mut self, asked: &Asked) -> (u16, Vec<u8>) {
        // The files beside a Worker are sent with a token of their own.
        if asked.token != TOKEN {
            let (status, body) = no(403, 10_000, "Authentication error");
            return (status, body.to_string().into_bytes());
        }
        let account = format!("/accounts/{ACCOUNT}");
        let path = asked.path.strip_prefix(&account).unwrap_or(&asked.path).to_owned();
        if asked.method != "GET" {
            self.writes.push(format!("{} {path}", asked.method));
        }
        if let Some(key) = path.strip_prefix("/r2/buckets/") {
            return self.object(asked, &key.replace("/objects/", "/"));
        }
        match self.json(asked, &path) {
            (204, _) => (204, Vec::new()),
            (status, body) => (status, body.to_string().into_bytes()),
        }
    }

    fn object(&mut self, asked: &Asked, key: &str) -> (u16, Vec<u8>) {
        let not_there = || no(404, 10_007, "The specified key does not exist.").1.to_string().into_bytes();
        match asked.method.as_str() {
            "GET" => self.objects.get(key).map_or_else(|| (404, not_there()), |bytes| (200, bytes.clone())),
            _ => {
                self.objects.insert(key.to_owned(), asked.body.clone());
                (200, ok(json!({})).1.to_string().into_bytes())
            }
        }
    }

    fn json(&mut self, asked: &Asked, path: &str) -> Answer {
        let words: Vec<&str> = path.trim_matches('/').split('/').collect();
        let named = |name: &str| asked.query.split('&').find_map(|pair| pair.strip_prefix(name)).unwrap_or_default();
        match (asked.method.as_str(), words.as_slice()) {
            ("GET", ["user", "tokens", "verify"]) => {
                ok(json!({ "id": "t", "status": "active", "expires_on": self.token_ends }))
            }
            ("GET", ["accounts"]) => ok(json!([{ "id": ACCOUNT, "name": "tests" }])),
            ("GET", ["zones"]) => {
                let name = named("name=");
                ok(if name == ZONE || name.is_empty() { json!([{ "id": "zone", "name": ZONE }]) } else { json!([]) })
            }
            ("GET", ["zones", _, "dns_records"]) => {
                let is_there = self.records.contains(named("name="));
                ok(if is_there { json!([{ "id": "r", "type": "A" }]) } else { json!([]) })
            }
            ("GET", ["zones", _, "workers", "routes"]) => {
                let route = |(pattern, script): (&String, &String)| json!({ "id": pattern.replace('/', "_"), "pattern": pattern, "script": script });
                ok(self.routes.iter().map(route).collect())
            }
            ("POST", ["zones", _, "workers", "routes"]) => {
                let body = parsed(&asked.body);
                self.routes.insert(text(&body["pattern"]), text(&body["script"]));
                ok(json!({}))
            }
            ("DELETE", ["zones", _, "workers", "routes", id]) => {
                self.routes.retain(|pattern, _| pattern.replace('/', "_") != *id);
                ok(json!({}))
            }
            ("GET", ["queues"]) => {
                let queue = |(name, consumers): (&String, &Vec<Value>)| json!({ "queue_id": name, "queue_name": name, "producers": [], "consumers": consumers });
                let asked: Vec<&str> = asked.query.split('&').filter_map(|pair| pair.strip_prefix("name=")).collect();
                ok(self.queues.iter().filter(|(name, _)| asked.contains(&name.as_str())).map(queue).collect())
            }
            ("POST", ["queues", name, "consumers"]) => match self.queues.get_mut(*name) {
                Some(consumers) => {
                    consumers.push(parsed(&asked.body));
                    ok(json!({}))
                }
                None => no(404, 11_000, "queue not found"),
            },
            ("GET", ["workers", "scripts"]) => {
                let script = |(id, script): (&String, &Script)| json!({ "id": id, "migration_tag": script.migration });
                ok(self.scripts.iter().map(script).collect())
            }
            ("GET", ["workers", "subdomain"]) => ok(json!({ "subdomain": "tests" })),
            ("GET", ["workers", "domains"]) => {
                let domain = |(hostname, service): (&String, &String)| json!({ "id": hostname, "hostname": hostname, "service": service });
                ok(self.domains.iter().map(domain).collect())
            }
            ("PUT", ["workers", "domains"]) => {
                let body = parsed(&asked.body);
                let hostname = text(&body["hostname"]);
                if self.domains.contains_key(&hostname) || self.records.contains(&hostname) {
                    return no(409, 100_117, "Hostname already has externally managed DNS records");
                }
                self.domains.insert(hostname, text(&body["service"]));
                ok(json!({}))
            }
            ("DELETE", ["workers", "domains", id]) => {
                self.domains.remove(*id);
                (204, Value::Null)
            }
            ("GET", ["workers", "services", name]) => match self.scripts.get(*name) {
                Some(_) => ok(json!({ "id": name, "default_environment": { "environment": "production", "script": {
                    "id": name, "tag": "t", "last_deployed_from": "wrangler"
                } } })),
                None => no(404, 10_090, "This service does not exist."),
            },
            (_, ["workers", "scripts", name, rest @ ..]) => self.script(asked, name, rest),
            _ => no(404, 7_003, &format!("no such thing here: {} {path}", asked.method)),
        }
    }

    fn script(&mut self, asked: &Asked, name: &str, rest: &[&str]) -> Answer {
        match (asked.method.as_str(), rest) {
            ("POST", ["assets-upload-session"]) => {
                // All of them are there already. What they are is in the token, for the upload to come.
                let files =
                    parsed(&asked.body)["manifest"].as_object().map(|files| files.keys().cloned().collect::<Vec<_>>());
                return ok(json!({ "jwt": files.unwrap_or_default().join(" "), "buckets": [] }));
            }
            ("PUT", []) => return self.deploy(name, &metadata(&asked.body)),
            _ => {}
        }
        let next = self.next;
        let Some(script) = self.scripts.get_mut(name) else {
            return no(404, 10_007, "This Worker does not exist on your account.");
        };
        let version = |one: &Version| {
            let metadata = &one.metadata;
            json!({ "id": one.id, "number": 1, "metadata": { "source": "wrangler", "created_on": "2026-11-30T00:00:00Z", "author_email": "" },
                "annotations": metadata["annotations"], "resources": { "bindings": metadata["bindings"], "script": {}, "script_runtime": {} } })
        };
        match (asked.method.as_str(), rest) {
            ("GET", ["deployments"]) => {
                let deployment = |shares: &Vec<(String, u64)>| {
                    let shares = shares.iter().map(|(id, share)| json!({ "version_id": id, "percentage": share }));
                    json!({ "id": "d", "created_on": "2026-11-30T00:00:00Z", "versions": shares.collect::<Vec<_>>(),
                        "author_email": "", "source": "wrangler", "strategy": "percentage", "annotations": {} })
                };
                ok(json!({ "deployments": script.deployments.iter().rev().map(deployment).collect::<Vec<_>>() }))
            }
            ("POST", ["deployments"]) => {
                let body = parsed(&asked.body);
                let of = |id: &Value| script.versions.iter().position(|one| one.id == text(id));
                let mut positions = list(&body["versions"]).map(|one| of(&one["version_id"]));
                if positions.any(|at| at.is_some_and(|at| at < script.secrets_since))
                    && !asked.query.contains("force=true")
                {
                    return no(400, 10_220, "The following secrets have changed: ADMIN_TOKENS");
                }
                let shares = body["versions"].as_array().into_iter().flatten();
                let shares: Vec<_> = shares
                    .map(|one| (text(&one["version_id"]), one["percentage"].as_u64().unwrap_or_default()))
                    .collect();
                if shares.iter().any(|(id, _)| !script.versions.iter().any(|one| one.id == *id)) {
                    return no(404, 10_211, "a version is not there");
                }
                script.deployments.push(shares);
                ok(json!({ "id": format!("deployment-{next}") }))
            }
            ("GET", ["versions"]) => {
                ok(json!({ "items": script.versions.iter().rev().map(version).collect::<Vec<_>>() }))
            }
            ("GET", ["versions", id]) => match script.versions.iter().find(|one| one.id == *id) {
                Some(one) => ok(version(one)),
                None => no(404, 10_210, "no such version"),
            },
            ("POST", ["versions"]) => {
                let metadata = metadata(&asked.body);
                let needs_classes = list(&metadata["bindings"]).any(|one| one["type"] == "durable_object_namespace");
                if !metadata["migrations"].is_null() || (needs_classes && script.migration.is_none()) {
                    return no(400, 10_211, "A migration comes with a whole deployment");
                }
                if let Some(refused) = missing_secret(&metadata, script) {
                    return refused;
                }
                self.next += 1;
                let new = Version { id: id(self.next), assets: assets(&metadata), metadata };
                script.versions.push(new.clone());
                let mut said = version(&new);
                said["startup_time_ms"] = json!(1);
                said["metadata"]["has_preview"] = json!(script.subdomain.1);
                ok(said)
            }
            ("GET", ["settings"]) => {
                let live = script.deployments.last().and_then(|shares| shares.last()).map(|(id, _)| id.clone());
                let live = script.versions.iter().find(|one| Some(&one.id) == live.as_ref());
                let bindings = live.map(|one| {
                    list(&one.metadata["bindings"]).filter(|one| one["type"] != "inherit").cloned().collect()
                });
                let mut bindings: Vec<Value> = bindings.unwrap_or_default();
                bindings.extend(script.secrets.iter().map(|name| json!({ "type": "secret_text", "name": name })));
                ok(json!({ "bindings": bindings, "compatibility_date": "2026-04-01", "tags": [] }))
            }
            ("GET", ["secrets"]) => {
                ok(script.secrets.iter().map(|name| json!({ "name": name, "type": "secret_text" })).collect())
            }
            ("PATCH", ["script-settings"]) => {
                script.settings = parsed(&asked.body);
                ok(json!({}))
            }
            ("PUT", ["schedules"]) => {
                script.schedules = list(&parsed(&asked.body)).map(|one| text(&one["cron"])).collect();
                ok(json!({}))
            }
            ("GET", ["subdomain"]) => {
                ok(json!({ "enabled": script.subdomain.0, "previews_enabled": script.subdomain.1 }))
            }
            ("POST", ["subdomain"]) => {
                let body = parsed(&asked.body);
                let is_on = |field: &str| body[field].as_bool();
                script.subdomain = (
                    is_on("enabled").unwrap_or(script.subdomain.0),
                    is_on("previews_enabled").unwrap_or(script.subdomain.1),
                );
                ok(json!({ "enabled": script.subdomain.0, "previews_enabled": script.subdomain.1 }))
            }
            ("PUT", ["domains", "records"]) => {
                let body = parsed(&asked.body);
                // As Cloudflare has it: these are all domains of the Worker, and another Worker loses the ones that it had.
                self.domains.retain(|_, service| service != name);
                for origin in list(&body["origins"]) {
                    let hostname = text(&origin["hostname"]);
                    let is_taken = self.domains.contains_key(&hostname) || self.records.contains(&hostname);
                    if is_taken && body["override_existing_origin"] != true {
                        return no(409, 100_117, "Hostname already has externally managed DNS records");
                    }
                    self.records.remove(&hostname);
                    self.domains.insert(hostname, name.to_owned());
                }
                ok(json!([]))
            }
            ("PUT", ["routes"]) => {
                self.routes.retain(|_, script| script != name);
                for route in list(&parsed(&asked.body)) {
                    self.routes.insert(text(&route["pattern"]), name.to_owned());
                }
                ok(json!([]))
            }
            (method, rest) => no(404, 7_003, &format!("no such thing here: {method} {name} {rest:?}")),
        }
    }

    /// A whole deployment: with migrations, for all requests.
    fn deploy(&mut self, name: &str, metadata: &Value) -> Answer {
        let empty = Script::default();
        let before = self.scripts.get(name).unwrap_or(&empty);
        if let Some(refused) = missing_secret(metadata, before) {
            return refused;
        }
        for service in list(&metadata["bindings"]).filter(|one| one["type"] == "service") {
            let service = text(&service["service"]);
            if !self.scripts.contains_key(&service) {
                return no(400, 10_143, &format!("Service binding to '{service}', which was not found"));
            }
        }
        let migrations = &metadata["migrations"];
        if !migrations.is_null() && migrations["old_tag"].as_str() != before.migration.as_deref() {
            return no(412, 10_079, "The migration's old tag is not that of the Worker");
        }
        self.next += 1;
        let new = Version { id: id(self.next), assets: assets(metadata), metadata: metadata.clone() };
        let script = self.scripts.entry(name.to_owned()).or_default();
        if let Some(tag) = migrations["new_tag"].as_str() {
            script.migration = Some(tag.to_owned());
        }
        script.deployments.push(vec![(new.id.clone(), 100)]);
        script.versions.push(new.clone());
        ok(json!({ "id": name, "etag": "e", "pipeline_hash": "p", "mutable_pipeline_id": "m", "deployment_id": new.id,
            "startup_time_ms": 1, "available_on_subdomain": false }))
    }
}

/// What a version is refused for that wants to inherit a secret that is not there.
fn missing_secret(metadata: &Value, script: &Script) -> Option<Answer> {
    let inherited = list(&metadata["bindings"]).filter(|one| one["type"] == "inherit").map(|one| text(&one["name"]));
    let missing = inherited.into_iter().find(|name| !script.secrets.contains(name))?;
    Some(no(400, 10_057, &format!("inherit binding '{missing}' is invalid: there is none in the version before")))
}

fn assets(metadata: &Value) -> BTreeSet<String> {
    metadata["assets"]["jwt"].as_str().unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn id(number: u32) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}
