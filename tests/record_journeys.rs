//! Writes the golden journal of every journey that has none yet, into the folder given. An old one is never written
//! again: it is what an older build has left on an operator's disk.
//!
//! `cargo run -p tests --example record_journeys -- tests/fixtures`

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;

use booking_core::format;
use booking_core::journal::replay;
use booking_core::testing::crash::pull;
use tests::journeys;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("which folder? tests/fixtures")?;
    for journey in journeys() {
        let run = pull(journey.house, &journey.cuts);
        let lines: Vec<Vec<u8>> = run.log.lines().collect();
        let end = format::write(&replay(lines.iter().map(Vec::as_slice))?);
        write_new(&Path::new(&folder).join(format!("{}.jsonl", journey.name)), &lines)?;
        write_new(&Path::new(&folder).join(format!("{}.end.json", journey.name)), &[end])?;
    }
    Ok(())
}

fn write_new(path: &Path, lines: &[Vec<u8>]) -> std::io::Result<()> {
    let mut file = match OpenOptions::new().write(true).create_new(true).open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
        opened => opened?,
    };
    for line in lines {
        file.write_all(line)?;
        file.write_all(b"\n")?;
    }
    Ok(())
}
