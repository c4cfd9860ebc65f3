//! The same by io_uring (io_uring_enter(2)).

use std::io;

use io_uring::{IoUring, opcode, squeue, types::Fd, types::Fixed};

use crate::raw::{all, message, vector};

/// Submits these and waits for all of them; the result of the last.
fn run(ring: &mut IoUring, entries: &[squeue::Entry]) -> io::Result<i64> {
    for entry in entries {
        // SAFETY: what the entries point to outlives this function's caller,
        // which does not return before they are complete.
        unsafe { ring.submission().push(entry) }.map_err(io::Error::other)?;
    }
    ring.submit_and_wait(entries.len())?;
    let mut last = 0;
    let mut waiting = entries.len();
    while waiting > 0 {
        let Some(done) = ring.completion().next() else {
            ring.submit_and_wait(1)?;
            continue;
        };
        // Of a send without copying there is a second word, that the buffer is
        // free again.
        if !io_uring::cqueue::notif(done.flags()) {
            waiting -= 1;
            last = i64::from(done.result());
        }
        if last < 0 {
            let errno = i32::try_from(-last).unwrap_or(0);
            return Err(io::Error::from_raw_os_error(errno));
        }
    }
    Ok(last)
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

pub(crate) fn send(fd: i32, bytes: &[u8]) -> squeue::Entry {
    opcode::Send::new(Fd(fd), bytes.as_ptr(), length(bytes)).build()
}

/// The last byte beside the stream.
pub(crate) fn send_urgent(fd: i32, bytes: &[u8]) -> squeue::Entry {
    opcode::Send::new(Fd(fd), bytes.as_ptr(), length(bytes))
        .flags(libc::MSG_OOB)
        .build()
}

pub(crate) fn sendmsg_urgent(fd: i32, bytes: &[u8], head: usize) -> io::Result<()> {
    let (head, body) = bytes.split_at(head);
    let mut vectors = [vector(head), vector(body)];
    let message = message(&mut vectors);
    let entry = opcode::SendMsg::new(Fd(fd), &raw const message)
        .flags(libc::MSG_OOB.cast_unsigned())
        .build();
    run(&mut IoUring::new(8)?, &[entry]).map(drop)
}

pub(crate) fn send_zc(fd: i32, bytes: &[u8]) -> squeue::Entry {
    opcode::SendZc::new(Fd(fd), bytes.as_ptr(), length(bytes)).build()
}

pub(crate) fn write(fd: i32, bytes: &[u8]) -> squeue::Entry {
    opcode::Write::new(Fd(fd), bytes.as_ptr(), length(bytes)).build()
}

/// Sends all of the bytes, one operation after the other.
pub(crate) fn one_by_one(
    fd: i32,
    bytes: &[u8],
    entry: fn(i32, &[u8]) -> squeue::Entry,
) -> io::Result<()> {
    let mut ring = IoUring::new(8)?;
    all(bytes, |rest| run(&mut ring, &[entry(fd, rest)]))
}

pub(crate) fn writev(fd: i32, bytes: &[u8], head: usize) -> io::Result<()> {
    let (head, body) = bytes.split_at(head);
    let vectors = [vector(head), vector(body)];
    let entry = opcode::Writev::new(Fd(fd), vectors.as_ptr(), 2).build();
    run(&mut IoUring::new(8)?, &[entry]).map(drop)
}

pub(crate) fn sendmsg(fd: i32, bytes: &[u8], head: usize) -> io::Result<()> {
    let (head, body) = bytes.split_at(head);
    let mut vectors = [vector(head), vector(body)];
    let message = message(&mut vectors);
    let entry = opcode::SendMsg::new(Fd(fd), &raw const message).build();
    run(&mut IoUring::new(8)?, &[entry]).map(drop)
}

/// By a number that is no descriptor.
pub(crate) fn registered(fd: i32, bytes: &[u8]) -> io::Result<()> {
    let mut ring = IoUring::new(8)?;
    ring.submitter().register_files(&[fd])?;
    all(bytes, |rest| {
        let entry = opcode::Send::new(Fixed(0), rest.as_ptr(), length(rest)).build();
        run(&mut ring, &[entry])
    })?;
    ring.submitter().unregister_files()
}

/// Submitted by a thread of the kernel's.
pub(crate) fn by_kernel_thread(fd: i32, bytes: &[u8]) -> io::Result<()> {
    let mut ring = IoUring::builder().setup_sqpoll(100).build(8)?;
    all(bytes, |rest| run(&mut ring, &[send(fd, rest)]))
}

/// Head and body, the second waiting for the first.
pub(crate) fn linked(fd: i32, bytes: &[u8], head: usize) -> io::Result<()> {
    let (head, body) = bytes.split_at(head);
    let first = send(fd, head).flags(squeue::Flags::IO_LINK);
    run(&mut IoUring::new(8)?, &[first, send(fd, body)]).map(drop)
}

pub(crate) fn splice(from: i32, to: i32, bytes: usize) -> io::Result<()> {
    let length = u32::try_from(bytes).unwrap_or(u32::MAX);
    let entry = opcode::Splice::new(Fd(from), -1, Fd(to), -1, length).build();
    run(&mut IoUring::new(8)?, &[entry]).map(drop)
}

pub(crate) fn shutdown(fd: i32) -> io::Result<()> {
    let entry = opcode::Shutdown::new(Fd(fd), libc::SHUT_WR).build();
    run(&mut IoUring::new(8)?, &[entry]).map(drop)
}

pub(crate) fn close(fd: i32) -> io::Result<()> {
    run(&mut IoUring::new(8)?, &[opcode::Close::new(Fd(fd)).build()]).map(drop)
}

pub(crate) fn send_then_close(fd: i32) -> io::Result<()> {
    let first = send(fd, b"x").flags(squeue::Flags::IO_LINK);
    let second = opcode::Close::new(Fd(fd)).build();
    run(&mut IoUring::new(8)?, &[first, second]).map(drop)
}
