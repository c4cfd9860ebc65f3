//! Logs with something wrong in them: whatever it is, no panic and no hang; and
//! of what can be noticed, no finding.

use std::io::Cursor;

use clap::Parser;
use proptest::{
    prelude::*,
    sample::Index,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use truncwatch::{
    analyze::{self, Options},
    report::Summary,
};

/// What is done to a log.
#[derive(Clone, Debug)]
enum Mutation {
    /// It ends after so many bytes.
    Torn(Index),
    /// A line is something else.
    Garbage(Index, Vec<u8>),
    /// Something else stands between two lines.
    Inserted(Index, Vec<u8>),
    /// From here on a line is missing.
    Cut(Index, Index),
    /// Two lines are one, or more, with something between or nothing.
    Joined(Index, usize, usize),
    /// A line is in another place.
    Moved(Index, Index),
    /// A byte is another.
    Byte(Index, u8),
    /// Some bytes are missing.
    Removed(Index, usize),
    /// A line comes twice.
    Twice(Index),
}

fn garbage() -> impl Strategy<Value = Vec<u8>> {
    // Nothing that could be taken for a line of strace's.
    prop::collection::vec(any::<u8>(), 0..40).prop_map(|mut bytes| {
        bytes.retain(|byte| *byte != b'\n');
        bytes.splice(..0, *b"@@");
        bytes
    })
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        any::<Index>().prop_map(Mutation::Torn),
        (any::<Index>(), garbage()).prop_map(|(at, bytes)| Mutation::Garbage(at, bytes)),
        (any::<Index>(), garbage()).prop_map(|(at, bytes)| Mutation::Inserted(at, bytes)),
        (any::<Index>(), any::<Index>()).prop_map(|(line, at)| Mutation::Cut(line, at)),
        (any::<Index>(), 1..4_usize, 0..3_usize)
            .prop_map(|(at, count, between)| Mutation::Joined(at, count, between)),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Mutation::Moved(from, to)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Mutation::Byte(at, byte)),
        (any::<Index>(), 1..200_usize).prop_map(|(at, count)| Mutation::Removed(at, count)),
        any::<Index>().prop_map(Mutation::Twice),
    ]
}

/// The log with that done, and whether it can be noticed.
fn mutate(log: &[u8], mutation: &Mutation) -> (Vec<u8>, bool) {
    let mut lines: Vec<Vec<u8>> = log
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    let mut bytes = log.to_vec();
    let count = lines.len();
    let noticed = match mutation {
        Mutation::Torn(at) => {
            bytes.truncate(at.index(bytes.len()));
            return (bytes, true);
        }
        Mutation::Byte(at, byte) => {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
            return (bytes, false);
        }
        Mutation::Removed(at, removed) => {
            let at = at.index(bytes.len());
            bytes.drain(at..(at + removed).min(log.len()));
            return (bytes, false);
        }
        Mutation::Garbage(at, garbage) => {
            lines[at.index(count)].clone_from(garbage);
            true
        }
        Mutation::Inserted(at, garbage) => {
            lines.insert(at.index(count), garbage.clone());
            true
        }
        Mutation::Cut(line, at) => {
            let line = &mut lines[line.index(count)];
            // Digits that are missing from a result leave a result, and a line
            // of which nothing is left was none.
            let most = line.len().saturating_sub(8);
            line.truncate(at.index(most + 1).max(1));
            true
        }
        Mutation::Joined(at, more, between) => {
            let at = at.index(count);
            for _ in 0..*more {
                if at + 1 < lines.len() {
                    let next = lines.remove(at + 1);
                    lines[at].extend([&b""[..], b" ", b"  "][*between]);
                    lines[at].extend(next);
                }
            }
            true
        }
        Mutation::Moved(from, to) => {
            let line = lines.remove(from.index(count));
            lines.insert(to.index(count), line);
            false
        }
        Mutation::Twice(at) => {
            let at = at.index(count);
            lines.insert(at, lines[at].clone());
            false
        }
    };
    (lines.join(&b'\n'), noticed)
}

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

fn analyzed(log: Vec<u8>) -> Option<Summary> {
    let line = Line::try_parse_from(["analyze", "--json", "log"]).expect("options");
    let out = Box::new(std::io::sink());
    // A log of which nothing is left is refused.
    analyze::judge(&line.options, "log", Cursor::new(log), out, None, |_| {})
        .ok()
        .map(|(summary, _)| summary)
}

#[test]
fn ten_thousand_logs_with_something_wrong() {
    let good = include_bytes!("../strace/hyper-1.8.1-good-sendto.log");
    let bad = include_bytes!("../strace/hyper-1.8.1-bad-writev.log");
    let config = Config {
        cases: 10_000,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let strategy = (any::<bool>(), prop::collection::vec(mutation(), 1..4));
    runner
        .run(&strategy, |(which, mutations)| {
            let mut log = if which { good.to_vec() } else { bad.to_vec() };
            let mut noticed = true;
            for mutation in &mutations {
                let (mutated, notice) = mutate(&log, mutation);
                noticed &= notice;
                log = mutated;
                if log.is_empty() {
                    return Ok(());
                }
            }
            let text = String::from_utf8_lossy(&log).into_owned();
            let summary = analyzed(log);
            if which
                && noticed
                && let Some(summary) = summary
            {
                prop_assert!(summary.findings.is_empty(), "{:?}\n{}", summary, text);
            }
            Ok(())
        })
        .expect("no panic and no finding");
}
