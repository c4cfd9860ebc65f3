//! The ways to end a connection.

use std::{
    io::{self, Read as _},
    os::fd::AsRawFd as _,
};

use crate::{
    raw::{
        call, close, linger_on, pause, receive_descriptor, send_descriptor, unsafe_read,
        unsafe_send, unsafe_shutdown, unsafe_write,
    },
    uring,
};

/// Ends the connection on this descriptor, and the process where that is how it
/// ends.
pub(crate) type End = fn(i32) -> io::Result<()>;

/// All of them.
pub(crate) const ENDS: &[(&str, End)] = &[
    ("shutdown-wr", |fd| {
        call(unsafe_shutdown(fd, libc::SHUT_WR)).and_then(|_| linger_on())
    }),
    ("shutdown-rdwr", |fd| {
        call(unsafe_shutdown(fd, libc::SHUT_RDWR)).and_then(|_| linger_on())
    }),
    // Behind it every send fails (EPIPE); one raises SIGPIPE, which Rust ignores.
    ("shutdown-send", |fd| {
        call(unsafe_shutdown(fd, libc::SHUT_WR))?;
        let late = [b'z'; 54];
        for flags in [libc::MSG_NOSIGNAL, 0] {
            if call(unsafe_send(fd, &late, flags)).is_ok() {
                return Err(io::Error::other("it was sent"));
            }
        }
        if call(unsafe_write(fd, &late)).is_ok() {
            return Err(io::Error::other("it was written"));
        }
        linger_on()
    }),
    ("close", |fd| close(fd).and_then(|()| linger_on())),
    ("close-range", |fd| {
        // SAFETY: no pointers.
        call(unsafe { libc::syscall(libc::SYS_close_range, fd, fd, 0) })?;
        linger_on()
    }),
    ("dup2", |fd| {
        // SAFETY: no pointers.
        call(unsafe { libc::dup2(0, fd) })?;
        linger_on()
    }),
    ("dup3", |fd| {
        // SAFETY: no pointers.
        call(unsafe { libc::dup3(0, fd, libc::O_CLOEXEC) })?;
        linger_on()
    }),
    ("exec", |fd| {
        // SAFETY: no pointers.
        call(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) })?;
        let (program, time) = (c"/bin/sleep", c"1");
        let arguments = [program.as_ptr(), time.as_ptr(), std::ptr::null()];
        // SAFETY: strings with their zero bytes, a list with its null.
        call(unsafe { libc::execv(program.as_ptr(), arguments.as_ptr()) })?;
        Ok(())
    }),
    ("exit", |_| std::process::exit(3)),
    ("kill", |_| {
        // SAFETY: no pointers; this process.
        call(unsafe { libc::kill(libc::getpid(), libc::SIGKILL) })?;
        Ok(())
    }),
    // The connection ends with the second close.
    ("dup-close", |fd| {
        // SAFETY: no pointers.
        let second = call(unsafe { libc::dup(fd) })?;
        close(fd)?;
        pause(200);
        close(i32::try_from(second).unwrap_or(-1))?;
        linger_on()
    }),
    // Held by two descriptors when the process ends.
    ("dup-exit", |fd| {
        // SAFETY: no pointers.
        call(unsafe { libc::dup(fd) })?;
        std::process::exit(4)
    }),
    // The child holds it for longer than the parent.
    ("fork-child-last", |fd| {
        // SAFETY: this process has one thread.
        if call(unsafe { libc::fork() })? == 0 {
            pause(200);
            std::process::exit(5)
        }
        close(fd)?;
        pause(400);
        linger_on()
    }),
    // Sent through a Unix socket and closed; what arrives is closed later.
    ("scm-rights", |fd| {
        let (here, there) = std::os::unix::net::UnixStream::pair()?;
        send_descriptor(here.as_raw_fd(), fd)?;
        close(fd)?;
        pause(200);
        let received = receive_descriptor(there.as_raw_fd())?;
        close(received)?;
        linger_on()
    }),
    // The same, and nobody receives it: what ends the connection is no call on it.
    ("scm-rights-lost", |fd| {
        let (here, there) = std::os::unix::net::UnixStream::pair()?;
        send_descriptor(here.as_raw_fd(), fd)?;
        close(fd)?;
        drop((here, there));
        pause(2000);
        linger_on()
    }),
    // A descriptor is closed, others remain: the connection does not end.
    ("dup-keep", |fd| {
        // SAFETY: no pointers.
        call(unsafe { libc::dup(fd) })?;
        close(fd)?;
        linger_on()
    }),
    ("linger-close", |fd| {
        let linger = libc::linger {
            l_onoff: 1,
            l_linger: 0,
        };
        // SAFETY: a pointer to a structure and its size.
        call(unsafe {
            libc::setsockopt(
                fd,
                libc::SOL_SOCKET,
                libc::SO_LINGER,
                (&raw const linger).cast(),
                8,
            )
        })?;
        close(fd)?;
        linger_on()
    }),
    // Another process takes the descriptor and is the last to hold it.
    ("pidfd-getfd", |fd| {
        let (mut reader, writer) = io::pipe()?;
        let parent = std::process::id();
        // SAFETY: this process has one thread.
        if call(unsafe { libc::fork() })? == 0 {
            close(fd)?;
            // SAFETY: no pointers.
            let pidfd = call(unsafe { libc::syscall(libc::SYS_pidfd_open, parent, 0) })?;
            // SAFETY: no pointers.
            call(unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd, fd, 0) })?;
            call(unsafe_write(writer.as_raw_fd(), b"x"))?;
            pause(200);
            std::process::exit(6)
        }
        drop(writer);
        reader.read_exact(&mut [0])?;
        close(fd)?;
        pause(400);
        linger_on()
    }),
    // Stays open without progress, then ends.
    ("stall", |fd| {
        pause(1500);
        close(fd)?;
        linger_on()
    }),
    // Goes on until the peer has gone.
    ("until-error", |fd| {
        while call(unsafe_send(fd, &[b'x'; 65_536], libc::MSG_NOSIGNAL)).is_ok() {}
        close(fd)?;
        linger_on()
    }),
    // After the peer has gone; a shutdown of what is shut down changes nothing.
    ("left-shutdown", |fd| {
        pause(100);
        call(unsafe_shutdown(fd, libc::SHUT_RDWR))?;
        call(unsafe_shutdown(fd, libc::SHUT_RD))?;
        close(fd)?;
        linger_on()
    }),
    // Waits for the peer's half-close.
    ("half-closed", |fd| {
        call(unsafe_read(fd))?;
        close(fd)?;
        linger_on()
    }),
    ("uring-shutdown", |fd| {
        uring::shutdown(fd).and_then(|()| linger_on())
    }),
    ("uring-close", |fd| {
        uring::close(fd).and_then(|()| linger_on())
    }),
    // A close that waits for a send.
    ("uring-send-close", |fd| {
        uring::send_then_close(fd).and_then(|()| linger_on())
    }),
];
