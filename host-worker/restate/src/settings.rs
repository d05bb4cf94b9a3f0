//! What a deployment is set to: the variables and secrets of `wrangler.toml`.

use booking_workers::settings::{Sale, Vars, Wrong};
use restate_endpoint::Key;

/// The settings.
pub(crate) struct Settings {
    pub(crate) sale: Sale,
    /// Who may call: the servers whose keys these are; everybody where there are none.
    pub(crate) keys: Vec<Key>,
    /// Whether operators' handlers are open to all who reach the ingress.
    pub(crate) admin_handlers: bool,
}

impl Settings {
    pub(crate) fn read(vars: &Vars<'_>) -> Result<Self, Wrong> {
        vars.write_log()?;
        let keys = vars.list("RESTATE_IDENTITY_KEYS");
        let keys: Result<Vec<_>, _> = keys.iter().map(|key| Key::parse(key)).collect();
        let keys = keys.map_err(|why| format!("RESTATE_IDENTITY_KEYS {why}"))?;
        let is_unsigned = match vars.text("RESTATE_UNSIGNED").as_deref() {
            None => false,
            Some("allowed") => true,
            Some(_) => return Err("RESTATE_UNSIGNED must be allowed, or not be there".into()),
        };
        if keys.is_empty() && !is_unsigned {
            // All who reach this Worker could sell every seat to themselves.
            return Err("RESTATE_IDENTITY_KEYS must be there, so that only your Restate server calls \
                 (or RESTATE_UNSIGNED=allowed, on a machine that nobody else reaches)"
                .into());
        }
        let admin_handlers = vars.parsed("RESTATE_ADMIN_HANDLERS")?.unwrap_or(false);
        Ok(Self { sale: Sale::read(vars)?, keys, admin_handlers })
    }
}
