//! truncwatch's kernel side.
//!
//! Programs on the kernel's tracepoints count, per socket, the bytes that the
//! kernel accepted, and send a record only where a message head may begin and
//! where this side ends a connection. What a record means is decided in user
//! space (`detector/src/judge`).
//!
//! | file | what it does |
//! | --- | --- |
//! | `hooks/count_tracepoint.rs` | sends and receives |
//! | `hooks/syscalls_tracepoint.rs` | system calls |
//! | `hooks/count_perf.rs` | sends and receives, where typed tracepoints may be preempted |
//! | `hooks/count_fexit.rs` | the same on kernels without tracepoints for it |
//! | `hooks/syscalls_kprobe.rs` | system calls where tracepoints may be preempted |
//! | `hooks/syscalls_fentry.rs` | system calls where perf's events are refused |
//! | `hooks/uring.rs` | what io_uring does without a system call |
//! | `hooks/fork.rs` | children of watched processes |
//! | `count.rs`   | counts sends and receives |
//! | `track.rs`   | starts to track a connection when it is first used |
//! | `new_socket.rs` | accept and connect: connections seen from their first byte |
//! | `sampling/`  | which bytes are shown to the judge |
//! | `sniff.rs`   | what eight bytes may be the beginning of |
//! | `close/descriptor.rs` | shutdown and close: the end of one descriptor |
//! | `close/fd_table.rs` | close_range, exec, process exit: of many at once |
//! | `close/last_call.rs` | the end of a socket that only a call in progress still holds |
//! | `close/stack.rs` | the stack of a thread that ends a connection |
//! | `resets.rs`  | resets that the kernel sends |
//! | `filter.rs`  | which processes and connections are watched |
//! | `processes.rs` | which processes are watched by their number |
//! | `connections.rs` | where connections are kept |
//! | `syscall/`   | what the running call was given, and the process's buffers |
//! | `task.rs`    | the running task and the registers of its system call |
//! | `kernel.rs`  | reads kernel structures by the offsets found at load |
//! | `ring.rs`    | writes records |
//! | `maps.rs`    | the maps, and what happens when one is full |
//! | `scratch.rs` | room for what does not fit on the stack |
//! | `config.rs`  | the options that user space sets at load, as constants in the code |
//! | `atomic.rs`  | adds that other CPUs may make at the same time |
//! | `verifier.rs` | hides from the compiler and the verifier what they know of a number |
#![no_std]
#![no_main]
#![expect(
    internal_features,
    reason = "the only way to an atomic add on this target"
)]
#![feature(asm_experimental_arch, core_intrinsics)]

mod atomic;
mod close;
mod config;
mod connections;
mod count;
mod filter;
mod hooks;
mod kernel;
mod maps;
mod new_socket;
mod processes;
mod resets;
mod ring;
mod sampling;
mod scratch;
mod sniff;
mod syscall;
mod task;
mod track;
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
