//! nginx, with sendfile and as a proxy. Its workers are found by following the
//! master.

use std::time::Duration;

use anyhow::{Context as _, Result};
use testbed::{
    Signal,
    client::{Addr, Conn, Request},
    framework::Framework,
    healthy::{self, Exchange},
    nginx::{Nginx, Options},
    server::{Listen, Server},
    watcher::Watcher,
};

use super::{
    LONG, both,
    checks::{SOME, assert_accounted, assert_found, when_some_is_there},
};
use crate::servers::{only, text, watch};

fn followed(nginx: &Nginx) -> Result<Watcher> {
    watch(nginx.master_pid(), &["--follow"])
}

/// nginx in front of a server, and that server.
fn proxy(framework: Framework, listen: Listen) -> Result<(Nginx, Server)> {
    let server = framework.start(listen)?;
    Ok((Nginx::start(&Options::proxy(server.addr()))?, server))
}

/// What is asked of the backend through the proxy.
fn proxied(exchange: Exchange) -> Exchange {
    exchange.below("/proxy")
}

fn addresses(nginx: &Nginx) -> [Addr; 2] {
    [nginx.tcp(), nginx.unix()]
}

#[test]
fn healthy_files() -> Result<()> {
    let nginx = Nginx::start(&Options {
        workers: 2,
        ..Options::default()
    })?;
    nginx.put("long", &vec![b'x'; 5_000_000])?;
    let files = healthy::nginx(&nginx)?;
    let slow = Exchange::get("/long", 5_000_000).read_after(Duration::from_millis(200));
    let watcher = followed(&nginx)?;
    for addr in addresses(&nginx) {
        healthy::at_once(&addr, &files, 3, 100)?;
        healthy::keep_alive(&addr, std::slice::from_ref(&slow), 2)?;
    }
    assert_accounted(&watcher.stop()?, 604, 0);
    Ok(())
}

/// What nginx sends to the backend are messages too.
fn healthy_proxy(framework: Framework, listen: Listen) -> Result<()> {
    let (nginx, _backend) = proxy(framework, listen)?;
    let exchanges: Vec<_> = healthy::framework().into_iter().map(proxied).collect();
    let slow =
        proxied(Exchange::get("/bytes/5000000", 5_000_000)).read_after(Duration::from_millis(200));
    let watcher = followed(&nginx)?;
    for addr in addresses(&nginx) {
        healthy::at_once(&addr, &exchanges, 3, 50)?;
        healthy::keep_alive(&addr, std::slice::from_ref(&slow), 2)?;
        let chunked = proxied(Exchange::get("/chunked/100000", 100_000));
        healthy::keep_alive(&addr, &[chunked], 1)?;
    }
    // Of the chunked exchanges, the request is an ordinary one.
    assert_accounted(&watcher.stop()?, 2 * 304 + 2, 2);
    Ok(())
}

#[test]
#[ignore = "cargo xtask prove --group servers"]
fn a_worker_that_is_killed() -> Result<()> {
    for number in 0..2 {
        let nginx = Nginx::start(&Options::default())?;
        nginx.put("long", &vec![b'x'; usize::try_from(LONG)?])?;
        let worker = *nginx.worker_pids()?.first().context("no worker")?;
        let watcher = followed(&nginx)?;
        let addr = addresses(&nginx)[number].clone();
        let outcome = when_some_is_there(&addr, "/long", || {
            Ok(testbed::signal(worker, Signal::KILL)?)
        })?;
        let report = watcher.stop()?;
        assert_found(&report, &outcome, "process-exit")?;
        let finding = only(&report)?;
        assert_eq!(finding.pointer("/process/pid"), Some(&worker.into()));
        assert_eq!(text(finding, "/ending/signal"), Some("SIGKILL"));
    }
    Ok(())
}

/// Longer when nginx looked at it than when it is sent.
#[test]
fn a_file_that_shrinks_under_sendfile() -> Result<()> {
    let nginx = Nginx::start(&Options::default())?;
    for addr in addresses(&nginx) {
        nginx.put("log", &vec![b'x'; usize::try_from(LONG)?])?;
        let watcher = followed(&nginx)?;
        let outcome = when_some_is_there(&addr, "/log", || Ok(nginx.shrink("log", SOME)?))?;
        assert_found(&watcher.stop()?, &outcome, "premature-close")?;
        assert_eq!(outcome.promised, Some(LONG));
    }
    Ok(())
}

/// nginx closes a connection that takes nothing for as long as `send_timeout`.
#[test]
#[ignore = "cargo xtask prove --group servers"]
fn a_timer() -> Result<()> {
    let nginx = Nginx::start(&Options {
        server: "send_timeout 1s;".to_owned(),
        ..Options::default()
    })?;
    nginx.put("long", &vec![b'x'; usize::try_from(LONG)?])?;
    for addr in addresses(&nginx) {
        let watcher = followed(&nginx)?;
        let request = Request::get("/long").read_after(Duration::from_secs(3));
        let outcome = Conn::connect(&addr)?.request(&request);
        assert_found(&watcher.stop()?, &outcome, "premature-close")?;
    }
    Ok(())
}

fn a_backend_that_dies(framework: Framework) -> Result<()> {
    for listen in both() {
        let (nginx, mut backend) = proxy(framework, listen)?;
        let watcher = followed(&nginx)?;
        let path = format!("/proxy/slow/{LONG}");
        let outcome = when_some_is_there(&nginx.tcp(), &path, || backend.kill(Signal::KILL))?;
        assert_found(&watcher.stop()?, &outcome, "premature-close")?;
    }
    Ok(())
}

/// The same response is cut short twice: by the backend, and then by nginx.
fn a_backend_that_does_not_keep_its_length(framework: Framework, cause: &str) -> Result<()> {
    let (nginx, backend) = proxy(framework, Listen::tcp())?;
    let (front, back) = (followed(&nginx)?, watch(backend.pid(), &[])?);
    let outcome = Conn::connect(&nginx.unix())?.request(&Request::get("/proxy/lie/900000/300000"));
    assert_eq!(
        (outcome.promised, outcome.received),
        (Some(900_000), 300_000)
    );
    assert_found(&back.stop()?, &outcome, cause)?;
    assert_found(&front.stop()?, &outcome, "premature-close")
}

macro_rules! backends {
    ($($(#[$matrix:meta])? $name:ident: $framework:ident, $listen:expr, $lie:literal;)*) => {$(
        mod $name {
            use super::*;

            #[test]
            $(#[$matrix])?
            fn healthy_proxy() -> Result<()> {
                super::healthy_proxy(Framework::$framework, $listen)
            }

            #[test]
            #[ignore = "cargo xtask prove --group servers"]
            fn a_backend_that_dies() -> Result<()> {
                super::a_backend_that_dies(Framework::$framework)
            }

            #[test]
            $(#[$matrix])?
            fn a_backend_that_does_not_keep_its_length() -> Result<()> {
                super::a_backend_that_does_not_keep_its_length(Framework::$framework, $lie)
            }
        }
    )*};
}

backends! {
    before_axum: Axum, Listen::tcp(), "premature-close";
    #[ignore = "cargo xtask prove --group servers"]
    before_node: Node, Listen::Unix, "premature-shutdown";
    #[ignore = "cargo xtask prove --group servers"]
    before_uvicorn: Uvicorn, Listen::tcp(), "premature-close";
}
