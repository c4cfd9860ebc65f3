//! Where the programs are attached: one file for each kind of hook. What a hook shows is
//! handled by `count.rs`, `close/` and `new_socket.rs`. Hooks whose own arguments matter
//! are beside what they start: exec and exit in `close/fd_table.rs`, resets in `resets.rs`.

mod count_fexit;
pub(crate) mod count_perf;
mod count_tracepoint;
mod fork;
mod syscalls_fentry;
mod syscalls_kprobe;
mod syscalls_tracepoint;
pub(crate) mod uring;
