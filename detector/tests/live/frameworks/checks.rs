//! What a report must say, by the client's count.

use anyhow::Result;
use testbed::{
    client::{Addr, Conn, Outcome, Request},
    watcher::Report,
};

use crate::servers::{only, text};

/// Bytes that a client has when it has its server killed.
pub(super) const SOME: u64 = 200_000;

/// No finding, no loss.
pub(super) fn assert_quiet(report: &Report) {
    assert_eq!(report.findings, Vec::<serde_json::Value>::new());
    assert_eq!(report.count("events_lost"), Some(0), "{}", report.summary);
    assert_eq!(report.status.code(), Some(0), "{}", report.errors);
    proved(report);
}

/// Prints what `cargo xtask prove` adds up, if the test passes.
fn proved(report: &Report) {
    let judged = report.count("messages_judged").unwrap_or(0);
    let cut = report.findings.len();
    println!("proved: {judged} messages, {cut} cut short");
}

/// How many were not judged for this reason.
pub(super) fn unjudged(report: &Report, reason: &str) -> u64 {
    report
        .summary
        .pointer(&format!("/unjudged/{reason}"))
        .and_then(serde_json::Value::as_u64)
        .unwrap_or(0)
}

/// Every message was judged, but for chunked ones, each on a connection of its
/// own, that were counted as such.
pub(super) fn assert_accounted(report: &Report, messages: u64, chunked: u64) {
    assert_quiet(report);
    let counted = unjudged(report, "chunked");
    assert_eq!(report.unjudged(), counted, "{}", report.summary);
    assert!(counted <= chunked, "{}", report.summary);
    assert_eq!(
        report.count("messages_judged"),
        Some(messages + chunked - counted),
        "{}",
        report.summary
    );
}

/// One finding, with the client's numbers.
pub(super) fn assert_found(report: &Report, outcome: &Outcome, cause: &str) -> Result<()> {
    let context = format!("{outcome:?}, {:?}", report.findings);
    assert!(outcome.truncated(), "{context}");
    let finding = only(report)?;
    assert_eq!(text(finding, "/cause"), Some(cause), "{context}");
    assert_eq!(text(finding, "/fault"), Some("local"), "{context}");
    assert_eq!(text(finding, "/message/role"), Some("response"));
    let promised = outcome.promised.unwrap_or(u64::MAX);
    assert_eq!(report.sizes(), [(promised, outcome.received)], "{context}");
    assert_eq!(report.count("events_lost"), Some(0), "{}", report.summary);
    assert_eq!(report.unjudged(), 0, "{}", report.summary);
    assert_eq!(report.status.code(), Some(1), "{}", report.errors);
    proved(report);
    Ok(())
}

/// Asks for this, and does that when a part of the answer is there.
pub(super) fn when_some_is_there(
    addr: &Addr,
    path: &str,
    act: impl FnOnce() -> Result<()>,
) -> Result<Outcome> {
    let (mut received, mut act, mut acted) = (0, Some(act), Ok(()));
    let outcome = Conn::connect(addr)?.request_into(&Request::get(path), |piece| {
        received += piece.len() as u64;
        if received >= SOME
            && let Some(act) = act.take()
        {
            acted = act();
        }
    });
    acted?;
    Ok(outcome)
}
