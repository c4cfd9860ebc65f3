//! The system calls that move bytes through a socket: one row each.
//!
//! Adding a call is adding a row. The kernel side holds no system call
//! numbers: it is given the table, for the running architecture, at load.

/// Where a call keeps the bytes it moves, and how many it offers.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arguments {
    /// Not one of ours, or its bytes cannot be reached from its arguments.
    Opaque = 0,
    /// `(fd, buffer, length, …)`.
    Buffer = 1,
    /// `(fd, iovec, count, …)`.
    Iovec = 2,
    /// `(fd, msghdr, …)`.
    Msghdr = 3,
    /// `(out_fd, in_fd, offset, count)`: bytes that never are in user memory.
    File = 4,
    /// `(fd, mmsghdr, count, …)`: several messages, each a send of its own.
    Mmsghdr = 5,
}

impl Arguments {
    /// The code that the kernel side keeps in its table.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// Which way the bytes go, seen from the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Out of the process into the socket.
    Send,
    /// Out of the socket into the process.
    Receive,
}

/// One system call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Its name, as strace prints it.
    pub name: &'static str,
    /// Its number on x86-64 (`arch/x86/entry/syscalls/syscall_64.tbl`).
    pub x86_64: u16,
    /// Its number on arm64 (`include/uapi/asm-generic/unistd.h`).
    pub aarch64: u16,
    /// Where its bytes are.
    pub arguments: Arguments,
    /// Which way they go.
    pub direction: Direction,
}

impl Call {
    /// The number on the architecture this was compiled for.
    #[must_use]
    pub const fn number(&self) -> u16 {
        if cfg!(target_arch = "aarch64") {
            self.aarch64
        } else {
            self.x86_64
        }
    }
}

macro_rules! calls {
    ($($name:literal $x86_64:literal $aarch64:literal $arguments:ident $direction:ident;)*) => {
        /// The table. Calls that are not in it still have their bytes counted
        /// (the kernel's own tracepoints see every send); what their
        /// arguments hold cannot be looked at, so a head sent by one of them
        /// makes the connection unjudged, not wrong.
        pub const CALLS: &[Call] = &[$(Call {
            name: $name,
            x86_64: $x86_64,
            aarch64: $aarch64,
            arguments: Arguments::$arguments,
            direction: Direction::$direction,
        }),*];
    };
}

calls! {
    "write"      1   64  Buffer Send;
    "writev"     20  66  Iovec  Send;
    "sendto"     44  206 Buffer Send;
    "sendmsg"    46  211 Msghdr Send;
    "sendfile"   40  71  File   Send;
    "sendmmsg"   307 269 Mmsghdr Send;
    "splice"     275 76  Opaque Send;
    "pwritev2"   328 287 Iovec  Send;
    "io_uring_enter" 426 426 Opaque Send;
    "read"       0   63  Buffer Receive;
    "readv"      19  65  Iovec  Receive;
    "recvfrom"   45  207 Buffer Receive;
    "recvmsg"    47  212 Msghdr Receive;
    "recvmmsg"   299 243 Opaque Receive;
    "preadv2"    327 286 Iovec  Receive;
}

/// The row of the call with this number on this architecture.
#[must_use]
pub fn call_by_number(number: u16) -> Option<&'static Call> {
    CALLS.iter().find(|call| call.number() == number)
}
