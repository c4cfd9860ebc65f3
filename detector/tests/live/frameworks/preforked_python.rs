//! A server whose processes are forked before they accept.

use anyhow::{Context as _, Result};
use testbed::{Signal, children_of, framework::start_preforked, healthy, server::Listen};

use super::{
    LONG,
    checks::{assert_accounted, assert_found, when_some_is_there},
};
use crate::servers::{only, text, watch};

#[test]
fn workers_are_followed() -> Result<()> {
    let server = start_preforked(Listen::tcp(), 3)?;
    let watcher = watch(server.pid(), &["--follow"])?;
    healthy::at_once(server.addr(), &healthy::framework(), 3, 200)?;
    assert_accounted(&watcher.stop()?, 600, 0);
    Ok(())
}

#[test]
fn a_worker_that_is_killed_is_the_one_that_is_named() -> Result<()> {
    let server = start_preforked(Listen::Unix, 1)?;
    let workers = children_of(server.pid())?;
    let worker = *workers.first().context("no worker")?;
    let watcher = watch(server.pid(), &["--follow"])?;
    let outcome = when_some_is_there(server.addr(), &format!("/slow/{LONG}"), || {
        Ok(testbed::signal(worker, Signal::KILL)?)
    })?;
    let report = watcher.stop()?;
    assert_found(&report, &outcome, "process-exit")?;
    let finding = only(&report)?;
    assert_eq!(finding.pointer("/process/pid"), Some(&worker.into()));
    assert_eq!(text(finding, "/ending/signal"), Some("SIGKILL"));
    Ok(())
}
