//! What a world is, and that what was found in it stays found: planted bugs by their traces, seeds by their prints.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on fails"
)]

use std::collections::BTreeSet;
use std::sync::Arc;

use booking_core::invariants::System;
use booking_core::testing::rules::Sound;
use booking_core::testing::search::Search;
use booking_core::testing::simulate::{Simulation, Size};
use booking_core::testing::trace::{Trace, come_to_rest};
use booking_core::testing::world::{Action, Faults, How, Item, Spot, Watch, World};
use tests::verify::drivers::walks;
use tests::verify::pinned;
use tests::verify::planted::{BUGS, Class};
use tests::verify::worlds::{buyer, scene, small_worlds, tiny_worlds};

/// As few worlds as a machine that is busy searches in a second or two; on wasm32, which never gives memory back, fewer.
fn search() -> Search {
    let most_worlds = if cfg!(target_family = "wasm") { 10_000 } else { 100_000 };
    Search { most_worlds, ..Search::default() }
}

#[test]
fn a_buyer_alone_books_the_seat() {
    let scene = Arc::new(scene(1, vec![buyer(0, "ann", &[0], None, "card_success")], vec![], Faults::NONE));
    let (mut world, mut watch) = (World::new(scene, &Sound), Watch::thorough());
    assert!(world.is_at_rest());
    assert_eq!(world.apply(Action::Come(0), &mut watch), Ok(true));
    assert_eq!(world.apply(Action::Come(0), &mut watch), Ok(false), "nobody comes twice");
    let mut actions = Vec::new();
    come_to_rest(&mut world, &mut watch, &mut actions).unwrap();
    assert!(world.is_at_rest() && world.next_in_order().is_none());
    assert!(format!("{:?}", world.ending_of(0)).contains("Completed"));
    assert_eq!(world.ledger().accounts().count(), 1);
}

#[test]
fn what_is_used_up_cannot_go_wrong_any_more() {
    let faults = Faults { copies: 1, ..Faults::NONE };
    let scene = Arc::new(scene(1, vec![buyer(0, "ann", &[0], None, "card_success")], vec![], faults));
    let (mut world, mut watch) = (World::new(scene, &Sound), Watch::thorough());
    let claim = Item::Effect(Spot { buyer: 0, step: 0, index: 0 });
    let again = Action::arrive(claim, How::AndAgain);
    assert_eq!(world.apply(again, &mut watch), Ok(false), "nothing is under way yet");
    assert_eq!(world.apply(Action::Come(0), &mut watch), Ok(true));
    assert_eq!(world.apply(again, &mut watch), Ok(true));
    assert_eq!(world.apply(again, &mut watch), Ok(false), "there was one copy to be had");
    assert_eq!(world.apply(Action::arrive(claim, How::Well), &mut watch), Ok(true), "and it is under way");
    assert_eq!(world.apply(Action::Crash(0), &mut watch), Ok(false), "nothing crashes where nothing may");
}

#[test]
fn what_cannot_happen_changes_nothing_and_what_is_listed_can() {
    for world in small_worlds() {
        let mut world = World::new(world.scene, &Sound);
        let mut watch = Watch::thorough();
        for step in 0..60 {
            let mut actions = Vec::new();
            world.actions(&mut actions);
            let Some(action) = actions.get(step * 7 % actions.len().max(1)).copied() else { break };
            let (before, mut gone) = (world.print(), world.clone());
            assert_eq!(world.apply(action, &mut watch), Ok(true), "{action:?} was listed");
            // A copy of the world is not touched by that.
            assert_eq!(gone.print(), before);
            assert_eq!(gone.apply(Action::Come(63), &mut watch), Ok(false));
            assert_eq!(gone.apply(Action::arrive(Item::Line(63), How::Well), &mut watch), Ok(false));
            assert_eq!(gone.print(), before);
        }
    }
}

#[test]
fn a_search_of_a_tiny_world_meets_it_whole_and_finds_nothing_broken() {
    let mut searched = 0;
    for scene in tiny_worlds() {
        let found = search().run(World::new(scene, &Sound), &mut |_| {});
        assert_eq!(found.broken, None);
        searched += usize::from(!found.gave_up);
    }
    let at_least = if cfg!(target_family = "wasm") { 8 } else { 16 };
    assert!(searched >= at_least, "only {searched} were met whole");
}

#[test]
fn a_search_meets_the_same_worlds_in_one_thread_and_in_two() {
    let threads = if cfg!(target_family = "wasm") { 1 } else { 2 };
    let scene = scene(
        1,
        vec![buyer(0, "ann", &[0], None, "card_success")],
        vec![],
        Faults { copies: 2, crashes: 1, ..Faults::NONE },
    );
    let world = World::new(Arc::new(scene), &Sound);
    let [one, two] = [1, threads].map(|threads| Search { threads, ..search() }.run(world.clone(), &mut |_| {}));
    assert_eq!((one.worlds, one.at_rest, one.steps, one.depth), (two.worlds, two.at_rest, two.steps, two.depth));
    assert!(one.worlds > 5_000, "{one:?}");
}

#[test]
fn the_same_seed_is_the_same_run_for_ever_and_everywhere() {
    let lines = pinned::seed_lines();
    assert_eq!(lines, pinned::seed_lines(), "twice");
    let written: Vec<&str> = pinned::SEEDS.lines().collect();
    assert_eq!(lines, written, "and on another day, on another target");
    let mut one = Simulation::new(&Sound, Size::Small);
    let mut other = Simulation::new(&Sound, Size::Small);
    let _warmed_up = other.run(99);
    assert_eq!(one.run(7).print, other.run(7).print, "whatever ran before");
    assert_ne!(one.run(7).print, one.run(8).print);
}

#[test]
fn a_random_walk_breaks_nothing() {
    assert_eq!(walks(&Sound, 500, &mut Watch::thorough(), |_| {}).err(), None);
}

#[test]
fn every_planted_bug_is_broken_by_its_trace_and_the_rules_are_not() {
    let traces = pinned::traces();
    for bug in BUGS {
        let kept: Vec<&Trace> = traces.iter().filter(|(name, _)| name == bug.name).map(|(_, trace)| trace).collect();
        assert!(!kept.is_empty(), "no trace of {:?} is kept", bug.name);
        for trace in kept {
            let broken = trace.replay(bug.rules, &mut Watch::thorough()).map_err(|violation| violation.property);
            assert_eq!(broken, Err(leaked(&trace.property)), "{}", bug.name);
            assert_eq!(
                trace.replay(&Sound, &mut Watch::thorough()),
                Ok(()),
                "the rules hold where {} does not",
                bug.name
            );
        }
    }
    // What the rules themselves had, before they were mended.
    for (_, trace) in traces.iter().filter(|(bug, _)| bug.is_empty()) {
        assert_eq!(trace.replay(&Sound, &mut Watch::thorough()), Ok(()), "{}", trace.property);
    }
}

/// The property of that name.
fn leaked(name: &str) -> &'static str {
    let names = booking_core::invariants::PROPERTIES.iter().map(|property| property.name);
    let of_worlds = [
        "every_ticket_was_asked_for",
        "every_outcome_fits",
        "a_later_wish_stands",
        "known_outcomes_change_nothing",
        "what_a_buyer_is_told_is_so",
        "what_is_stored_is_read_back",
        "it_comes_to_rest",
        "nothing_is_stuck",
    ];
    let found = names.chain(of_worlds).find(|known| *known == name);
    found.unwrap_or_else(|| panic!("no property is called {name}"))
}

#[test]
fn every_kind_of_mechanism_has_a_planted_bug() {
    let classes: BTreeSet<Class> = BUGS.iter().map(|bug| bug.class).collect();
    for class in [
        Class::Fence,
        Class::Claim,
        Class::Deadline,
        Class::Undo,
        Class::KeyDerivation,
        Class::Journal,
        Class::Outbox,
        Class::TimerSet,
        Class::Idempotency,
        Class::MapVersion,
        Class::WholeSet,
        Class::Layout,
        Class::Wishes,
        Class::Watchers,
    ] {
        assert!(classes.contains(&class), "none breaks {class:?}");
    }
    let names: BTreeSet<&str> = BUGS.iter().map(|bug| bug.name).collect();
    assert_eq!(names.len(), BUGS.len());
    assert!(BUGS.iter().filter(|bug| bug.of_the_reference).count() >= 10);
}

#[test]
fn a_trace_is_read_back_as_it_was_written_and_is_as_short_as_it_gets() {
    let bug = BUGS.iter().find(|bug| bug.name == "a release is accepted and does nothing").unwrap();
    let mut simulation = Simulation::new(bug.rules, Size::Small);
    let trace = (0..10_000).find_map(|seed| simulation.run(seed).broken).expect("it is soon found");
    let short = trace.minimised(bug.rules);
    assert!(short.actions.len() <= 3 && short.actions.len() <= trace.actions.len(), "{short:#?}");
    assert_eq!(short.property, trace.property);
    let text = serde_json::to_string(&short).unwrap();
    assert_eq!(serde_json::from_str::<Trace>(&text).unwrap(), short);
    assert!(short.replay(bug.rules, &mut Watch::thorough()).is_err());
}
