//! What a deployment is set to: the variables and secrets of `wrangler.toml`, read once for each isolate.

use std::cell::OnceCell;
use std::ops::Deref;
use std::rc::Rc;

use booking_core::time::Millis;
use booking_hosting::auth::Auth;
use booking_hosting::invitations::InvitationKeys;
use booking_hosting::tokens::SharedTokens;
use booking_workers::settings::{Sale, Vars, Wrong};
use worker::Env;

/// The settings.
pub(crate) struct Settings {
    sale: Sale,
    pub(crate) auth: Auth,
    /// The tokens with names, as they were read last.
    pub(crate) tokens: SharedTokens,
    /// Whose pages may ask from a browser, besides the Worker's own.
    pub(crate) origins: Vec<String>,
    /// After how long `process` answers that it works on.
    pub(crate) answer_within: Millis,
    /// How long a checkout is kept after its end.
    pub(crate) keep_for: Millis,
}

impl Deref for Settings {
    type Target = Sale;

    fn deref(&self) -> &Sale {
        &self.sale
    }
}

const DAY: Millis = Millis::from_mins(24 * 60);

/// The shortest time for which a checkout is kept: its idempotency key with it.
const KEEP_AT_LEAST: Millis = DAY;

thread_local! {
    static READ: OnceCell<Result<Rc<Settings>, Rc<str>>> = const { OnceCell::new() };
}

impl Settings {
    /// Those of this deployment, or what is wrong with them.
    pub(crate) fn of(env: &Env) -> Result<Rc<Self>, Rc<str>> {
        READ.with(|read| read.get_or_init(|| Self::read(&Vars(env)).map(Rc::new).map_err(Rc::from)).clone())
    }

    fn read(vars: &Vars<'_>) -> Result<Self, Wrong> {
        vars.write_log()?;
        if vars.text("MODE").is_some() {
            return Err("MODE: the endpoint for Restate is a Worker of its own now: host-worker/restate".to_owned());
        }
        let (tokens, admin_tokens) = (vars.list("AUTH_TOKENS"), vars.list("ADMIN_TOKENS"));
        let auth = Auth::new(tokens.iter().map(String::as_str), admin_tokens.iter().map(String::as_str))
            .map_err(|why| format!("AUTH_TOKENS, ADMIN_TOKENS: {why}"))?;
        let keys = InvitationKeys::new(vars.list("INVITATION_KEYS").iter().map(String::as_str));
        let keys = keys.map_err(|why| format!("INVITATION_KEYS: {why}"))?;
        let tokens = SharedTokens::default();
        Ok(Self {
            sale: Sale::read(vars)?,
            auth: auth.with_named(tokens.clone()).with_invitations(keys),
            tokens,
            origins: vars.list("ALLOWED_ORIGINS"),
            answer_within: vars.millis("ANSWER_WITHIN_MS", Millis::from_secs(30), (Millis(0), Millis::from_mins(5)))?,
            keep_for: vars.millis("KEEP_FOR_MS", Millis(DAY.0 * 7), (KEEP_AT_LEAST, Millis(DAY.0 * 3650)))?,
        })
    }
}
