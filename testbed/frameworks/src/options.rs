//! The command line, and the line that says where the server listens.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Parser;

/// A server for truncation experiments.
#[derive(Debug, Parser)]
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
}

impl Options {
    /// Reads the command line; ends the process if it is wrong.
    pub fn read() -> Self {
        Self::parse()
    }

    /// The TCP address, where there is no path.
    pub fn address(&self) -> io::Result<&str> {
        self.tcp
            .as_deref()
            .ok_or_else(|| io::Error::other("neither --unix nor --tcp was given"))
    }
}

/// The one line on standard output: whoever started this process waits for it.
pub fn announce(address: impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "listening {address}")?;
    out.flush()
}
