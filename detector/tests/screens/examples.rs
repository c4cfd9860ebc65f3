//! A finding as an example: of the screens, and of tests inside the library.

use detector_common::StackCopy;
use jiff::Timestamp;
use truncwatch::{
    judge::{
        Address, Cause, Ending, EndingKind, Fault, Finding, Framing, Message, Role, TimelineEntry,
    },
    report::{Reported, When},
    stack::Stack,
};

fn call(time_ns: u64, call: &str, offered: Option<u64>, result: Option<i64>) -> TimelineEntry {
    TimelineEntry {
        time_ns: Some(time_ns),
        call: call.to_owned(),
        offered,
        result,
        tid: Some(7600),
    }
}

/// The bug of hyper 1.10.1 and older.
pub(crate) fn finding() -> Finding {
    Finding {
        cause: Cause::PrematureShutdown,
        fault: Fault::Local,
        connection: 1,
        pid: 7599,
        tid: 7600,
        comm: "images".to_owned(),
        fd: Some(7),
        family: detector_common::family::UNIX,
        unread: None,
        reset: None,
        inode: Some(353_051),
        local: Some(Address::Unix(
            "/run/user/1000/some-application/instances/blue/sockets/images.sock".to_owned(),
        )),
        peer: None,
        peer_pid: Some(812),
        message: Message {
            role: Role::Response,
            framing: Framing::ContentLength,
            status: Some(200),
            method: Some("POST".to_owned()),
            target: Some("/images/by-year/2026/november/21/full-size?token=1".to_owned()),
            head_offset: 0,
            head_bytes: Some(101),
        },
        alone: false,
        rests_on_reads: false,
        reads_hidden: false,
        promised: Some(14_991_808),
        sent: Some(219_163),
        sent_with_head: None,
        stranded: Some(14_772_645),
        send_queue: None,
        ending: Ending {
            kind: EndingKind::Shutdown { both: false },
            by_uring: false,
            time_ns: 1_000_047_000,
            idle_ns: Some(281_000),
            unsent: None,
            late: false,
            stack: StackCopy::Taken,
        },
        timeline: vec![
            call(1_000_000_000, "recvfrom", Some(8192), Some(63)),
            call(1_000_036_000, "writev", Some(14_991_909), Some(219_264)),
            call(1_000_039_000, "writev", Some(14_772_645), Some(-11)),
            call(1_000_047_000, "shutdown", None, None),
        ],
    }
}

pub(crate) fn reported<'a>(finding: &'a Finding, stack: &'a Stack) -> Reported<'a> {
    Reported {
        finding,
        stack,
        time: When::At(Timestamp::UNIX_EPOCH),
        exe: Some(
            "/home/user/src/some-application/target/x86_64-unknown-linux-musl/release/images",
        ),
        unit: Some("images.service"),
        container: None,
        show_query: false,
        of_log: false,
        assumes: &[],
    }
}
