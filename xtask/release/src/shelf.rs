//! Where releases are kept: a folder of this machine, and a bucket of R2's, from which other machines take them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use release::archive::{About, Archive, Form, Worker, digest};
use release::manifest::Manifest;
use xtask::run::{Outcome, cargo, output, program, root, say};
use xtask::worker::{Bundle, Panics, best, build};

use crate::account::Account;
use crate::built;

/// The folder of the bucket.
const PREFIX: &str = "seat-booking";

/// In the name of a release of files that no commit has, before a digest of how they differ.
pub(crate) const DIRTY: &str = "-dirty.";

/// A release as wrangler takes it; gone when this is dropped.
pub(crate) struct Unpacked {
    folder: PathBuf,
    /// The path of its `wrangler.toml`.
    pub(crate) config: String,
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        let _is_only_in_the_way = fs::remove_dir_all(&self.folder);
    }
}

/// Where releases are.
#[derive(Args, Clone)]
pub(crate) struct Shelf {
    /// The folder that releases are kept in [default: target/releases]
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// A bucket of R2's that releases are taken from where the folder lacks them
    #[arg(long, env = "RELEASES_BUCKET")]
    pub(crate) bucket: Option<String>,
}

impl Shelf {
    fn dir(&self) -> PathBuf {
        self.dir.clone().unwrap_or_else(|| root().join("target/releases"))
    }

    /// The file of a release in the folder.
    pub(crate) fn path(&self, version: &str) -> PathBuf {
        self.dir().join(format!("{version}.tar"))
    }

    /// A release unpacked, for wrangler, and for a Worker: into a folder that is this process's own.
    pub(crate) fn unpacked(&self, release: &Archive, bundle: Bundle) -> Outcome<Unpacked> {
        let folder = self.dir().join(format!("{}.{}", release.about.version, std::process::id()));
        release.unpack(&folder)?;
        let config = folder.join(bundle.package()).join("wrangler.toml");
        let config = config.to_str().ok_or("the folder's path is no text")?.to_owned();
        Ok(Unpacked { folder, config })
    }

    /// A release of this name, from the folder or the bucket; nothing where neither has it.
    ///
    /// # Errors
    /// It is damaged, or is another one.
    pub(crate) fn find(&self, version: &str, account: Option<&Account>) -> Outcome<Option<Archive>> {
        let path = self.path(version);
        let (bytes, from) = match (fs::read(&path), &self.bucket, account) {
            (Ok(bytes), ..) => (bytes, path.display().to_string()),
            (Err(_), Some(bucket), Some(account)) => match account.object(bucket, &key(version))? {
                Some(bytes) => (bytes, format!("{bucket}/{}", key(version))),
                None => return Ok(None),
            },
            (Err(_), ..) => return Ok(None),
        };
        let found = Archive::read(&bytes).map_err(|why| format!("{from}: {why}"))?;
        if found.about.version == version { Ok(Some(found)) } else { Err(format!("{from} is {}", found.about.version)) }
    }

    /// A release that has to be there.
    pub(crate) fn get(&self, version: &str, account: Option<&Account>) -> Outcome<Archive> {
        let nowhere = || {
            let hint = if self.bucket.is_some() { "" } else { "; with --bucket it is looked for there as well" };
            format!("there is no {}{hint}", self.path(version).display())
        };
        self.find(version, account)?.ok_or_else(nowhere)
    }

    /// The release of what is checked out: built, where neither folder nor bucket has it.
    pub(crate) fn of_tree(&self, stable: bool, account: Option<&Account>) -> Outcome<Archive> {
        let stable = stable || best() == Panics::Abort;
        let (version, commit) = version_of_tree(stable)?;
        match self.find(&version, account)? {
            Some(found) => Ok(found),
            None => self.build(version, commit, stable),
        }
    }

    fn build(&self, version: String, commit: String, stable: bool) -> Outcome<Archive> {
        for bundle in Bundle::DEPLOYED {
            say(&format!("building {}", bundle.package()));
            if stable {
                build(bundle, Panics::Abort)?
            } else {
                bundle.built()?
            };
        }
        let compiler = if stable { &["--version"][..] } else { &["+nightly", "--version"] };
        let release = of_folder(
            &root(),
            About {
                version,
                commit,
                toolchain: output(&mut program("rustc", compiler))?.trim().to_owned(),
                workers: BTreeMap::new(),
                files: BTreeMap::new(),
            },
        )?;
        self.keep(&release.about.version, release.bytes())?;
        Ok(release)
    }

    fn keep(&self, version: &str, bytes: &[u8]) -> Outcome {
        let path = self.path(version);
        let cannot = |error: std::io::Error| format!("{}: {error}", path.display());
        fs::create_dir_all(self.dir()).map_err(cannot)?;
        // Half a release must never be there.
        let half = self.dir().join(format!("{version}.{}.half", std::process::id()));
        fs::write(&half, bytes).map_err(cannot)?;
        fs::rename(&half, &path).map_err(cannot)
    }

    /// Puts a release into the bucket, where it never changes. Returns the one that the bucket has afterwards.
    pub(crate) fn publish(&self, release: &Archive, account: &Account, or_take: bool) -> Outcome<Archive> {
        if release.about.version.contains(DIRTY) {
            return Err("it was built of files that no commit has: commit them first".to_owned());
        }
        let bucket = self.bucket.as_deref().ok_or("--bucket names the bucket of R2's that releases are kept in")?;
        let (key, bytes) = (key(&release.about.version), release.bytes());
        let there = || account.object(bucket, &key);
        match there()? {
            Some(same) if same == bytes => {
                say(&format!("{bucket}/{key} is there already, and is the same"));
                return Ok(release.clone());
            }
            // Another machine has built the same commit, with another compiler.
            Some(other) if or_take => {
                let found = Archive::read(&other)?;
                self.keep(&found.about.version, &other)?;
                say(&format!("{bucket}/{key} is there already, and is taken instead"));
                return Ok(found);
            }
            Some(other) => {
                return Err(format!(
                    "{bucket}/{key} is there already, and is another (SHA-256 {}, and this one {}): a release never changes. \
                     --or-take takes that one",
                    digest(&other),
                    digest(bytes)
                ));
            }
            None => {}
        }
        let file = self.dir().join(format!("{}.{}.upload", release.about.version, std::process::id()));
        fs::create_dir_all(self.dir()).map_err(|error| format!("{}: {error}", self.dir().display()))?;
        fs::write(&file, bytes).map_err(|error| format!("{}: {error}", file.display()))?;
        let path = file.to_str().ok_or("the folder's path is no text")?;
        let put = account.run(&["r2", "object", "put", &format!("{bucket}/{key}"), "--file", path, "--remote"]);
        let _is_there_no_more = fs::remove_file(&file);
        put?;
        if there()?.is_some_and(|there| there == bytes) {
            say(&format!("{bucket}/{key} is there"));
            Ok(release.clone())
        } else {
            Err(format!("{bucket}/{key} was put there, and is not what was put: publish it again"))
        }
    }
}

fn key(version: &str) -> String {
    format!("{PREFIX}/{version}.tar")
}

/// What the release of this tree is called, and its commit: `0.1.0-1a2b3c4`. Where files differ from the commit, `-dirty.` and a digest of
/// how they do stand behind it; `-stable` where stable Rust has built it.
fn version_of_tree(stable: bool) -> Outcome<(String, String)> {
    let git = |args: &[&str]| output(&mut program("git", args));
    let commit = git(&["rev-parse", "HEAD"])?.trim().to_owned();
    let mut version = format!("{}-{}", env!("CARGO_PKG_VERSION"), &commit[..7]);
    let new = git(&["ls-files", "--others", "--exclude-standard"])?;
    let mut changed = git(&["diff", "HEAD", "--binary"])?.into_bytes();
    for path in new.lines() {
        changed.extend(path.as_bytes());
        changed.extend(fs::read(root().join(path)).unwrap_or_default());
    }
    if stable {
        version.push_str("-stable");
    }
    if !changed.is_empty() {
        version.push_str(&format!("{DIRTY}{}", &digest(&changed)[..8]));
    }
    Ok((version, commit))
}

/// The name of a Worker, as commands and releases have it.
pub(crate) fn name_of(bundle: Bundle) -> &'static str {
    match bundle {
        Bundle::Shop | Bundle::ShopWithFaults => "shop",
        Bundle::Restate | Bundle::RestateWithFaults => "restate",
        Bundle::Sandbox => "sandbox",
        Bundle::Operations => "operations",
    }
}

/// A release of what a checkout has built.
fn of_folder(root: &Path, about: About) -> Outcome<Archive> {
    let mut files = BTreeMap::new();
    let mut add = |folder: &str, wanted: fn(&str) -> bool| -> Outcome {
        let from = root.join(folder);
        let cannot = |error: std::io::Error| format!("{}: {error}", from.display());
        for entry in fs::read_dir(&from).map_err(cannot)? {
            let path = entry.map_err(cannot)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            if path.is_file() && wanted(&name) {
                files.insert(format!("{folder}/{name}"), fs::read(&path).map_err(cannot)?);
            }
        }
        Ok(())
    };
    for bundle in Bundle::DEPLOYED {
        add(bundle.package(), |name| name == "wrangler.toml")?;
        add(&format!("{}/build", bundle.package()), |name| name.ends_with(".js") || name.ends_with(".wasm"))?;
    }
    add("web", |_| true)?;
    let print = ["run", "--locked", "--quiet", "--package", "booking-restate", "--example", "stored_forms"];
    let forms = output(&mut built("examples/stored_forms").map_or_else(|| cargo(&print), Command::new))?;
    let mut forms: BTreeMap<String, Vec<Form>> = serde_json::from_str(&forms).map_err(|error| error.to_string())?;
    let mut workers = BTreeMap::new();
    for bundle in Bundle::DEPLOYED {
        let manifest = manifest(&files, bundle)?;
        let forms = forms.remove(name_of(bundle)).unwrap_or_default();
        workers.insert(name_of(bundle).to_owned(), Worker { migrations: manifest.migrations(), forms });
    }
    Archive::of(About { workers, ..about }, files)
}

/// The `wrangler.toml` of a Worker in a release.
pub(crate) fn manifest(files: &BTreeMap<String, Vec<u8>>, bundle: Bundle) -> Outcome<Manifest> {
    let path = format!("{}/wrangler.toml", bundle.package());
    let text = files.get(&path).ok_or_else(|| format!("this release has no {path}"))?;
    Manifest::parse(&String::from_utf8_lossy(text)).map_err(|why| format!("{}: {why}", bundle.package()))
}
