//! What the benchmarks share: servers in processes of their own, and a load generator.

pub mod folder;
pub mod house;
pub mod load;
pub mod on_restate;
pub mod peers;
pub mod rows;
pub mod servers;
