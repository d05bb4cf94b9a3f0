//! What the shop logs, and what it did not catch: errors are counted, and the last ones kept.

use booking_workers::clock::now;
use booking_workers::log::{Level, say};
use js_sys::{Array, JSON, Reflect};
use serde::Serialize;
use wasm_bindgen::prelude::{JsCast as _, JsValue};
use worker::{AnalyticsEngineDataPointBuilder, Env};

use crate::database::{database, write};

/// The longest text of an error that is kept, in characters.
const LONGEST: usize = 1_000;

/// The binding of Analytics Engine, if there is one.
const POINTS: &str = "POINTS";

#[derive(Serialize)]
struct Problem {
    at: u64,
    script: String,
    text: String,
}

pub(crate) async fn take_in(events: &Array, env: &Env) {
    let problems: Vec<Problem> = events.iter().flat_map(|event| problems(&event)).collect();
    if problems.is_empty() {
        return;
    }
    if let Ok(points) = env.analytics_engine(POINTS) {
        for problem in &problems {
            let point = AnalyticsEngineDataPointBuilder::new()
                .indexes([problem.script.as_str()])
                .blobs(["ERROR", problem.script.as_str(), problem.text.as_str()])
                .build();
            let _a_chart_has_one_point_less = points.write_data_point(&point);
        }
    }
    let row = "INSERT INTO problems (at, script, text) \
        SELECT value ->> 'at', value ->> 'script', value ->> 'text' FROM json_each(?1)";
    let rows = serde_json::to_string(&problems).unwrap_or_default();
    let statement = database(env).and_then(|db| db.prepare(row).bind(&[rows.into()]));
    let kept = match statement {
        Ok(statement) => write(env, vec![statement]).await,
        Err(why) => Err(why),
    };
    if let Err(why) = kept {
        say(Level::Error, "errors of the shop were not kept", &[("why", why.to_string())]);
    }
}

fn field(of: &JsValue, name: &str) -> JsValue {
    Reflect::get(of, &name.into()).unwrap_or(JsValue::UNDEFINED)
}

fn list(of: &JsValue, name: &str) -> Array {
    field(of, name).dyn_into().unwrap_or_default()
}

/// The errors of one event: lines of that level, and what was not caught.
fn problems(event: &JsValue) -> Vec<Problem> {
    let script = field(event, "scriptName").as_string().unwrap_or_default();
    let problem = |of: &JsValue, text: String| {
        let at = field(of, "timestamp").as_f64().filter(|at| *at >= 0.0);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds since the epoch")]
        let at = at.map_or_else(|| now().as_millis(), |at| at as u64);
        Problem { at, script: script.clone(), text: text.chars().take(LONGEST).collect() }
    };
    let lines =
        list(event, "logs").into_iter().filter(|line| field(line, "level").as_string().as_deref() == Some("error"));
    let logged = lines.map(|line| {
        let said = field(&line, "message");
        // What was logged in one call comes as a list.
        let said =
            said.dyn_ref::<Array>().filter(|parts| parts.length() == 1).map_or(said.clone(), |parts| parts.get(0));
        let text = said.as_string().or_else(|| JSON::stringify(&said).ok()?.as_string());
        problem(&line, text.unwrap_or_default())
    });
    let thrown = list(event, "exceptions").into_iter().map(|thrown| {
        let said = |name| field(&thrown, name).as_string().unwrap_or_default();
        let text = format!("{}: {}", said("name"), said("message"));
        problem(&thrown, text)
    });
    logged.chain(thrown).collect()
}
