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
    /// Where its flags are, of a send that has some: [`FLAGS_THIRD`] or
    /// [`FLAGS_FOURTH`].
    #[must_use]
    pub fn flags(&self) -> u8 {
        match self.name {
            "sendmsg" => FLAGS_THIRD,
            "sendto" | "sendmmsg" => FLAGS_FOURTH,
            _ => 0,
        }
    }

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

/// One operation of io_uring, which is made by no system call of its own.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// Its name, after `IORING_OP_` (io_uring_enter(2)).
    pub name: &'static str,
    /// Its number (`enum io_uring_op`, include/uapi/linux/io_uring.h).
    pub code: u8,
    /// Where its bytes are.
    pub arguments: Arguments,
    /// Which way they go.
    pub direction: Direction,
}

/// Numbers of operations that the kernel side's table covers.
pub const OPERATION_LIMIT: usize = 64;

/// Added in the kernel side's tables to the [`Arguments`] of what receives.
pub const RECEIVES: u8 = 0x80;

/// Added likewise to those of sends whose flags are the call's third argument,
pub const FLAGS_THIRD: u8 = 0x20;

/// and to those of sends whose flags are its fourth.
pub const FLAGS_FOURTH: u8 = 0x40;

/// `MSG_OOB` (include/linux/socket.h): the last byte is in no stream (send(2)).
pub const OUT_OF_BAND: u32 = 1;

/// What the number of a [`crate::CallEntry`] has added where it is an
/// operation's.
pub const OPERATION: u16 = 0x8000;

macro_rules! operations {
    ($($name:literal $code:literal $arguments:ident $direction:ident;)*) => {
        /// The operations that move bytes through a socket. Buffers that the
        /// kernel picks from a ring (`IOSQE_BUFFER_SELECT`) are not looked at.
        pub const OPERATIONS: &[Operation] = &[$(Operation {
            name: $name,
            code: $code,
            arguments: Arguments::$arguments,
            direction: Direction::$direction,
        }),*];
    };
}

operations! {
    "io_uring readv"      1  Iovec  Receive;
    "io_uring writev"     2  Iovec  Send;
    "io_uring read_fixed"  4 Buffer Receive;
    "io_uring write_fixed" 5 Buffer Send;
    "io_uring sendmsg"    9  Msghdr Send;
    "io_uring recvmsg"    10 Msghdr Receive;
    "io_uring read"       22 Buffer Receive;
    "io_uring write"      23 Buffer Send;
    "io_uring send"       26 Buffer Send;
    "io_uring recv"       27 Buffer Receive;
    "io_uring splice"     30 Opaque Send;
    "io_uring send_zc"    47 Buffer Send;
    "io_uring sendmsg_zc" 48 Msghdr Send;
}

/// The name of the call, or operation, with this number on this architecture.
#[must_use]
pub fn call_name(number: u16) -> Option<&'static str> {
    if number & OPERATION != 0 {
        let code = number & !OPERATION;
        return OPERATIONS
            .iter()
            .find(|operation| u16::from(operation.code) == code)
            .map(|operation| operation.name);
    }
    CALLS
        .iter()
        .find(|call| call.number() == number)
        .map(|call| call.name)
}
