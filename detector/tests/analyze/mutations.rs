//! Logs with something wrong in them: whatever it is, no panic and no hang; and
//! of what can be noticed, no finding.

use std::io::{Cursor, Write};

use proptest::{
    prelude::*,
    sample::Index,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::Value;
use truncwatch::{
    analyze::{self, Options},
    report::{Format, Reporting, Summary},
};

/// What is done to a log.
#[derive(Clone, Debug)]
pub(crate) enum Mutation {
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
    /// A part of a message's first lines is masked, in all calls that show one.
    Masked(Index, usize, usize),
}

impl Mutation {
    /// How many there are.
    pub(crate) const COUNT: usize = 10;
}

const MASKS: [&[u8]; 8] = [
    b"",
    b"X",
    b"***",
    b"[REDACTED]",
    b"<redacted>",
    "\u{2588}\u{2588}\u{2588}".as_bytes(),
    "\u{2026}".as_bytes(),
    b"REDACTED-REDACTED-REDACTED-REDACTED-REDACTED-REDACTED-REDACTED-REDACTED",
];

/// Where the value of a field begins in a line, behind which a mask may stand: not in what
/// tells the length.
fn maskable(line: &[u8]) -> Vec<usize> {
    let text = String::from_utf8_lossy(line).into_owned();
    [
        "date: ",
        "connection: ",
        "server: ",
        "Host: ",
        "POST /",
        "GET /",
        "HTTP/1.1 200 ",
        "cookie: ",
    ]
    .iter()
    .filter_map(|name| Some(text.find(name)? + name.len()))
    .collect()
}

/// The line with something else in place of up to so many bytes of a value.
fn mask(line: &mut Vec<u8>, at: Index, length: usize, mask: &[u8]) {
    let places = maskable(line);
    if places.is_empty() || !line.is_ascii() {
        return;
    }
    let start = places[at.index(places.len())];
    let value = line[start..]
        .iter()
        .take_while(|byte| !b"\\\" ".contains(byte))
        .count();
    line.splice(start..start + value.min(length), mask.iter().copied());
}

fn garbage() -> impl Strategy<Value = Vec<u8>> {
    // Nothing that could be taken for a line of strace's.
    prop::collection::vec(any::<u8>(), 0..40).prop_map(|mut bytes| {
        bytes.retain(|byte| *byte != b'\n');
        bytes.splice(..0, *b"@@");
        bytes
    })
}

pub(crate) fn mutation() -> impl Strategy<Value = Mutation> {
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
        (any::<Index>(), 1..60_usize, 0..MASKS.len())
            .prop_map(|(at, length, mask)| Mutation::Masked(at, length, mask)),
    ]
}

/// The log with that done, and whether it can be noticed.
pub(crate) fn mutate(log: &[u8], mutation: &Mutation) -> (Vec<u8>, bool) {
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
        Mutation::Masked(at, length, which) => {
            for line in &mut lines {
                mask(line, *at, *length, MASKS[*which]);
            }
            true
        }
        Mutation::Twice(at) => {
            let at = at.index(count);
            lines.insert(at, lines[at].clone());
            false
        }
    };
    (lines.join(&b'\n'), noticed)
}

/// Promised and sent body bytes of a message that is cut short.
pub(crate) type Short = (Option<u64>, Option<u64>);

/// What is found, and the summary; `None` where the log is refused.
pub(crate) fn found(log: Vec<u8>) -> Option<(Vec<Short>, String)> {
    let mut out = Vec::new();
    judged(log, &mut out)?;
    let mut objects: Vec<Value> = String::from_utf8(out)
        .expect("text")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let summary = objects.pop().expect("a summary").to_string();
    let sizes = |finding: &Value| {
        (
            finding["promised_bytes"].as_u64(),
            finding["sent_bytes"].as_u64(),
        )
    };
    Some((objects.iter().map(sizes).collect(), summary))
}

fn analyzed(log: Vec<u8>) -> Option<Summary> {
    judged(log, &mut std::io::sink())
}

fn judged(log: Vec<u8>, out: &mut dyn Write) -> Option<Summary> {
    let options = Options {
        log: "log".into(),
        reporting: Reporting {
            format: Format::Json,
            ..Reporting::default()
        },
        ..Options::default()
    };
    // A log of which nothing is left is refused.
    analyze::judge(
        &options,
        "log",
        Cursor::new(log),
        Box::new(out),
        None,
        |_| {},
    )
    .ok()
    .map(|(summary, _)| summary)
}

/// Whole messages on connections of their own: heads and bodies in one call, in calls of
/// their own and in vectors, with fields that may be masked.
fn exchanges() -> String {
    let mut log = String::new();
    for (number, length) in [0_usize, 5, 20, 300].into_iter().enumerate() {
        for way in 0..5 {
            let name = format!(
                "4<TCP:[10.0.0.1:80->10.0.0.2:{}]>",
                1000 + 10 * number + way
            );
            let accept = format!("accept4(3, NULL, NULL, 0) = {name}\n");
            let get = "GET /abcdef HTTP/1.1\\r\\nHost: example.org\\r\\ncookie: 0123456789abcdef\\r\\n\\r\\n";
            let read = format!(
                "recvfrom({name}, \"{get}\", 4096, 0, NULL, NULL) = {}\n",
                get.replace("\\r\\n", "rn").len()
            );
            let head = format!(
                "HTTP/1.1 200 OK\\r\\nserver: some\\r\\ncontent-length: {length}\\r\\nset-cookie: 0123456789abcdef0123456789abcdef\\r\\n\\r\\n"
            );
            let bytes = head.replace("\\r\\n", "rn").len();
            let body = "x".repeat(length);
            let both = bytes + length;
            let sends = match way {
                0 => format!("sendto({name}, \"{head}{body}\", {both}, 0, NULL, 0) = {both}\n"),
                1 => format!(
                    "sendto({name}, \"{head}\", {bytes}, 0, NULL, 0) = {bytes}\nsendto({name}, \"{body}\", {length}, 0, NULL, 0) = {length}\n"
                ),
                2 => format!(
                    "writev({name}, [{{iov_base=\"{head}\", iov_len={bytes}}}, {{iov_base=\"{body}\", iov_len={length}}}], 2) = {both}\n"
                ),
                3 => format!(
                    "sendto({name}, \"{head}\", {bytes}, MSG_MORE, NULL, 0) = {bytes}\nsendfile({name}, 5, [0] => [{length}], {length}) = {length}\n"
                ),
                // In one call, twice, kept alive.
                _ => {
                    let once =
                        format!("sendto({name}, \"{head}{body}\", {both}, 0, NULL, 0) = {both}\n");
                    format!("{once}{read}{once}")
                }
            };
            log.push_str(&format!("{accept}{read}{sends}close({name}) = 0\n"));
        }
    }
    log
}

#[test]
fn whole_messages_of_which_something_is_masked() {
    let log = format!("getrandom(\"\\0\", 1, GRND_NONBLOCK) = 1\n{}", exchanges());
    let whole = analyzed(log.clone().into_bytes()).expect("a log");
    assert_eq!((whole.exit_status(), whole.messages_judged), (0, 24));
    let config = Config {
        cases: 4_000,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let masked = (any::<Index>(), 1..60_usize, 0..MASKS.len())
        .prop_map(|(at, length, mask)| Mutation::Masked(at, length, mask));
    runner
        .run(&prop::collection::vec(masked, 1..4), |mutations| {
            let mut bytes = log.clone().into_bytes();
            for mutation in &mutations {
                (bytes, _) = mutate(&bytes, mutation);
            }
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let summary = analyzed(bytes).expect("a log");
            prop_assert!(summary.findings.is_empty(), "{:?}\n{}", summary, text);
            Ok(())
        })
        .expect("no finding");
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
