//! `cargo xtask release` and the real wrangler, against an account that remembers: what is deployed for each environment, gradually and
//! back, and what goes wrong on the way.

#![cfg(not(target_family = "wasm"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::OnceLock;

use release::archive::{About, Archive};
use serde_json::{Value, json};
use tests::cloudflare::{ACCOUNT, Cloudflare, Edge, Fault, Script, TOKEN, Version, ZONE};
use tests::restate::Folder;
use tests::server::{Server, binary};
use xtask::run::root;
use xtask::worker::Bundle;

const ADMIN: &str = "an-admin-token-for-tests";
const SHOP: &str = "seat-booking-staging";
const SANDBOX: &str = "seat-booking-sandbox-staging";

/// The release of this tree, built once.
fn of_this_tree() -> &'static Archive {
    static BUILT: OnceLock<Archive> = OnceLock::new();
    BUILT.get_or_init(|| {
        let folder = Folder::new("release");
        let cloud = Cloudflare::start();
        let said = Tool { cloud: &cloud, folder: &folder }.does(&["build"]);
        let line = said.lines().find(|line| line.starts_with("release ")).unwrap();
        let path = line.split_once(": ").unwrap().1.split_once(',').unwrap().0;
        Archive::read(&std::fs::read(path).unwrap()).unwrap()
    })
}

/// A release that differs from this tree's.
fn variant(version: &str, edit: impl FnOnce(&mut About, &mut BTreeMap<String, Vec<u8>>)) -> Archive {
    let base = of_this_tree();
    let (mut about, mut files) = (About { version: version.to_owned(), ..base.about.clone() }, base.files().clone());
    edit(&mut about, &mut files);
    Archive::of(about, files).unwrap()
}

/// Writes into the `wrangler.toml` of a release's shop.
fn edit_manifest(files: &mut BTreeMap<String, Vec<u8>>, from: &str, to: &str) {
    let path = format!("{}/wrangler.toml", Bundle::Shop.package());
    let text = String::from_utf8(files[&path].clone()).unwrap();
    assert!(text.contains(from), "{from}");
    files.insert(path, text.replacen(from, to, 1).into_bytes());
}

/// It reads tickets as they are, and stores them in a newer form.
fn stores_newer_tickets(about: &mut About) {
    let shop = about.workers.get_mut("shop").unwrap();
    let ticket = shop.forms.iter_mut().find(|form| form.name == "ticket").unwrap();
    (ticket.writes, ticket.reads_from) = (2, 1);
}

/// It has a class of objects more, whose migration is to come.
fn has_another_class(about: &mut About, files: &mut BTreeMap<String, Vec<u8>>) {
    about.workers.get_mut("shop").unwrap().migrations.push("v2".into());
    let migration = "[[migrations]]\ntag = \"v2\"\nnew_sqlite_classes = [\"OrderObject\"]\n\n# ── development";
    edit_manifest(files, "# ── development", migration);
    let entry = format!("{}/build/index.js", Bundle::Shop.package());
    let code = [files[&entry].as_slice(), b"\nexport class OrderObject {}\n"].concat();
    files.insert(entry, code);
}

/// The command, for an account, with a folder of releases.
struct Tool<'a> {
    cloud: &'a Cloudflare,
    folder: &'a Folder,
}

impl Tool<'_> {
    /// Whether it did it, and everything that it and wrangler have said.
    fn says(&self, args: &[&str]) -> (bool, String) {
        let folder = self.folder.path();
        let of_releases = ["--dir", folder.to_str().unwrap()];
        // Before what is for another command.
        let (ours, others) = args.split_at(args.iter().position(|arg| *arg == "--").unwrap_or(args.len()));
        let of_releases = if matches!(args[0], "off" | "on" | "status") { &[][..] } else { &of_releases[..] };
        let mut command = Command::new(binary("release"));
        command.args([ours, of_releases, others].concat()).envs(self.cloud.env()).env("BOOKING_ADMIN_TOKEN", ADMIN);
        let output = command.output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!said.contains(TOKEN) && !said.contains(ADMIN), "a token is in what it says: {said}");
        (output.status.success(), said)
    }

    fn does(&self, args: &[&str]) -> String {
        let (did, said) = self.says(args);
        assert!(did, "{args:?}: {said}");
        said
    }

    /// It does it, and nothing had to be changed.
    fn only_looks(&self, args: &[&str]) -> String {
        let before = self.cloud.state().writes.len();
        let said = self.does(args);
        assert_eq!(self.cloud.state().writes.len(), before, "{args:?}");
        said
    }

    /// It fails, says this, and changes nothing.
    fn refuses(&self, args: &[&str], why: &[&str]) -> String {
        let before = self.cloud.state().writes.len();
        let (did, said) = self.says(args);
        assert!(!did && why.iter().all(|why| said.contains(why)), "{args:?}, and not {why:?}: {said}");
        assert_eq!(self.cloud.state().writes.len(), before, "{args:?}: {:?}", self.cloud.state().writes);
        said
    }

    fn keeps(&self, release: &Archive) {
        let path = self.folder.path().join(format!("{}.tar", release.about.version));
        std::fs::create_dir_all(self.folder.path()).unwrap();
        std::fs::write(path, release.bytes()).unwrap();
    }
}

/// A Worker that answers with a version of this release, and everything that this tree's shop wants.
fn answering(tag: &str) -> Script {
    let text = std::fs::read_to_string(root().join(golden("shop", "staging"))).unwrap();
    let golden: Value = serde_json::from_str(&text).unwrap();
    let mut metadata = golden["metadata"].clone();
    metadata["annotations"] = json!({ "workers/tag": tag });
    let id = "10000000-0000-4000-8000-000000000000".to_owned();
    Script {
        migration: Some("v1".into()),
        deployments: vec![vec![(id.clone(), 100)]],
        versions: vec![Version { id, metadata, assets: BTreeSet::new() }],
        secrets: BTreeSet::from(["ADMIN_TOKENS".to_owned()]),
        secrets_since: 0,
        subdomain: (true, false),
        settings: Value::Null,
        schedules: Vec::new(),
    }
}

fn golden(worker: &str, environment: &str) -> String {
    format!("tests/fixtures/deployments/{worker}-{environment}.json")
}

/// What wrangler sends for an environment whose Worker is not there yet.
fn sent(bundle: Bundle, worker: &str, environment: &str) -> Value {
    let _built = bundle.built().unwrap();
    let cloud = Cloudflare::start();
    let name = match worker {
        "shop" => format!("seat-booking-{environment}"),
        worker => format!("seat-booking-{worker}-{environment}"),
    };
    let secrets = ["ADMIN_TOKENS", "RESTATE_IDENTITY_KEYS"].map(str::to_owned);
    cloud.state().scripts.insert(name.clone(), Script { secrets: secrets.into(), ..Script::default() });
    let sandbox = format!("seat-booking-sandbox-{environment}");
    let books = format!("seat-booking-operations-{environment}");
    for beside in [sandbox, books] {
        cloud.state().scripts.entry(beside).or_default();
    }
    for queue in ["log", "dead"] {
        cloud.state().queues.insert(format!("seat-booking-{queue}-{environment}"), Vec::new());
    }
    let config = root().join(bundle.package()).join("wrangler.toml");
    let mut command = xtask::wrangler::command_alone(&["deploy", "--env", environment, "--config"]).unwrap();
    let output = command.arg(config).envs(cloud.env()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let state = cloud.state();
    let script = &state.scripts[&name];
    let version = script.versions.last().unwrap();
    let mut metadata = version.metadata.clone();
    metadata.as_object_mut().unwrap().remove("annotations");
    if metadata["assets"].is_object() {
        metadata["assets"]["jwt"] = json!("…");
    }
    json!({
        "name": name,
        "metadata": metadata,
        "files": version.assets,
        "settings": script.settings,
        "workersDev": script.subdomain.0,
        "previewUrls": script.subdomain.1,
        "domains": state.domains,
        "routes": state.routes,
        "queues": state.queues,
        "schedules": script.schedules,
        "asked": state.writes,
    })
}

/// Everything: a binding, a migration, an address, a file too many is a difference. Where it is meant, `BOOKING_GOLDEN=write` writes it down.
#[test]
fn each_environment_is_deployed_exactly_as_it_is_meant_to_be() {
    let all = [
        (Bundle::Shop, "shop", "development"),
        (Bundle::Shop, "shop", "staging"),
        (Bundle::Shop, "shop", "production"),
        (Bundle::Sandbox, "sandbox", "development"),
        (Bundle::Sandbox, "sandbox", "staging"),
        (Bundle::Restate, "restate", "staging"),
        (Bundle::Restate, "restate", "production"),
        (Bundle::Operations, "operations", "development"),
        (Bundle::Operations, "operations", "staging"),
        (Bundle::Operations, "operations", "production"),
    ];
    for (bundle, worker, environment) in all {
        let sent = sent(bundle, worker, environment);
        let path = root().join(golden(worker, environment));
        if std::env::var_os("BOOKING_GOLDEN").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, format!("{sent:#}\n")).unwrap();
        }
        let golden: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(sent, golden, "{worker}, {environment}: it is sent {sent:#}");
    }
}

#[test]
fn a_release_is_what_was_built_and_never_changes() {
    let (cloud, here, there) = (Cloudflare::start(), Folder::new("here"), Folder::new("there"));
    let tool = Tool { cloud: &cloud, folder: &here };
    let release = &variant("1.0.0", |_, _| ());
    let version = release.about.version.as_str();
    tool.keeps(release);
    for bundle in Bundle::DEPLOYED {
        let built = std::fs::read(root().join(bundle.package()).join("build/index_bg.wasm")).unwrap();
        assert_eq!(release.files()[&format!("{}/build/index_bg.wasm", bundle.package())], built);
    }
    assert_eq!(Archive::read(release.bytes()).unwrap(), *release, "the same bytes");

    let publish = ["publish", "--release", version, "--bucket", "releases"];
    assert!(tool.does(&publish).contains("SHA-256"));
    assert_eq!(cloud.state().objects[&format!("releases/seat-booking/{version}.tar")], release.bytes());
    assert!(tool.only_looks(&publish).contains("is the same"));
    // Another machine takes it from there.
    let other = Tool { cloud: &cloud, folder: &there };
    other.refuses(&["publish", "--release", version], &["there is no", "--bucket"]);
    assert!(other.only_looks(&publish).contains("is the same"));
    // Of the same name, and another.
    tool.keeps(&variant(version, |_, files| edit_manifest(files, "LOG_LEVEL", "LOG_LEVEL2")));
    tool.refuses(&publish, &["is another", "a release never changes"]);
    let digest = release::archive::digest(release.bytes());
    assert!(tool.only_looks(&[&publish[..], &["--or-take"]].concat()).contains(&digest), "what is there, and now here");
    tool.only_looks(&[&publish[..], &["--sha256", &digest]].concat());
    tool.refuses(&[&publish[..], &["--sha256", "00"]].concat(), &["has SHA-256"]);
    tool.keeps(&variant("1.0.0-dirty.12345678", |_, _| ()));
    let dirty = ["--release", "1.0.0-dirty.12345678"];
    tool.refuses(&[&["publish", "--bucket", "releases"][..], &dirty].concat(), &["files that no commit has"]);
    tool.refuses(
        &[&["plan", "--env", "production"][..], &dirty].concat(),
        &["STOP    it was built of files that no commit has"],
    );
    // A byte is not what it was.
    let mut bytes = release.bytes().to_owned();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(here.path().join(format!("{version}.tar")), bytes).unwrap();
    tool.refuses(&publish, &["is damaged"]);
}

#[test]
fn a_first_deployment_says_what_it_lacks_and_then_comes_whole() {
    let (cloud, folder) = (Cloudflare::start(), Folder::new("first"));
    let tool = Tool { cloud: &cloud, folder: &folder };
    let release = of_this_tree();
    let version = release.about.version.as_str();
    tool.keeps(release);
    let deploy = |worker: &'static str| ["deploy", worker, "--env", "staging", "--release", version];
    let why = [
        "CHANGE  nothing is deployed here yet",
        "STOP    secret ADMIN_TOKENS is missing: npx wrangler secret put ADMIN_TOKENS",
        "STOP    the Worker seat-booking-sandbox-staging, which it is bound to, is not there",
        "2 things speak against it; nothing was changed",
    ];
    tool.refuses(&deploy("shop"), &why);
    tool.refuses(
        &["plan", "--env", "production", "--release", version],
        &["STOP    PAYMENT_URL is still the example's"],
    );
    tool.refuses(&["deploy", "sandbox", "--env", "production"], &["production has no mock gateway"]);

    tool.does(&deploy("sandbox"));
    // A person's `secret put` makes a Worker of this name that has nothing else.
    let draft = Version { id: "d".into(), metadata: Value::Null, assets: BTreeSet::new() };
    let secrets = BTreeSet::from(["ADMIN_TOKENS".to_owned()]);
    let draft =
        Script { deployments: vec![vec![("d".into(), 100)]], versions: vec![draft], secrets, ..Script::default() };
    cloud.state().scripts.insert(SHOP.into(), draft);
    assert!(tool.does(&deploy("shop")).contains("CHANGE  no release has been deployed here yet"));
    let state = cloud.state();
    let (shop, sandbox) = (&state.scripts[SHOP], &state.scripts[SANDBOX]);
    assert_eq!((shop.answers(), shop.migration.as_deref()), (vec![(version, 100)], Some("v1")));
    assert_eq!((shop.subdomain, sandbox.subdomain), ((true, false), (false, false)));
    drop(state);
    let said = tool.only_looks(&["plan", "--env", "staging", "--release", version]);
    assert!(!said.contains("CHANGE") && said.contains("ok      this release answers already"), "{said}");
    let said = tool.only_looks(&["status", "--env", "staging"]);
    assert!(
        said.contains(&format!("{version} (")) && said.contains("https://seat-booking-staging.tests.workers.dev"),
        "{said}"
    );
}

#[test]
fn a_canary_that_sells_answers_all_and_one_that_does_not_goes_back() {
    let (cloud, folder) = (Cloudflare::start(), Folder::new("canary"));
    let tool = Tool { cloud: &cloud, folder: &folder };
    ["1.0.0", "1.0.1", "1.0.2"].iter().for_each(|version| tool.keeps(&variant(version, |_, _| ())));
    cloud.state().scripts.insert(SHOP.into(), answering("1.0.0"));
    cloud.state().scripts.insert(SANDBOX.into(), Script::default());
    // What answers under its address.
    let server = Server::start_with("serve", &["--payment-delay", "0ms"], &[("BOOKING_ADMIN_TOKEN", ADMIN)]);
    let edge = Edge::start(&cloud, SHOP, &server.base);
    let deploy = |version: &str, url: &str| {
        tool.says(&["deploy", "--env", "staging", "--release", version, "--canary", "60", "--url", url])
    };
    let answers = |tag: &str| assert_eq!(cloud.state().scripts[SHOP].answers(), [(tag, 100)]);

    let (did, said) = deploy("1.0.1", &edge.url);
    assert!(did && said.matches("7 passed, 0 skipped, 0 failed").count() == 2, "it was tried twice: {said}");
    let shares = cloud.state().scripts[SHOP].deployments.clone();
    let shares: Vec<Vec<u64>> = shares.iter().map(|one| one.iter().map(|(_, share)| *share).collect()).collect();
    assert_eq!(shares, [vec![100], vec![60, 40], vec![100]], "{said}");
    answers("1.0.1");

    let goes_back = |url: &str, why: &str| {
        let (did, said) = deploy("1.0.2", url);
        assert!(
            !did && said.contains(why) && said.contains("What answered before answers all requests again"),
            "{said}"
        );
        answers("1.0.1");
    };
    goes_back("http://127.0.0.1:1", "1.0.2 does not pass at 60 %");
    // The shop sells, and does not say that it is the new one.
    goes_back(&server.base, "1.0.2 does not pass at 60 %");
    // The answer to the first share is lost: it may have been done.
    cloud.fails("POST", "/deployments", Fault::Cut);
    goes_back(&edge.url, "`wrangler versions deploy");

    // It is cut short between the two, as if the machine had died: whichever has more, and whichever stands first.
    let versions = cloud.state().scripts[SHOP].versions.clone();
    let id = |tag: &str| versions.iter().rfind(|one| one.tag() == tag).unwrap().id.clone();
    for shares in [[("1.0.2", 60), ("1.0.1", 40)], [("1.0.1", 50), ("1.0.2", 50)]] {
        let shares = shares.map(|(tag, share)| (id(tag), share)).to_vec();
        cloud.state().scripts.get_mut(SHOP).unwrap().deployments.push(shares);
        tool.refuses(&["deploy", "--env", "staging", "--release", "1.0.2"], &["STOP    two versions answer"]);
        tool.does(&["rollback", "--env", "staging"]);
        answers("1.0.1");
    }
    // A secret was changed: that made a version of its own, of the same release. Back is to another one.
    let mut state = cloud.state();
    let shop = state.scripts.get_mut(SHOP).unwrap();
    let mut changed = shop.versions.iter().find(|one| one.id == id("1.0.1")).unwrap().clone();
    changed.id = "20000000-0000-4000-8000-000000000000".into();
    changed.metadata["annotations"] = json!({ "workers/triggered_by": "secret" });
    shop.deployments.push(vec![(changed.id.clone(), 100)]);
    shop.secrets_since = shop.versions.len();
    shop.versions.push(changed);
    drop(state);
    assert!(tool.only_looks(&["status", "--env", "staging"]).contains("1.0.1 (20000000"));
    assert!(tool.does(&["rollback", "--env", "staging"]).contains("1.0.0 answers all requests"));
    answers("1.0.0");
}

#[test]
fn what_a_restate_server_calls_is_deployed_once_and_then_uploaded() {
    let (cloud, folder) = (Cloudflare::start(), Folder::new("restate"));
    let tool = Tool { cloud: &cloud, folder: &folder };
    ["1.0.0", "1.0.1"].iter().for_each(|version| tool.keeps(&variant(version, |_, _| ())));
    let secrets = BTreeSet::from(["RESTATE_IDENTITY_KEYS".to_owned()]);
    cloud.state().scripts.insert("seat-booking-restate-staging".into(), Script { secrets, ..Script::default() });
    cloud.state().scripts.insert(SANDBOX.into(), Script::default());
    let of = |command, version| [command, "restate", "--env", "staging", "--release", version];
    tool.does(&of("deploy", "1.0.0"));
    tool.refuses(&of("deploy", "1.0.1"), &["invocations under way", "release upload restate --env staging"]);
    tool.refuses(&[&of("deploy", "1.0.1")[..], &["--canary", "10"]].concat(), &["only a shop is tried so"]);
    let said = tool.does(&of("upload", "1.0.1"));
    assert!(said.contains("https://00000000-seat-booking-restate-staging.tests.workers.dev"), "{said}");
    let state = cloud.state();
    let restate = &state.scripts["seat-booking-restate-staging"];
    assert_eq!((restate.answers(), restate.versions.len()), (vec![("1.0.0", 100)], 2));
    drop(state);
    tool.refuses(&["rollback", "restate", "--env", "staging"], &["register the address"]);
}

#[test]
fn nothing_goes_back_behind_a_migration_or_a_stored_form() {
    let (cloud, folder) = (Cloudflare::start(), Folder::new("back"));
    let tool = Tool { cloud: &cloud, folder: &folder };
    tool.keeps(&variant("1.0.0", |_, _| ()));
    tool.keeps(&variant("1.0.1", |_, _| ()));
    // It reads what 1.0.1 has stored, and stores something newer.
    tool.keeps(&variant("1.1.0", |about, _| stores_newer_tickets(about)));
    tool.keeps(&variant("1.1.1", |about, _| stores_newer_tickets(about)));
    tool.keeps(&variant("2.0.0", |about, files| {
        stores_newer_tickets(about);
        has_another_class(about, files);
    }));
    cloud.state().scripts.insert(SHOP.into(), answering("1.0.0"));
    cloud.state().scripts.insert(SANDBOX.into(), Script::default());
    let server = Server::start_with("serve", &["--payment-delay", "0ms"], &[("BOOKING_ADMIN_TOKEN", ADMIN)]);
    let edge = Edge::start(&cloud, SHOP, &server.base);
    let canary = |version: &str| {
        tool.does(&["deploy", "--env", "staging", "--release", version, "--canary", "50", "--url", &edge.url])
    };

    // The secrets were changed meanwhile: the version that this made has no tag of its own.
    let mut changed = cloud.state().scripts[SHOP].versions[0].clone();
    changed.id = "20000000-0000-4000-8000-000000000000".into();
    changed.metadata["annotations"] = json!({ "workers/triggered_by": "secret" });
    let mut state = cloud.state();
    let shop = state.scripts.get_mut(SHOP).unwrap();
    shop.deployments.push(vec![(changed.id.clone(), 100)]);
    shop.versions.push(changed);
    drop(state);

    let said = canary("1.1.0");
    assert!(
        said.contains("CHANGE  1.0.0 answers now") && said.contains("no canary: it stores a ticket in form 2"),
        "{said}"
    );
    tool.refuses(
        &["rollback", "--env", "staging", "--to", "1.0.0"],
        &["1.1.0 has stored a ticket in form 2, of which it reads 1 to 1"],
    );
    tool.refuses(&["plan", "--env", "staging", "--release", "1.0.1"], &["STOP    1.1.0 has stored a ticket in form 2"]);

    tool.does(&["deploy", "--env", "staging", "--release", "1.1.1"]);
    tool.does(&["rollback", "--env", "staging", "--to", "1.1.0", "--upload"]);
    assert_eq!(cloud.state().scripts[SHOP].answers(), [("1.1.0", 100)]);
    tool.refuses(&["rollback", "--env", "staging", "--to", "0.9.9"], &["there is no"]);

    let said = canary("2.0.0");
    assert!(said.contains("CHANGE  migration v2") && said.contains("no canary: migration v2"), "{said}");
    assert_eq!(cloud.state().scripts[SHOP].migration.as_deref(), Some("v2"));
    tool.refuses(&["rollback", "--env", "staging"], &["1.1.0 is of before migration v2"]);
    tool.refuses(&["plan", "--env", "staging", "--release", "1.1.0"], &["STOP    what answers has migration v2"]);
}

#[test]
fn domains_and_routes_are_neither_taken_over_nor_lost_without_a_word() {
    let (cloud, folder) = (Cloudflare::start(), Folder::new("domains"));
    let tool = Tool { cloud: &cloud, folder: &folder };
    let with = |version: &str, routes: &str| {
        variant(version, |_, files| {
            edit_manifest(files, "[env.staging]\n", &format!("[env.staging]\nroutes = [{routes}]\n"));
        })
    };
    let (shop, old) = (format!("shop.{ZONE}"), format!("old.{ZONE}"));
    let domain = |name: &str| format!("{{ pattern = \"{name}\", custom_domain = true }}");
    tool.keeps(&with("1.0.0", &domain(&shop)));
    let pattern = format!("{ZONE}/tickets/*");
    tool.keeps(&with("1.0.1", &format!("{}, {{ pattern = \"{pattern}\", zone_name = \"{ZONE}\" }}", domain(&shop))));
    cloud.state().scripts.insert(SHOP.into(), answering("1.0.0"));
    cloud.state().scripts.insert(SANDBOX.into(), Script::default());
    let plan = ["plan", "--env", "staging", "--release", "1.0.0"];
    let deploy = ["deploy", "--env", "staging", "--release", "1.0.0"];

    cloud.state().domains.insert(shop.clone(), "a-blog".into());
    tool.refuses(&deploy, &["STOP    domain shop.tickets.test is of the Worker a-blog: it would be taken over"]);
    cloud.state().domains.clear();
    cloud.state().records.insert(shop.clone());
    tool.refuses(&deploy, &["STOP    domain shop.tickets.test has a DNS record that is not a Worker's"]);
    cloud.state().records.clear();
    cloud.state().domains.insert(old.clone(), SHOP.into());
    tool.refuses(
        &deploy,
        &["STOP    domain old.tickets.test would be detached", "CHANGE  domain shop.tickets.test, new"],
    );
    tool.does(&[&deploy[..], &["--detach", &old]].concat());
    assert_eq!(cloud.state().domains, BTreeMap::from([(shop.clone(), SHOP.to_owned())]));
    tool.only_looks(&plan);

    cloud.state().routes.insert(pattern.clone(), "a-blog".into());
    let with_route = ["deploy", "--env", "staging", "--release", "1.0.1"];
    tool.refuses(&with_route, &["STOP    route tickets.test/tickets/* is of the Worker a-blog"]);
    cloud.state().routes.clear();
    tool.does(&with_route);
    assert_eq!(cloud.state().routes, BTreeMap::from([(pattern.clone(), SHOP.to_owned())]));
    // An older release knows neither the route nor the new domain.
    let (more, found) = (format!("more.{ZONE}"), domain(&shop));
    tool.keeps(&with("1.0.2", &format!("{found}, {}", domain(&more))));
    cloud.state().routes.clear();
    tool.does(&["deploy", "--env", "staging", "--release", "1.0.2"]);
    tool.refuses(
        &["rollback", "--env", "staging", "--to", "1.0.0", "--upload"],
        &["STOP    domain more.tickets.test would be detached"],
    );
    tool.does(&["rollback", "--env", "staging", "--to", "1.0.0", "--upload", "--detach", &more]);
    assert_eq!(cloud.state().domains, BTreeMap::from([(shop.clone(), SHOP.to_owned())]));
    tool.does(&with_route);
    // No flag says that the route may go.
    cloud.state().routes.insert(format!("{ZONE}/more/*"), SHOP.into());
    tool.refuses(&with_route, &["STOP    route tickets.test/more/* would be taken away"]);
    // A variable was set on Cloudflare's pages.
    let live = cloud.state().scripts[SHOP].versions.len() - 1;
    let set = json!({ "type": "plain_text", "name": "NOTIFY_URL", "text": "https://tell.tickets.test" });
    let mut state = cloud.state();
    let bindings = &mut state.scripts.get_mut(SHOP).unwrap().versions[live].metadata["bindings"];
    bindings.as_array_mut().unwrap().push(set);
    drop(state);
    let said = tool.says(&with_route).1;
    assert!(said.contains("CHANGE  NOTIFY_URL: \"https://tell.tickets.test\" is taken away"), "{said}");
}

#[test]
fn a_worker_is_taken_from_its_addresses_and_put_back() {
    let (cloud, folder) = (Cloudflare::start(), Folder::new("off"));
    let tool = Tool { cloud: &cloud, folder: &folder };
    tool.refuses(&["on", "--env", "staging"], &["seat-booking-staging is not there"]);
    cloud.state().scripts.insert(SHOP.into(), answering("1.0.0"));
    cloud.state().domains.insert(format!("shop.{ZONE}"), SHOP.into());
    cloud.state().domains.insert(format!("blog.{ZONE}"), "a-blog".into());
    tool.does(&["off", "--env", "staging"]);
    assert_eq!(cloud.state().domains.keys().collect::<Vec<_>>(), [&format!("blog.{ZONE}")]);
    assert_eq!(cloud.state().scripts[SHOP].subdomain, (false, false));
    assert!(tool.only_looks(&["status", "--env", "staging"]).contains("addresses: none: it is off"));
    tool.only_looks(&["off", "--env", "staging"]);
    // A deployment would put it on.
    ["1.0.0", "1.0.1"].iter().for_each(|version| tool.keeps(&variant(version, |_, _| ())));
    cloud.state().scripts.insert(SANDBOX.into(), Script::default());
    let plan = ["plan", "--env", "staging", "--release", "1.0.1"];
    tool.refuses(&plan, &["STOP    it has no address now", "--on allows that"]);
    tool.only_looks(&[&plan[..], &["--on"]].concat());
    tool.does(&["on", "--env", "staging"]);
    assert_eq!(cloud.state().scripts[SHOP].subdomain, (true, false));
    tool.only_looks(&["on", "--env", "staging"]);
    assert_eq!(cloud.state().scripts[SHOP].answers(), [("1.0.0", 100)], "what answers is as it was");
}

#[test]
fn what_cloudflare_refuses_is_said_in_a_sentence() {
    let (cloud, folder) = (Cloudflare::start(), Folder::new("refused"));
    let tool = Tool { cloud: &cloud, folder: &folder };
    ["1.0.0", "1.0.1"].iter().for_each(|version| tool.keeps(&variant(version, |_, _| ())));
    cloud.state().scripts.insert(SHOP.into(), answering("1.0.0"));
    cloud.state().scripts.insert(SANDBOX.into(), Script::default());
    let plan = ["plan", "--env", "staging", "--release", "1.0.1"];
    let deploy = ["deploy", "--env", "staging", "--release", "1.0.1"];
    let read = |fault, why: &[&str]| {
        cloud.fails("GET", "/workers/scripts", fault);
        drop(tool.refuses(&plan, why));
    };
    let tokens = "docs/CLOUDFLARE.md, Tokens";
    read(
        Fault::Says(403, 10_000, "Authentication error"),
        &["the Workers: this token may not do that", "10000", tokens],
    );
    read(Fault::Says(429, 971, "Please wait"), &["asked too often"]);
    read(Fault::Says(502, 0, "bad gateway"), &["Cloudflare says 502", "Try again"]);
    read(Fault::Cut, &["did not answer"]);

    // The same of what wrangler writes: what answers, answers on.
    for (method, path, fault) in [
        ("POST", "/versions", Fault::Says(403, 10_000, "Authentication error")),
        ("POST", "/versions", Fault::Says(400, 10_211, "a migration is pending")),
        ("POST", "/versions", Fault::Says(409, 100_117, "another deployment was faster")),
        ("POST", "/deployments", Fault::Says(429, 971, "Please wait")),
    ] {
        cloud.fails(method, path, fault);
        let (did, said) = tool.says(&deploy);
        assert!(!did && said.contains("failed: `wrangler deploy") && said.contains("release status"), "{said}");
        assert_eq!(cloud.state().scripts[SHOP].answers(), [("1.0.0", 100)], "{said}");
    }
    // wrangler asks again where the connection ends.
    cloud.fails("POST", "/versions", Fault::Cut);
    tool.does(&deploy);
    assert_eq!(cloud.state().scripts[SHOP].answers(), [("1.0.1", 100)]);
    // Another account has no such Worker, and its token opens nothing here.
    let output = Command::new(binary("release"))
        .args(["status", "--env", "staging"])
        .env("CLOUDFLARE_API_BASE_URL", &cloud.url)
        .envs([("CLOUDFLARE_API_TOKEN", "another"), ("CLOUDFLARE_ACCOUNT_ID", ACCOUNT)])
        .output();
    let output = output.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("this token may not do that"), "{said}");
    cloud.state().token_ends = Some("2026-01-01T00:00:00Z".into());
    assert!(tool.says(&plan).1.contains("NOTE    the token ends on 2026-01-01T00:00:00Z: replace it"));
}

/// A form that a Worker stores and that the list lacks could be gone behind.
#[test]
fn every_stored_form_is_told_to_a_release() {
    /// Those that no Worker keeps: of the in-process host, of the core's own tests, and of hosts that push.
    const ELSEWHERE: [&str; 11] = [
        "delivery",
        "seat map",
        "checkout",
        "ledger",
        "tally",
        "running checkout",
        "journal entry",
        "record",
        "data directory",
        "token",
        "data file",
    ];
    let list = Command::new("git")
        .args(["grep", "-h", "const NAME: &'static str = ", "--", "*.rs"])
        .current_dir(root())
        .output();
    let list = String::from_utf8(list.unwrap().stdout).unwrap();
    let named: BTreeSet<&str> = list
        .lines()
        .filter(|line| line.trim().starts_with("const"))
        .filter_map(|line| line.split('"').nth(1))
        .collect();
    let told = |worker: &str| {
        let forms = &of_this_tree().about.workers[worker].forms;
        forms.iter().map(|form| form.name.as_str()).collect::<BTreeSet<_>>()
    };
    let (shop, restate, operations) = (told("shop"), told("restate"), told("operations"));
    let rows = ["seat map's header", "ticket", "layout", "wish under a hold", "checkout record", "idempotency record"];
    assert_eq!(shop, BTreeSet::from(rows), "what the shop's tables have: map_tables.rs, checkout_object.rs");
    assert!(restate.len() > 5 && restate.contains("operator's word"), "{restate:?}");
    assert_eq!(operations, BTreeSet::from(["line of the operators' log"]), "what waits in the queue");
    let known: BTreeSet<&str> = shop.into_iter().chain(restate).chain(operations).chain(ELSEWHERE).collect();
    let unknown: Vec<_> = named.difference(&known).collect();
    assert!(unknown.is_empty(), "which Worker keeps {unknown:?}?");
}

/// What the shop's objects are sent, by the shop's own types.
#[path = "../host-worker/src/calls.rs"]
mod calls;

/// What releases have sent to objects, oldest first, since when (what is in it is the core's to keep). Where a build sends something else,
/// it gets a file of its own: one that is out never changes.
const SENT: [(&str, &str); 1] = [("0.1.0", include_str!("fixtures/calls/0.1.0.jsonl"))];

#[test]
fn what_every_release_has_sent_to_an_object_is_read() {
    use booking_core::checkout::Order;
    use booking_core::format::{read_json, write_json};
    use booking_core::ids::{PaymentMethodId, TicketId, UserId};
    use booking_core::life::{Digest, Key};
    use booking_core::wire::{MapCall, Operation, SeatMapCall};
    use calls::{Asked, CheckoutCall};

    let text = |json: Vec<u8>| String::from_utf8(json).unwrap();
    let key = || Some(Key { scope: Digest([0x5c; 16]), request: Digest([0x0f; 16]) });
    let order = || {
        let tickets = vec![TicketId::parse("arena:A:1").unwrap()];
        Order::new(tickets, UserId::parse("ann").unwrap(), PaymentMethodId::default_card(), None).unwrap()
    };
    let checkout = |call, key| text(write_json(&Asked { call, key }));
    let sent = [
        text(write_json(&Asked { call: MapCall::Map(SeatMapCall::Summary), key: key() })),
        checkout(CheckoutCall::Process(order()), key()),
        checkout(CheckoutCall::Send(order()), None),
        checkout(CheckoutCall::Status, None),
        checkout(CheckoutCall::Operate(Operation::Notify), None),
    ];
    let (_, golden) = SENT[SENT.len() - 1];
    assert_eq!(sent.to_vec(), golden.lines().collect::<Vec<_>>(), "{}", sent.join("\n"));
    for (release, golden) in SENT {
        for (at, line) in golden.lines().enumerate() {
            let read = if at == 0 {
                read_json::<Asked<MapCall>>(line.as_bytes()).map(|asked| text(write_json(&asked)))
            } else {
                read_json::<Asked<CheckoutCall>>(line.as_bytes()).map(|asked| text(write_json(&asked)))
            };
            assert_eq!(read.as_deref(), Some(line), "{release}");
        }
    }
}
