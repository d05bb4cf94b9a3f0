//! How soon the watchers of a map are all there again in workerd, when they come at once: as after a new build took over.
//!
//! `cargo bench -p benches --bench watchers`: 1,000 watchers of a map of 3,000 seats, each until it has its snapshot; with
//! `-- --against DIR` beside the Worker of another commit, in turns. The medians of several rounds.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use benches::rows::{is_bench, say};
use benches::servers::ADMIN_TOKEN;
use benches::services::shop;
use benches::table::compared;
use benches::tree::Tree;
use clap::Parser;
use tungstenite::Message;
use tungstenite::client::IntoClientRequest as _;
use xtask::run::Outcome;

/// Measures how soon many watchers are let in.
#[derive(Parser, Debug)]
#[command(bin_name = "cargo bench -p benches --bench watchers --", max_term_width = 110)]
struct Args {
    /// Beside the Worker of another commit: a checkout of it (`git worktree add DIR COMMIT`), built there, with its own commands
    #[arg(long, value_name = "DIR")]
    against: Option<PathBuf>,
    /// `cargo bench` says so
    #[arg(long, hide = true)]
    bench: bool,
}

/// Seats, watchers, rounds.
#[derive(Clone, Copy)]
struct Size(usize, usize, usize);

/// Longer than any of them takes.
const PATIENCE: Duration = Duration::from_secs(600);

fn publish(at: SocketAddr, seats: usize) -> Outcome {
    let cannot = |error: std::io::Error| format!("the layout: {error}");
    let seat = |n| format!(r#"{{"ticketId":"hall:{n}","price":{{"minor":4500,"currency":"EUR"}},"x":{n},"y":0}}"#);
    let seats: Vec<String> = (0..seats).map(seat).collect();
    let body = format!(r#"{{"rows":[{{"name":"A","seats":[{}]}}]}}"#, seats.join(","));
    let mut stream = TcpStream::connect(at).map_err(cannot)?;
    write!(
        stream,
        "POST /SeatMap/hall/layout HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ADMIN_TOKEN}\r\n\
         content-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .map_err(cannot)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(cannot)?;
    if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(format!("the layout: {answer}")) }
}

/// Joins, and stays: the socket, once it has its snapshot.
fn join(at: SocketAddr) -> Outcome<impl Sized> {
    let stream = TcpStream::connect(at).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(|error| error.to_string())?;
    let mut request = format!("ws://{at}/SeatMap/hall/watch").into_client_request().map_err(|why| why.to_string())?;
    let protocol = booking_core::wire::watch::PROTOCOL.parse().map_err(|_| "no protocol".to_owned())?;
    request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
    let (mut socket, _) = tungstenite::client(request, stream).map_err(|why| why.to_string())?;
    // Older builds send the layout first.
    loop {
        match socket.read().map_err(|why| why.to_string())? {
            Message::Text(text) if text.contains("\"snapshot\"") => return Ok(socket),
            Message::Text(_) | Message::Ping(_) | Message::Pong(_) => {}
            Message::Binary(_) | Message::Close(_) | Message::Frame(_) => return Err("it was sent away".to_owned()),
        }
    }
}

/// How long it takes until all are there, in milliseconds.
fn round(tree: &Tree, Size(seats, watchers, _): Size) -> Outcome<u64> {
    let (at, _running) = shop(tree)?;
    publish(at, seats)?;
    let (tell, told) = channel();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..watchers {
            let tell = tell.clone();
            let small = std::thread::Builder::new().stack_size(256 * 1024);
            small.spawn_scoped(scope, move || drop(tell.send(join(at)))).map_err(|error| error.to_string())?;
        }
        Ok::<(), String>(())
    })?;
    drop(tell);
    let all: Outcome<Vec<_>> = told.iter().take(watchers).collect();
    let took = start.elapsed();
    all.map(|_| u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
}

fn tell(tree: &Tree, times: &[u64], Size(seats, watchers, rounds): Size) {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let median = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
    let each: Vec<String> = times.iter().map(u64::to_string).collect();
    say(&format!(
        "the Worker at {}: {watchers} watchers of {seats} seats are there after {median} ms, the median of {rounds} ({})",
        tree.commit,
        each.join(", ")
    ));
}

fn run(args: &Args) -> Outcome {
    xtask::run::allow_many_files();
    let size = if is_bench() { Size(3_000, 1_000, 3) } else { Size(30, 10, 1) };
    let (this, other) = (Tree::this(), args.against.as_deref().map(Tree::other).transpose()?);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..size.2 {
        ours.push(round(&this, size)?);
        if let Some(other) = &other {
            theirs.push(round(other, size)?);
        }
    }
    tell(&this, &ours, size);
    if let Some(other) = &other {
        tell(other, &theirs, size);
        say(&format!("the second over the first: {}", compared(&theirs, &ours)));
    }
    Ok(())
}

fn main() -> ExitCode {
    // `cargo test` has arguments of its own.
    let args = if is_bench() { Args::parse() } else { Args::parse_from(["watchers"]) };
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            say(&format!("failed: {why}"));
            ExitCode::FAILURE
        }
    }
}
