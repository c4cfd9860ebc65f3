//! Tests on the live kernel: real servers, real eBPF, the real binary. They
//! need root; `cargo xtask test` runs them, plain `cargo test` does not.
//!
//! Each test is a fact that a user may rely on. The truth that reports are
//! compared with is always the client's own count.

mod before;
mod beside;
mod calls;
mod command;
mod concurrency;
mod daemon;
mod doctor;
mod endings;
mod errors;
mod filters;
mod frameworks;
mod handed_on;
mod healthy;
mod hyper_bug;
mod let_go;
mod lifecycle;
mod missing;
mod nature;
mod overruns;
mod privileges;
mod queues;
mod recording;
mod resets;
mod same_as_strace;
mod servers;
mod stacks;
mod terminal;
mod uploads;
