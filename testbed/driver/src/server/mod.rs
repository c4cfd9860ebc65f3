//! The hyper test server: one source, two versions of hyper.
//!
//! ```no_run
//! use testbed::client::{Trigger, trigger};
//! use testbed::server::{HyperVersion, Options, Server};
//!
//! # fn main() -> anyhow::Result<()> {
//! let server = Server::start(HyperVersion::V1_8_1, &Options::unix())?;
//! let outcome = trigger(server.addr(), Trigger::Ignore)?;
//! assert!(outcome.truncated());
//! # Ok(())
//! # }
//! ```

mod build;
mod options;
mod process;
mod version;

pub use build::build;
pub(crate) use build::{build_package, target_dir, testbed_dir};
pub use options::{Listen, Options};
pub use process::Server;
pub use version::HyperVersion;
