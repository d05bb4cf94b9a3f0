//! How long the in-process host takes to start from a data directory after it was killed.
//!
//! `cargo bench -p benches --bench restart`: a million tickets, listed by a thousand layouts, a tenth of them held and a
//! tenth sold; several starts, the one in the middle.

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use benches::folder::Folder;
use benches::house::{SEATS, buy, exactly, hold, known, publish};
use benches::rows::{is_bench, say};
use benches::servers::{Server, serve_if_asked};

fn measure(maps: u64, starts: usize) -> io::Result<()> {
    let folder = Folder::on_disk("restart");
    let tickets = maps * SEATS;
    let server = Server::durable(folder.path())?;
    exactly(&server, maps, 0, publish)?;
    while known(&server)? < tickets {
        std::thread::sleep(Duration::from_millis(100));
    }
    exactly(&server, tickets / 10, 0, hold)?;
    exactly(&server, tickets / 10, tickets / 10, buy)?;
    drop(server);
    let mut took = Vec::new();
    for _ in 0..starts {
        let start = Instant::now();
        let server = Server::durable(folder.path())?;
        took.push(start.elapsed());
        if known(&server)? != tickets {
            return Err(io::Error::other("some tickets are missing"));
        }
    }
    took.sort_unstable();
    let middle = took[took.len() / 2];
    say(&format!(
        "{tickets} tickets, {} bookings, {} MiB: ready {}.{:03} s after the start",
        tickets / 10,
        folder.bytes()? >> 20,
        middle.as_secs(),
        middle.subsec_millis()
    ));
    Ok(())
}

fn main() -> ExitCode {
    let measured = serve_if_asked().and_then(|served| match (served, is_bench()) {
        (true, _) => Ok(()),
        (false, true) => measure(1_000, 5),
        (false, false) => measure(2, 1),
    });
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("failed: {error}"));
            ExitCode::FAILURE
        }
    }
}
