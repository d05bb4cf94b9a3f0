//! The engine under simulated faults: virtual time, a disk that loses what was not synced, a gateway whose answers get
//! lost, people who ask twice. The same seed is the same run for ever.
//!
//! ```text
//!  seed ──▶ scene ──▶ play ──▶ world ──▶ promises, invariants
//!                                │
//!                   fault_points ───────┤ (where a test does it wrongly)
//!                                └──▶ trace: short, as JSON, replayed
//! ```
//!
//! ```
//! use host_axum_sim::simulate::{Simulation, Size, NoFaults};
//!
//! let mut simulation = Simulation::new(&NoFaults, Size::SMALL);
//! for seed in 0..100 {
//!     assert!(simulation.run(seed).is_ok());
//! }
//! assert!(simulation.tally().crashes > 10);
//! ```

#[cfg(feature = "program")]
mod command;
mod coverage;
mod disk;
mod fault_points;
mod many;
mod play;
mod promises;
#[cfg(feature = "program")]
mod report;
mod scene;
mod story;
mod trace;
mod world;

#[cfg(feature = "program")]
pub(crate) use command::SimulateArgs;
pub use coverage::{Coverage, CoveragePoint};
pub use disk::Unsynced;
pub use fault_points::{FaultPoints, NoFaults};
pub use many::{Seeds, Simulated, simulate};
pub use play::{Endings, Simulation, Tally};
pub use promises::Broken;
pub use scene::{Ask, Faults, Scenario, Size, What};
pub use story::{Event, EventKind, Lane, LaneKind};
pub use trace::Trace;
pub use world::{Action, How, START, World};
