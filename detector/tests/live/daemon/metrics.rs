//! What Prometheus reads.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context as _, Result};
use serde_json::Value;
use testbed::{
    TempDir,
    client::{Conn, Request},
    server::HyperVersion,
};

use super::{Daemon, ask, cut_short, free_port, hyper, value};
use crate::servers::Reaped;

const CLOSED: &str =
    "truncwatch_truncated_messages_total{cause=\"premature-close\",fault=\"local\",unit=\"\"} ";

fn start(port: u16) -> Result<Daemon> {
    Daemon::start(&format!(
        "[findings]\noutput = \"stdout\"\n[metrics]\nlisten = \"127.0.0.1:{port}\""
    ))
}

#[test]
fn counters_count_and_the_page_is_openmetrics_or_text() -> Result<()> {
    let server = hyper(HyperVersion::V1_12_0)?;
    let port = free_port()?;
    let mut daemon = start(port)?;
    let (_, before) = ask(port, "/metrics", "*/*")?;
    cut_short(&server, 5000, 3000)?;
    assert!(
        Conn::connect(server.addr())?
            .request(&Request::get("/bytes/100"))
            .complete()
    );
    daemon.findings(server.pid(), 1)?;
    let (head, page) = ask(
        port,
        "/metrics",
        "application/openmetrics-text; version=1.0.0",
    )?;
    assert!(head.contains("application/openmetrics-text"), "{head}");
    assert!(page.ends_with("# EOF\n"));
    // Other tests cut messages short on this host too.
    let more = |name| value(&page, name) > value(&before, name);
    let unit = fs::read_to_string(format!("/proc/{}/cgroup", server.pid()))?;
    if !unit.contains(".service") && !unit.contains(".scope") {
        assert!(more(CLOSED), "{page}");
    }
    assert!(more("truncwatch_messages_judged_total "), "{page}");
    assert!(
        value(&page, "process_resident_memory_bytes ") > Some(1e6),
        "{page}"
    );
    assert!(
        value(&page, "truncwatch_map_limit{map=\"connections\"} ") > Some(0.0),
        "{page}"
    );
    let (head, page) = ask(port, "/metrics", "text/plain")?;
    assert!(head.contains("version=0.0.4"), "{head}");
    assert!(!page.contains("EOF"));
    assert!(ask(port, "/", "*/*")?.0.starts_with("HTTP/1.1 404"));
    Ok(())
}

#[test]
fn a_file_is_written_whole_and_goes_with_the_daemon() -> Result<()> {
    let folder = TempDir::new()?;
    let path = folder.path().join("truncwatch.prom");
    let config = format!("[metrics]\ntextfile = {path:?}\ntextfile_seconds = 1");
    let mut daemon = Daemon::start(&config)?;
    let text = daemon.until("file", || fs::read_to_string(&path).ok())?;
    assert!(text.contains("truncwatch_build_info{version="), "{text}");
    assert_eq!(fs::read_dir(folder.path())?.count(), 1);
    daemon.stop()?;
    assert!(!path.exists());
    Ok(())
}

/// A client that says nothing, and more of them than are served at a time.
#[test]
fn clients_that_say_nothing_stop_nobody() -> Result<()> {
    let server = hyper(HyperVersion::V1_12_0)?;
    let port = free_port()?;
    let mut daemon = start(port)?;
    let silent: Vec<_> = (0..20)
        .map(|_| std::net::TcpStream::connect(("127.0.0.1", port)))
        .collect::<Result<_, _>>()?;
    cut_short(&server, 5000, 3000)?;
    daemon.findings(server.pid(), 1)?;
    drop(silent);
    assert!(ask(port, "/metrics", "*/*")?.0.starts_with("HTTP/1.1 200"));
    Ok(())
}

/// More connections than may be tracked: the idlest are let go and counted, and
/// new ones are judged as ever.
#[test]
fn connections_beyond_the_limit_are_let_go_and_counted() -> Result<()> {
    let server = hyper(HyperVersion::V1_12_0)?;
    let port = free_port()?;
    let mut daemon = Daemon::start(&format!(
        "[findings]\noutput = \"stdout\"\n[metrics]\nlisten = \"127.0.0.1:{port}\"\n[limits]\nconnections = 16"
    ))?;
    let mut open = Vec::new();
    for _ in 0..60 {
        let mut connection = Conn::connect(server.addr())?;
        assert!(connection.request(&Request::get("/bytes/10")).complete());
        open.push(connection);
    }
    let evicted = "truncwatch_unjudged_total{reason=\"evicted\"} ";
    daemon.until("eviction", || {
        let (_, page) = ask(port, "/metrics", "*/*").ok()?;
        (value(&page, evicted) >= Some(40.0)).then_some(())
    })?;
    // On those that were let go nothing is told that is not so.
    for connection in &mut open {
        assert!(connection.request(&Request::get("/bytes/10")).complete());
    }
    cut_short(&server, 5000, 3000)?;
    let found = daemon.findings(server.pid(), 1)?;
    assert_eq!(found[0]["promised_bytes"], 5000);
    let (_, page) = ask(port, "/metrics", "*/*")?;
    assert!(
        value(&page, "truncwatch_connections_tracked ") <= Some(16.0),
        "{page}"
    );
    Ok(())
}

/// Debian's Prometheus, if it is installed or at hand, scrapes the page and its
/// alert fires.
#[test]
fn the_real_prometheus_scrapes_it_and_the_alert_fires() -> Result<()> {
    let Some(prometheus) = prometheus() else {
        eprintln!("LEFT OUT: there is no prometheus here (Debian: prometheus)");
        return Ok(());
    };
    let server = hyper(HyperVersion::V1_12_0)?;
    let (port, own) = (free_port()?, free_port()?);
    let _daemon = start(port)?;
    let folder = TempDir::new()?;
    let rules = fs::canonicalize("../packaging/prometheus/truncwatch.rules.yml")?;
    fs::write(
        folder.path().join("p.yml"),
        format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: [{rules:?}]\n\
             scrape_configs:\n- job_name: truncwatch\n  static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n"
        ),
    )?;
    let child = Command::new(prometheus)
        .arg(format!(
            "--config.file={}",
            folder.path().join("p.yml").display()
        ))
        .arg(format!(
            "--storage.tsdb.path={}",
            folder.path().join("data").display()
        ))
        .arg(format!("--web.listen-address=127.0.0.1:{own}"))
        .stderr(std::process::Stdio::null())
        .spawn()?;
    let _child = Reaped(child);
    let query = |path: &str| -> Option<Value> {
        let (_, body) = ask(own, path, "*/*").ok()?;
        // It may come in chunks.
        let json = body.get(body.find('{')?..=body.rfind('}')?)?;
        serde_json::from_str(json).ok()
    };
    let wait = |what: &str, is: &dyn Fn() -> bool| -> Result<()> {
        let until = std::time::Instant::now() + Duration::from_secs(60);
        while !is() {
            anyhow::ensure!(std::time::Instant::now() < until, "{what}: no");
            std::thread::sleep(Duration::from_millis(500));
        }
        Ok(())
    };
    // What it takes for up is a page that it could read.
    let up = || {
        let answer = query("/api/v1/query?query=up").unwrap_or_default();
        answer.pointer("/data/result/0/value/1") == Some(&"1".into())
    };
    wait("scraped", &up)?;
    // It has to have seen the counter before it grows.
    std::thread::sleep(Duration::from_secs(3));
    cut_short(&server, 5000, 3000)?;
    let fires = || {
        let answer = query("/api/v1/alerts").unwrap_or_default();
        let alerts = answer
            .pointer("/data/alerts")
            .and_then(Value::as_array)
            .cloned();
        alerts.unwrap_or_default().iter().any(|alert| {
            alert.pointer("/labels/alertname") == Some(&"TruncatedMessages".into())
                && alert["state"] == "firing"
        })
    };
    wait("the alert", &fires)
}

fn prometheus() -> Option<PathBuf> {
    let named = std::env::var_os("TRUNCWATCH_PROMETHEUS").map(PathBuf::from);
    let path = std::env::var_os("PATH").context("no PATH").ok()?;
    let installed = std::env::split_paths(&path).map(|folder| folder.join("prometheus"));
    named
        .into_iter()
        .chain(installed)
        .find(|file| file.is_file())
}
