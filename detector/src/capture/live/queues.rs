//! How full the send queues of sockets are, asked of the kernel by inode number
//! (sock_diag(7)): without a descriptor of the socket, which would keep it open.
//!
//! The kernel answers for the network namespace that asks. Of a socket in another,
//! nothing is known.

use std::{
    collections::{HashMap, HashSet},
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use detector_common::send_queue::{EMPTY, FULL, PARTIAL};

/// `NETLINK_SOCK_DIAG`, and its one request (include/uapi/linux/sock_diag.h).
const SOCK_DIAG: i32 = 4;
const SOCK_DIAG_BY_FAMILY: u16 = 20;

/// Attributes with the socket's memory (include/uapi/linux/unix_diag.h, inet_diag.h).
const UNIX_SHOW_MEMORY: u32 = 0x20;
const UNIX_MEMORY: u16 = 5;
const INET_MEMORY: u16 = 7;

/// Bytes of the answers before their attributes: `unix_diag_msg`, `inet_diag_msg`.
const UNIX_FIXED: usize = 16;
const INET_FIXED: usize = 72;

/// `NLM_F_REQUEST`, `NLM_F_DUMP` (netlink(7)).
const REQUEST: u16 = 1;
const DUMP: u16 = 0x300;

/// `TCP_ESTABLISHED` and `TCP_CLOSE_WAIT`, the states in which a socket sends.
const SENDING: u32 = 1 << 1 | 1 << 8;

/// How full the send queues are of those of these inode numbers that the kernel tells
/// of, as `detector_common::send_queue` has it.
#[must_use]
pub fn send_queues(asked: &HashSet<u64>) -> HashMap<u64, u16> {
    let mut found = HashMap::new();
    let Some(socket) = open() else {
        return found;
    };
    for inode in asked {
        if let Ok(inode) = u32::try_from(*inode)
            && let Some(queue) = unix(&socket, inode)
        {
            found.insert(u64::from(inode), queue);
        }
    }
    if found.len() < asked.len() {
        for family in [libc::AF_INET, libc::AF_INET6] {
            inet(&socket, family, asked, &mut found);
        }
    }
    found
}

fn open() -> Option<OwnedFd> {
    // SAFETY: no pointers.
    let fd = unsafe {
        libc::socket(
            libc::AF_NETLINK,
            libc::SOCK_DGRAM | libc::SOCK_CLOEXEC,
            SOCK_DIAG,
        )
    };
    // SAFETY: a descriptor that nobody else has.
    (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sends a request: its body behind the header (`nlmsghdr`).
fn ask(socket: &OwnedFd, flags: u16, body: &[u8]) -> Option<()> {
    let length = u32::try_from(16 + body.len()).ok()?;
    let mut request = length.to_ne_bytes().to_vec();
    request.extend_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request.extend_from_slice(&(REQUEST | flags).to_ne_bytes());
    // Sequence number, and the sender, which the kernel fills in.
    request.extend_from_slice(&[0; 8]);
    request.extend_from_slice(body);
    // SAFETY: bytes of a vector that is there.
    let sent = unsafe {
        libc::send(
            socket.as_raw_fd(),
            request.as_ptr().cast(),
            request.len(),
            0,
        )
    };
    (usize::try_from(sent).ok()? == request.len()).then_some(())
}

/// Receives what the kernel has to say at once, in several messages.
fn answers<'a>(socket: &OwnedFd, room: &'a mut [u8]) -> &'a [u8] {
    // SAFETY: a slice that may be written, and its length.
    let length = unsafe { libc::recv(socket.as_raw_fd(), room.as_mut_ptr().cast(), room.len(), 0) };
    let length = usize::try_from(length).unwrap_or(0);
    room.get(..length).unwrap_or_default()
}

/// A Unix socket, if this inode number is one's.
fn unix(socket: &OwnedFd, inode: u32) -> Option<u16> {
    let mut body = vec![u8::try_from(libc::AF_UNIX).ok()?, 0, 0, 0];
    body.extend_from_slice(&u32::MAX.to_ne_bytes());
    body.extend_from_slice(&inode.to_ne_bytes());
    body.extend_from_slice(&UNIX_SHOW_MEMORY.to_ne_bytes());
    // Whatever its cookie is.
    body.extend_from_slice(&[0xff; 8]);
    ask(socket, 0, &body)?;
    let mut room = vec![0; 8 << 10];
    let (kind, answer, _) = message(answers(socket, &mut room))?;
    if kind != SOCK_DIAG_BY_FAMILY {
        return None;
    }
    let memory = attribute(answer.get(UNIX_FIXED..)?, UNIX_MEMORY)?;
    let (allocated, most) = (word(memory, 2)?, word(memory, 3)?);
    // unix_writable (net/unix/af_unix.c). The socket itself is counted as one byte.
    Some(match allocated {
        0 | 1 => EMPTY,
        _ if u64::from(allocated) * 4 > u64::from(most) => FULL,
        _ => PARTIAL,
    })
}

/// TCP sockets.
fn inet(
    socket: &OwnedFd,
    family: i32,
    asked: &HashSet<u64>,
    found: &mut HashMap<u64, u16>,
) -> Option<()> {
    let protocol = u8::try_from(libc::IPPROTO_TCP).ok()?;
    let extensions = 1_u8 << (INET_MEMORY - 1);
    let mut body = vec![u8::try_from(family).ok()?, protocol, extensions, 0];
    body.extend_from_slice(&SENDING.to_ne_bytes());
    body.extend_from_slice(&[0; 48]);
    ask(socket, DUMP, &body)?;
    let mut room = vec![0; 64 << 10];
    loop {
        let mut rest = answers(socket, &mut room);
        if rest.is_empty() {
            return None;
        }
        while let Some((kind, answer, behind)) = message(rest) {
            rest = behind;
            if kind != SOCK_DIAG_BY_FAMILY {
                // The end, or an error.
                return Some(());
            }
            let inode = u64::from(word(answer, INET_FIXED / 4 - 1)?);
            if !asked.contains(&inode) {
                continue;
            }
            // `idiag_wqueue`: bytes that were not acknowledged.
            let unacknowledged = word(answer, INET_FIXED / 4 - 3)?;
            let memory = attribute(answer.get(INET_FIXED..)?, INET_MEMORY)?;
            let (most, queued) = (word(memory, 3)?, word(memory, 5)?);
            // sk_stream_is_writeable (include/net/sock.h).
            let queue = match unacknowledged {
                0 => EMPTY,
                _ if most.saturating_sub(queued) < queued / 2 => FULL,
                _ => PARTIAL,
            };
            found.insert(inode, queue);
        }
    }
}

/// The first message: its kind, what is in it, and what is behind it.
fn message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::try_from(word(bytes, 0)?).ok()?;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let behind = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((kind, bytes.get(16..length)?, behind))
}

/// The attribute of this kind (`rtattr`, rtnetlink(7)).
fn attribute(mut bytes: &[u8], kind: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
        let found = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?);
        let value = bytes.get(4..length)?;
        if found == kind {
            return Some(value);
        }
        bytes = bytes.get(length.next_multiple_of(4)..)?;
    }
}

/// The number at this place among numbers of four bytes.
fn word(bytes: &[u8], place: usize) -> Option<u32> {
    let word = bytes.get(4 * place..4 * place + 4)?;
    Some(u32::from_ne_bytes(word.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{TcpListener, TcpStream},
        os::unix::net::UnixStream,
    };

    use super::*;

    fn inode(socket: &impl std::os::fd::AsRawFd) -> std::io::Result<u64> {
        let link = std::fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd()))?;
        link.to_string_lossy()
            .trim_matches(|letter: char| !letter.is_ascii_digit())
            .parse()
            .map_err(std::io::Error::other)
    }

    fn queue(inode: u64) -> Option<u16> {
        send_queues(&[inode].into()).get(&inode).copied()
    }

    /// Sends until there is no room, and lets the peer take all.
    fn fills(
        mut one: impl std::io::Write + std::os::fd::AsRawFd,
        mut other: impl std::io::Read,
    ) -> std::io::Result<()> {
        let inode = inode(&one)?;
        assert_eq!(queue(inode), Some(EMPTY));
        let mut sent = 0;
        while let Ok(count) = one.write(&[b'x'; 4096]) {
            sent += count;
        }
        assert_eq!(queue(inode), Some(FULL));
        let mut room = vec![0; sent];
        other.read_exact(&mut room)?;
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert_eq!(queue(inode), Some(EMPTY));
        Ok(())
    }

    #[test]
    fn a_queue_is_full_until_the_peer_reads() -> std::io::Result<()> {
        let (one, other) = UnixStream::pair()?;
        one.set_nonblocking(true)?;
        fills(one, other)?;
        let (mut one, _other) = UnixStream::pair()?;
        one.write_all(b"x")?;
        assert_eq!(queue(inode(&one)?), Some(PARTIAL));
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else {
                continue;
            };
            let client = TcpStream::connect(listener.local_addr()?)?;
            let (server, _) = listener.accept()?;
            server.set_nonblocking(true)?;
            fills(server, client)?;
        }
        assert_eq!(queue(u64::from(u32::MAX)), None);
        Ok(())
    }

    #[test]
    fn what_is_torn_is_nothing() {
        assert_eq!(message(&[0; 3]), None);
        assert_eq!(message(&[1, 0, 0, 0, 20, 0, 0, 0]), None);
        assert_eq!(attribute(&[0, 0, 5, 0], 5), None);
        assert_eq!(attribute(&[4, 0, 1, 0], 5), None);
        let mut none = &[][..];
        assert_eq!(none.read(&mut [0; 1]).ok(), Some(0));
    }
}
