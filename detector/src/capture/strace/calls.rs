//! The calls that matter, one row each: a name as strace prints it, and what
//! the call does to descriptors and sockets.

use detector_common::CALLS;

/// Where a call keeps the bytes it moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Data {
    /// `(fd, "…", length, …)`.
    Buffer,
    /// `(fd, [{iov_base="…", iov_len=N}, …], count, …)`.
    Iovec,
    /// `(fd, {…, msg_iov=[…], …}, flags)`.
    Msghdr,
    /// `(fd, [{msg_hdr={…}, msg_len=N}, …], count, flags)`.
    Mmsghdr,
    /// `(out_fd, in_fd, offset, count)`: the bytes are in no line.
    File,
    /// `(in_fd, offset, out_fd, offset, count, flags)`: likewise.
    Splice,
}

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Does {
    /// Bytes out of the process; the second: only sockets take the call.
    Send(Data, bool),
    /// Bytes into the process, likewise.
    Receive(Data, bool),
    Accept,
    Socket,
    Socketpair,
    Connect,
    Shutdown,
    Close,
    CloseRange,
    Dup,
    /// `dup2` and `dup3`.
    DupOver,
    Fcntl,
    /// `fork`, `vfork`, `clone`, `clone3`.
    Fork,
    Exec,
    ExitGroup,
    SetOption,
    GetOption,
    EpollControl,
    EpollWait,
    Poll,
    /// It gives a new descriptor that is no socket.
    Opens,
    /// It may move bytes that no line tells of.
    Unseen,
    /// `io_uring_setup`: calls may be made that are in no line.
    Ring,
    /// `pidfd_getfd`: a copy of another process's descriptor.
    Takes,
    /// `unshare`: descriptors may be apart from then on.
    Unshare,
    /// It tells which process a thread belongs to.
    Numbers,
}

/// What the call with this name does; `None` if it does not matter here.
pub(super) fn does(name: &[u8]) -> Option<Does> {
    use Data::{Buffer, File, Iovec, Mmsghdr, Msghdr, Splice};
    Some(match name {
        b"read" => Does::Receive(Buffer, false),
        b"write" => Does::Send(Buffer, false),
        b"close" => Does::Close,
        b"sendto" | b"send" => Does::Send(Buffer, true),
        b"recvfrom" | b"recv" => Does::Receive(Buffer, true),
        b"writev" | b"pwritev2" => Does::Send(Iovec, false),
        b"readv" | b"preadv2" => Does::Receive(Iovec, false),
        b"sendmsg" => Does::Send(Msghdr, true),
        b"recvmsg" => Does::Receive(Msghdr, true),
        b"sendmmsg" => Does::Send(Mmsghdr, true),
        b"recvmmsg" | b"recvmmsg_time64" => Does::Receive(Mmsghdr, true),
        b"sendfile" | b"sendfile64" => Does::Send(File, false),
        b"splice" => Does::Send(Splice, false),
        b"accept" | b"accept4" => Does::Accept,
        b"socket" => Does::Socket,
        b"socketpair" => Does::Socketpair,
        b"connect" => Does::Connect,
        b"shutdown" => Does::Shutdown,
        b"close_range" => Does::CloseRange,
        b"dup" => Does::Dup,
        b"dup2" | b"dup3" => Does::DupOver,
        b"fcntl" | b"fcntl64" => Does::Fcntl,
        b"fork" | b"vfork" | b"clone" | b"clone3" => Does::Fork,
        b"execve" | b"execveat" => Does::Exec,
        b"exit_group" => Does::ExitGroup,
        b"setsockopt" => Does::SetOption,
        b"getsockopt" => Does::GetOption,
        b"epoll_ctl" => Does::EpollControl,
        b"epoll_wait" | b"epoll_pwait" | b"epoll_pwait2" => Does::EpollWait,
        b"poll" | b"ppoll" | b"ppoll_time64" => Does::Poll,
        b"open" | b"openat" | b"openat2" | b"creat" | b"epoll_create" | b"epoll_create1"
        | b"eventfd" | b"eventfd2" | b"timerfd_create" | b"signalfd" | b"signalfd4"
        | b"inotify_init" | b"inotify_init1" | b"memfd_create" | b"pidfd_open" | b"userfaultfd"
        | b"fanotify_init" | b"perf_event_open" => Does::Opens,
        b"io_uring_enter" | b"io_submit" => Does::Unseen,
        b"io_uring_setup" => Does::Ring,
        b"pidfd_getfd" => Does::Takes,
        b"unshare" => Does::Unshare,
        b"getpid" | b"gettid" | b"setsid" | b"tgkill" => Does::Numbers,
        _ => return None,
    })
}

/// The number of a call by its name, for the records; of one that has none on
/// this architecture, that of the call that does the same.
pub(super) fn number(name: &[u8]) -> u16 {
    let name: &[u8] = match name {
        b"send" => b"sendto",
        b"recv" => b"recvfrom",
        b"sendfile64" => b"sendfile",
        b"recvmmsg_time64" => b"recvmmsg",
        name => name,
    };
    CALLS
        .iter()
        .find(|call| call.name.as_bytes() == name)
        .map_or(u16::MAX, detector_common::Call::number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_that_the_kernel_side_knows_is_known_here() {
        for call in CALLS {
            let moves = does(call.name.as_bytes());
            let expected = matches!(
                (moves, call.direction),
                (Some(Does::Send(..)), detector_common::Direction::Send)
                    | (Some(Does::Receive(..)), detector_common::Direction::Receive)
            );
            assert!(expected || moves == Some(Does::Unseen), "{}", call.name);
            assert_eq!(number(call.name.as_bytes()), call.number());
        }
    }
}
