//! What is started is stopped, and nothing stays behind.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use testbed::Signal;
use testbed::client::{Addr, Conn, Request};
use testbed::nginx::{self, Nginx};
use testbed::server::{HyperVersion, Options, Server};

fn runs(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

fn socket(addr: &Addr) -> Option<&Path> {
    match addr {
        Addr::Unix(path) => Some(path),
        Addr::Tcp(_) => None,
    }
}

#[test]
fn a_dropped_server_is_gone_with_its_socket() -> Result<()> {
    let server = Server::start(HyperVersion::V1_12_0, &Options::unix())?;
    let pid = server.pid();
    let path = socket(server.addr())
        .context("not a Unix socket")?
        .to_owned();
    assert!(runs(pid) && path.exists());
    drop(server);
    assert!(!runs(pid));
    assert!(!path.exists());
    assert!(!path.parent().is_some_and(Path::exists));
    Ok(())
}

#[test]
fn a_killed_server_can_be_waited_for() -> Result<()> {
    let mut server = Server::start(HyperVersion::V1_8_1, &Options::tcp())?;
    server.kill(Signal::KILL)?;
    assert!(!server.wait()?.success());
    assert!(server.kill(Signal::KILL).is_err());
    Ok(())
}

#[test]
fn a_server_stays_on_its_cpu() -> Result<()> {
    let options = Options {
        cpu: Some(0),
        threads: 2,
        ..Options::unix()
    };
    let server = Server::start(HyperVersion::V1_8_1, &options)?;
    for thread in fs::read_dir(format!("/proc/{}/task", server.pid()))? {
        let status = fs::read_to_string(thread?.path().join("status"))?;
        assert!(status.contains("Cpus_allowed_list:\t0\n"), "{status}");
    }
    Ok(())
}

#[test]
fn a_cpu_that_is_not_there_is_an_error() {
    assert!(testbed::cpu::pin_to_cpu(1023).is_err());
    assert!(testbed::cpu::pin_to_cpu(usize::MAX).is_err());
}

#[test]
fn nginx_serves_files_and_leaves() -> Result<()> {
    let nginx = Nginx::start(&nginx::Options {
        workers: 2,
        ..Default::default()
    })?;
    let master = nginx.master_pid();
    let workers = nginx.worker_pids()?;
    assert_eq!(workers.len(), 2);

    nginx.put("file", &vec![b'f'; 5_000_000])?;
    for addr in [nginx.tcp(), nginx.unix()] {
        let mut conn = Conn::connect(&addr)?;
        for _ in 0..3 {
            let outcome = conn.request(&Request::get("/file"));
            assert!(outcome.complete(), "{addr}: {outcome:?}");
            assert_eq!((outcome.status, outcome.received), (Some(200), 5_000_000));
        }
        assert!(conn.request(&Request::new("HEAD", "/file")).complete());
        assert_eq!(conn.request(&Request::get("/nothing")).status, Some(404));
        assert!(conn.reusable());
    }

    let root = nginx.root();
    drop(nginx);
    assert!(!runs(master));
    assert!(!workers.into_iter().any(runs));
    assert!(!root.exists());
    Ok(())
}

#[test]
fn nginx_says_why_it_does_not_start() {
    let options = nginx::Options {
        server: "no_such_directive on;".to_owned(),
        ..Default::default()
    };
    let error = Nginx::start(&options).err().map(|error| error.to_string());
    assert!(error.is_some_and(|error| error.contains("no_such_directive")));
}
