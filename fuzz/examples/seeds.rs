//! Writes the seeds that are made of others: records, of the logs in
//! `seeds/log`. Run it in this folder, as `cargo run --example seeds`, when
//! records have another form.

use std::{fs, io, path::Path};

use detector_common::Pod as _;
use truncwatch::{
    capture::{
        Record,
        strace::{Lines, Replay, Step},
    },
    judge::Judge,
};
use truncwatch_fuzz::{RECORD, judge, push};

fn main() -> io::Result<()> {
    let seeds = Path::new("seeds");
    for entry in fs::read_dir(seeds.join("log"))? {
        let log = entry?.path();
        let row = row(&fs::read(&log)?)?;
        let records = judge(&row);
        println!("{}: {records} records", log.display());
        if let Some(name) = log.file_stem() {
            fs::write(seeds.join("record").join(name), row)?;
        }
    }
    Ok(())
}

/// The records that a log comes to.
fn row(log: &[u8]) -> io::Result<Vec<u8>> {
    let mut row = Vec::new();
    let mut replay = Replay::default();
    // What it asks for decides what is sampled.
    let mut judge = Judge::new();
    let mut lines = Lines::new(log);
    while let Some(line) = lines.next_line()? {
        replay.line(line);
        for step in replay.take_steps() {
            if let Step::Record(seen) = step {
                push(&mut row, RECORD, &bytes(&seen.record));
                judge.take(seen.record);
            }
        }
        for (cookie, hint) in judge.take_hints() {
            replay.hint(cookie, hint.next);
        }
    }
    Ok(row)
}

/// As the kernel side would write it.
fn bytes(record: &Record) -> Vec<u8> {
    match record {
        Record::Sample(sample, data) => [sample.bytes(), &data.start, &data.tail].concat(),
        Record::Open(open) => open.bytes().to_vec(),
        Record::End(end) => end.bytes().to_vec(),
        Record::Reset(reset) => reset.bytes().to_vec(),
    }
}
