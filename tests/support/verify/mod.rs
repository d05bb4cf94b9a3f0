//! The proof, as this project runs it: the worlds that are searched, the rules that are planted wrong, the drivers.

pub mod crash_points;
pub mod drivers;
pub mod pinned;
pub mod planted;
pub mod worlds;
