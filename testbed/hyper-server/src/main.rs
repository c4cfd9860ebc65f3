//! A small but real hyper server whose connections can be made to end too early.
//!
//! One source, built against two versions of hyper (see `../../README.md`): every difference in
//! behaviour between the two binaries is a difference between the two versions.

mod body;
mod connection;
mod options;
mod plain;
mod routes;

use std::future::Future;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime;

use options::Options;

fn main() -> ExitCode {
    let options = Arc::new(Options::parse());
    match build_runtime(options.threads).and_then(|runtime| runtime.block_on(listen(options))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hyper-server: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One thread means tokio's current-thread runtime: then the order of events within the server
/// depends on the client alone. 0 is what `#[tokio::main]` builds: connections are accepted on the
/// main thread and served by a worker for each CPU that the process may run on.
fn build_runtime(threads: usize) -> io::Result<runtime::Runtime> {
    let mut builder = match threads {
        1 => runtime::Builder::new_current_thread(),
        _ => runtime::Builder::new_multi_thread(),
    };
    if threads > 1 {
        builder.worker_threads(threads);
    }
    builder.enable_all().build()
}

/// Binds the address that was asked for and serves it until the process is killed.
async fn listen(options: Arc<Options>) -> io::Result<()> {
    if let Some(path) = &options.unix {
        let listener = UnixListener::bind(path)?;
        announce(&path.display().to_string())?;
        accept(options, async || Ok(listener.accept().await?.0)).await
    } else if let Some(address) = &options.tcp {
        let listener = TcpListener::bind(address).await?;
        announce(&listener.local_addr()?.to_string())?;
        accept(options, async || Ok(listener.accept().await?.0)).await
    } else {
        Err(io::Error::other("neither --unix nor --tcp was given"))
    }
}

/// The one line on standard output: whoever started this process waits for it.
fn announce(address: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "listening {address}")?;
    out.flush()
}

async fn accept<S, F>(options: Arc<Options>, next: impl Fn() -> F) -> io::Result<()>
where
    S: connection::Stream,
    F: Future<Output = io::Result<S>>,
{
    loop {
        match next().await {
            Ok(stream) => {
                tokio::spawn(connection::serve(stream, Arc::clone(&options)));
            }
            // A peer that left before it was accepted, or a moment without descriptors.
            Err(error) => options.log(&error),
        }
    }
}
