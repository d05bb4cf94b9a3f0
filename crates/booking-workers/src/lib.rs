//! What the project's Cloudflare Workers share. Each Worker is a package of its own beside it: the shop
//! (`host-worker`), the endpoint for a Restate server (`host-worker-restate`), the sandbox's payment gateway
//! (`host-worker-sandbox`).

pub mod body;
pub mod clock;
pub mod faults;
pub mod log;
pub mod outside;
pub mod settings;
