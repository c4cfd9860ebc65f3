//! Every screen as it is printed, kept in `snapshots/` and compared. To accept
//! a change: `INSTA_UPDATE=always cargo test --package truncwatch --test screens`, and
//! look at the difference.

mod examples;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
};

use serde_json::Value;
use truncwatch::{
    analyze::LOG_REASONS,
    check::{Check, State},
    cli::{definitions, parse_from},
    judge::{Cause, Finding, Unjudged},
    report::{
        HeldBackProcess, Identity, KERNEL_REASONS, LogSummary, ProcessSummary, Processes, Reported,
        Summary, UnjudgedBy, When,
        doctor::{self, Diagnosis},
        finding_json, finding_table, held_back_json, summary_json,
    },
    stack::{Frame, Stack},
};

use crate::examples::{finding, reported};

fn stack() -> Stack {
    let frame = |symbol: Option<&str>, file: Option<&str>, line, module: &str, offset| Frame {
        symbol: symbol.map(str::to_owned),
        file: file.map(str::to_owned),
        line,
        module: Some(module.to_owned()),
        offset: Some(offset),
        ..Frame::default()
    };
    Stack {
        frames: vec![
            frame(
                Some("shutdown"),
                None,
                None,
                "/usr/lib/x86_64-linux-gnu/libc.so.6",
                0x11_b0a7,
            ),
            frame(
                Some("hyper::proto::h1::conn::Conn<I,B,T>::poll_shutdown"),
                Some("/home/user/.cargo/registry/hyper-1.8.1/src/proto/h1/conn.rs"),
                Some(835),
                "/usr/bin/images",
                0x4_2ac1,
            ),
            frame(None, None, None, "/usr/bin/images", 0x1_0f00),
        ],
        incomplete: Some("the copy ends here".to_owned()),
    }
}

#[test]
fn a_finding_where_there_is_room() {
    let finding = finding();
    insta::assert_snapshot!(finding_table(&reported(&finding, &stack()), false, None));
}

#[test]
fn a_finding_on_80_columns() {
    let finding = finding();
    let text = finding_table(&reported(&finding, &stack()), false, Some(80));
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    insta::assert_snapshot!(text);
}

/// As of nginx: functions without lines, to `_start`.
fn long_stack() -> Stack {
    let names = "close ngx_close_connection ngx_http_close_connection \
        ngx_http_close_request ngx_http_finalize_request ngx_http_upstream_finalize_request \
        ngx_http_upstream_process_request ngx_http_upstream_process_upstream \
        ngx_http_upstream_handler ngx_epoll_process_events ngx_process_events_and_timers \
        ngx_worker_process_cycle ngx_spawn_process ngx_start_worker_processes \
        ngx_master_process_cycle main __libc_start_call_main __libc_start_main _start";
    let frames = names.split_whitespace().map(|name| Frame {
        symbol: Some(name.to_owned()),
        module: Some("/usr/sbin/nginx".to_owned()),
        offset: Some(0x3_2b40),
        ..Frame::default()
    });
    Stack {
        frames: frames.collect(),
        incomplete: None,
    }
}

#[test]
fn a_finding_with_its_stack_and_the_summarys_head_fit_24_lines() {
    let finding = finding();
    let text = finding_table(&reported(&finding, &long_stack()), false, Some(80));
    let summary = summary().to_string();
    let head: Vec<_> = summary.lines().take(3).collect();
    let screen = format!("{text}\n\n{}", head.join("\n"));
    assert!(screen.lines().count() <= 24, "{screen}");
    insta::assert_snapshot!(screen);
}

#[test]
fn a_finding_in_colours() {
    let finding = finding();
    let text = finding_table(&reported(&finding, &stack()), true, Some(80));
    // So that the file can be read.
    insta::assert_snapshot!(text.replace('\u{1b}', "ESC"));
}

#[test]
fn a_finding_for_scripts() -> std::io::Result<()> {
    let finding = finding();
    insta::assert_snapshot!(finding_json(&reported(&finding, &stack()))?);
    Ok(())
}

fn process() -> Identity {
    Identity {
        pid: Some(7599),
        tid: None,
        comm: Some("images".to_owned()),
        exe: Some("/usr/bin/images".to_owned()),
    }
}

fn summary() -> Summary {
    let mut processes = Processes::default();
    processes.listed = vec![ProcessSummary {
        process: process(),
        judged: 40,
        cut: 1,
        local: 1,
        causes: BTreeMap::from([("premature-shutdown", 1)]),
        targets: vec!["/images/by-year/2026/november/21/full-size".to_owned()],
        ports: vec![8080],
        paths: Vec::new(),
    }];
    processes.unjudged = vec![UnjudgedBy {
        process: process(),
        port: Some(443),
        path: None,
        reasons: BTreeMap::from([("encrypted", 5), ("not-http", 90)]),
    }];
    Summary {
        seconds: 12.4,
        timeless: false,
        connections: 1311,
        messages_judged: 1300,
        findings: BTreeMap::from([("premature-shutdown", 1)]),
        local: 1,
        peer_endings: 4,
        received_only: 0,
        received_besides: 0,
        unjudged: BTreeMap::from([("encrypted", 5), ("lost-events", 0), ("not-http", 90)]),
        processes,
        verbose: false,
        events_lost: 0,
        command_status: Some(143),
        not_seen: Vec::new(),
        log: None,
        incomplete: false,
        cut: false,
    }
}

#[test]
fn a_summary() {
    insta::assert_snapshot!(summary());
}

/// Of a recording that ends before its watch did.
#[test]
fn a_summary_leads_on_to_who_sent_what_may_have_been_short() {
    let line = |local, received_besides| {
        let summary = Summary {
            local,
            received_besides,
            ..summary()
        };
        let text = summary.to_string();
        let mut lines = text
            .lines()
            .filter(|line| line.contains("watch its sender"));
        lines.next().map(str::to_owned)
    };
    let said = line(1, 12_000).unwrap_or_default();
    assert_eq!(
        said,
        "  received      on 12,000 connections: if a response was short, watch its sender"
    );
    // Nothing was cut, or nothing came that could be passed on.
    assert_eq!((line(0, 12), line(1, 0)), (None, None));
}

#[test]
fn a_summary_of_what_was_cut_off() -> std::io::Result<()> {
    let cut = Summary {
        cut: true,
        connections: 0,
        command_status: None,
        ..summary()
    };
    insta::assert_snapshot!(format!("{cut}{}", summary_json(&cut)?));
    Ok(())
}

#[test]
fn a_summary_for_scripts() -> std::io::Result<()> {
    insta::assert_snapshot!(summary_json(&summary())?);
    Ok(())
}

/// The keys of an object and of those in it, but for counts by names.
fn keys(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                found.insert(key.clone());
                if !["unjudged", "findings", "causes", "reasons"].contains(&key.as_str()) {
                    keys(value, found);
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| keys(value, found)),
        _ => {}
    }
}

/// docs/json.md explains every field, every reason of not judging and every cause.
#[test]
fn what_scripts_read_is_documented() -> std::io::Result<()> {
    let doc = include_str!("../../../docs/json.md");
    let finding = Finding {
        sent_with_head: Some(219_264),
        ..finding()
    };
    let stack = stack();
    let of_log = Reported {
        time: When::OfDay(std::time::Duration::ZERO),
        of_log: true,
        assumes: &["write"],
        ..reported(&finding, &stack)
    };
    let log_summary = Summary {
        log: Some(LogSummary::default()),
        ..summary()
    };
    let checks = checks();
    let diagnosis = Diagnosis {
        kernel: "Linux",
        verdict: State::Works,
        checks: &checks,
    };
    let period = std::time::Duration::from_secs(60);
    let of = HeldBackProcess {
        pid: Some(1),
        comm: "a",
        exe: None,
        unit: None,
    };
    let mut names = BTreeSet::new();
    for line in [
        finding_json(&of_log)?,
        summary_json(&log_summary)?,
        held_back_json("desync", Some(of), 7, period)?,
        doctor::json(&diagnosis)?,
    ] {
        keys(&serde_json::from_str(&line)?, &mut names);
    }
    assert!(names.contains("log_time") && names.contains("cut_calls"));
    let reasons = Unjudged::ALL.iter().map(|reason| reason.name());
    let reasons = reasons.chain(KERNEL_REASONS).chain(LOG_REASONS);
    names.extend(reasons.map(str::to_owned));
    names.extend(Cause::WITH_FAULTS.map(|(cause, _)| cause.name().to_owned()));
    let missing: Vec<_> = names
        .iter()
        .filter(|name| !doc.contains(&format!("| `{name}` |")))
        .collect();
    assert_eq!(missing, [""; 0], "not in docs/json.md");
    Ok(())
}

fn checks() -> Vec<Check> {
    vec![
        Check::works("CAP_BPF", "loads programs and maps"),
        Check::fails(
            "CAP_SYS_PTRACE",
            State::Degraded,
            "not held; names the programs of other users' processes: run it with sudo",
        ),
        Check::fails(
            "sock_send_length",
            State::Missing,
            "this kernel has no tracepoint sock_send_length, which counts sent bytes: it is in Linux 6.5 and later",
        ),
    ]
}

#[test]
fn what_the_doctor_says() -> std::io::Result<()> {
    let checks = checks();
    let diagnosis = Diagnosis {
        kernel: "Linux 6.1.0-41-amd64 x86_64",
        verdict: State::Missing,
        checks: &checks,
    };
    insta::assert_snapshot!("doctor_80_columns", doctor::table(&diagnosis, false, 80));
    insta::assert_snapshot!("doctor_160_columns", doctor::table(&diagnosis, false, 160));
    insta::assert_snapshot!("doctor_json", doctor::json(&diagnosis)?);
    Ok(())
}

#[test]
fn help() {
    let mut command = definitions().term_width(80);
    insta::assert_snapshot!(command.render_long_help());
}

/// What is said to who gets the options wrong.
#[test]
fn bad_usage() {
    let said: Vec<_> = [
        &["--pid", "x"][..],
        &["--pid", "0"],
        &["--pid", "-5"],
        &["--pid", "12,x"],
        &["--pid", "12,,34"],
        &["--pid", "12", "doctor"],
        &["--pid"],
        &["--pid", ""],
        &["--follow"],
        &["--pid", "1", "--", "true"],
        &["--duration", "soon"],
        &["--duration", "-1"],
        &["--count", "0"],
        &["--count", "-1"],
        &["--port", "70000"],
        &["--unit", "a/b"],
        &["4242"],
        &["--nonsense"],
        &["--durration", "5"],
        &["doctr"],
        &["docter", "--json"],
        &["analyse", "x.log"],
        &["nginx"],
        &["--json", "analyze", "x.log"],
        &["analyze"],
        &["analyze", "s/ff.17", "s/ff.18"],
        &["analyze", "a b.17", "a b.18"],
        &["analyze", "a.log", "b.log"],
        &["analyze", "--nonsense", "a.log"],
        &["--brief", "--json"],
        &["analyze", "--brief", "--format", "json", "a.log"],
        &["record", "--pid", "1"],
        &["record", "-o", "x", "4242"],
        &["record", "-o", "x", "nginx"],
        &["doctor", "x"],
        &["daemon", "--confg", "x"],
    ]
    .iter()
    .map(|arguments| {
        let all: Vec<OsString> = std::iter::once(&"truncwatch")
            .chain(*arguments)
            .map(OsString::from)
            .collect();
        let error = parse_from(all).err();
        let text = error.map(|error| error.to_string());
        let text = text.unwrap_or_default();
        format!("$ truncwatch {}\ntruncwatch: {text}", arguments.join(" "))
    })
    .collect();
    insta::assert_snapshot!(said.join("\n"));
}

/// What is said where a watch cannot begin.
#[test]
fn errors() {
    use truncwatch::{
        capture::live::{CaptureError, cgroup::CgroupError, process::ProcessError},
        command::CommandError,
    };
    let denied = || std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    let said = [
        CaptureError::Privilege.to_string(),
        CaptureError::Tracefs(denied()).to_string(),
        CaptureError::TracefsUnreadable.to_string(),
        CaptureError::PidNamespace.to_string(),
        CaptureError::NoHook {
            hook: "sock_send_length",
            purpose: "counts sent bytes",
            since: "6.5",
        }
        .to_string(),
        ProcessError::None(4242).to_string(),
        ProcessError::Thread(4243, 4242).to_string(),
        CgroupError::NotMounted.to_string(),
        CgroupError::Namespace.to_string(),
        CgroupError::None("/x".to_owned(), "/sys/fs/cgroup".to_owned()).to_string(),
        CgroupError::NoUnit("x.service".to_owned()).to_string(),
        CgroupError::NotRunning("x.service".to_owned()).to_string(),
        CommandError::NotFound("server".into()).to_string(),
        CommandError::NotExecutable("/etc/passwd".into()).to_string(),
        CommandError::Failed {
            program: "server".into(),
            source: denied(),
        }
        .to_string(),
    ];
    insta::assert_snapshot!(said.join("\n"));
}
