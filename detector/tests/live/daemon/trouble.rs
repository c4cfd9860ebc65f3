//! What is missing or wrong: one clear line each, and what can work works.

use std::{net::TcpListener, process::Command};

use anyhow::Result;
use testbed::server::HyperVersion;

use super::{Daemon, ask, cut_short, free_port, hyper, truncwatch};

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

/// An address that the configuration names is asked for, and not to be had.
#[test]
fn a_port_that_is_named_and_taken_ends_the_start_in_one_line() -> Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?;
    let config = format!("[findings]\noutput = \"stdout\"\n[metrics]\nlisten = \"{address}\"");
    let mut daemon = Daemon::spawn(&config, |_| {})?;
    let (status, said) = daemon.wait()?;
    assert_eq!(status.code(), Some(2));
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains(&address.to_string()) && said[0].contains("in use"),
        "{said:?}"
    );
    Ok(())
}

/// The whole in a network namespace of its own, where nothing else listens.
fn alone(command: &str) -> Result<Daemon> {
    let script = format!("ip link set lo up; {command}");
    let mut daemon = Daemon::spawn("[findings]\noutput = \"stdout\"", |command| {
        let file = command.get_args().last().map(std::ffi::OsStr::to_owned);
        *command = Command::new("unshare");
        command
            .args(["--net", "sh", "-c", &script])
            .arg(truncwatch())
            .args(file)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
    })?;
    daemon.wait_for("truncwatch: watching")?;
    Ok(daemon)
}

/// Asks for the page of metrics within the same namespace, and says what is there.
const ASK: &str = "python3 -c 'import urllib.request as u; print(len(u.urlopen(\"http://127.0.0.1:9849/metrics\").read()) > 1000)'";

#[test]
fn metrics_are_there_where_nothing_is_configured() -> Result<()> {
    let mut daemon = alone(&format!(
        "\"$0\" daemon --config \"$1\" & read line; {ASK}; kill $!; wait"
    ))?;
    let said = daemon.wait_for("watching")?;
    assert!(
        said.ends_with("metrics are at http://127.0.0.1:9849/metrics"),
        "{said}"
    );
    drop(daemon.child.stdin.take());
    let output = daemon.output.clone();
    daemon.until("page", || {
        output.all().contains(&"True".to_owned()).then_some(())
    })?;
    daemon.wait()?;
    Ok(())
}

#[test]
fn the_default_port_that_is_taken_is_had_once_it_is_free() -> Result<()> {
    let holder = "import socket, sys; s = socket.create_server((\"127.0.0.1\", 9849)); print(\"held\", flush=True); sys.stdin.readline()";
    let mut daemon = alone(&format!(
        "mkfifo \"$1.fifo\"; python3 -c '{holder}' <\"$1.fifo\" & exec 9>\"$1.fifo\"; sleep 1; \
         \"$0\" daemon --config \"$1\" 9>&- & read line; echo >&9; exec 9>&-; sleep 33; {ASK}; kill $!; wait"
    ))?;
    let said = daemon.wait_for("no metrics at 127.0.0.1:9849")?;
    assert!(
        said.contains("in use") && said.contains("every 30 s"),
        "{said}"
    );
    assert!(
        daemon
            .wait_for("watching")?
            .ends_with("there are no metrics")
    );
    drop(daemon.child.stdin.take());
    std::thread::sleep(std::time::Duration::from_secs(20));
    daemon.wait_for("metrics are at http://127.0.0.1:9849/metrics")?;
    let output = daemon.output.clone();
    daemon.until("page", || {
        output.all().contains(&"True".to_owned()).then_some(())
    })?;
    let lines = lines(&daemon);
    let warnings = lines.iter().filter(|line| line.contains("no metrics"));
    assert_eq!(warnings.count(), 1, "{lines:?}");
    // The shell ends the daemon: killed, it would leave it behind.
    daemon.wait()?;
    Ok(())
}

#[test]
fn metrics_that_are_turned_off_are_nowhere() -> Result<()> {
    let config = "[findings]\noutput = \"stdout\"\n[metrics]\nlisten = \"\"";
    let mut daemon = Daemon::start(config)?;
    assert!(
        daemon
            .wait_for("watching")?
            .ends_with("there are no metrics")
    );
    assert_eq!(lines(&daemon), Vec::<String>::new());
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
    let mut daemon = Daemon::start("[findings]\noutput = \"journal\"\n[metrics]\nlisten = \"\"")?;
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
