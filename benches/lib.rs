//! What the benchmarks share: servers in processes of their own, load generators, and tables of the results.

pub mod folder;
pub mod house;
pub mod load;
pub mod on_restate;
pub mod peers;
pub mod program;
pub mod ratios;
pub mod rounds;
pub mod rows;
pub mod scenes;
pub mod servers;
pub mod services;
pub mod table;
pub mod tree;
