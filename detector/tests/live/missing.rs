//! What a kernel lacks is named, and what can be seen without it is seen.
//! Tracepoints are looked for under a name that no kernel has (`--hide`), fields
//! are taken for missing.

use std::process::Command;

use anyhow::Result;
use testbed::{
    BIG_BODY,
    client::{Trigger, trigger},
    server::HyperVersion,
    watcher::Report,
};

use crate::servers::{hyper, truncwatch, watch};

/// Watches one truncated message on a kernel without these.
fn without(names: &[&str]) -> Result<Report> {
    let server = hyper(HyperVersion::V1_8_1)?;
    let options: Vec<_> = names.iter().flat_map(|name| ["--hide", *name]).collect();
    let watcher = watch(server.pid(), &options)?;
    let outcome = trigger(server.addr(), Trigger::Ignore)?;
    let report = watcher.stop()?;
    assert_eq!(
        report.sizes(),
        [(BIG_BODY, outcome.received)],
        "{outcome:?}: {}",
        report.summary
    );
    assert_eq!(report.status.code(), Some(1));
    Ok(report)
}

/// What the summary says is not seen.
fn not_seen(report: &Report) -> Vec<&str> {
    let named = report.summary.get("not_seen");
    let named = named.and_then(serde_json::Value::as_array);
    named
        .into_iter()
        .flatten()
        .filter_map(serde_json::Value::as_str)
        .collect()
}

#[test]
fn hooks_that_can_be_done_without_are_named() -> Result<()> {
    let hooks = [
        "sched_prepare_exec",
        "io_uring_submit_req",
        "io_uring_queue_async_work",
    ];
    let report = without(&hooks)?;
    let named = not_seen(&report);
    for hook in hooks {
        assert!(named.iter().any(|text| text.contains(hook)), "{named:?}");
    }
    Ok(())
}

#[test]
fn fields_that_can_be_done_without_are_named() -> Result<()> {
    let fields = [
        ("tcp_sock.copied_seq", "delivery-at-risk"),
        ("sock.sk_peer_pid", "the peer's process"),
        ("unix_address.name", "the path"),
        ("sock_common.skc_v6_daddr", "IPv6"),
        ("io_kiocb.opcode", "io_uring"),
    ];
    let report = without(&fields.map(|(field, _)| field))?;
    let named = not_seen(&report);
    for (field, feature) in fields {
        let fits = |text: &&str| text.contains(field) && text.contains(feature);
        assert!(named.iter().any(fits), "{field}: {named:?}");
    }
    let finding = report.findings.first();
    for unknown in ["/socket/peer_pid", "/socket/local"] {
        let value = finding.and_then(|finding| finding.pointer(unknown));
        assert_eq!(value, Some(&serde_json::Value::Null), "{unknown}");
    }
    Ok(())
}

#[test]
fn hooks_and_fields_that_counting_needs_are_asked_for() -> Result<()> {
    for needed in [
        "sock_send_length",
        "sys_enter_shutdown",
        "sys_exit_accept4",
        "sched_process_exit",
        "sock_common.skc_cookie.counter",
    ] {
        let output = Command::new(truncwatch())
            .args(["--hide", needed, "--duration", "1"])
            .output()?;
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{needed}: {text}");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains(needed), "{text}");
        assert!(output.stdout.is_empty());
    }
    Ok(())
}
