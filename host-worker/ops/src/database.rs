//! The database. What is read comes as one text a row; what is written goes there as one JSON array a statement.

use booking_workers::clock::now;
use js_sys::Array;
use wasm_bindgen::prelude::{JsCast as _, JsValue};
use worker::{D1Database, D1PreparedStatement, Env};

/// The binding of the database.
const DB: &str = "DB";

/// How many rows are forgotten at once of each table, and how often that is done in an hour at most: the next hour forgets more.
const FORGET_AT_ONCE: u32 = 2_000;
const TIMES: u32 = 20;

/// How many errors of the shop are kept.
const PROBLEMS: u32 = 1_000;

pub(crate) fn database(env: &Env) -> worker::Result<D1Database> {
    env.d1(DB)
}

/// A number as SQL has it: exact up to 2^53.
#[allow(clippy::cast_precision_loss, reason = "see above")]
pub(crate) fn number(number: u64) -> JsValue {
    JsValue::from_f64(number as f64)
}

/// A row: its columns are numbers and texts.
pub(crate) struct Row(Array);

impl Row {
    pub(crate) fn text(&self, column: u32) -> String {
        self.0.get(column).as_string().unwrap_or_default()
    }

    pub(crate) fn number(&self, column: u32) -> u64 {
        let number = self.0.get(column).as_f64().unwrap_or_default();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was written by `number`")]
        let number = number as u64;
        number
    }
}

/// Asks for rows.
pub(crate) async fn rows(env: &Env, query: &str, bindings: &[JsValue]) -> worker::Result<Vec<Row>> {
    let rows = database(env)?.prepare(query).bind(bindings)?.raw_js_value().await?;
    Ok(rows.into_iter().filter_map(|row| row.dyn_into().ok().map(Row)).collect())
}

/// Does all of this, or nothing.
pub(crate) async fn write(env: &Env, statements: Vec<D1PreparedStatement>) -> worker::Result<()> {
    for result in database(env)?.batch(statements).await? {
        if let Some(why) = result.error() {
            return Err(worker::Error::RustError(why));
        }
    }
    Ok(())
}

/// Forgets bookings, entries of the audit and dead letters that are older than this, the oldest errors of the shop, and what belonged to a
/// booking that is forgotten.
pub(crate) async fn forget(env: &Env, keep_days: u64) -> worker::Result<()> {
    let before = number(now().as_millis().saturating_sub(keep_days.saturating_mul(86_400_000)));
    for _ in 0..TIMES {
        forget_some(env, before.clone()).await?;
        let old = "SELECT 1 FROM bookings WHERE started_at < ?1 LIMIT 1";
        if rows(env, old, std::slice::from_ref(&before)).await?.is_empty() {
            break;
        }
    }
    Ok(())
}

async fn forget_some(env: &Env, before: JsValue) -> worker::Result<()> {
    let db = database(env)?;
    let most = JsValue::from(FORGET_AT_ONCE);
    let old = "SELECT checkout_id FROM bookings WHERE started_at < ?1 ORDER BY started_at LIMIT ?2";
    let of_bookings =
        ["tickets", "maps", "bookings"].map(|table| format!("DELETE FROM {table} WHERE checkout_id IN ({old})"));
    let mut statements = Vec::new();
    for statement in of_bookings {
        statements.push(db.prepare(statement).bind(&[before.clone(), most.clone()])?);
    }
    let audit = "DELETE FROM audit WHERE n IN (SELECT n FROM audit WHERE at < ?1 ORDER BY at LIMIT ?2)";
    statements.push(db.prepare(audit).bind(&[before.clone(), most.clone()])?);
    let dead = "DELETE FROM dead WHERE n IN (SELECT n FROM dead WHERE at < ?1 ORDER BY at LIMIT ?2)";
    statements.push(db.prepare(dead).bind(&[before, most])?);
    let problems = "DELETE FROM problems WHERE n <= (SELECT max(n) FROM problems) - ?1";
    statements.push(db.prepare(problems).bind(&[PROBLEMS.into()])?);
    write(env, statements).await
}
