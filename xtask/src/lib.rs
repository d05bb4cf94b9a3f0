//! What the project's own commands are made of, and what tests and benchmarks start servers with.

pub mod apt;
pub mod chromium;
pub mod postgres;
pub mod promtool;
pub mod pypi;
pub mod restate;
pub mod run;
pub mod strace;
pub mod worker;
pub mod wrangler;
