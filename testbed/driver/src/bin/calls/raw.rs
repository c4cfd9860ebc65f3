//! System calls that no safe crate has, and what they need.

use std::{
    fs::File,
    io::{self, Seek as _, Write as _},
    os::fd::FromRawFd as _,
};

/// What a call returned, or its error.
pub(crate) fn call(result: impl TryInto<i64>) -> io::Result<i64> {
    match result.try_into() {
        Ok(result) if result >= 0 => Ok(result),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Repeats a call that may take only a part.
pub(crate) fn all(bytes: &[u8], mut part: impl FnMut(&[u8]) -> io::Result<i64>) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let taken = usize::try_from(part(rest)?).unwrap_or(0);
        rest = rest.get(taken..).unwrap_or_default();
    }
    Ok(())
}

pub(crate) fn unsafe_write(fd: i32, bytes: &[u8]) -> isize {
    // SAFETY: a slice and its length.
    unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) }
}

pub(crate) fn unsafe_send(fd: i32, bytes: &[u8], flags: i32) -> isize {
    // SAFETY: a slice and its length.
    unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), flags) }
}

pub(crate) fn unsafe_read(fd: i32) -> isize {
    let mut byte = 0u8;
    // SAFETY: one byte of room.
    unsafe { libc::read(fd, (&raw mut byte).cast(), 1) }
}

pub(crate) fn unsafe_shutdown(fd: i32, how: i32) -> i32 {
    // SAFETY: no pointers.
    unsafe { libc::shutdown(fd, how) }
}

pub(crate) fn close(fd: i32) -> io::Result<()> {
    // SAFETY: the descriptor is one of ours and not used afterwards.
    call(unsafe { libc::close(fd) }).map(drop)
}

pub(crate) fn vector(bytes: &[u8]) -> libc::iovec {
    libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    }
}

pub(crate) fn message(vectors: &mut [libc::iovec]) -> libc::msghdr {
    // SAFETY: zeros are a message without anything.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = vectors.as_mut_ptr();
    message.msg_iovlen = vectors.len();
    message
}

/// A file with these bytes and no name.
pub(crate) fn file(bytes: &[u8]) -> io::Result<File> {
    // SAFETY: a string with its zero byte.
    let fd = call(unsafe { libc::memfd_create(c"body".as_ptr(), 0) })?;
    // SAFETY: the descriptor is new and nobody else's.
    let mut file = unsafe { File::from_raw_fd(i32::try_from(fd).unwrap_or(-1)) };
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

pub(crate) fn pause(milliseconds: u64) {
    std::thread::sleep(std::time::Duration::from_millis(milliseconds));
}

/// Stays so long that the end of the process is not what ends the connection.
pub(crate) fn linger_on() -> io::Result<()> {
    pause(300);
    Ok(())
}

/// Room for one descriptor in a control message (cmsg(3)).
#[repr(C)]
pub(crate) struct Control {
    header: libc::cmsghdr,
    fd: i32,
}

pub(crate) fn control(fd: i32) -> Control {
    Control {
        header: libc::cmsghdr {
            cmsg_len: size_of::<libc::cmsghdr>() + 4,
            cmsg_level: libc::SOL_SOCKET,
            cmsg_type: libc::SCM_RIGHTS,
        },
        fd,
    }
}

pub(crate) fn send_descriptor(through: i32, fd: i32) -> io::Result<()> {
    let mut control = control(fd);
    let mut vectors = [vector(b"d")];
    let mut message = message(&mut vectors);
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = size_of::<Control>();
    // SAFETY: all that the message points to outlives the call.
    call(unsafe { libc::sendmsg(through, &raw const message, 0) }).map(drop)
}

pub(crate) fn receive_descriptor(from: i32) -> io::Result<i32> {
    let mut control = control(-1);
    // One byte comes along, into memory that is only the kernel's to write.
    let byte = [0u8];
    let mut vectors = [vector(&byte)];
    let mut message = message(&mut vectors);
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = size_of::<Control>();
    // SAFETY: all that the message points to outlives the call.
    call(unsafe { libc::recvmsg(from, &raw mut message, 0) })?;
    Ok(control.fd)
}
