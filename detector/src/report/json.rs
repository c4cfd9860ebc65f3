//! The JSON lines. What this file's types say is the contract, and docs/json.md
//! explains it; fields are only ever added, and [`SCHEMA`] changes if one changes
//! its meaning.
//!
//! One object per line; `type` tells which. A field that is not known is
//! `null`, never a guess. Sizes are in bytes, times named `_ms` in
//! milliseconds. No number is above 2^53, up to which every reader of JSON keeps
//! numbers exactly (RFC 8259 section 6); one that would be is `null`.

use std::{collections::BTreeMap, io, time::Duration};

use detector_common::call_name;
use serde::Serialize;

use super::{LogSummary, ProcessSummary, Reported, Summary, UnjudgedBy, errno, milliseconds};
use crate::{
    judge::{Address, Cause, EndingKind, Finding, SendQueue, TimelineEntry},
    stack,
};

/// Version of the contract, in every object.
pub const SCHEMA: u32 = 1;

/// The largest number that a reader of JSON keeps exactly: 2^53.
const LARGEST: u64 = 1 << 53;

/// A number that may be larger than [`LARGEST`], such as a promise or what a program asks
/// for.
fn exact(number: Option<u64>) -> Option<u64> {
    number.filter(|number| *number <= LARGEST)
}

/// One message that was cut short.
#[derive(Serialize)]
struct FindingObject<'a> {
    /// `"finding"`.
    r#type: &'static str,
    schema: u32,
    /// When this side ended the connection, RFC 3339, UTC, microseconds; null
    /// of a log without dates.
    time: Option<String>,
    /// The time of day of that, as a log without dates has it; else absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    log_time: Option<String>,
    /// [`crate::judge::Cause::name`].
    cause: &'static str,
    /// `local` (this process), `peer`, `unknown`.
    fault: &'static str,
    process: Process<'a>,
    socket: Socket,
    message: Message<'a>,
    /// Content-Length; null where the body is chunked, as the next two.
    promised_bytes: Option<u64>,
    /// Body bytes that the kernel accepted; the head is not among them.
    sent_bytes: Option<u64>,
    /// Bytes of head and body together, where it is not known how many of them
    /// are the body's: a log that shows a part of the head.
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_with_head_bytes: Option<u64>,
    /// `promised_bytes` less `sent_bytes`, or 0.
    missing_bytes: Option<u64>,
    /// Bytes that the last send call offered and the kernel did not take; 0
    /// where the process never offered the rest.
    stranded_bytes: Option<u64>,
    ending: Ending,
    /// The last calls on the socket, oldest first, with the ending.
    timeline: Vec<Call<'a>>,
    /// The stack of the thread that ended it, the innermost function first;
    /// null where nothing of it is known.
    stack: Option<Vec<Frame<'a>>>,
    /// Why `stack` does not reach the thread's first function, or is null; null
    /// where it does.
    stack_incomplete: Option<&'a str>,
    /// Calls of which a log has no line: it holds if strace was asked for them.
    /// Absent where it rests on none.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    assumes_traced: &'a [&'static str],
}

/// The process that ended it. Null where a log does not tell.
#[derive(Serialize)]
struct Process<'a> {
    pid: Option<u32>,
    /// The thread that made the call.
    tid: Option<u32>,
    /// That thread's name.
    comm: Option<&'a str>,
    /// Path of its program; from a log, the path that its exec names, which may
    /// be a link or a script.
    exe: Option<&'a str>,
    /// The unit of systemd that it belongs to, by its control group: a service or
    /// a scope.
    unit: Option<&'a str>,
    /// The container, by its control group: the number that its runtime gave it.
    container: Option<&'a str>,
}

#[derive(Serialize)]
struct Socket {
    fd: Option<u32>,
    /// `unix`, `inet` or `inet6`; null where a log does not tell.
    family: Option<&'static str>,
    /// `address:port`, or a Unix path; an abstract one begins with `@`.
    local: Option<String>,
    peer: Option<String>,
    /// The process at the other end, of Unix sockets.
    peer_pid: Option<u32>,
    /// N of `socket:[N]` in `/proc/PID/fd`.
    inode: Option<u64>,
    /// TCP: bytes received and not read at the ending: a close then sends a
    /// reset. Null where that was not read: from a log, of MPTCP, or where nothing ended.
    unread_bytes: Option<u32>,
    /// `SO_LINGER` with time 0 was set: a close then sends a reset. Null where that was
    /// not read, or a log does not show that it was.
    linger_reset: Option<bool>,
}

#[derive(Serialize)]
struct Message<'a> {
    /// `response` or `request`.
    role: &'static str,
    /// `content-length` or `chunked`.
    framing: &'static str,
    status: Option<u16>,
    /// Of the request that a response answers, or of the request itself.
    method: Option<&'a str>,
    /// Cut at `?` unless `--show-query` was given.
    target: Option<&'a str>,
    /// Where its head begins among the bytes sent on the connection.
    head_offset: u64,
    /// Null where its end was not seen.
    head_bytes: Option<u64>,
}

#[derive(Serialize)]
struct Ending {
    /// `shutdown`, `close` or `exit`; `next-message` where the next message, or
    /// bytes that are none, began on a connection that goes on; `open` where it
    /// only made no progress.
    kind: &'static str,
    /// The call as strace prints it; null where there is none.
    call: Option<String>,
    /// Error of that call; it is seen at its entry, so always `null`.
    errno: Option<&'static str>,
    /// Since the kernel last accepted bytes.
    idle_ms: Option<f64>,
    /// Of `delivery-at-risk`: bytes that were not sent when the reset was due, and that
    /// nobody will receive; else, and where it was not read, null.
    unsent_bytes: Option<u32>,
    /// The signal that ended the process.
    signal: Option<String>,
    /// Its exit status, if it exited by itself.
    exit_status: Option<u32>,
    /// Of a message that stalls: `empty`, `partial` or `full`, null where that is not
    /// known; else absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    send_queue: Option<Option<&'static str>>,
}

/// One call.
#[derive(Serialize)]
struct Call<'a> {
    /// Since the first call shown.
    t_ms: Option<f64>,
    call: &'a str,
    /// Bytes it offered, or had room for.
    offered: Option<u64>,
    /// Bytes, or a negative errno.
    result: Option<i64>,
    /// Null where a log does not tell.
    tid: Option<u32>,
}

/// One function of a stack.
#[derive(Serialize)]
struct Frame<'a> {
    /// Demangled; null where the module does not tell it.
    symbol: Option<&'a str>,
    /// Where debug information tells it, as the next.
    file: Option<&'a str>,
    line: Option<u32>,
    /// Path of the program or library, as the process has it.
    module: Option<&'a str>,
    /// The address in the module's file, as `addr2line -e` takes it: of a caller,
    /// within its call.
    offset: Option<u64>,
    /// The compiler put it into the function that follows.
    inlined: bool,
}

/// Findings that the daemon did not tell one by one, by its limits.
#[derive(Serialize)]
struct HeldBackObject<'a> {
    /// `"held-back"`.
    r#type: &'static str,
    schema: u32,
    cause: &'static str,
    /// Null where they are of several.
    process: Option<HeldBackProcess<'a>>,
    /// How many.
    count: u64,
    /// In how long.
    seconds: u64,
}

/// Who made findings that were held back.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct HeldBackProcess<'a> {
    /// The process; null where they are of several of one program.
    pub pid: Option<u32>,
    /// The name of the thread that ended the first.
    pub comm: &'a str,
    /// The program; null where it is not known.
    pub exe: Option<&'a str>,
    /// The unit of systemd of the first; null where it was in none.
    pub unit: Option<&'a str>,
}

/// The end of a watch, or of a log.
#[derive(Serialize)]
struct SummaryObject<'a> {
    /// `"summary"`.
    r#type: &'static str,
    schema: u32,
    /// Length of the watch, or of what the log or the recording covers; null of a
    /// log without times.
    seconds: Option<f64>,
    /// Connections that moved bytes; null of a recording of which the end is
    /// missing, as `events_lost`.
    connections: Option<u64>,
    /// Messages proved whole or cut short.
    messages_judged: u64,
    /// Findings by cause, as reported.
    findings: &'a BTreeMap<&'static str, u64>,
    /// Messages that the peer cut short, reported or not.
    peer_endings: u64,
    /// What was not judged, by reason.
    unjudged: &'a BTreeMap<&'static str, u64>,
    /// By process, the worst first; not all where there are many.
    processes: &'a [ProcessSummary],
    /// What was not judged by process and service, those with most first; not all
    /// where there are many.
    unjudged_by: &'a [UnjudgedBy],
    /// Records that found the ring buffer full; lines of a log that could not
    /// be read or were left out.
    events_lost: Option<u64>,
    /// What this kernel does not show, in words, because it lacks a hook or a
    /// field.
    not_seen: &'a [String],
    /// Of a log; else absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<&'a LogSummary>,
    /// How the command after `--` ended, as a shell's `$?`: its exit status, or
    /// 128 and the number of the signal that killed it (143 for SIGTERM). Null
    /// without a command.
    command_status: Option<i32>,
}

/// A finding as one line, without its end.
///
/// # Errors
///
/// Never for these types; the serializer's interface asks for it.
pub fn finding(reported: &Reported<'_>) -> io::Result<String> {
    let finding = reported.finding;
    let start = finding.timeline.iter().find_map(|entry| entry.time_ns);
    // Of a Unix socket neither takes anything back.
    let unix = !reported.of_log && finding.family == detector_common::family::UNIX;
    let object = FindingObject {
        r#type: "finding",
        schema: SCHEMA,
        time: reported.time.rfc3339(),
        log_time: reported.time.of_day(),
        cause: finding.cause.name(),
        fault: finding.fault.name(),
        process: Process {
            pid: (finding.pid != 0).then_some(finding.pid),
            tid: (finding.tid != 0).then_some(finding.tid),
            comm: (!finding.comm.is_empty()).then_some(finding.comm.as_str()),
            exe: reported.exe,
            unit: reported.unit,
            container: reported.container,
        },
        socket: Socket {
            fd: finding.fd,
            family: family(finding.family),
            local: finding.local.as_ref().map(address),
            peer: finding.peer.as_ref().map(address),
            peer_pid: finding.peer_pid,
            inode: exact(finding.inode),
            unread_bytes: finding.unread.or(unix.then_some(0)),
            linger_reset: finding.reset.or(unix.then_some(false)),
        },
        message: Message {
            role: finding.message.role.name(),
            framing: finding.message.framing.name(),
            status: finding.message.status,
            method: finding.message.method.as_deref(),
            target: reported.target(),
            head_offset: finding.message.head_offset,
            head_bytes: exact(finding.message.head_bytes),
        },
        promised_bytes: exact(finding.promised),
        sent_bytes: exact(finding.sent),
        sent_with_head_bytes: exact(finding.sent_with_head),
        missing_bytes: exact(finding.missing()),
        stranded_bytes: exact(finding.stranded),
        ending: ending(finding),
        timeline: finding
            .timeline
            .iter()
            .map(|entry| call(entry, start))
            .collect(),
        stack: (!reported.stack.frames.is_empty())
            .then(|| reported.stack.frames.iter().map(frame).collect()),
        stack_incomplete: reported.stack.incomplete.as_deref(),
        assumes_traced: reported.assumes,
    };
    Ok(serde_json::to_string(&object)?)
}

/// Findings that were held back, as one line without its end.
///
/// # Errors
///
/// Never for these types; the serializer's interface asks for it.
pub fn held_back(
    cause: &'static str,
    process: Option<HeldBackProcess<'_>>,
    count: u64,
    period: Duration,
) -> io::Result<String> {
    Ok(serde_json::to_string(&HeldBackObject {
        r#type: "held-back",
        schema: SCHEMA,
        cause,
        process,
        count,
        seconds: period.as_secs(),
    })?)
}

/// The summary as one line, without its end.
///
/// # Errors
///
/// Never for these types; the serializer's interface asks for it.
pub fn summary(summary: &Summary) -> io::Result<String> {
    Ok(serde_json::to_string(&SummaryObject {
        r#type: "summary",
        schema: SCHEMA,
        seconds: (!summary.timeless).then(|| (summary.seconds * 1000.0).round() / 1000.0),
        connections: (!summary.cut).then_some(summary.connections),
        messages_judged: summary.messages_judged,
        findings: &summary.findings,
        peer_endings: summary.peer_endings,
        unjudged: &summary.unjudged,
        processes: &summary.processes.listed,
        unjudged_by: &summary.processes.unjudged,
        events_lost: (!summary.cut).then_some(summary.events_lost),
        not_seen: &summary.not_seen,
        log: summary.log.as_ref(),
        command_status: summary.command_status,
    })?)
}

fn frame(frame: &stack::Frame) -> Frame<'_> {
    Frame {
        symbol: frame.symbol.as_deref(),
        file: frame.file.as_deref(),
        line: frame.line,
        module: frame.module.as_deref(),
        offset: exact(frame.offset),
        inlined: frame.inlined,
    }
}

fn call(entry: &TimelineEntry, start: Option<u64>) -> Call<'_> {
    let since = |time: u64| rounded(milliseconds(time.saturating_sub(start.unwrap_or(time))));
    Call {
        t_ms: entry.time_ns.map(since),
        call: &entry.call,
        offered: exact(entry.offered),
        result: entry.result,
        tid: entry.tid.filter(|tid| *tid != 0),
    }
}

fn ending(finding: &Finding) -> Ending {
    let (signal, exit_status) = match finding.ending.kind {
        EndingKind::Exit { wait_status } => match wait_status & 0x7f {
            0 => (None, Some(wait_status >> 8 & 0xff)),
            signal => (Some(errno::signal(signal)), None),
        },
        _ => (None, None),
    };
    Ending {
        kind: finding.ending.kind.name(),
        call: ending_call(finding),
        errno: None,
        idle_ms: finding
            .ending
            .idle_ns
            .map(|idle| rounded(milliseconds(idle))),
        unsent_bytes: finding.ending.unsent,
        signal,
        exit_status,
        send_queue: (finding.cause == Cause::Stalled)
            .then(|| finding.send_queue.map(SendQueue::name)),
    }
}

/// The ending as strace writes it.
pub(crate) fn ending_call(finding: &Finding) -> Option<String> {
    let fd = finding
        .fd
        .map_or_else(|| "?".to_owned(), |fd| fd.to_string());
    let call = match finding.ending.kind {
        EndingKind::Shutdown { both } => {
            format!(
                "shutdown({fd}, {})",
                if both { "SHUT_RDWR" } else { "SHUT_WR" }
            )
        }
        EndingKind::Close => format!("close({fd})"),
        EndingKind::CloseRange => format!("close_range over {fd}"),
        EndingKind::Replace => format!("dup2 over {fd}"),
        EndingKind::Exec => format!("execve, close-on-exec of {fd}"),
        EndingKind::Next { call } => {
            let name = call_name(call).unwrap_or("a call");
            format!("{name}({fd}, …)")
        }
        EndingKind::Open => return None,
        EndingKind::Exit { wait_status } => match wait_status & 0x7f {
            0 => format!("exit_group({})", wait_status >> 8 & 0xff),
            signal => format!("killed by {}", errno::signal(signal)),
        },
    };
    Some(if finding.ending.by_uring {
        format!("io_uring {call}")
    } else {
        call
    })
}

fn rounded(milliseconds: f64) -> f64 {
    (milliseconds * 1000.0).round() / 1000.0
}

pub(super) fn family(number: u16) -> Option<&'static str> {
    match number {
        detector_common::family::UNIX => Some("unix"),
        detector_common::family::INET => Some("inet"),
        detector_common::family::INET6 => Some("inet6"),
        _ => None,
    }
}

pub(super) fn address(address: &Address) -> String {
    match address {
        Address::Inet(address) => address.to_string(),
        Address::Unix(path) => path.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::{report::When, stack::Stack};

    /// Every number in it, with where it is.
    fn numbers(value: &Value, place: &str, found: &mut Vec<(String, f64)>) {
        match value {
            Value::Number(number) => {
                found.push((place.to_owned(), number.as_f64().unwrap_or(f64::INFINITY)));
            }
            Value::Array(items) => items.iter().for_each(|item| numbers(item, place, found)),
            Value::Object(fields) => {
                for (name, item) in fields {
                    numbers(item, &format!("{place}/{name}"), found);
                }
            }
            _ => {}
        }
    }

    #[test]
    fn no_number_is_larger_than_readers_keep() {
        let largest = 9_007_199_254_740_992.0;
        for huge in [LARGEST, LARGEST + 1, 1 << 63, u64::MAX] {
            let mut finding = crate::examples::finding();
            finding.promised = Some(huge);
            finding.sent_with_head = Some(huge);
            finding.stranded = Some(huge);
            finding.inode = Some(huge);
            finding.message.head_bytes = Some(huge);
            for entry in &mut finding.timeline {
                entry.offered = Some(huge);
            }
            let frame = stack::Frame {
                offset: Some(huge),
                ..stack::Frame::default()
            };
            let stack = Stack {
                frames: vec![frame],
                incomplete: None,
            };
            let text = super::finding(&Reported {
                finding: &finding,
                stack: &stack,
                time: When::Unknown,
                exe: None,
                unit: None,
                container: None,
                show_query: false,
                of_log: true,
                assumes: &[],
            })
            .expect("written");
            let value: Value = serde_json::from_str(&text).expect("JSON");
            let mut found = Vec::new();
            numbers(&value, "", &mut found);
            for (place, number) in &found {
                assert!(*number <= largest, "{place}: {number}");
            }
            let known = huge == LARGEST;
            for place in ["promised_bytes", "stranded_bytes"] {
                assert_eq!(value[place].is_u64(), known, "{place}");
            }
            assert_eq!(value["timeline"][0]["offered"].is_u64(), known);
        }
    }
}
