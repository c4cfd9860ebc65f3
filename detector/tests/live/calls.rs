//! One row per system call, per ending and per cause: what is reported when
//! exactly these calls are made, numbers and all.

use anyhow::{Context as _, Result};
use serde_json::Value;
use testbed::{
    calls::{self, Launcher},
    client::{Conn, Outcome, Request, RequestBody, TIMEOUT},
    watcher::Report,
};

use crate::{
    missing::{refused, traces_functions},
    servers::{alone, text, watch},
};

/// What a row expects of the finding about it.
#[derive(Clone, Copy)]
struct Expected {
    cause: &'static str,
    fault: &'static str,
    /// The ending's call up to its first bracket; empty where there is none.
    ending: &'static str,
    promised: Option<u64>,
    sent: Option<u64>,
    /// `None`: the rest of what the last call offered.
    stranded: Option<u64>,
}

fn local(cause: &'static str, ending: &'static str, sizes: (u64, u64)) -> Option<Expected> {
    Some(Expected {
        cause,
        fault: "local",
        ending,
        promised: Some(sizes.0),
        sent: Some(sizes.1),
        stranded: Some(0),
    })
}

/// At risk by a reset, and all of it was sent by then: the client may have it.
fn may_be_lost(ending: &'static str, sizes: (u64, u64)) -> Option<Expected> {
    local("delivery-at-risk", ending, sizes).map(|expected| Expected {
        fault: "unknown",
        ..expected
    })
}

/// What a client does for a row.
type Client = fn(Conn, &str) -> (Outcome, Option<Conn>);

fn one_request(mut connection: Conn, path: &str) -> (Outcome, Option<Conn>) {
    (connection.request(&Request::get(path)), Some(connection))
}

struct Row {
    tcp: bool,
    path: String,
    client: Client,
    expected: Vec<Expected>,
}

impl Row {
    fn new(tcp: bool, path: &str, expected: Option<Expected>) -> Self {
        Self {
            tcp,
            path: format!("{path}?{}", if tcp { "tcp" } else { "unix" }),
            client: one_request,
            expected: expected.into_iter().collect(),
        }
    }

    fn client(mut self, client: Client) -> Self {
        self.client = client;
        self
    }

    fn and(mut self, expected: Option<Expected>) -> Self {
        self.expected.extend(expected);
        self
    }
}

/// Runs the rows under one watch that sees these processes and no others, and
/// checks each; the report, for what else it should say.
fn check(rows: &[Row], options: &[&str]) -> Result<(Vec<Outcome>, Report)> {
    let mut launcher = Launcher::start(&calls::build()?)?;
    let options: Vec<_> = [&["--follow", "--show-query"], options].concat();
    let watcher = watch(launcher.pid(), &options)?;
    let outcomes = rows
        .iter()
        .map(|row| {
            let run = launcher.run_with(row.tcp, |conn| (row.client)(conn, &row.path));
            Ok(run.with_context(|| row.path.clone())?.outcome)
        })
        .collect::<Result<Vec<_>>>()?;
    let report = watcher.stop()?;
    for row in rows {
        let found: Vec<_> = report
            .findings
            .iter()
            .filter(|finding| text(finding, "/message/target") == Some(&row.path))
            .collect();
        assert_eq!(
            found.len(),
            row.expected.len(),
            "{}: {found:#?} {}",
            row.path,
            report.summary
        );
        for (finding, expected) in found.into_iter().zip(&row.expected) {
            check_one(finding, expected, &row.path);
        }
    }
    assert_eq!(report.count("events_lost"), Some(0), "{}", report.summary);
    Ok((outcomes, report))
}

fn check_one(finding: &Value, expected: &Expected, path: &str) {
    let number = |name: &str| finding.get(name).and_then(Value::as_u64);
    let seen = (
        text(finding, "/cause"),
        text(finding, "/fault"),
        number("promised_bytes"),
        number("sent_bytes"),
    );
    let wanted = (
        Some(expected.cause),
        Some(expected.fault),
        expected.promised,
        expected.sent,
    );
    assert_eq!(seen, wanted, "{path}: {finding:#}");
    let call = text(finding, "/ending/call").unwrap_or_default();
    assert!(call.starts_with(expected.ending), "{path}: {call}");
    assert_eq!(
        call.is_empty(),
        expected.ending.is_empty(),
        "{path}: {call}"
    );
    if expected.cause != "desync" {
        assert_eq!(
            number("stranded_bytes"),
            expected.stranded,
            "{path}: {finding:#}"
        );
    }
}

const BOTH: [bool; 2] = [false, true];

/// Those that are system calls.
const SENDS: [&str; 15] = [
    "write",
    "writev",
    "writev-many",
    "pwritev2",
    "sendto",
    "sendmsg",
    "sendmmsg",
    "sendfile",
    "splice",
    "more",
    "pieces",
    "zerocopy",
    "sendto-one-by-one",
    "sendfile-shrunk",
    "sendfile-all",
];

/// Those of io_uring.
const URING_SENDS: [&str; 8] = [
    "uring-send",
    "uring-send-zc",
    "uring-write",
    "uring-writev",
    "uring-sendmsg",
    "uring-sqpoll",
    "uring-registered",
    "uring-splice",
];

#[test]
fn every_call_that_sends_is_counted_to_the_byte() -> Result<()> {
    counted_to_the_byte(&SENDS, &[])
}

#[test]
fn everything_that_io_uring_sends_is_counted_to_the_byte() -> Result<()> {
    counted_to_the_byte(&URING_SENDS, &[])
}

/// The way of Linux 7.0 and later, on any kernel that has these tracepoints.
#[test]
fn perf_s_tracepoints_count_the_same() -> Result<()> {
    let _alone = alone();
    let perf = ["--hide", "steady-tracepoints"];
    counted_to_the_byte(&SENDS, &perf)?;
    counted_to_the_byte(&URING_SENDS, &perf)
}

/// Each of these, whole and cut short, over both kinds of socket.
fn counted_to_the_byte(sends: &[&str], options: &[&str]) -> Result<()> {
    const PROMISED: u64 = 5000;
    const SENT: u64 = 3000;
    let mut rows = Vec::new();
    for send in sends {
        for tcp in BOTH {
            // Unix sockets have no zero copy.
            if !tcp && ["zerocopy", "uring-send-zc"].contains(send) {
                continue;
            }
            let expected =
                local("premature-close", "close(", (PROMISED, SENT)).map(|expected| Expected {
                    stranded: match *send {
                        "splice" | "uring-splice" => None,
                        _ => Some(0),
                    },
                    ..expected
                });
            let path = format!("/{send}/close/{PROMISED}");
            rows.push(Row::new(tcp, &format!("{path}/{SENT}"), expected));
            rows.push(Row::new(tcp, &format!("{path}/{PROMISED}"), None));
        }
    }
    let (outcomes, report) = check(&rows, options)?;
    for (row, outcome) in rows.iter().zip(&outcomes) {
        let sent = if row.expected.is_empty() {
            PROMISED
        } else {
            SENT
        };
        assert_eq!(outcome.received, sent, "{}: {outcome:?}", row.path);
    }
    assert_eq!(report.unjudged(), 0, "{}", report.summary);
    Ok(())
}

/// What a call was given is read from its registers: which call it was, its
/// descriptor and how much it offered, and so for what receives.
#[test]
fn the_timeline_says_what_each_call_was_given() -> Result<()> {
    let mut launcher = Launcher::start(&calls::build()?)?;
    let watcher = watch(launcher.pid(), &["--follow"])?;
    let sends = ["write", "writev", "pwritev2", "sendto", "sendmsg"];
    for send in sends {
        for tcp in BOTH {
            launcher.run(tcp, &format!("/{send}/shutdown-wr/5000/3000"))?;
        }
    }
    let report = watcher.stop()?;
    assert_eq!(report.findings.len(), 2 * sends.len(), "{}", report.summary);
    let sends = sends.iter().flat_map(|send| [send; 2]);
    for (finding, send) in report.findings.iter().zip(sends) {
        let head = finding.pointer("/message/head_bytes");
        let sent = head.and_then(Value::as_u64).map(|head| head + 3000);
        let seen: Vec<_> = finding["timeline"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|entry| (text(entry, "/call"), entry["offered"].as_u64()))
            .collect();
        let wanted = [
            (Some("read"), Some(4096)),
            (Some(*send), sent),
            (Some("shutdown"), None),
        ];
        assert_eq!(seen, wanted, "{finding:#}");
        // Standard input, output and error, the listener, and this.
        let fd = finding.pointer("/socket/fd").and_then(Value::as_u64);
        assert_eq!(fd, Some(4), "{finding:#}");
        assert_eq!(text(finding, "/ending/call"), Some("shutdown(4, SHUT_WR)"));
    }
    Ok(())
}

/// Operations whose memory cannot be told are counted, and never judged.
#[test]
fn what_cannot_be_looked_at_is_not_observed() -> Result<()> {
    let mut rows = Vec::new();
    for tcp in BOTH {
        for send in ["uring-linked", "vmsplice"] {
            rows.push(Row::new(tcp, &format!("/{send}/close/5000/5000"), None));
        }
        rows.push(Row::new(tcp, "/uring-linked/close/5000/3000", None));
        // A close that waits for a send is not seen.
        rows.push(Row::new(tcp, "/write/uring-send-close/5000/3000", None));
    }
    let (_, report) = check(&rows, &[])?;
    let not_observed = report
        .summary
        .pointer("/unjudged/not-observed")
        .and_then(Value::as_u64);
    assert!(not_observed >= Some(6), "{}", report.summary);
    Ok(())
}

#[test]
fn every_ending_is_told_apart() -> Result<()> {
    every_ending(&[])
}

/// The way of Linux 7.0 and later, on any kernel that has probes.
#[test]
fn probes_tell_every_ending_apart() -> Result<()> {
    let _alone = alone();
    every_ending(&["--hide", "steady-tracepoints"])
}

/// The way where perf's events are refused, on any kernel that lets functions be traced.
#[test]
fn traced_functions_tell_every_ending_apart() -> Result<()> {
    if !traces_functions() {
        return refused(&["perf-events"], "perf_event_open() is refused");
    }
    let _alone = alone();
    every_ending(&TRACED)?;
    // Where one sendmmsg begins, and what a sendfile returned.
    counted_to_the_byte(&SENDS, &TRACED)
}

const TRACED: [&str; 2] = ["--hide", "perf-events"];

fn every_ending(options: &[&str]) -> Result<()> {
    const ENDINGS: [(&str, &str, &str); 17] = [
        ("shutdown-wr", "premature-shutdown", "shutdown("),
        ("shutdown-rdwr", "premature-shutdown", "shutdown("),
        ("shutdown-send", "premature-shutdown", "shutdown("),
        ("close", "premature-close", "close("),
        ("close-range", "premature-close", "close_range"),
        ("dup2", "premature-close", "dup2"),
        ("dup3", "premature-close", "dup2"),
        ("exec", "premature-close", "execve"),
        ("exit", "process-exit", "exit_group(3)"),
        ("kill", "process-exit", "killed by SIGKILL"),
        ("dup-close", "premature-close", "close("),
        ("dup-exit", "process-exit", "exit_group(4)"),
        ("fork-child-last", "process-exit", "exit_group(5)"),
        ("pidfd-getfd", "process-exit", "exit_group(6)"),
        ("scm-rights", "premature-close", "close("),
        ("dup-keep", "process-exit", "exit_group(0)"),
        ("linger-close", "premature-close", "close("),
    ];
    let report = told_apart(&ENDINGS, options)?;
    // The sockets that a descriptor was sent through.
    let not_http = report
        .summary
        .pointer("/unjudged/not-http")
        .and_then(Value::as_u64);
    assert_eq!(not_http, Some(4), "{}", report.summary);
    assert_eq!(report.unjudged(), 4, "{}", report.summary);
    Ok(())
}

#[test]
fn every_ending_by_io_uring_is_told_apart() -> Result<()> {
    let ends = [
        ("uring-shutdown", "premature-shutdown", "io_uring shutdown("),
        ("uring-close", "premature-close", "io_uring close("),
    ];
    let report = told_apart(&ends, &[])?;
    assert_eq!(report.unjudged(), 0, "{}", report.summary);
    Ok(())
}

/// Each of these (name, cause, call) after a message cut short, and after a
/// whole one.
fn told_apart(ends: &[(&str, &'static str, &'static str)], options: &[&str]) -> Result<Report> {
    let mut rows = Vec::new();
    for &(end, cause, call) in ends {
        for tcp in BOTH {
            let path = format!("/write/{end}/4000");
            let short = local(cause, call, (4000, 1000));
            rows.push(Row::new(tcp, &format!("{path}/1000"), short));
            let whole = (tcp && end == "linger-close")
                .then(|| may_be_lost("close(", (4000, 4000)))
                .flatten();
            rows.push(Row::new(tcp, &format!("{path}/4000"), whole));
        }
    }
    Ok(check(&rows, options)?.1)
}

/// Heads of 100 KiB, in one call and in many.
#[test]
fn long_heads_are_read_to_their_end() -> Result<()> {
    let mut rows = Vec::new();
    for tcp in BOTH {
        for send in ["write", "writev", "pieces", "sendmsg", "uring-writev"] {
            let path = format!("/long-{send}/close/4000");
            let short = local("premature-close", "close(", (4000, 1000));
            rows.push(Row::new(tcp, &format!("{path}/1000"), short));
            rows.push(Row::new(tcp, &format!("{path}/4000"), None));
        }
    }
    let (_, report) = check(&rows, &[])?;
    assert_eq!(report.unjudged(), 0, "{}", report.summary);
    Ok(())
}

/// The second request is sent when the first answer stops coming.
fn two_requests(mut connection: Conn, path: &str) -> (Outcome, Option<Conn>) {
    let first = connection.request(&Request::get(path).stop_after(300));
    let second = Request::get("/second");
    if connection.send(&second.message()).is_err() {
        return (first, None);
    }
    (connection.receive(&second), Some(connection))
}

/// Sends two requests at once, and reads what comes.
fn pipelined(mut connection: Conn, path: &str) -> (Outcome, Option<Conn>) {
    let first = Request::get(path).stop_after(300);
    let second = Request::get("/second");
    if let Err(error) = connection.send(&[first.message(), second.message()].concat()) {
        panic!("two requests: {error}");
    }
    let outcome = connection.receive(&first);
    (outcome, Some(connection))
}

/// Leaves with the answer half read.
fn leave(mut connection: Conn, path: &str) -> (Outcome, Option<Conn>) {
    let outcome = connection.request(&Request::get(path).stop_after(1000));
    (outcome, None)
}

/// Says that it will send no more, and reads on.
fn half_close(mut connection: Conn, path: &str) -> (Outcome, Option<Conn>) {
    let request = Request::get(path);
    let sent = connection
        .send(&request.message())
        .and_then(|()| connection.half_close());
    let mut outcome = connection.receive(&request);
    outcome.write_error = sent.err().map(|error| error.kind());
    (outcome, Some(connection))
}

/// Sends more than the program reads.
fn upload(mut connection: Conn, path: &str) -> (Outcome, Option<Conn>) {
    let request = Request::post(path, RequestBody::Sized(vec![b'u'; 20_000]));
    (connection.request(&request), Some(connection))
}

#[test]
fn every_cause_is_told_apart() -> Result<()> {
    let chunked = |call| {
        local("unterminated-chunked", call, (0, 0)).map(|expected| Expected {
            promised: None,
            sent: None,
            ..expected
        })
    };
    let fault =
        |expected: Option<Expected>, fault| expected.map(|expected| Expected { fault, ..expected });
    let mut rows = Vec::new();
    for tcp in BOTH {
        let row = |path, expected| Row::new(tcp, path, expected);
        rows.extend([
            row("/chunked-write/shutdown-wr/9000/4000", chunked("shutdown(")),
            row("/chunked-write/exit/9000/4000", chunked("exit_group(3)")),
            row("/chunked-pieces/close/9000/4000", chunked("close(")),
            row(
                "/chunked-sendto-one-by-one/close/9000/4000",
                chunked("close("),
            ),
            row(
                "/chunked-writev-many/kill/9000/4000",
                chunked("killed by SIGKILL"),
            ),
            row("/chunked-writev/close/90000/40000", chunked("close(")),
            row("/chunked-write/close/4000/4000", None),
            row("/chunked-pieces/close/4000/4000", None),
            row("/chunked-sendto-one-by-one/close/4000/4000", None),
            row(
                "/write/close/1000/1500",
                local("overrun", "close(", (1000, 1500)),
            ),
            row(
                "/pieces/shutdown-wr/1000/9000",
                local("overrun", "shutdown(", (1000, 9000)),
            ),
            row("/write/stall/1000/300", {
                let stalled = local("stalled", "", (1000, 300));
                fault(stalled, "unknown")
            })
            .and(local("premature-close", "close(", (1000, 300))),
            row("/write/stall/1000/1000", None),
            row(
                "/twice-write/close/1000/300",
                local("desync", "write(", (1000, 300)),
            )
            .client(two_requests),
            row(
                "/twice-sendmsg/exit/1000/300",
                local("desync", "sendmsg(", (1000, 300)),
            )
            .client(two_requests),
            row(
                "/pipelined-write/close/1000/300",
                local("desync", "write(", (1000, 300)),
            )
            .client(pipelined),
            row(
                "/pipelined-sendmsg/shutdown-wr/1000/300",
                local("desync", "sendmsg(", (1000, 300)),
            )
            .client(pipelined),
            row(
                "/write/half-closed/1000/300",
                fault(local("premature-close", "close(", (1000, 300)), "unknown"),
            )
            .client(half_close),
            // The rest of the request is not read: over TCP the close takes
            // back what the client has not read.
            row(
                "/write/close/4000/4000",
                tcp.then(|| may_be_lost("close(", (4000, 4000))).flatten(),
            )
            .client(upload),
        ]);
    }
    let (_, report) = check(&rows, &["--stall", "0.5"])?;
    assert_eq!(report.unjudged(), 0, "{}", report.summary);
    Ok(())
}

/// A socket that nobody holds any more does not stall: that it was shared and its end
/// unseen is counted.
#[test]
fn what_is_gone_does_not_stall() -> Result<()> {
    let rows = BOTH.map(|tcp| Row::new(tcp, "/write/scm-rights-lost/1000/300", None));
    let (_, report) = check(&rows, &["--stall", "0.5"])?;
    let shared = report.summary.pointer("/unjudged/shared");
    assert_eq!(shared, Some(&2.into()), "{}", report.summary);
    Ok(())
}

/// How much had been sent when the client left is known to nobody else.
#[test]
fn a_client_that_leaves_is_the_peer_that_closed() -> Result<()> {
    let mut launcher = Launcher::start(&calls::build()?)?;
    let watcher = watch(launcher.pid(), &["--follow", "--show-peer"])?;
    for tcp in BOTH {
        launcher.run_with(tcp, |conn| leave(conn, "/write/until-error/100000000/2000"))?;
    }
    let report = watcher.stop()?;
    assert_eq!(report.findings.len(), 2, "{}", report.summary);
    for finding in &report.findings {
        assert_eq!(text(finding, "/cause"), Some("peer-closed"));
        assert_eq!(text(finding, "/fault"), Some("peer"));
    }
    assert_eq!(report.status.code(), Some(0));
    Ok(())
}

/// Nothing is owed to who is gone, whatever is called afterwards.
#[test]
fn a_shutdown_behind_a_client_that_has_left_is_not_what_cut() -> Result<()> {
    let _alone = alone();
    let mut ways = vec![&[][..]];
    if traces_functions() {
        ways.push(&TRACED[..]);
    }
    for options in ways {
        let mut launcher = Launcher::start(&calls::build()?)?;
        let options = [&["--follow", "--show-peer"], options].concat();
        let watcher = watch(launcher.pid(), &options)?;
        launcher.run_with(false, |conn| leave(conn, "/write/left-shutdown/5000/1000"))?;
        let report = watcher.stop()?;
        assert_eq!(report.findings.len(), 1, "{}", report.summary);
        for finding in &report.findings {
            assert_eq!(text(finding, "/cause"), Some("peer-closed"));
            assert_eq!(text(finding, "/fault"), Some("peer"));
        }
        assert_eq!(report.count("peer_endings"), Some(1), "{}", report.summary);
        assert_eq!(report.status.code(), Some(0));
    }
    Ok(())
}

/// What the last call offered and the kernel did not take.
#[test]
fn what_is_stranded_is_told() -> Result<()> {
    const PROMISED: u64 = 20_000_000;
    let path = format!("/nonblocking/close/{PROMISED}/{PROMISED}");
    let mut launcher = Launcher::start(&calls::build()?)?;
    let watcher = watch(launcher.pid(), &["--follow"])?;
    let request = Request::get(&path);
    let outcome = launcher
        .run_with(false, |mut client| {
            // It reads nothing before: the one send could else take all, as fast as
            // the client makes room.
            let sent = client
                .send(&request.message())
                .and_then(|()| client.wait_hangup(TIMEOUT));
            let mut outcome = client.receive(&request);
            outcome.write_error = sent.err().map(|error| error.kind());
            (outcome, Some(client))
        })?
        .outcome;
    let report = watcher.stop()?;
    let finding = report
        .findings
        .first()
        .with_context(|| report.summary.to_string())?;
    let number = |name: &str| finding.get(name).and_then(Value::as_u64);
    assert_eq!(number("sent_bytes"), Some(outcome.received));
    assert_eq!(number("stranded_bytes"), Some(PROMISED - outcome.received));
    assert!(outcome.received < PROMISED);
    Ok(())
}
