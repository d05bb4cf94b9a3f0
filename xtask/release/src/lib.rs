//! What is deployed to Cloudflare: releases, and what an environment of a `wrangler.toml` wants to be there.

pub mod archive;
pub mod manifest;
