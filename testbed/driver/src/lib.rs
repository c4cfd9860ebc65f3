//! Starts the servers that truncwatch is tested against, and talks to them exactly.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`server`] | builds and runs the hyper test server, buggy and fixed |
//! | [`framework`] | runs real servers: axum, warp, actix-web, Node, CPython, uvicorn |
//! | [`c_server`] | builds and runs a server in C whose stacks are hard to follow |
//! | [`calls`] | runs a program that makes exactly the system calls it is told to |
//! | [`nginx`] | runs a private nginx: a server that does not truncate |
//! | [`healthy`] | traffic in which nothing is cut short |
//! | [`client`] | an HTTP/1.1 client that says how each response ended, and the triggers of the hyper bug |
//! | [`soak`] | mixed load in which truncations are injected at random |
//! | [`bpf`] | what a process holds of BPF, and whether the kernel still has it |
//! | [`watcher`] | runs truncwatch itself |
//! | [`cpu`] | keeps a thread, and what it spawns, on one CPU |
//!
//! Everything is blocking `std` I/O: a test client must not share the asynchronous machinery of
//! what it tests. Whatever is started here is stopped when its handle is dropped.

pub mod bpf;
pub mod c_server;
pub mod calls;
pub mod client;
pub mod cpu;
pub mod framework;
pub mod healthy;
pub mod nginx;
mod processes;
pub mod server;
pub mod soak;
mod temp;
pub mod watcher;

pub use processes::{children_of, signal};
pub use rustix::process::Signal;
pub use temp::TempDir;

/// Bytes in the body that `/ignore`, `/until` and `/graceful` promise.
///
/// The Content-Length in the log of the incident that led to the fix (hyperium/hyper 4018).
pub const BIG_BODY: u64 = 14_991_808;

/// Bytes, head included, that a Unix stream socket with default buffers takes from a writer whose
/// peer does not read.
///
/// Measured on Linux 6.18, x86-64, 4 KiB pages, `net.core.wmem_default` 212,992. Expect another
/// number where one of these differs.
pub const UNIX_FIRST_WRITE: u64 = 219_264;
