//! One row per system call and per ending: what is reported when exactly these
//! calls are made, numbers and all.

use anyhow::Result;
use testbed::{
    calls::{self, Launcher, Run},
    watcher::Report,
};

use crate::servers::{text, watch};

/// What a row expects: cause, and the ending's call up to its first bracket.
type Expected = Option<(&'static str, &'static str)>;

/// Runs each row `(over TCP?, path)` under one watch that sees these processes
/// and no others.
fn watched(rows: &[(bool, String)]) -> Result<(Vec<Run>, Report)> {
    let mut launcher = Launcher::start(&calls::build()?)?;
    let watcher = watch(launcher.pid(), &["--follow", "--show-query"])?;
    let runs: Vec<_> = rows
        .iter()
        .map(|(tcp, path)| launcher.run(*tcp, path))
        .collect::<Result<_>>()?;
    Ok((runs, watcher.stop()?))
}

/// The findings about the answer to this request.
fn findings_of<'a>(report: &'a Report, row: &str) -> Vec<&'a serde_json::Value> {
    report
        .findings
        .iter()
        .filter(|finding| text(finding, "/message/target") == Some(row))
        .collect()
}

fn check(report: &Report, run: &Run, row: &str, expected: Expected, sizes: (u64, u64)) {
    let found = findings_of(report, row);
    let Some((cause, call)) = expected else {
        assert!(found.is_empty(), "{row}: {found:?}");
        return;
    };
    let [finding] = found[..] else {
        panic!(
            "{row}: {} findings, {:?}, {}",
            found.len(),
            run.outcome,
            report.summary
        );
    };
    let ending = text(finding, "/ending/call").unwrap_or_default();
    let seen = (
        text(finding, "/cause"),
        text(finding, "/fault"),
        finding
            .pointer("/promised_bytes")
            .and_then(serde_json::Value::as_u64),
        finding
            .pointer("/sent_bytes")
            .and_then(serde_json::Value::as_u64),
    );
    assert_eq!(
        seen,
        (Some(cause), Some("local"), Some(sizes.0), Some(sizes.1)),
        "{row}: {finding}"
    );
    assert!(ending.starts_with(call), "{row}: {ending}");
}

#[test]
fn every_call_that_sends_is_counted_to_the_byte() -> Result<()> {
    const PROMISED: u64 = 5000;
    const SENT: u64 = 3000;
    let sends = [
        (false, "write"),
        (true, "write"),
        (false, "writev"),
        (true, "writev"),
        (false, "writev-many"),
        (true, "pwritev2"),
        (false, "sendto"),
        (true, "sendto"),
        (true, "sendto-one-by-one"),
        (false, "sendmsg"),
        (true, "sendmsg"),
        (false, "sendmmsg"),
        (true, "sendmmsg"),
        (false, "sendfile"),
        (true, "sendfile"),
        (true, "sendfile-shrunk"),
        (false, "splice"),
        (true, "splice"),
        (true, "zerocopy"),
    ];
    let mut rows = Vec::new();
    for (tcp, send) in sends {
        rows.push((tcp, format!("/{send}/close/{PROMISED}/{SENT}?{tcp}")));
        rows.push((tcp, format!("/{send}/close/{PROMISED}/{PROMISED}?{tcp}")));
    }
    let (runs, report) = watched(&rows)?;
    for ((_, row), run) in rows.iter().zip(&runs) {
        if row.contains(&format!("/{SENT}?")) {
            assert_eq!(run.outcome.received, SENT, "{row}");
            check(
                &report,
                run,
                row,
                Some(("premature-close", "close(")),
                (PROMISED, SENT),
            );
        } else {
            assert!(run.outcome.complete(), "{row}: {:?}", run.outcome);
            check(&report, run, row, None, (0, 0));
        }
    }
    assert_eq!(
        report.summary.pointer("/unjudged/lost-events"),
        Some(&0.into()),
        "{}",
        report.summary
    );
    Ok(())
}

#[test]
fn every_ending_is_told_apart() -> Result<()> {
    let ends: [(&str, Expected); 15] = [
        ("shutdown-wr", Some(("premature-shutdown", "shutdown("))),
        ("shutdown-rdwr", Some(("premature-shutdown", "shutdown("))),
        ("close", Some(("premature-close", "close("))),
        ("close-range", Some(("premature-close", "close_range"))),
        ("dup2", Some(("premature-close", "dup2"))),
        ("dup3", Some(("premature-close", "dup2"))),
        ("exec", Some(("premature-close", "execve"))),
        ("exit", Some(("process-exit", "exit_group(3)"))),
        ("kill", Some(("process-exit", "killed by SIGKILL"))),
        ("dup-close", Some(("premature-close", "close("))),
        ("dup-exit", Some(("process-exit", "exit_group(4)"))),
        ("fork-child-last", Some(("process-exit", "exit_group(5)"))),
        ("scm-rights", Some(("premature-close", "close("))),
        ("dup-keep", Some(("process-exit", "exit_group(0)"))),
        ("linger-close", Some(("premature-close", "close("))),
    ];
    let mut rows = Vec::new();
    for (end, _) in ends {
        for tcp in [false, true] {
            rows.push((tcp, format!("/write/{end}/4000/1000?{tcp}")));
            rows.push((tcp, format!("/write/{end}/4000/4000?{tcp}")));
        }
    }
    let (runs, report) = watched(&rows)?;
    for ((_, row), run) in rows.iter().zip(&runs) {
        let expected = ends
            .iter()
            .find(|(end, _)| row.contains(&format!("/{end}/")));
        let expected = expected.and_then(|(_, expected)| *expected);
        if row.contains("/1000?") {
            check(&report, run, row, expected, (4000, 1000));
        } else if row == "/write/linger-close/4000/4000?true" {
            let risk = Some(("delivery-at-risk", "close("));
            check(&report, run, row, risk, (4000, 4000));
        } else {
            check(&report, run, row, None, (0, 0));
        }
    }
    assert_eq!(
        report.summary.pointer("/unjudged/lost-events"),
        Some(&0.into()),
        "{}",
        report.summary
    );
    Ok(())
}
