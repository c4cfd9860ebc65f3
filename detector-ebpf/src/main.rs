//! truncwatch's kernel side.
//!
//! Programs on the kernel's tracepoints count, per socket, the bytes that the
//! kernel accepted, and send a record only where a message head may begin and
//! where this side ends a connection. What a record means is decided in user
//! space (`detector/src/judge`).
//!
//! | file | what it does |
//! | --- | --- |
//! | `traffic.rs` | counts sends and receives |
//! | `functions.rs` | the same on kernels without tracepoints for it |
//! | `events.rs`  | the same on kernels where typed tracepoints may be preempted |
//! | `opening.rs` | takes up a connection when it is first used |
//! | `sampling/`  | which bytes are shown to the judge |
//! | `endings.rs` | shutdown and close: the end of one descriptor |
//! | `last.rs`    | the end of a socket that only a call in progress still holds |
//! | `table.rs`   | close_range, exec, process exit: of many at once |
//! | `uring.rs`   | what io_uring does without a system call |
//! | `atomic.rs`  | adds that other CPUs may make at the same time |
//! | `bytes.rs`   | what eight bytes may be the beginning of |
//! | `births.rs`  | accept and connect: connections seen from their first byte |
//! | `config.rs`  | what user space told at load, as constants in the code |
//! | `connections.rs` | where connections are kept |
//! | `family.rs`  | fork: children of watched processes |
//! | `filter.rs`  | which processes and connections are watched |
//! | `kernel.rs`  | reads kernel structures by the offsets found at load |
//! | `memory/`    | what the running call was given, and the process's buffers |
//! | `verifier.rs` | what the compiler or the verifier is not to know |
//! | `stack.rs`   | the stack of a thread that ends a connection |
//! | `task.rs`    | the running task and the registers of its system call |
//! | `processes.rs` | which processes are watched by their number |
//! | `probes.rs`  | calls of the same kernels, by the functions behind them |
//! | `calls.rs`   | calls where perf's events are refused, by the same functions |
//! | `resets.rs`  | resets that the kernel sends |
//! | `ring.rs`    | writes records |
//! | `scratch.rs` | room for what does not fit on the stack |
//! | `maps.rs`    | the maps, and what happens when one is full |
#![no_std]
#![no_main]
#![expect(
    internal_features,
    reason = "the only way to an atomic add on this target"
)]
#![feature(asm_experimental_arch, core_intrinsics)]

mod atomic;
mod births;
mod bytes;
mod calls;
mod config;
mod connections;
mod endings;
mod events;
mod family;
mod filter;
mod functions;
mod kernel;
mod last;
mod maps;
mod memory;
mod opening;
mod probes;
mod processes;
mod resets;
mod ring;
mod sampling;
mod scratch;
mod stack;
mod table;
mod task;
mod traffic;
mod uring;
mod verifier;

/// The licence the kernel sees: some helpers are for GPL-compatible programs
/// only; MIT with GPL is what the kernel calls a dual licence.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // Nothing here panics (the verifier would refuse a loop that does not
    // end); the language asks for the function all the same.
    loop {}
}
