//! Runs wrk, and reads what it says.

use std::process::Command;

use anyhow::{Context as _, Result, bail};
use testbed::{client::Addr, cpu::on_cpu};

/// Connections that are kept alive.
const CONNECTIONS: u32 = 64;

/// What came of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Load {
    pub(super) requests: f64,
    pub(super) per_second: f64,
}

/// Asks for a path, over and over, for so many seconds, from this CPU.
pub(super) fn run(addr: &Addr, path: &str, seconds: u32, cpu: usize) -> Result<Load> {
    let Addr::Tcp(address) = addr else {
        bail!("wrk speaks TCP only");
    };
    let mut command = Command::new("wrk");
    command
        .args(["--threads", "1", "--connections", &CONNECTIONS.to_string()])
        .args(["--duration", &format!("{seconds}s")])
        .arg(format!("http://{address}{path}"));
    let output = on_cpu(cpu, || command.output())?.context("cannot run wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let load = read(&text).with_context(|| format!("wrk: {text}"))?;
    if !output.status.success() || text.contains("Non-2xx") || text.contains("Socket errors") {
        bail!("not every response was right: {text}");
    }
    Ok(load)
}

/// `  81234 requests in 2.00s, …`, `Requests/sec:  40616.91`.
fn read(text: &str) -> Option<Load> {
    let requests = text
        .lines()
        .find_map(|line| line.split_once(" requests in "))?;
    let per_second = text
        .lines()
        .find_map(|line| line.strip_prefix("Requests/sec:"))?;
    let load = Load {
        requests: requests.0.trim().parse().ok()?,
        per_second: per_second.trim().parse().ok()?,
    };
    (load.requests > 0.0).then_some(load)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_says_is_read() {
        let text = "Running 2s test @ http://127.0.0.1:1/small\n  1 threads and 64 connections\n  \
            Thread Stats   Avg      Stdev     Max   +/- Stdev\n    Latency     1.02ms\n  \
            81234 requests in 2.00s, 96.8MB read\nRequests/sec:  40616.91\nTransfer/sec:     48.4MB\n";
        let load = read(text);
        assert_eq!(load.map(|load| load.requests), Some(81234.0));
        assert_eq!(load.map(|load| load.per_second), Some(40616.91));
        assert_eq!(read("unable to connect"), None);
    }
}
