//! Numbers for Prometheus: over HTTP, or in a file.

mod server;
mod snapshot;
mod textfile;

pub(super) use self::{
    server::{Asked, Server},
    snapshot::{Map, Snapshot, Truncated},
    textfile::Textfile,
};
