//! What people would use instead, for comparison.

pub mod bare_axum;
pub mod bare_restate;
pub mod postgres;
pub mod restate_state;
pub mod stores;
