//! Real servers: three web frameworks of Rust, Node, CPython, uvicorn, nginx.
//!
//! What the client counted is the truth; a server's own means cut the answers
//! short. Of each server one test of whole answers and one of an answer that is cut
//! short run everywhere; the others are the matrix of `cargo xtask prove --group servers`.

mod checks;
mod nginx;
mod preforked_python;

use std::time::Duration;

use anyhow::Result;
use testbed::{
    Signal,
    client::{Conn, Outcome, Request},
    framework::Framework,
    healthy::{self, Exchange},
    server::{Listen, Server},
};

use self::checks::{assert_accounted, assert_found, assert_quiet, unjudged, when_some_is_there};
use crate::servers::{only, text, watch};

/// A response of so many bytes is more than any socket takes at once, and
/// longer than any of the timers here.
const LONG: u64 = 50_000_000;

/// When a server's timer goes off, in milliseconds.
const TIMER_MS: u64 = 100;
/// When its client reads. Much later: Node's timer begins anew when it finds
/// that the socket took something since, and the machine may be busy.
const LATE: Duration = Duration::from_secs(2);

/// Paths whose answers are not as long as they say.
const LIES: [&str; 3] = ["/lie/5000/3000", "/lie/5000/0", "/lie/9000000/8999999"];

/// Both kinds of socket.
fn both() -> [Listen; 2] {
    [Listen::tcp(), Listen::Unix]
}

/// All kinds of messages over keep-alive by three clients at once, a client
/// that is slow to read, a server that is slow to write, and chunked bodies.
fn healthy_traffic(framework: Framework, sockets: impl IntoIterator<Item = Listen>) -> Result<()> {
    for listen in sockets {
        let server = framework.start(listen)?;
        let addr = server.addr();
        let watcher = watch(server.pid(), &[])?;
        healthy::at_once(addr, &healthy::framework(), 3, 560)?;
        let unhurried = [
            Exchange::get("/bytes/5000000", 5_000_000).read_after(Duration::from_millis(200)),
            Exchange::get("/slow/200000", 200_000),
        ];
        healthy::keep_alive(addr, &unhurried, 4)?;
        for length in [0, 100, 100_000, 3_000_000] {
            let chunked = Exchange::get(&format!("/chunked/{length}"), length);
            healthy::keep_alive(addr, &[chunked], 1)?;
        }
        assert_accounted(&watcher.stop()?, 1_684, 4);
    }
    Ok(())
}

/// Chunked bodies one after another, beside others, are no findings.
fn chunked_over_keep_alive(framework: Framework) -> Result<()> {
    let server = framework.start(Listen::tcp())?;
    let watcher = watch(server.pid(), &[])?;
    let exchanges = [
        Exchange::get("/chunked/100", 100),
        Exchange::get("/bytes/1000", 1_000),
        Exchange::get("/chunked/100000", 100_000),
        Exchange::new("HEAD", "/bytes/1000", 200, 0),
    ];
    healthy::at_once(server.addr(), &exchanges, 2, 100)?;
    let report = watcher.stop()?;
    assert_quiet(&report);
    // Where a chunked body could not be followed, the connection is joined
    // again in mid-stream, and a response to HEAD may be of unknown method.
    let explained: u64 = ["chunked", "mid-stream", "method-unknown"]
        .iter()
        .map(|reason| unjudged(&report, reason))
        .sum();
    assert_eq!(report.unjudged(), explained, "{}", report.summary);
    let judged = report.count("messages_judged").unwrap_or(0);
    assert!(judged + explained <= 200, "{}", report.summary);
    assert!(judged == 200 || explained > 0, "{}", report.summary);
    Ok(())
}

/// Killed when the client has a part.
fn killed(framework: Framework) -> Result<()> {
    for listen in both() {
        let mut server = framework.start(listen)?;
        let watcher = watch(server.pid(), &[])?;
        let outcome = kill_after_some(&mut server, &format!("/slow/{LONG}"))?;
        // The watch ends with the process.
        let report = watcher.finish()?;
        assert_found(&report, &outcome, "process-exit")?;
        assert_eq!(text(only(&report)?, "/ending/signal"), Some("SIGKILL"));
    }
    Ok(())
}

/// Asks for this, and kills the server when a part of the answer is there.
fn kill_after_some(server: &mut Server, path: &str) -> Result<Outcome> {
    let addr = server.addr().clone();
    let outcome = when_some_is_there(&addr, path, || server.kill(Signal::KILL))?;
    server.wait()?;
    Ok(outcome)
}

/// A handler that writes less than it promised, between healthy answers.
fn a_length_that_is_not_kept(
    framework: Framework,
    sockets: impl IntoIterator<Item = Listen>,
    paths: &[&str],
    cause: &str,
) -> Result<()> {
    for listen in sockets {
        let server = framework.start(listen)?;
        for path in paths {
            let watcher = watch(server.pid(), &[])?;
            let mut conn = Conn::connect(server.addr())?;
            assert!(conn.request(&Request::get("/bytes/1000")).complete());
            let outcome = conn.request(&Request::get(path));
            let report = watcher.stop()?;
            assert_found(&report, &outcome, cause)?;
            assert_eq!(text(only(&report)?, "/message/target"), Some(*path));
            assert_eq!(report.count("messages_judged"), Some(2));
        }
    }
    Ok(())
}

/// A timer that ends an answer whose client takes its time.
fn a_timer(framework: Framework, cause: &str) -> Result<()> {
    for listen in both() {
        let server = framework.start(listen)?;
        let watcher = watch(server.pid(), &[])?;
        let path = format!("/timer/{LONG}/{TIMER_MS}");
        let request = Request::get(&path).read_after(LATE);
        let outcome = Conn::connect(server.addr())?.request(&request);
        assert_found(&watcher.stop()?, &outcome, cause)?;
    }
    Ok(())
}

macro_rules! servers {
    ($($name:ident: $framework:ident, $listen:expr, $lie:literal, $timer:literal;)*) => {$(
        mod $name {
            use anyhow::Result;
            use testbed::{framework::Framework::$framework, server::Listen};

            use super::{LIES, both};

            #[test]
            fn whole_answers() -> Result<()> {
                super::healthy_traffic($framework, [$listen])
            }

            #[test]
            fn an_answer_that_lacks_its_last_byte() -> Result<()> {
                super::a_length_that_is_not_kept($framework, [$listen], &LIES[2..], $lie)
            }

            #[test]
            #[ignore = "cargo xtask prove --group servers"]
            fn healthy_traffic() -> Result<()> {
                super::healthy_traffic($framework, both())
            }

            #[test]
            #[ignore = "cargo xtask prove --group servers"]
            fn chunked_over_keep_alive() -> Result<()> {
                super::chunked_over_keep_alive($framework)
            }

            #[test]
            #[ignore = "cargo xtask prove --group servers"]
            fn killed() -> Result<()> {
                super::killed($framework)
            }

            #[test]
            #[ignore = "cargo xtask prove --group servers"]
            fn a_length_that_is_not_kept() -> Result<()> {
                super::a_length_that_is_not_kept($framework, both(), &LIES, $lie)
            }

            #[test]
            #[ignore = "cargo xtask prove --group servers"]
            fn a_timer() -> Result<()> {
                super::a_timer($framework, $timer)
            }
        }
    )*};
}

// The socket of the tests that run everywhere, and how each ends a response that its
// handler, or a timer, gave up.
servers! {
    axum: Axum, Listen::tcp(), "premature-close", "premature-close";
    warp: Warp, Listen::Unix, "premature-close", "premature-close";
    actix: Actix, Listen::tcp(), "premature-close", "premature-close";
    node: Node, Listen::Unix, "premature-shutdown", "premature-close";
    python: Python, Listen::tcp(), "premature-shutdown", "premature-shutdown";
    uvicorn: Uvicorn, Listen::Unix, "premature-close", "premature-close";
}
