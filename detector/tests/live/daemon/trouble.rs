//! What is missing or wrong: one clear line each, and what can work works.

use std::{net::TcpListener, process::Command};

use anyhow::Result;
use testbed::server::HyperVersion;

use super::{Daemon, ask, cut_short, free_port, truncwatch};
use crate::servers::hyper;

/// The lines, without those that every daemon has.
fn lines(daemon: &Daemon) -> Vec<String> {
    let all = daemon.errors.all();
    all.into_iter()
        .filter(|line| !line.starts_with("truncwatch: watching"))
        .collect()
}

#[test]
fn a_configuration_that_is_wrong_or_not_there() -> Result<()> {
    for (config, why) in [
        ("[watch]\nunit = [\"x\"]", "line 2, unit: unknown field"),
        (
            "[limits]\nnice = 99",
            "line 2, nice: 99 is not from 0 to 19",
        ),
    ] {
        let mut daemon = Daemon::spawn(config, |_| {})?;
        let (status, errors) = daemon.wait()?;
        assert_eq!(status.code(), Some(2));
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].contains(why), "{errors:?}");
    }
    for more in [&[][..], &["--check-config"]] {
        let output = Command::new(truncwatch())
            .args(["daemon", "--config", "/nonexistent/x.toml"])
            .args(more)
            .output()?;
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2));
        assert!(
            text.contains("/nonexistent/x.toml") && text.lines().count() == 1,
            "{text}"
        );
    }
    Ok(())
}

#[test]
fn a_configuration_is_checked_without_root_or_probes() -> Result<()> {
    use std::os::unix::process::CommandExt as _;
    let (folder, copy) = crate::servers::truncwatch_for_everybody()?;
    let file = folder.path().join("c.toml");
    std::fs::write(&file, "[metrics]\nlisten = \"127.0.0.1:1\"")?;
    let full = Command::new(&copy)
        .args(["daemon", "--check-config", "--config"])
        .arg(&file)
        .stdout(std::fs::File::options().write(true).open("/dev/full")?)
        .output()?;
    let text = String::from_utf8_lossy(&full.stderr);
    assert_eq!(full.status.code(), Some(2), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    let output = Command::new(copy)
        .args(["daemon", "--check-config", "--config"])
        .arg(&file)
        .uid(65534)
        .gid(65534)
        .current_dir("/")
        .output()?;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("nothing is wrong"));
    Ok(())
}

#[test]
fn a_port_that_is_taken_is_had_once_it_is_free() -> Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?;
    let config = format!("[findings]\noutput = \"stdout\"\n[metrics]\nlisten = \"{address}\"");
    let server = hyper(HyperVersion::V1_12_0)?;
    let mut daemon = Daemon::start(&config)?;
    cut_short(&server, 5000, 3000)?;
    daemon.findings(server.pid(), 1)?;
    let said = lines(&daemon);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains(&address.to_string()) && said[0].contains("in use"),
        "{said:?}"
    );
    drop(taken);
    daemon.signal(testbed::Signal::HUP)?;
    daemon.wait_for("reloaded")?;
    assert!(
        ask(address.port(), "/metrics", "*/*")?
            .0
            .starts_with("HTTP/1.1 200")
    );
    Ok(())
}

#[test]
fn a_folder_that_cannot_be_written_to() -> Result<()> {
    let port = free_port()?;
    let config = format!(
        "[findings]\noutput = \"stdout\"\n[metrics]\nlisten = \"127.0.0.1:{port}\"\ntextfile = \"/proc/x/t.prom\"\ntextfile_seconds = 1"
    );
    let server = hyper(HyperVersion::V1_12_0)?;
    let mut daemon = Daemon::start(&config)?;
    cut_short(&server, 5000, 3000)?;
    daemon.findings(server.pid(), 1)?;
    std::thread::sleep(std::time::Duration::from_secs(2));
    let said = lines(&daemon);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("/proc/x/t.prom"), "{said:?}");
    assert!(ask(port, "/metrics", "*/*")?.0.starts_with("HTTP/1.1 200"));
    Ok(())
}

#[test]
fn without_a_journal_where_one_is_asked_for() -> Result<()> {
    if std::path::Path::new("/run/systemd/journal/socket").exists() {
        eprintln!("LEFT OUT: there is a journal here");
        return Ok(());
    }
    let server = hyper(HyperVersion::V1_12_0)?;
    let mut daemon = Daemon::start("[findings]\noutput = \"journal\"")?;
    cut_short(&server, 5000, 3000)?;
    daemon.findings(server.pid(), 1)?;
    let said = lines(&daemon);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("there is no journal"), "{said:?}");
    Ok(())
}

#[test]
fn without_privileges() -> Result<()> {
    use std::os::unix::process::CommandExt as _;
    let (_folder, copy) = crate::servers::truncwatch_for_everybody()?;
    let output = Command::new(copy)
        .arg("daemon")
        .uid(65534)
        .gid(65534)
        .current_dir("/")
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text.contains("CAP_BPF") && text.lines().count() == 1,
        "{text}"
    );
    Ok(())
}
