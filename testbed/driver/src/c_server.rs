//! Builds and starts the server in C, for stacks: with the compiler's options
//! that a test wants.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::TempDir;
use crate::server::{Listen, Server, testbed_dir};

/// A running C server, and the binary that was built for it.
#[derive(Debug)]
pub struct CServer {
    server: Server,
    binary: PathBuf,
    /// The binary's folder.
    _folder: TempDir,
}

impl CServer {
    /// Compiles it with these options behind `-O2 -fomit-frame-pointer`, by the C compiler that
    /// Rust links with, and starts it on a Unix socket.
    ///
    /// # Errors
    /// If it cannot be compiled or does not come up.
    pub fn start(options: &[&str]) -> Result<Self> {
        let folder = TempDir::new()?;
        let binary = folder.path().join("c-server");
        let status = Command::new("cc")
            .args(["-O2", "-fomit-frame-pointer", "-Wall", "-pthread"])
            .args(options)
            .arg("-o")
            .arg(&binary)
            .arg(testbed_dir()?.join("c-server/server.c"))
            .status()
            .context("cannot run cc")?;
        ensure!(status.success(), "cc failed: {status}");
        let server = Server::start_command(Command::new(&binary), Listen::Unix, None)?;
        Ok(Self {
            server,
            binary,
            _folder: folder,
        })
    }

    /// The server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Kills it and waits until it is gone.
    ///
    /// # Errors
    /// If it is gone already.
    pub fn kill(&mut self) -> Result<()> {
        self.server.kill(crate::Signal::KILL)?;
        self.server.wait()?;
        Ok(())
    }

    /// What it runs.
    pub fn binary(&self) -> &PathBuf {
        &self.binary
    }
}
