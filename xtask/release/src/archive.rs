//! A release: what is deployed, as one file that never changes.
//!
//! In it is the tree that wrangler deploys from (of each Worker the bundle and its `wrangler.toml`; the page), so what is deployed is what
//! was built, and `release.json`, which says what that is. The same tree makes the same bytes.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use xtask::run::Outcome;

/// The file of a release that says what it is.
const ABOUT: &str = "release.json";

/// The largest that a file of a release may be, in bytes.
const MOST_BYTES: u64 = 50_000_000;

/// What a release says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
    /// Its name: the version of the workspace, and the commit.
    pub version: String,
    /// The commit, whole.
    pub commit: String,
    /// Which Rust has built it.
    pub toolchain: String,
    /// What there is to know of each Worker, by its name.
    pub workers: BTreeMap<String, Worker>,
    /// The SHA-256 of each file, in hexadecimal, by its path.
    pub files: BTreeMap<String, String>,
}

/// What a release says of a Worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Worker {
    /// The tags of its migrations of classes, in their order.
    pub migrations: Vec<String>,
    /// The forms that it stores.
    pub forms: Vec<Form>,
}

/// A stored form, as `booking_core::format` has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Form {
    /// What it is called.
    pub name: String,
    /// The version that is written.
    pub writes: u32,
    /// The oldest version that is read.
    pub reads_from: u32,
}

impl Worker {
    /// The first form that this one cannot read as the other writes it.
    #[must_use]
    pub fn cannot_read(&self, other: &Self) -> Option<String> {
        other.forms.iter().find_map(|theirs| {
            let Form { name, writes, .. } = theirs;
            match self.forms.iter().find(|ours| ours.name == *name) {
                Some(ours) if (ours.reads_from..=ours.writes).contains(writes) => None,
                Some(ours) => {
                    Some(format!("a {name} in form {writes}, of which it reads {} to {}", ours.reads_from, ours.writes))
                }
                None => Some(format!("a {name}, which it does not know")),
            }
        })
    }
}

/// A release, with its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// What it says of itself.
    pub about: About,
    files: BTreeMap<String, Vec<u8>>,
    bytes: Vec<u8>,
}

impl Archive {
    /// A release of these files, by their paths.
    ///
    /// # Errors
    /// A path that cannot stand in one.
    pub fn of(about: About, files: BTreeMap<String, Vec<u8>>) -> Outcome<Self> {
        let about = About { files: digests(&files), ..about };
        let bytes = packed(&about, &files)?;
        Ok(Self { about, files, bytes })
    }

    /// Its files, by their paths.
    #[must_use]
    pub fn files(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.files
    }

    /// As one file: as it was read, where it was.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads a release, and sees that each file is what it says of it.
    ///
    /// # Errors
    /// It is none, or is damaged.
    pub fn read(bytes: &[u8]) -> Outcome<Self> {
        let damaged = |error: std::io::Error| format!("this is no release, or a damaged one: {error}");
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(bytes).entries().map_err(damaged)? {
            let mut entry = entry.map_err(damaged)?;
            let path = entry.path().map_err(damaged)?.to_string_lossy().into_owned();
            if !Path::new(&path).components().all(|part| matches!(part, Component::Normal(_))) {
                return Err(format!("this is no release: it has a file {path}"));
            }
            let mut text = Vec::new();
            entry.by_ref().take(MOST_BYTES).read_to_end(&mut text).map_err(damaged)?;
            files.insert(path, text);
        }
        let about = files.remove(ABOUT).ok_or(format!("this is no release: it has no {ABOUT}"))?;
        let about: About = serde_json::from_slice(&about).map_err(|error| format!("{ABOUT}: {error}"))?;
        let is = digests(&files);
        match is.keys().chain(about.files.keys()).find(|path| is.get(*path) != about.files.get(*path)) {
            None => Ok(Self { about, files, bytes: bytes.to_owned() }),
            Some(path) => Err(format!("release {} is damaged: {path} is not what {ABOUT} says of it", about.version)),
        }
    }

    /// Writes its files into a folder, which has nothing else afterwards.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn unpack(&self, folder: &Path) -> Outcome {
        let cannot = |error: std::io::Error| format!("{}: {error}", folder.display());
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(cannot)?;
        }
        for (path, bytes) in &self.files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap_or(folder)).map_err(cannot)?;
            fs::write(&path, bytes).map_err(cannot)?;
        }
        Ok(())
    }
}

fn digests(files: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, String> {
    files.iter().map(|(path, bytes)| (path.clone(), digest(bytes))).collect()
}

fn packed(about: &About, files: &BTreeMap<String, Vec<u8>>) -> Outcome<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    let about = serde_json::to_vec_pretty(about).map_err(|error| error.to_string())?;
    for (path, bytes) in std::iter::once((&ABOUT.to_owned(), &about)).chain(files) {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        tar.append_data(&mut header, path, bytes.as_slice()).map_err(|error| format!("{path}: {error}"))?;
    }
    tar.into_inner().map_err(|error| error.to_string())
}

/// The SHA-256 of bytes, in hexadecimal.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
