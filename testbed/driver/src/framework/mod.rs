//! Real servers beside hyper's own: three web frameworks of Rust, Node, CPython and uvicorn.
//!
//! All answer the same paths, listed in `testbed/README.md`, each by its own means.
//!
//! ```no_run
//! use testbed::client::{Conn, Request};
//! use testbed::framework::Framework;
//! use testbed::server::Listen;
//!
//! # fn main() -> anyhow::Result<()> {
//! let server = Framework::Axum.start(Listen::Unix)?;
//! let outcome = Conn::connect(server.addr())?.request(&Request::get("/bytes/1000"));
//! assert!(outcome.complete());
//! # Ok(())
//! # }
//! ```

mod python;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::server::{Listen, Server, build_package, testbed_dir};

/// A server that is not hyper's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framework {
    /// axum, which serves with hyper.
    Axum,
    /// warp, which serves with hyper.
    Warp,
    /// actix-web, which has an HTTP implementation of its own.
    Actix,
    /// Node's `http` module.
    Node,
    /// CPython's `http.server`, a thread per connection.
    Python,
    /// uvicorn, an ASGI server, with asyncio and h11.
    Uvicorn,
}

/// The package with those in Rust, and the folder it is in.
const PACKAGE: &str = "frameworks";

impl Framework {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Axum,
        Self::Warp,
        Self::Actix,
        Self::Node,
        Self::Python,
        Self::Uvicorn,
    ];

    /// Its name, in small letters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Axum => "axum",
            Self::Warp => "warp",
            Self::Actix => "actix",
            Self::Node => "node",
            Self::Python => "python",
            Self::Uvicorn => "uvicorn",
        }
    }

    /// Builds or installs what it needs; quick when there is nothing to do.
    ///
    /// Those in Rust are built by one call of cargo. For uvicorn, pip installs the pinned versions
    /// into an environment below the target folder.
    ///
    /// # Errors
    /// If cargo, node, python3 or pip is missing or fails.
    pub fn build(self) -> Result<()> {
        self.command().map(drop)
    }

    /// Starts it, built if need be, and waits until it listens.
    ///
    /// # Errors
    /// If it cannot be built or does not come up.
    pub fn start(self, listen: Listen) -> Result<Server> {
        Server::start_command(self.command()?, listen, None)
            .with_context(|| format!("{self} did not start"))
    }

    fn command(self) -> Result<Command> {
        match self {
            Self::Axum | Self::Warp | Self::Actix => Ok(Command::new(self.binary()?)),
            Self::Node => script(Path::new("node"), "node-server.js"),
            Self::Python => script(Path::new("python3"), "python-server.py"),
            Self::Uvicorn => script(&python::environment()?, "uvicorn-server.py"),
        }
    }

    fn binary(self) -> Result<PathBuf> {
        build_package(PACKAGE, &[&format!("{self}-server")])?
            .pop()
            .with_context(|| format!("no binary for {self}"))
    }
}

impl fmt::Display for Framework {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Starts CPython's `http.server` with as many processes that accept connections. The process of
/// the returned handle is their parent; killed, it leaves none behind.
///
/// # Errors
/// As [`Framework::start`].
pub fn start_preforked(listen: Listen, workers: usize) -> Result<Server> {
    let mut command = script(Path::new("python3"), "python-server.py")?;
    command.arg("--workers").arg(workers.to_string());
    Server::start_command(command, listen, None)
}

/// An interpreter with a script of the testbed's.
fn script(interpreter: &Path, name: &str) -> Result<Command> {
    let mut command = Command::new(interpreter);
    command
        .arg(testbed_dir()?.join("scripts").join(name))
        // The folder of the scripts stays as it is.
        .env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(command)
}
