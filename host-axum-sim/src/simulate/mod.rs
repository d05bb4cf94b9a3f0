//! The engine under simulated faults: virtual time, a disk that loses what was not synced, a gateway whose answers get
//! lost, people who ask twice. The same seed is the same run for ever.
//!
//! ```text
//!  seed ──▶ scene ──▶ play ──▶ world ──▶ promises, invariants
//!                                │
//!                   seams ───────┤ (where a test does it wrongly)
//!                                └──▶ trace: short, as JSON, replayed
//! ```
//!
//! ```
//! use host_axum_sim::simulate::{Simulation, Size, Sound};
//!
//! let mut simulation = Simulation::new(&Sound, Size::SMALL);
//! for seed in 0..100 {
//!     assert!(simulation.run(seed).is_ok());
//! }
//! assert!(simulation.tally().crashes > 10);
//! ```

mod command;
mod disk;
mod many;
mod play;
mod promises;
mod report;
mod scene;
mod seams;
mod sights;
mod story;
mod trace;
mod world;

pub(crate) use command::SimulateArgs;
pub use disk::Unsynced;
pub use many::{Seeds, Simulated, simulate};
pub use play::{Endings, Simulation, Tally};
pub use promises::Broken;
pub use scene::{Ask, Faults, Scene, Size, What};
pub use seams::{Seams, Sound};
pub use sights::{Sight, Sights};
pub use story::{Event, EventKind, Lane, LaneKind};
pub use trace::Trace;
pub use world::{Action, How, START, World};
