//! The data directory on a disk whose power goes between any two things that are asked of it, or that says no to any one
//! of them.
//!
//! What was not synced is there after that, or is not, or in parts, each name and each file for itself.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use booking_core::dice::Dice;

use crate::directory::{Directory, Opened};
use crate::disk::{Disk, Output};
use crate::files::DirectoryError;
use crate::is_for_want_of_room;

/// A disk.
#[derive(Clone, Debug, Default)]
struct Sim(Arc<Mutex<State>>);

#[derive(Clone, Debug, Default)]
struct State {
    names: BTreeMap<String, usize>,
    /// What names stand for, for good.
    synced_names: BTreeMap<String, usize>,
    /// What was done to names since.
    unsynced: Vec<(String, Option<usize>)>,
    files: Vec<Bytes>,
    /// How many things were asked of it.
    asked: usize,
    /// What it says to which of them, and to how many.
    says_no: Vec<(usize, usize, io::ErrorKind)>,
    /// Whether it has done by then what it was asked.
    done_all_the_same: bool,
    /// How many syncs there were.
    syncs: usize,
}

#[derive(Clone, Debug, Default)]
struct Bytes {
    is: Vec<u8>,
    /// What is there for good.
    synced: Vec<u8>,
}

/// What the disk answers its caller once the power is gone.
const POWER: io::ErrorKind = io::ErrorKind::BrokenPipe;

impl State {
    /// What it says before it does something, and what after that.
    fn asks(&mut self) -> io::Result<io::Result<()>> {
        self.asked += 1;
        let is_now =
            |(from, count, _): &&(usize, usize, _)| (*from..from.saturating_add(*count)).contains(&(self.asked - 1));
        match self.says_no.iter().find(is_now) {
            Some((_, _, kind)) if self.done_all_the_same => Ok(Err((*kind).into())),
            Some((_, _, kind)) => Err((*kind).into()),
            None => Ok(Ok(())),
        }
    }

    fn name(&mut self, name: &str, file: Option<usize>) {
        match file {
            Some(file) => drop(self.names.insert(name.to_owned(), file)),
            None => drop(self.names.remove(name)),
        }
        self.unsynced.push((name.to_owned(), file));
    }

    fn find(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Sim {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// As another process finds it, whose predecessor was killed: everything is there, synced or not.
    fn after_a_kill(&self) -> Self {
        let state = State { asked: 0, says_no: Vec::new(), ..self.state().clone() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// As it is found when the power comes back.
    fn after_a_loss_of_power(&self, dice: &mut Dice) -> Self {
        let before = self.state().clone();
        let mut names = before.synced_names.clone();
        // In order up to somewhere, or any of them.
        let (in_order, upto) = (dice.chance(50), dice.below(before.unsynced.len() + 1));
        for (index, (name, file)) in before.unsynced.iter().enumerate() {
            if if in_order { index < upto } else { dice.chance(50) } {
                match file {
                    Some(file) => drop(names.insert(name.clone(), *file)),
                    None => drop(names.remove(name)),
                }
            }
        }
        let files = before.files.iter().map(|file| file.after_a_loss_of_power(dice)).collect();
        let state = State { names: names.clone(), synced_names: names, files, ..State::default() };
        Self(Arc::new(Mutex::new(state)))
    }
}

impl Bytes {
    fn after_a_loss_of_power(&self, dice: &mut Dice) -> Self {
        let common = self.is.iter().zip(&self.synced).take_while(|(one, other)| one == other).count();
        let mut found = match dice.below(4) {
            0 => self.synced.clone(),
            1 => self.is.clone(),
            // Some of what was added, from its beginning.
            2 => self.is[..common + dice.below(self.is.len() - common + 1)].to_vec(),
            // All of its length, and some of what was added.
            _ => {
                let mut holes = self.is.clone();
                for part in holes[common..].chunks_mut(16) {
                    if dice.chance(40) {
                        part.fill(0);
                    }
                }
                holes
            }
        };
        if found.len() < self.synced.len() && self.is.len() >= self.synced.len() {
            found.clone_from(&self.synced);
        }
        Self { is: found.clone(), synced: found }
    }
}

/// A file of it, open.
#[derive(Debug)]
struct Open {
    disk: Sim,
    file: usize,
}

impl Output for Open {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        let said = state.asks();
        // Where it says no, some of it is there already.
        let part = if said.is_err() { bytes.len() / 2 } else { bytes.len() };
        state.files[self.file].is.extend_from_slice(&bytes[..part]);
        said?
    }
    fn cut(&mut self, length: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let said = state.asks()?;
        state.files[self.file].is.truncate(usize::try_from(length).unwrap());
        said
    }
    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        let said = state.asks()?;
        state.syncs += 1;
        let file = &mut state.files[self.file];
        file.synced.clone_from(&file.is);
        said
    }
}

impl Disk for Sim {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut state = self.state();
        state.asks()??;
        Ok(state.names.keys().cloned().collect())
    }
    fn length(&self, name: &str) -> io::Result<u64> {
        let mut state = self.state();
        state.asks()??;
        Ok(state.files[state.find(name)?].is.len() as u64)
    }
    fn read(&self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        let mut state = self.state();
        state.asks()??;
        Ok(Box::new(io::Cursor::new(state.files[state.find(name)?].is.clone())))
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn Output>> {
        let mut state = self.state();
        let said = state.asks()?;
        let file = match state.names.get(name) {
            // The same file, emptied.
            Some(file) => *file,
            None => {
                state.files.push(Bytes::default());
                state.files.len() - 1
            }
        };
        state.files[file].is.clear();
        state.name(name, Some(file));
        said.map(|()| Box::new(Open { disk: self.clone(), file }) as Box<dyn Output>)
    }
    fn append_to(&self, name: &str) -> io::Result<Box<dyn Output>> {
        let mut state = self.state();
        state.asks()??;
        let file = state.find(name)?;
        Ok(Box::new(Open { disk: self.clone(), file }))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        let said = state.asks()?;
        let file = state.find(from)?;
        state.name(from, None);
        state.name(to, Some(file));
        said
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        let said = state.asks()?;
        state.find(name)?;
        state.name(name, None);
        said
    }
    fn sync(&self) -> io::Result<()> {
        let mut state = self.state();
        let said = state.asks()?;
        state.syncs += 1;
        state.synced_names = state.names.clone();
        state.unsynced.clear();
        said
    }
    fn sync_own_name(&self) -> io::Result<()> {
        self.state().asks()?
    }
    fn path(&self) -> PathBuf {
        PathBuf::from("disk")
    }
}

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// A value under a key, or that there is none any more.
type Entry = (Vec<u8>, Option<Vec<u8>>);

fn entries(dice: &mut Dice, value: u64) -> Vec<Entry> {
    let one = |dice: &mut Dice| {
        let key = format!("key {}", dice.below(9)).into_bytes();
        let value = (!dice.chance(25)).then(|| format!("{value}{}", "x".repeat(100 + dice.below(60))).into_bytes());
        (key, value)
    };
    (0..1 + dice.below(3)).map(|_| one(dice)).collect()
}

fn take(model: &mut Model, entries: &[Entry]) {
    for (key, value) in entries.iter().cloned() {
        match value {
            Some(value) => drop(model.insert(key, value)),
            None => drop(model.remove(&key)),
        }
    }
}

/// Opens it, and reads all of it.
fn opened(disk: &Sim) -> Result<(Directory, Model), DirectoryError> {
    // Small logs, so that one follows another all the time.
    let Opened { mut directory, entries: mut found, .. } = Directory::open_on(Arc::new(disk.clone()), 500, None, true)?;
    let mut model = Model::new();
    while let Some((key, value)) = found.next_entry()? {
        model.insert(key.to_owned(), value.to_owned());
    }
    directory.settle().map_err(DirectoryError::io(disk, ""))?;
    Ok((directory, model))
}

/// What is known of a run.
#[derive(Debug, Default)]
struct Known {
    /// What was acknowledged.
    told: Model,
    /// The same, with each commit that was tried since.
    maybe: Vec<Model>,
    commits: u64,
}

impl Known {
    /// Whether a directory has in it what it must have.
    fn allows(&self, model: &Model) -> bool {
        *model == self.told || self.maybe.contains(model)
    }
}

/// Writes to it until there is enough, or the disk says no for good. What it says for want of room is tried again.
fn write(disk: &Sim, dice: &mut Dice, known: &mut Known, commits: u64) -> io::Result<()> {
    let (mut directory, model) = opened(disk).map_err(io::Error::other)?;
    assert!(known.allows(&model), "{model:?} is there, and it is {known:?}");
    (known.told, known.maybe) = (model, Vec::new());
    let mut queue: Vec<Entry> = Vec::new();
    while known.commits < commits {
        known.commits += 1;
        queue.extend(entries(dice, known.commits));
        let mut then = known.told.clone();
        take(&mut then, &queue);
        known.maybe.push(then.clone());
        match directory.commit(queue.clone()) {
            Ok(()) => {
                (known.told, known.maybe) = (then, Vec::new());
                queue.clear();
            }
            // Tried again, with more.
            Err(error) if is_for_want_of_room(&error) => {}
            Err(error) => return Err(error),
        }
    }
    // What is still in the queue was never acknowledged.
    Ok(())
}

/// How many things a whole run asks of a disk.
fn asked(seed: u64, commits: u64) -> usize {
    let disk = Sim::default();
    write(&disk, &mut Dice::new(seed), &mut Known::default(), commits).unwrap();
    let State { asked, names, .. } = disk.state().clone();
    let files = names.len();
    assert!(asked > 200 && files < 8, "{asked} things, {files} files");
    asked
}

#[test]
fn whenever_the_power_goes_everything_that_was_told_is_there() {
    let (mut dice, mut runs) = (Dice::new(1), 0);
    for crash in 0..asked(7, 40) {
        for round in 0..6 {
            let (disk, mut known) = (Sim::default(), Known::default());
            disk.state().says_no = vec![(crash, usize::MAX, POWER)];
            let _stopped = write(&disk, &mut Dice::new(7), &mut known, 40);
            // Killed, or without power, or both one after the other; and again as soon as the directory was opened.
            let mut found = disk.after_a_kill();
            for again in 0..3 {
                found = if (round + again) % 2 == 0 {
                    found.after_a_kill()
                } else {
                    found.after_a_loss_of_power(&mut dice)
                };
                let (directory, model) =
                    opened(&found).unwrap_or_else(|why| panic!("crash at {crash}, {round}: {why}"));
                assert!(
                    known.allows(&model),
                    "crash at {crash}, round {round}: {model:?} is there, and it is {known:?}"
                );
                // What opening has returned was told: it has to stay.
                (known.told, known.maybe) = (model, Vec::new());
                std::mem::forget(directory);
                runs += 1;
            }
            // And writing continues.
            write(&found, &mut Dice::new(9), &mut known, 55).unwrap();
            let (_directory, model) = opened(&found.after_a_loss_of_power(&mut dice)).unwrap();
            assert!(known.allows(&model), "crash at {crash}, round {round}, and 15 commits");
        }
    }
    assert!(runs > 3_000, "{runs} starts");
}

#[test]
fn whatever_the_disk_says_no_to_nothing_that_was_told_is_lost() {
    let (mut dice, mut starts) = (Dice::new(2), 0);
    for (kind, done_all_the_same) in [
        (io::ErrorKind::StorageFull, false),
        (io::ErrorKind::StorageFull, true),
        (io::ErrorKind::Other, false),
        (io::ErrorKind::Other, true),
    ] {
        for from in 0..asked(7, 40) {
            for count in [1, 2, 7] {
                let (disk, mut known) = (Sim::default(), Known::default());
                *disk.state() = State { says_no: vec![(from, count, kind)], done_all_the_same, ..State::default() };
                let ended = write(&disk, &mut Dice::new(7), &mut known, 40);
                let is_room = kind == io::ErrorKind::StorageFull;
                let case = format!("{kind} at {from}, {count} times, {done_all_the_same}");
                assert!(
                    ended.is_ok() || !is_room || known.commits == 0,
                    "it goes on when there is room: {ended:?}, {case}"
                );
                for found in [disk.after_a_kill(), disk.after_a_loss_of_power(&mut dice)] {
                    let (mut directory, model) = opened(&found).unwrap_or_else(|why| panic!("{case}: {why}"));
                    assert!(known.allows(&model), "{case}: {model:?} is there, and it is {known:?}");
                    (0..9).for_each(|n| directory.commit(entries(&mut dice, 1_000 + n)).unwrap());
                    drop(directory);
                    assert!(found.state().names.len() < 8, "{case}: {:?}", found.state().names);
                    starts += 1;
                }
            }
        }
    }
    assert!(starts > 5_000, "{starts} starts");
}

#[test]
fn no_room_and_then_no_power_loses_nothing_that_was_told() {
    let (mut dice, full) = (Dice::new(3), io::ErrorKind::StorageFull);
    for from in 0..asked(11, 30) {
        for later in [1, 2, 3, 5, 8, 13, 30] {
            let (disk, mut known) = (Sim::default(), Known::default());
            disk.state().says_no = vec![(from, 2, full), (from + 2 + later, usize::MAX, POWER)];
            let _stopped = write(&disk, &mut Dice::new(11), &mut known, 30);
            let found = disk.after_a_loss_of_power(&mut dice);
            let case = format!("no room at {from}, no power {later} later");
            let (directory, model) = opened(&found).unwrap_or_else(|why| panic!("{case}: {why}"));
            assert!(known.allows(&model), "{case}: {model:?} is there, and it is {known:?}");
            std::mem::forget(directory);
        }
    }
}

#[test]
fn after_an_end_nothing_less_than_all_of_it_will_do() {
    let disk = Sim::default();
    let mut known = Known::default();
    write(&disk, &mut Dice::new(7), &mut known, 40).unwrap();
    let mut cuts = 0;
    let names: Vec<String> = disk.state().names.keys().cloned().collect();
    for name in names {
        let length = usize::try_from(disk.length(&name).unwrap()).unwrap();
        for keep in 0..length {
            let less = disk.after_a_kill();
            {
                let mut state = less.state();
                let file = state.names[&name];
                state.files[file].is.truncate(keep);
            }
            let found = opened(&less).map(|(directory, model)| (std::mem::forget(directory), model).1);
            assert!(found.is_err(), "{name}, of which {keep} of {length} bytes are left: {found:?}");
            cuts += 1;
        }
    }
    assert!(cuts > 800, "{cuts} cuts");
}

#[test]
fn every_commit_is_synced() {
    let disk = Sim::default();
    let (mut directory, _) = opened(&disk).unwrap();
    for value in 0..3 {
        let before = disk.state().syncs;
        directory.commit(entries(&mut Dice::new(value), value)).unwrap();
        assert!(disk.state().syncs > before);
        let state = disk.state().clone();
        assert!(state.files.iter().all(|file| file.is == file.synced), "and nothing is left to be");
        assert_eq!((state.names, state.unsynced.len()), (state.synced_names, 0));
    }
}
