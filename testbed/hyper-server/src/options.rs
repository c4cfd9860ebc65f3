//! The command line.

use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// A hyper server for truncation experiments.
#[derive(Debug, Parser)]
#[command(name = "hyper-server")]
pub struct Options {
    /// Listen on a Unix socket at this path
    #[arg(
        long,
        value_name = "PATH",
        required_unless_present = "tcp",
        conflicts_with = "tcp"
    )]
    pub unix: Option<PathBuf>,

    /// Listen on this TCP address; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT")]
    pub tcp: Option<String>,

    /// Worker threads; 1 is the current-thread runtime, 0 what #[tokio::main] builds: a worker for
    /// each CPU that the server may run on, beside the main thread, which accepts
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub threads: usize,

    /// Hide from hyper that the stream can do vectored writes
    #[arg(long)]
    pub no_vectored: bool,

    /// In /until: milliseconds of blocking work between dropping the body and answering
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub block_ms: u64,

    /// Print what ends connections to standard error
    #[arg(long)]
    pub verbose: bool,
}

impl Options {
    pub fn block(&self) -> Duration {
        Duration::from_millis(self.block_ms)
    }

    pub fn log(&self, message: &dyn Display) {
        if self.verbose {
            eprintln!("hyper-server: {message}");
        }
    }
}
