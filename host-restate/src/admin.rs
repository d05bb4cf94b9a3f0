//! Restate's admin API, as the commands for operators ask it.

use std::time::Duration;

use booking_hosting::flags::{CannotRun, because};
use booking_hosting::ports::HttpPort;
use clap::Args;
use hyper::header::AUTHORIZATION;
use serde_json::{Value, json};

/// The longest answer of Restate's that is read, in bytes.
const LONGEST: usize = 64 << 20;

/// How long Restate may take to answer: where a checkout is brought to its end, it does when that has come.
const WITHIN: Duration = Duration::from_secs(60);

#[derive(Args)]
pub(crate) struct RestateFlags {
    /// Restate's admin API
    #[arg(long, env = "RESTATE_ADMIN_URL", default_value = "http://127.0.0.1:9070")]
    admin_url: String,
    /// The token that Restate asks for, if it does
    #[arg(long, env = "RESTATE_AUTH_TOKEN", hide_env_values = true)]
    auth_token: Option<String>,
}

impl RestateFlags {
    /// Posts JSON to the path of a server, whose address came with the flag.
    pub(crate) async fn ask(&self, url: &str, flag: &str, path: &str, body: String) -> Result<Value, CannotRun> {
        let port = HttpPort::new(url, WITHIN).map_err(because(flag))?.reading(LONGEST);
        let token = self.bearer();
        let headers: Vec<_> = token.iter().map(|token| (AUTHORIZATION, token.as_str())).collect();
        let answer = port.post(path, &headers, body).await;
        let (status, body) = answer.ok_or_else(|| CannotRun(format!("{flag} {url}{path}: no answer")))?;
        let said = String::from_utf8_lossy(&body);
        if status != 200 {
            return Err(CannotRun(format!("{flag} {url}{path}: {status} {said}")));
        }
        serde_json::from_str(&said).map_err(because(&format!("{flag} {url}{path}")))
    }

    /// What the token is sent as.
    pub(crate) fn bearer(&self) -> Option<String> {
        self.auth_token.as_ref().map(|token| format!("Bearer {token}"))
    }

    /// The rows that a query gives.
    pub(crate) async fn query(&self, sql: String) -> Result<Vec<Value>, CannotRun> {
        let answer = self.ask(&self.admin_url, "--admin-url", "/query", json!({ "query": sql }).to_string()).await?;
        let rows = answer["rows"].as_array().cloned();
        rows.ok_or_else(|| CannotRun("--admin-url: this is not Restate's admin API".to_owned()))
    }
}
