//! The data directory on a real disk: what comes back from it after crashes, and what becomes of one that is damaged.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use booking_core::dice::Dice;
use booking_log::{Directory, DirectoryError, Entries, Opened, read};

/// A folder of this test's own, gone with this.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("booking-store-{}-{number}", std::process::id()));
        Self(path)
    }

    /// Another folder with the same files, as a crash would leave them.
    fn copy(&self) -> Self {
        self.try_copy().unwrap()
    }

    /// The same, where files may go meanwhile.
    fn try_copy(&self) -> std::io::Result<Self> {
        let copy = Self::new();
        fs::create_dir(&copy.0)?;
        for file in self.files() {
            fs::copy(self.0.join(&file), copy.0.join(&file))?;
        }
        Ok(copy)
    }

    fn files(&self) -> Vec<String> {
        let names = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    fn file(&self, prefix: &str) -> PathBuf {
        let name = self.files().into_iter().rfind(|name| name.starts_with(prefix));
        self.0.join(name.unwrap_or_else(|| panic!("no {prefix} in {:?}", self.files())))
    }

    fn bytes(&self) -> u64 {
        self.files().iter().filter_map(|name| fs::metadata(self.0.join(name)).ok()).map(|about| about.len()).sum()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

/// Large enough that no second log is begun.
const LARGE: u64 = 64 << 20;

/// A value, or that there is none any more.
type Entry = ([u8; 16], Option<String>);

fn entry(key: u8, value: u64) -> Entry {
    ([key; 16], Some(format!("{value} {}", "x".repeat(100))))
}

fn gone(key: u8) -> Entry {
    ([key; 16], None)
}

type Model = BTreeMap<u8, u64>;

/// What entries say, as a model.
fn model_of(mut entries: Entries) -> Result<Model, DirectoryError> {
    let mut model = Model::new();
    while let Some((key, value)) = entries.next_entry()? {
        let value = std::str::from_utf8(value).unwrap().split_once(' ').unwrap().0;
        model.insert(key[0], value.parse().unwrap());
    }
    Ok(model)
}

fn opened(path: &Path, log_bytes: u64) -> Result<(Directory, Model), DirectoryError> {
    let Opened { mut directory, entries, .. } = Directory::open(path, log_bytes)?;
    let model = model_of(entries)?;
    directory.settle().unwrap();
    Ok((directory, model))
}

/// What is in a directory. A process that only reads it finds the same as one that opens it.
fn found(path: &Path) -> Result<Model, DirectoryError> {
    let looked = read(path).and_then(model_of);
    let opened = opened(path, LARGE).map(|(_, model)| model);
    match (&looked, &opened) {
        (Ok(looked), Ok(opened)) => assert_eq!(looked, opened),
        (Err(_), Err(_)) => {}
        other => panic!("one of them is wrong: {other:?}"),
    }
    opened
}

/// Takes a directory away from a process without letting it say goodbye.
fn killed(directory: Directory) {
    std::mem::forget(directory);
}

#[test]
fn what_is_written_is_there_after_an_end_and_after_a_crash() {
    for says_goodbye in [true, false] {
        let scratch = Scratch::new();
        let (mut directory, model) = opened(&scratch.0, LARGE).unwrap();
        assert_eq!(model, Model::new());
        directory.commit([entry(1, 10), entry(2, 20)]).unwrap();
        directory.commit([entry(1, 11), gone(2), entry(3, 30)]).unwrap();
        directory.commit([gone(7)]).unwrap();
        if says_goodbye {
            drop(directory)
        } else {
            killed(directory)
        }
        let copy = scratch.copy();
        let (mut directory, model) = opened(&copy.0, LARGE).unwrap();
        assert_eq!(model, Model::from([(1, 11), (3, 30)]));
        directory.commit([entry(4, 40)]).unwrap();
        drop(directory);
        assert_eq!(found(&copy.0).unwrap(), Model::from([(1, 11), (3, 30), (4, 40)]));
    }
}

#[test]
fn a_commit_that_was_torn_anywhere_is_cut_off_and_those_before_it_stay() {
    let scratch = Scratch::new();
    let (mut directory, _) = opened(&scratch.0, LARGE).unwrap();
    directory.commit([entry(1, 10)]).unwrap();
    let before = fs::metadata(scratch.file("log.")).unwrap().len();
    directory.commit([entry(1, 11), entry(2, 20)]).unwrap();
    killed(directory);
    let whole = fs::read(scratch.file("log.")).unwrap();
    for length in before..=whole.len() as u64 {
        let torn = scratch.copy();
        fs::write(torn.file("log."), &whole[..usize::try_from(length).unwrap()]).unwrap();
        let is_whole = length == whole.len() as u64;
        let opened = Directory::open(&torn.0, LARGE).unwrap();
        assert_eq!(opened.torn, if is_whole { 0 } else { length - before });
        let model = model_of(opened.entries).unwrap();
        assert_eq!(model, if is_whole { Model::from([(1, 11), (2, 20)]) } else { Model::from([(1, 10)]) });
        let mut directory = opened.directory;
        directory.commit([entry(9, 90)]).unwrap();
        killed(directory);
        assert_eq!(model_of(read(&torn.0).unwrap()).unwrap().get(&9), Some(&90), "and it goes on");
    }
}

/// A directory with a base, logs that are sealed, and one that is not; and what is in it.
fn with_everything() -> (Scratch, Model) {
    let scratch = Scratch::new();
    let (mut directory, mut model) = opened(&scratch.0, 600).unwrap();
    for value in 0..400 {
        let key = u8::try_from(value % 23).unwrap();
        directory.commit([entry(key, value), gone(key + 100)]).unwrap();
        model.insert(key, value);
        let kinds = |prefix: &str| scratch.files().iter().filter(|name| name.starts_with(prefix)).count();
        if value > 100 && kinds("base.") == 1 && kinds("log.") >= 3 && kinds("tmp") == 0 {
            break;
        }
    }
    // Without a goodbye: that is how it is found.
    let copy = loop {
        let Ok(copy) = scratch.try_copy() else { continue };
        if !copy.files().iter().any(|name| name.ends_with(".tmp")) {
            break copy;
        }
    };
    drop(directory);
    assert!(copy.files().iter().any(|name| name.starts_with("base.")), "{:?}", copy.files());
    assert!(copy.files().iter().filter(|name| name.starts_with("log.")).count() >= 2, "{:?}", copy.files());
    assert_eq!(found(&copy.copy().0).unwrap(), model);
    (copy, model)
}

#[test]
fn whatever_bit_is_another_it_is_noticed_or_the_last_commit_is_taken_for_torn() {
    let (scratch, model) = with_everything();
    let last = scratch.file("log.");
    let mut dice = Dice::new(3);
    let (mut refused, mut torn) = (0, 0);
    for name in scratch.files().into_iter().filter(|name| name != "lock") {
        let length = usize::try_from(fs::metadata(scratch.0.join(&name)).unwrap().len()).unwrap();
        // Every byte of what is short, some of what is long.
        let places: Vec<usize> =
            if length < 400 { (0..length).collect() } else { (0..200).map(|_| dice.below(length)).collect() };
        for at in places {
            let altered = scratch.copy();
            let path = altered.0.join(&name);
            let mut bytes = fs::read(&path).unwrap();
            bytes[at] ^= 1 << dice.below(8);
            fs::write(&path, &bytes).unwrap();
            match found(&altered.0) {
                Err(
                    DirectoryError::Damaged { .. }
                    | DirectoryError::Format { .. }
                    | DirectoryError::Missing(_)
                    | DirectoryError::Less { .. },
                ) => {
                    refused += 1;
                    assert_eq!(fs::read(&path).unwrap(), bytes, "it is left as it is");
                }
                Err(other) => panic!("{name}, byte {at}: {other}"),
                Ok(seen) => {
                    assert!(path.file_name() == last.file_name(), "{name}, byte {at} was not noticed");
                    let differ = model.iter().filter(|(key, value)| seen.get(key) != Some(value)).count();
                    assert!(differ <= 1 && seen.len() >= model.len() - 1, "{name}, byte {at}");
                    torn += 1;
                }
            }
        }
    }
    assert!(refused > 300, "{refused} refused, {torn} torn");
}

#[test]
fn after_a_goodbye_no_bit_at_all_may_be_another() {
    let (scratch, model) = with_everything();
    assert_eq!(found(&scratch.0).unwrap(), model, "and it was closed after that");
    for prefix in ["log.", "base.", "store.json"] {
        let path = scratch.file(prefix);
        let whole = fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(1 + whole.len() / 600) {
            let altered = scratch.copy();
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(altered.file(prefix), &bytes).unwrap();
            // The number of a version may be another, and is then not known.
            assert!(found(&altered.0).is_err(), "byte {at} of {prefix} was not noticed");
        }
    }
}

#[test]
fn a_file_that_is_missing_is_noticed_and_one_of_another_directory_too() {
    let (scratch, _) = with_everything();
    let (other, _) = with_everything();
    for name in scratch.files().into_iter().filter(|name| name != "lock") {
        let without = scratch.copy();
        fs::remove_file(without.0.join(&name)).unwrap();
        let said = found(&without.0).unwrap_err().to_string();
        assert!(
            said.contains("missing") || said.contains("not sealed") || said.contains("store.json"),
            "{name}: {said}"
        );
        assert!(!without.files().contains(&name), "it is not made anew");
        let from = match name.split_once('.') {
            Some((kind, _)) => other.file(&format!("{kind}.")),
            None => continue,
        };
        let mixed = scratch.copy();
        fs::copy(from, mixed.0.join(&name)).unwrap();
        assert!(found(&mixed.0).is_err(), "{name} of another directory was taken for its own");
    }
    // An older state of the same file is noticed as well: the directory has come further than that file says.
    let (mut directory, _) = opened(&scratch.0, LARGE).unwrap();
    let early = scratch.copy();
    (0..3).for_each(|value| directory.commit([entry(1, value)]).unwrap());
    drop(directory);
    fs::copy(early.file("log."), scratch.file("log.")).unwrap();
    assert!(found(&scratch.0).is_err());
}

#[test]
fn a_directory_of_somebody_elses_is_left_alone() {
    for name in ["notes.txt", "log.x", "log.0", "thesis.tmp"] {
        let scratch = Scratch::new();
        fs::create_dir(&scratch.0).unwrap();
        fs::write(scratch.0.join(name), "mine").unwrap();
        let said = Directory::open(&scratch.0, LARGE).unwrap_err().to_string();
        assert!(said.contains("no data directory"), "{name}: {said}");
        assert_eq!(scratch.files(), [name]);
    }
    // And a file that its owner puts into one of ours stays there.
    let scratch = Scratch::new();
    drop(opened(&scratch.0, LARGE).unwrap());
    fs::write(scratch.0.join("thesis.tmp"), "mine").unwrap();
    let (mut directory, _) = opened(&scratch.0, LARGE).unwrap();
    directory.commit([entry(1, 1)]).unwrap();
    drop(directory);
    assert_eq!(fs::read_to_string(scratch.0.join("thesis.tmp")).unwrap(), "mine");
    let nothing = Scratch::new();
    assert!(matches!(read(&nothing.0), Err(DirectoryError::Nothing(_))));
    fs::create_dir(&nothing.0).unwrap();
    assert!(matches!(read(&nothing.0), Err(DirectoryError::Nothing(_))));
    assert_eq!(nothing.files(), Vec::<String>::new(), "whoever reads makes nothing");
}

#[test]
fn a_directory_of_a_newer_build_is_not_guessed_at() {
    let scratch = Scratch::new();
    drop(opened(&scratch.0, LARGE).unwrap());
    let marker = scratch.0.join("store.json");
    let text = fs::read_to_string(&marker).unwrap();
    fs::write(&marker, text.replace("{\"v\":1", "{\"v\":2")).unwrap();
    let said = found(&scratch.0).unwrap_err().to_string();
    assert!(said.contains("store.json") && said.contains("use a newer build"), "{said}");
}

#[test]
fn a_directory_has_one_owner_at_a_time() {
    let scratch = Scratch::new();
    let (directory, _) = opened(&scratch.0, LARGE).unwrap();
    assert!(matches!(Directory::open(&scratch.0, LARGE), Err(DirectoryError::InUse(_))));
    assert!(read(&scratch.0).is_ok(), "who only reads may");
    drop(directory);
    assert!(Directory::open(&scratch.0, LARGE).is_ok());
}

#[test]
fn a_crash_while_a_directory_is_made_leaves_one_that_can_be_made() {
    let scratch = Scratch::new();
    drop(opened(&scratch.0, LARGE).unwrap());
    let log = scratch.file("log.").file_name().unwrap().to_owned();
    for (kept, length) in
        [(vec![], 0), (vec!["lock".into()], 0), (vec!["lock".into(), log.clone()], 0), (vec![log], 20)]
    {
        let begun = scratch.copy();
        for name in begun.files() {
            if kept.contains(&name.clone().into()) {
                let file = fs::OpenOptions::new().write(true).open(begun.0.join(&name)).unwrap();
                file.set_len(length).unwrap();
            } else {
                fs::remove_file(begun.0.join(&name)).unwrap();
            }
        }
        fs::write(begun.0.join("store.json.tmp"), "{\"v\"").unwrap();
        let (mut directory, model) = opened(&begun.0, LARGE).unwrap();
        assert_eq!(model, Model::new());
        directory.commit([entry(1, 1)]).unwrap();
        drop(directory);
        assert_eq!(found(&begun.0).unwrap(), Model::from([(1, 1)]));
    }
}

#[test]
fn a_crash_anywhere_between_two_logs_and_a_base_loses_nothing() {
    let (mut between, mut leftovers) = (0, 0);
    let scratch = Scratch::new();
    let (mut directory, mut model) = opened(&scratch.0, 900).unwrap();
    let mut dice = Dice::new(5);
    for value in 0..600 {
        let key = u8::try_from(dice.below(40)).unwrap();
        if dice.chance(20) {
            directory.commit([gone(key)]).unwrap();
            model.remove(&key);
        } else {
            directory.commit([entry(key, value)]).unwrap();
            model.insert(key, value);
        }
        // As it is found when the machine stops here. Files that are being made or go meanwhile are there, or are not.
        let Ok(copy) = scratch.try_copy() else { continue };
        let files = copy.files();
        between += 1;
        leftovers += usize::from(files.iter().any(|name| name.ends_with(".tmp")));
        assert_eq!(model_of(Directory::open(&copy.0, 900).unwrap().entries).unwrap(), model, "{value}: {files:?}");
        // A base that has its name, and all that it was made of still there.
        if value % 50 == 0 {
            assert_eq!(found(&copy.0).unwrap(), model);
        }
    }
    drop(directory);
    assert!(between > 300, "{between} crashes, {leftovers} of them while a base was made");
    assert_eq!(found(&scratch.0).unwrap(), model);
}

#[test]
fn what_a_base_has_made_superfluous_goes_also_where_a_crash_has_left_it() {
    let scratch = Scratch::new();
    let (mut directory, mut model) = opened(&scratch.0, 700).unwrap();
    let mut old: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for value in 0..300 {
        let key = u8::try_from(value % 7).unwrap();
        directory.commit([entry(key, value)]).unwrap();
        model.insert(key, value);
        for name in scratch.files().into_iter().filter(|name| name.starts_with("log.") || name.starts_with("base.")) {
            if let Ok(bytes) = fs::read(scratch.0.join(&name)) {
                old.insert(name, bytes);
            }
        }
    }
    drop(directory);
    let now = scratch.files();
    old.retain(|name, _| !now.contains(name));
    assert!(old.len() > 3, "{old:?}");
    for (name, bytes) in &old {
        fs::write(scratch.0.join(name), bytes).unwrap();
    }
    fs::write(scratch.0.join("base.00000000000000009999.tmp"), "half").unwrap();
    assert_eq!(found(&scratch.0).unwrap(), model);
    assert_eq!(scratch.files().len(), now.len(), "{:?}", scratch.files());
}

#[test]
fn without_its_marker_a_directory_is_not_taken_for_a_new_one() {
    let scratch = Scratch::new();
    let (mut directory, _) = opened(&scratch.0, LARGE).unwrap();
    (0..20).for_each(|value| directory.commit([entry(1, value)]).unwrap());
    drop(directory);
    fs::remove_file(scratch.0.join("store.json")).unwrap();
    let before = fs::read(scratch.file("log.")).unwrap();
    let said = found(&scratch.0).unwrap_err().to_string();
    assert!(said.contains("store.json is missing"), "{said}");
    assert_eq!(fs::read(scratch.file("log.")).unwrap(), before);
}

#[test]
fn an_end_that_lost_some_of_it_is_noticed_after_a_goodbye() {
    let scratch = Scratch::new();
    let (mut directory, _) = opened(&scratch.0, LARGE).unwrap();
    let mut ends = Vec::new();
    for value in 0..9 {
        directory.commit([entry(1, value)]).unwrap();
        ends.push(fs::metadata(scratch.file("log.")).unwrap().len());
    }
    drop(directory);
    let whole = fs::read(scratch.file("log.")).unwrap();
    for end in &ends[..8] {
        let less = scratch.copy();
        fs::write(less.file("log."), &whole[..usize::try_from(*end).unwrap()]).unwrap();
        let said = found(&less.0).unwrap_err().to_string();
        assert!(said.contains("had commit 9 in it"), "{said}");
    }
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_what_is_in_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let scratch = Scratch::new();
    let (mut directory, _) = opened(&scratch.0, 300).unwrap();
    (0..20).for_each(|value| directory.commit([entry(1, value)]).unwrap());
    drop(directory);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&scratch.0), 0o700);
    for name in scratch.files() {
        assert_eq!(mode(&scratch.0.join(&name)), 0o600, "{name}");
    }
}

#[test]
fn however_much_is_written_what_is_on_the_disk_is_bounded_by_what_is_kept() {
    const LOG: u64 = 16 << 10;
    let scratch = Scratch::new();
    let (mut directory, _) = opened(&scratch.0, LOG).unwrap();
    let mut most = 0;
    for value in 0..6_000 {
        directory.commit([entry(u8::try_from(value % 200).unwrap(), value)]).unwrap();
        if value % 20 == 0 {
            // What is being made into a base is read meanwhile, and goes then.
            most = most.max(scratch.bytes());
        }
    }
    let live = 200 * 160;
    assert!(most < 8 * (live + LOG), "{most} bytes at most");
    drop(directory);
    assert_eq!(found(&scratch.0).unwrap().len(), 200);
}

#[test]
fn whoever_reads_while_it_is_written_to_sees_it_as_it_was_after_some_commit() {
    let scratch = Scratch::new();
    let (mut directory, _) = opened(&scratch.0, 8 << 10).unwrap();
    directory.commit([entry(0, 0), entry(1, 0)]).unwrap();
    std::thread::scope(|scope| {
        let writes = scope.spawn(|| {
            for value in 1..4_000 {
                directory
                    .commit([entry(0, value), entry(1, value), entry(u8::try_from(2 + value % 90).unwrap(), value)])
                    .unwrap();
            }
        });
        let (mut looks, mut last) = (0, 0);
        while !writes.is_finished() {
            let model = model_of(read(&scratch.0).unwrap()).unwrap();
            assert_eq!(model[&0], model[&1], "all of a commit, or nothing of it");
            assert!(model[&0] >= last, "and never what is older than what was seen");
            last = model[&0];
            looks += 1;
        }
        assert!(looks > 5, "{looks} looks");
    });
}
