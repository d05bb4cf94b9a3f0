//! How soon the page has painted a hall of 5,000 seats, and how many frames a second it draws while they change.
//!
//! `cargo bench -p benches --bench page`: in Chromium without a window, on the in-process host, with the load on the same
//! machine; several rounds, medians.

use std::io;
use std::process::{Command, ExitCode};

use benches::house::exactly;
use benches::rows::{is_bench, say};
use benches::servers::{ADMIN_TOKEN, Server, serve_if_asked};
use serde_json::Value;

/// Rows, and seats in each.
const HALL: (u64, u64) = (50, 100);

const SEATS: u64 = HALL.0 * HALL.1;

/// Publishes the hall.
fn publish(_: u64, out: &mut Vec<u8>) {
    let seat = |row: u64, n: u64| {
        let (ticket, price) = (row * HALL.1 + n, 9_500 - 1_000 * (row / 10));
        format!(r#"{{"ticketId":"hall:{ticket}","price":{{"minor":{price},"currency":"USD"}},"x":{n},"y":{row}}}"#)
    };
    let row = |row: u64| {
        let seats: Vec<String> = (0..HALL.1).map(|n| seat(row, n)).collect();
        format!(r#"{{"name":"{row}","seats":[{}]}}"#, seats.join(","))
    };
    let rows: Vec<String> = (0..HALL.0).map(row).collect();
    let body = format!(r#"{{"rows":[{}]}}"#, rows.join(","));
    out.extend(format!("POST /SeatMap/hall/layout HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n", body.len()).bytes());
    out.extend(format!("authorization: Bearer {ADMIN_TOKEN}\r\n\r\n{body}").bytes());
}

/// One round: a server, and a browser.
fn round(seconds: &str) -> io::Result<Value> {
    let server = Server::booking()?;
    exactly(&server, 1, 0, publish)?;
    let scripts = xtask::chromium::scripts().map_err(io::Error::other)?;
    let output = Command::new("node")
        .args(["measure.mjs", &format!("http://{}", server.address), "hall", &SEATS.to_string(), seconds])
        .current_dir(scripts)
        .env("CHROMIUM", xtask::chromium::binary().map_err(io::Error::other)?)
        .stderr(std::process::Stdio::inherit())
        .output()?;
    serde_json::from_slice(&output.stdout).map_err(|_| io::Error::other("it could not be measured: see above"))
}

/// What this pointer leads to in the round in the middle, rounded.
fn median(rounds: &[Value], pointer: &str) -> io::Result<i64> {
    let all: Option<Vec<f64>> = rounds.iter().map(|round| round.pointer(pointer)?.as_f64()).collect();
    let mut all = all.ok_or_else(|| io::Error::other(format!("nothing was measured at {pointer}")))?;
    all.sort_unstable_by(f64::total_cmp);
    #[allow(clippy::cast_possible_truncation, reason = "milliseconds and rates are small")]
    let middle = all.get(all.len() / 2).map(|middle| middle.round() as i64);
    middle.ok_or_else(|| io::Error::other("there was no round"))
}

fn measure(rounds: usize, seconds: &str) -> io::Result<()> {
    let rounds = (0..rounds).map(|_| round(seconds)).collect::<io::Result<Vec<Value>>>()?;
    say(&format!(
        "{SEATS} seats painted after {} ms; with a processor four times slower, {} ms",
        median(&rounds, "/painted")?,
        median(&rounds, "/paintedSlowly")?
    ));
    say("                                              frames/s   longest ms   changes/s   shown/s");
    let kinds = rounds.first().and_then(|round| round["frames"].as_array()).map_or(0, Vec::len);
    for kind in 0..kinds {
        let of = |what: &str| median(&rounds, &format!("/frames/{kind}/{what}"));
        let (frames, longest, made, shown) = (of("frames")?, of("longest")?, of("made")?, of("shown")?);
        let what = rounds[0]["frames"][kind]["what"].as_str().unwrap_or_default();
        say(&format!("{what:45} {frames:9} {longest:12} {made:11} {shown:9}"));
        if made > 0 && shown == 0 {
            return Err(io::Error::other("changes were made, and the page has shown none"));
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let measured = serve_if_asked().and_then(|served| match (served, is_bench()) {
        (true, _) => Ok(()),
        (false, true) => measure(5, "5"),
        (false, false) => measure(1, "0.5"),
    });
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("failed: {error}"));
            ExitCode::FAILURE
        }
    }
}
