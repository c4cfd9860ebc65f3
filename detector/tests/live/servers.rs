//! What the tests share.

use std::{
    path::{Path, PathBuf},
    process::Child,
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context as _, Result};
use testbed::{
    server::{self, HyperVersion, Server},
    watcher::{Report, Watcher},
};

/// The binary under test.
pub(crate) fn truncwatch() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_truncwatch"))
}

/// A copy of it that every user may run, and the folder that it is in, which
/// everybody may write to.
pub(crate) fn truncwatch_for_everybody() -> Result<(testbed::TempDir, PathBuf)> {
    let folder = testbed::TempDir::new()?;
    let copy = folder.path().join("truncwatch");
    std::fs::copy(truncwatch(), &copy)?;
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(folder.path(), open)?;
    Ok((folder, copy))
}

/// A hyper server on a Unix socket.
pub(crate) fn hyper(version: HyperVersion) -> Result<Server> {
    Server::start(version, &server::Options::unix())
}

/// A watch of this process.
pub(crate) fn watch(pid: u32, more: &[&str]) -> Result<Watcher> {
    let pid = pid.to_string();
    let arguments: Vec<_> = ["--pid", &pid].iter().chain(more).copied().collect();
    Watcher::start(truncwatch(), &arguments)
}

/// Every message was judged, nothing was lost, and nothing was found.
pub(crate) fn assert_clean(report: &Report, messages: u64) {
    assert_eq!(report.findings, Vec::<serde_json::Value>::new());
    assert_eq!(report.count("events_lost"), Some(0), "{}", report.summary);
    assert_eq!(report.unjudged(), 0, "{}", report.summary);
    assert_eq!(
        report.count("messages_judged"),
        Some(messages),
        "{}",
        report.summary
    );
    assert_eq!(report.status.code(), Some(0), "{}", report.errors);
}

/// The text at this path of a JSON value, such as `/process/comm`.
pub(crate) fn text<'a>(value: &'a serde_json::Value, path: &str) -> Option<&'a str> {
    value.pointer(path).and_then(serde_json::Value::as_str)
}

/// The only finding.
pub(crate) fn only(report: &Report) -> Result<&serde_json::Value> {
    assert_eq!(
        report.findings.len(),
        1,
        "{:?} {}",
        report.findings,
        report.summary
    );
    report.findings.first().context("no finding")
}

/// A child process that is killed and reaped when this goes away.
pub(crate) struct Reaped(pub(crate) Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        // It may have ended by itself.
        if self.0.kill().is_ok() && self.0.wait().is_err() {}
    }
}

/// Held by whoever uses perf's tracepoints: beside another that does, a watch is told of
/// new sockets too late (docs/kernels.md).
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    // A test that failed has ended its watch all the same.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
