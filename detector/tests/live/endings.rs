//! The other ways to cut a message short.

use std::{thread, time::Duration};

use anyhow::Result;
use testbed::{
    Signal,
    client::{Conn, Request},
    server::{self, HyperVersion, Server},
};

use crate::servers::{hyper, only, text, watch};

#[test]
fn a_server_that_is_killed_in_mid_response() -> Result<()> {
    let program = server::build(HyperVersion::V1_12_0)?;
    // Of several threads, the last to end is named as another than the program.
    let threads = server::Options {
        threads: 3,
        ..server::Options::unix()
    };
    for options in [server::Options::unix(), server::Options::tcp(), threads] {
        let mut server = Server::start(HyperVersion::V1_12_0, &options)?;
        let watcher = watch(server.pid(), &[])?;
        let addr = server.addr().clone();
        let client = thread::spawn(move || -> Result<_> {
            Ok(Conn::connect(&addr)?.request(&Request::get("/slow/10000000")))
        });
        thread::sleep(Duration::from_millis(300));
        server.kill(Signal::KILL)?;
        server.wait()?;
        let outcome = client
            .join()
            .map_err(|_| anyhow::anyhow!("the client panicked"))??;
        // The watch ends with the process.
        let report = watcher.finish()?;
        let finding = only(&report)?;
        assert_eq!(text(finding, "/cause"), Some("process-exit"));
        assert_eq!(text(finding, "/fault"), Some("local"));
        assert_eq!(text(finding, "/ending/signal"), Some("SIGKILL"));
        assert_eq!(text(finding, "/process/exe"), program.to_str());
        assert_eq!(report.sizes(), vec![(10_000_000, outcome.received)]);
        assert_eq!(report.status.code(), Some(1));
    }
    Ok(())
}

#[test]
fn a_handler_that_writes_less_than_it_declared() -> Result<()> {
    let server = hyper(HyperVersion::V1_12_0)?;
    let watcher = watch(server.pid(), &[])?;
    let outcome = Conn::connect(server.addr())?.request(&Request::get("/lie/5000/3000"));
    let report = watcher.stop()?;
    let finding = only(&report)?;
    assert_eq!(text(finding, "/fault"), Some("local"));
    assert_eq!(finding.pointer("/stranded_bytes"), Some(&0.into()));
    assert_eq!(report.sizes(), vec![(5000, outcome.received)]);
    Ok(())
}

#[test]
fn a_client_that_resets_is_counted_and_shown_only_on_request() -> Result<()> {
    for options in [server::Options::tcp(), server::Options::unix()] {
        for (arguments, shown) in [(&[][..], 0), (&["--show-peer"], 1)] {
            let server = Server::start(HyperVersion::V1_12_0, &options)?;
            let watcher = watch(server.pid(), arguments)?;
            // Stops reading with bytes in its queue, and closes: a reset.
            let request = Request::get("/bytes/50000000").stop_after(100_000);
            drop(Conn::connect(server.addr())?.request(&request));
            thread::sleep(Duration::from_millis(500));
            let report = watcher.stop()?;
            assert_eq!(report.findings.len(), shown, "{:?}", report.findings);
            assert_eq!(report.count("peer_endings"), Some(1), "{}", report.summary);
            assert_eq!(report.status.code(), Some(0));
            for finding in &report.findings {
                assert_eq!(text(finding, "/cause"), Some("peer-closed"));
                assert_eq!(text(finding, "/fault"), Some("peer"));
            }
        }
    }
    Ok(())
}
