//! What the targets share: records in a row, as bytes.
//!
//! Each begins with one byte that says what it is and two, little-endian, that
//! say how long it is; a length beyond the end means up to the end.

pub mod oracle;

use detector_common::{Connection, Pod as _};
use truncwatch::{
    capture::Record,
    judge::Judge,
    report::{Format, Printer, Reported, When},
    stack::Stack,
};

/// A record; its number is made the next of its connection's.
pub const RECORD: u8 = 0;
/// A record, with the number that it has.
pub const RECORD_AS_IT_IS: u8 = 1;
/// Counters: [`Judge::settle`].
const SETTLE: u8 = 2;
/// Counters: [`Judge::note`].
const NOTE: u8 = 3;
/// Counters: [`Judge::stall`].
const STALL: u8 = 4;
/// Counters: [`Judge::release`].
const RELEASE: u8 = 5;

/// Connections that there are: cookies are these.
const COOKIES: u64 = 4;

/// Where the cookie is in a record, and the number before it.
const SEQ: std::ops::Range<usize> = 4..8;
const COOKIE: std::ops::Range<usize> = 8..16;

/// Adds one to the row.
pub fn push(row: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    row.push(kind);
    row.extend(length.to_le_bytes());
    row.extend(&bytes[..usize::from(length)]);
}

/// Lets a judge have all that is in the row, and reports what it finds; how many
/// records could be read.
///
/// # Panics
///
/// If the judge contradicts itself.
pub fn judge(row: &[u8]) -> usize {
    let mut judge = Judge::new();
    let mut next = [0_u32; 4];
    let mut rest = row;
    let mut read = 0;
    let mut last = Connection::zeroed();
    while let [kind, low, high, behind @ ..] = rest {
        let length = usize::from(u16::from_le_bytes([*low, *high]));
        let (bytes, behind) = behind.split_at(length.min(behind.len()));
        rest = behind;
        let cookie = u64::from(kind >> 6);
        match kind % 8 {
            RECORD | RECORD_AS_IT_IS | 6.. => {
                let Some(record) = record(bytes, kind % 8 != RECORD_AS_IT_IS, &mut next) else {
                    continue;
                };
                if let Record::End(end) = &record {
                    last = end.connection;
                }
                read += 1;
                judge.take(record);
            }
            SETTLE => judge.settle(cookie, Some(&counters(bytes).unwrap_or(last))),
            NOTE => judge.note(cookie, &counters(bytes).unwrap_or(last), time(bytes)),
            STALL => judge.stall(cookie, &counters(bytes).unwrap_or(last), time(bytes)),
            RELEASE => judge.release(cookie, counters(bytes).as_ref()),
        }
        for cookie in judge.take_flawed() {
            judge.note(cookie, &last, 1);
        }
        drop(judge.take_hints());
        drop(judge.take_released());
        report(&mut judge);
        assert!(judge.cookies().all(|cookie| cookie < COOKIES));
        assert!(judge.waiting().count() <= judge.held().count());
        assert!(judge.owing().count() <= judge.held().count());
    }
    judge.finish([(0, last)]);
    report(&mut judge);
    assert_eq!(judge.cookies().count(), 0, "all are judged in the end");
    read
}

/// The record, as one of few connections', and as the next of them.
fn record(bytes: &[u8], in_order: bool, next: &mut [u32; 4]) -> Option<Record> {
    let mut bytes = bytes.to_vec();
    let cookie = u64::from_le_bytes(bytes.get(COOKIE)?.try_into().ok()?) % COOKIES;
    bytes[COOKIE].copy_from_slice(&cookie.to_le_bytes());
    let seq = next.get_mut(usize::try_from(cookie).ok()?)?;
    if in_order {
        bytes[SEQ].copy_from_slice(&seq.to_le_bytes());
    }
    let record = Record::decode(&bytes).ok()?;
    *seq = seq.wrapping_add(1);
    Some(record)
}

/// A time that a clock may show.
fn time(bytes: &[u8]) -> u64 {
    u64::read(bytes).unwrap_or_default() >> 2
}

/// Counters of the kernel's, which no socket brings to more than this.
fn counters(bytes: &[u8]) -> Option<Connection> {
    let mut counters = Connection::read(bytes)?;
    counters.sent >>= 2;
    counters.received >>= 2;
    counters.sent_ns >>= 2;
    Some(counters)
}

fn report(judge: &mut Judge) {
    for finding in judge.take_findings() {
        for format in [Format::Json, Format::Table] {
            let mut printer = Printer::new(Box::new(std::io::sink()), format, false, None);
            let reported = Reported {
                finding: &finding,
                time: When::Unknown,
                exe: None,
                unit: None,
                container: None,
                stack: &Stack::default(),
                show_query: true,
                of_log: true,
                assumes: &["write"],
            };
            assert!(printer.finding(&reported).is_ok(), "a sink takes all");
        }
    }
}
