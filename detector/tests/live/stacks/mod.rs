//! Who called what ended a message too early.

mod c;

use anyhow::Result;
use serde_json::Value;
use testbed::{
    client::{Conn, Request, Trigger, trigger},
    server::HyperVersion,
};

use crate::servers::{hyper, only, text, watch};

/// The functions of a finding's stack, the innermost first.
fn symbols(finding: &Value) -> Vec<String> {
    frames(finding)
        .iter()
        .map(|frame| text(frame, "/symbol").unwrap_or("?").to_owned())
        .collect()
}

fn frames(finding: &Value) -> Vec<Value> {
    finding
        .pointer("/stack")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default()
}

/// Why the stack is not whole.
fn incomplete(finding: &Value) -> Option<&str> {
    text(finding, "/stack_incomplete")
}

#[test]
fn the_stack_of_hypers_bug_shows_its_way_to_shutdown() -> Result<()> {
    let server = hyper(HyperVersion::V1_8_1)?;
    let watcher = watch(server.pid(), &[])?;
    for cause in Trigger::ALL {
        assert!(trigger(server.addr(), cause)?.truncated());
    }
    let report = watcher.stop()?;
    assert_eq!(report.findings.len(), Trigger::ALL.len());
    for finding in &report.findings {
        let symbols = symbols(finding);
        assert_eq!(incomplete(finding), None, "{symbols:?}");
        assert!(
            symbols
                .first()
                .is_some_and(|name| name.contains("shutdown"))
        );
        assert!(
            symbols.iter().any(|name| name.ends_with("main")),
            "{symbols:?}"
        );
        // conn.rs polls the transport's shutdown, called by dispatch.rs.
        let line = |file: &str| {
            frames(finding).iter().position(|frame| {
                let at = text(frame, "/file").unwrap_or_default();
                at.contains("hyper-1.8.1") && at.ends_with(file)
            })
        };
        let (connection, dispatch) = (line("h1/conn.rs"), line("h1/dispatch.rs"));
        assert!(
            connection.is_some() && connection < dispatch,
            "{connection:?} {dispatch:?} {symbols:?}"
        );
        let shutdown = frames(finding).remove(connection.unwrap_or_default());
        assert!(
            text(&shutdown, "/symbol").is_some_and(|name| name.contains("poll_shutdown")),
            "{shutdown}"
        );
        assert!(shutdown.pointer("/line").is_some_and(Value::is_u64));
    }
    Ok(())
}

#[test]
fn of_many_findings_some_have_stacks_unless_all_are_asked_for() -> Result<()> {
    let server = hyper(HyperVersion::V1_8_1)?;
    for all in [false, true] {
        let watcher = watch(server.pid(), if all { &["--all-stacks"] } else { &[] })?;
        for _ in 0..40 {
            assert!(trigger(server.addr(), Trigger::Graceful)?.truncated());
        }
        let report = watcher.stop()?;
        assert_eq!(report.findings.len(), 40);
        let (with, without): (Vec<_>, Vec<_>) = report
            .findings
            .iter()
            .partition(|finding| !frames(finding).is_empty());
        assert_eq!(without.is_empty(), all, "{} have stacks", with.len());
        // One more for each second that it takes.
        assert!(with.len() >= 8, "{}", with.len());
        for finding in without {
            assert!(
                incomplete(finding).is_some_and(|why| why.contains("the first 8")),
                "{finding}"
            );
        }
    }
    Ok(())
}

#[test]
fn no_stack_is_copied_if_none_is_wanted() -> Result<()> {
    let server = hyper(HyperVersion::V1_8_1)?;
    let watcher = watch(server.pid(), &["--no-stack", "--verbose"])?;
    trigger(server.addr(), Trigger::Graceful)?;
    let report = watcher.stop()?;
    let finding = only(&report)?;
    assert_eq!(finding.pointer("/stack"), Some(&Value::Null));
    assert_eq!(incomplete(finding), Some("--no-stack was given"));
    Ok(())
}

#[test]
fn many_stacks_at_once_are_each_findings_own() -> Result<()> {
    let server = hyper(HyperVersion::V1_12_0)?;
    let watcher = watch(server.pid(), &["--all-stacks"])?;
    for number in 0..40 {
        let path = format!("/lie/{}/3000", 5000 + number);
        Conn::connect(server.addr())?.request(&Request::get(&path));
    }
    let report = watcher.stop()?;
    assert_eq!(report.findings.len(), 40);
    for finding in &report.findings {
        // Nothing hints at these before they are judged: a few may have been
        // too many at once, and then say so.
        let said = incomplete(finding).is_some_and(|why| why.contains("too many"));
        assert!(said || !frames(finding).is_empty(), "{finding}");
    }
    let whole = report
        .findings
        .iter()
        .filter(|one| incomplete(one).is_none());
    assert!(whole.count() > 0);
    Ok(())
}

#[test]
fn the_end_of_a_process_has_no_stack() -> Result<()> {
    let mut server = hyper(HyperVersion::V1_12_0)?;
    let watcher = watch(server.pid(), &[])?;
    let addr = server.addr().clone();
    let client = std::thread::spawn(move || -> Result<_> {
        Ok(Conn::connect(&addr)?.request(&Request::get("/slow/10000000")))
    });
    std::thread::sleep(std::time::Duration::from_millis(300));
    server.kill(testbed::Signal::KILL)?;
    server.wait()?;
    assert!(client.join().is_ok());
    let report = watcher.finish()?;
    let finding = only(&report)?;
    assert_eq!(finding.pointer("/stack"), Some(&Value::Null));
    assert!(incomplete(finding).is_some_and(|why| why.contains("end of the process")));
    Ok(())
}
