//! Where the programs are attached beside the tracepoints that `count.rs`, `close/` and
//! `new_socket.rs` begin with: one file for each kind of hook. Nothing is decided here.

mod count_fexit;
pub(crate) mod count_perf;
mod fork;
mod syscalls_fentry;
mod syscalls_kprobe;
pub(crate) mod uring;
