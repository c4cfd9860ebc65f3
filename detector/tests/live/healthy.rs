//! What must never be reported.

use std::thread;

use anyhow::{Context as _, Result};
use testbed::{
    client::{Addr, Conn, Request},
    nginx::{self, Nginx},
    server::{HyperVersion, Server},
};

use crate::servers::{assert_clean, hyper, watch};

/// Sends this many requests over one connection; each answer must be whole.
fn keep_alive(addr: &Addr, method: &str, path: &str, requests: u64) -> Result<()> {
    let mut connection = Conn::connect(addr)?;
    for number in 0..requests {
        let outcome = connection.request(&Request::new(method, path));
        assert!(
            outcome.complete(),
            "{method} {path} number {number}: {outcome:?}"
        );
    }
    Ok(())
}

#[test]
fn twenty_thousand_requests_to_hyper_over_keep_alive() -> Result<()> {
    let server = hyper(HyperVersion::V1_8_1)?;
    let watcher = watch(server.pid(), &[])?;
    for (path, requests) in [
        ("/bytes/0", 1_000),
        ("/bytes/2000", 18_000),
        ("/bytes/400000", 1_000),
    ] {
        keep_alive(server.addr(), "GET", path, requests)?;
    }
    assert_clean(&watcher.stop()?, 20_000);
    Ok(())
}

#[test]
fn twenty_thousand_requests_to_nginx_over_keep_alive() -> Result<()> {
    let nginx = Nginx::start(&nginx::Options {
        workers: 2,
        ..nginx::Options::default()
    })?;
    nginx.put("small", &[b'x'; 512])?;
    nginx.put("large", &vec![b'x'; 1 << 20])?;
    nginx.put("empty", b"")?;
    let watcher = watch(nginx.master_pid(), &["--follow"])?;
    for addr in [nginx.tcp(), nginx.unix()] {
        for (method, path, requests) in [
            ("GET", "/small", 9_000),
            ("GET", "/large", 300),
            ("HEAD", "/large", 350),
            ("GET", "/empty", 350),
        ] {
            keep_alive(&addr, method, path, requests)?;
        }
    }
    assert_clean(&watcher.stop()?, 20_000);
    Ok(())
}

#[test]
fn responses_to_head_followed_by_close() -> Result<()> {
    let server = hyper(HyperVersion::V1_8_1)?;
    let watcher = watch(server.pid(), &[])?;
    for _ in 0..200 {
        let request = Request::new("HEAD", "/bytes/1000000").header("Connection", "close");
        let outcome = Conn::connect(server.addr())?.request(&request);
        assert!(outcome.complete(), "{outcome:?}");
        assert_eq!((outcome.promised, outcome.received), (Some(1_000_000), 0));
    }
    assert_clean(&watcher.stop()?, 200);
    Ok(())
}

#[test]
fn request_heads_that_are_full_of_cookies() -> Result<()> {
    let server = hyper(HyperVersion::V1_12_0)?;
    let watcher = watch(server.pid(), &[])?;
    let cookies = "c".repeat(7_000);
    let mut connection = Conn::connect(server.addr())?;
    for method in ["GET", "HEAD", "GET", "HEAD"].repeat(25) {
        let request = Request::new(method, "/bytes/3000").header("Cookie", &cookies);
        assert!(connection.request(&request).complete());
    }
    assert_clean(&watcher.stop()?, 100);
    Ok(())
}

#[test]
fn a_body_that_is_full_of_message_heads_from_nginx() -> Result<()> {
    let nginx = Nginx::start(&nginx::Options::default())?;
    let log = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n".repeat(20_000);
    nginx.put("log", &log)?;
    let watcher = watch(nginx.master_pid(), &["--follow"])?;
    for addr in [nginx.tcp(), nginx.unix()] {
        keep_alive(&addr, "GET", "/log", 50)?;
    }
    assert_clean(&watcher.stop()?, 100);
    Ok(())
}

/// The same, written by calls that each begin as a head does.
#[test]
fn a_body_that_is_written_head_by_head() -> Result<()> {
    let server = python(
        "\
class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        line = b'HTTP/1.1 200 OK\\r\\nContent-Length: 1000000\\r\\n\\r\\n'
        self.send_response(200)
        self.send_header('Content-Length', str(len(line) * 500))
        self.end_headers()
        for _ in range(500):
            self.connection.sendall(line)
",
    )?;
    let watcher = watch(server.process.0.id(), &[])?;
    for _ in 0..5 {
        keep_alive(&server.addr, "GET", "/", 5)?;
    }
    assert_clean(&watcher.stop()?, 25);
    Ok(())
}

#[test]
fn descriptors_that_are_reused_at_once_by_eight_threads() -> Result<()> {
    let options = testbed::server::Options {
        threads: 4,
        ..testbed::server::Options::unix()
    };
    let server = Server::start(HyperVersion::V1_12_0, &options)?;
    let watcher = watch(server.pid(), &[])?;
    thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| -> Result<()> {
                    for size in 0..500 {
                        let path = format!("/bytes/{}", size * 37);
                        let request = Request::get(&path).header("Connection", "close");
                        assert!(Conn::connect(server.addr())?.request(&request).complete());
                    }
                    Ok(())
                })
            })
            .collect();
        for worker in workers {
            worker
                .join()
                .map_err(|_| anyhow::anyhow!("a worker panicked"))??;
        }
        Ok::<_, anyhow::Error>(())
    })?;
    assert_clean(&watcher.stop()?, 4_000);
    Ok(())
}

#[test]
fn chunked_responses_of_many_chunks_to_a_call() -> Result<()> {
    let server = hyper(HyperVersion::V1_12_0)?;
    let watcher = watch(server.pid(), &[])?;
    for path in ["/chunked/100000", "/chunked/3000", "/chunked/0"] {
        keep_alive(server.addr(), "GET", path, 10)?;
    }
    assert_clean(&watcher.stop()?, 30);
    Ok(())
}

/// A server in Python with this handler.
struct Python {
    process: crate::servers::Reaped,
    addr: Addr,
}

fn python(handler: &str) -> Result<Python> {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};
    let script = format!(
        "\
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
{handler}
    def log_message(self, *arguments):
        pass
server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"
    );
    let mut child = Command::new("python3")
        .args(["-c", &script])
        .stdout(Stdio::piped())
        .spawn()
        .context("python3 is needed")?;
    let stdout = child.stdout.take().context("no output")?;
    let process = crate::servers::Reaped(child);
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let addr = format!("127.0.0.1:{}", line.trim())
        .parse()
        .map_err(|_| anyhow::anyhow!("no port: {line:?}"))?;
    Ok(Python {
        process,
        addr: Addr::Tcp(addr),
    })
}
