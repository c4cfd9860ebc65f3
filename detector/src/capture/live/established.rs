//! Connections that are open already and have sent bytes, by what the kernel's
//! sock_diag says (sock_diag(7)): it touches no process and no socket.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    thread,
};

use detector_common::family;
use rustix::{
    net::{AddressFamily, SocketFlags, SocketType, netlink, socket_with},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

/// `SOCK_DIAG_BY_FAMILY` (linux/sock_diag.h).
const BY_FAMILY: u16 = 20;

/// `NLM_F_REQUEST | NLM_F_DUMP` (linux/netlink.h), and what ends a dump.
const DUMP: u16 = 0x301;
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// `INET_DIAG_INFO` (linux/inet_diag.h), as the bit that asks for it too.
const INFO: u16 = 2;

/// Where `tcp_info` has `tcpi_bytes_sent` (linux/tcp.h, Linux 4.19).
const BYTES_SENT: usize = 200;

/// `UDIAG_SHOW_NAME`, `UNIX_DIAG_NAME` (linux/unix_diag.h).
const SHOW_NAME: u32 = 1;
const NAME: u16 = 0;

/// `TCP_ESTABLISHED` and `TCP_CLOSE_WAIT`, as bits: this side has not ended it.
const OPEN: u32 = 1 << 1 | 1 << 8;
const ESTABLISHED: u32 = 1 << 1;

/// `SOCK_STREAM`.
const STREAM: u8 = 1;

/// One that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Established {
    /// N of `socket:[N]`.
    pub inode: u64,
    /// A process that has it.
    pub pid: u32,
    /// TCP: this side's port and the other's.
    pub ports: Option<(u16, u16)>,
    /// The path of a Unix socket.
    pub path: Option<String>,
}

/// Those of these processes, in whatever network namespace they are: TCP that have sent
/// bytes; of Unix sockets the kernel does not tell, and those are taken that have a path,
/// a server's.
#[must_use]
pub fn established(pids: &[u32]) -> Vec<Established> {
    let mut found = HashMap::new();
    let mut namespaces = HashSet::new();
    for pid in pids {
        let path = format!("/proc/{pid}/ns/net");
        let (Ok(data), Ok(namespace)) = (fs::metadata(&path), File::open(&path)) else {
            continue;
        };
        if !namespaces.insert(data.ino()) {
            continue;
        }
        // A thread of its own: it stays in the namespace. Where it may not go there,
        // what is there is not known.
        let own = fs::metadata("/proc/self/ns/net").is_ok_and(|own| own.ino() == data.ino());
        let dump = move || -> io::Result<Vec<Established>> {
            if !own {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            }
            dump_all()
        };
        let dumped = thread::Builder::new()
            .spawn(dump)
            .map(thread::JoinHandle::join);
        if let Ok(Ok(Ok(dumped))) = dumped {
            found.extend(dumped.into_iter().map(|it| (it.inode, it)));
        }
    }
    if found.is_empty() {
        return Vec::new();
    }
    let mut held = Vec::new();
    for pid in pids {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd"));
        for descriptor in descriptors.into_iter().flatten().flatten() {
            let inode = fs::read_link(descriptor.path()).ok().and_then(|link| {
                let name = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
                name.parse::<u64>().ok()
            });
            if let Some(socket) = inode.and_then(|inode| found.remove(&inode)) {
                held.push(Established {
                    pid: *pid,
                    ..socket
                });
            }
        }
    }
    held
}

/// Those of the network namespace that this thread is in.
fn dump_all() -> io::Result<Vec<Established>> {
    let mut all = Vec::new();
    for family in [family::INET, family::INET6] {
        let mut request = vec![family.to_le_bytes()[0], 6, 1 << (INFO - 1), 0];
        request.extend_from_slice(&OPEN.to_ne_bytes());
        request.resize(56, 0);
        all.extend(dump(&request)?.iter().filter_map(|answer| inet(answer)));
    }
    let mut request = vec![family::UNIX.to_le_bytes()[0], 0, 0, 0];
    request.extend_from_slice(&ESTABLISHED.to_ne_bytes());
    request.extend_from_slice(&0_u32.to_ne_bytes());
    request.extend_from_slice(&SHOW_NAME.to_ne_bytes());
    request.resize(24, 0);
    // A kernel without it has the others.
    let answers = dump(&request).unwrap_or_default();
    all.extend(answers.iter().filter_map(|answer| unix(answer)));
    Ok(all)
}

/// The answers to a request, without their netlink headers.
fn dump(request: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    let mut socket = File::from(socket);
    let length = u32::try_from(request.len() + 16).map_err(io::Error::other)?;
    let mut message = length.to_ne_bytes().to_vec();
    message.extend_from_slice(&BY_FAMILY.to_ne_bytes());
    message.extend_from_slice(&DUMP.to_ne_bytes());
    message.resize(16, 0);
    message.extend_from_slice(request);
    socket.write_all(&message)?;
    let mut answers = Vec::new();
    let mut room = vec![0; 64 << 10];
    loop {
        let count = socket.read(&mut room)?;
        let mut rest = room.get(..count).unwrap_or_default();
        if rest.is_empty() {
            return Ok(answers);
        }
        while let (Some(length), Some(kind)) = (u32_at(rest, 0), u16_at(rest, 4)) {
            let length = usize::try_from(length).unwrap_or(0);
            match kind {
                DONE => return Ok(answers),
                ERROR => return Err(io::ErrorKind::Unsupported.into()),
                _ => answers.push(rest.get(16..length).unwrap_or_default().to_vec()),
            }
            // Messages are at multiples of four bytes.
            rest = rest
                .get(length.max(16).next_multiple_of(4)..)
                .unwrap_or_default();
        }
    }
}

/// An `inet_diag_msg`, if it has sent bytes.
fn inet(answer: &[u8]) -> Option<Established> {
    let port = |at| Some(u16::from_be_bytes(*answer.get(at..)?.first_chunk()?));
    let info = attribute(answer.get(72..)?, INFO)?;
    let sent = info.get(BYTES_SENT..)?.first_chunk().copied();
    (u64::from_ne_bytes(sent?) > 0).then_some(())?;
    Some(Established {
        inode: u64::from(u32_at(answer, 68)?),
        pid: 0,
        ports: Some((port(4)?, port(6)?)),
        path: None,
    })
}

/// A `unix_diag_msg`, if it is of a stream and has a name.
fn unix(answer: &[u8]) -> Option<Established> {
    (*answer.get(1)? == STREAM).then_some(())?;
    let name = attribute(answer.get(16..)?, NAME).filter(|name| !name.is_empty())?;
    let path = match name.split_first()? {
        // Abstract (unix(7)), as in `judge::Address`.
        (0, name) => format!("@{}", String::from_utf8_lossy(name).replace('\0', "@")),
        _ => {
            let path = name.split(|byte| *byte == 0).next().unwrap_or_default();
            String::from_utf8_lossy(path).into_owned()
        }
    };
    Some(Established {
        inode: u64::from(u32_at(answer, 4)?),
        pid: 0,
        ports: None,
        path: Some(path),
    })
}

/// The attribute of this kind.
fn attribute(mut rest: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let (length, kind) = (usize::from(u16_at(rest, 0)?), u16_at(rest, 2)?);
        if kind == wanted {
            return rest.get(4..length);
        }
        rest = rest.get(length.max(4).next_multiple_of(4)..)?;
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use std::{
        net::{TcpListener, TcpStream},
        os::unix::net::{UnixListener, UnixStream},
    };

    use super::*;

    #[test]
    fn those_that_have_sent_bytes_are_told() {
        let own = std::process::id();
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let server = listener.local_addr().expect("an address");
        let client = TcpStream::connect(server).expect("connected");
        let (mut accepted, peer) = listener.accept().expect("accepted");
        let folder = std::env::temp_dir().join(format!("truncwatch-{own}-established"));
        fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("socket");
        let unix_listener = UnixListener::bind(&path).expect("bound");
        let unix_client = UnixStream::connect(&path).expect("connected");
        let unix_accepted = unix_listener.accept().expect("accepted");
        let ports = |found: &[Established]| {
            let all = found.iter().filter_map(|it| it.ports);
            all.filter(|(a, b)| *a == server.port() || *b == server.port())
                .collect::<Vec<_>>()
        };
        assert_eq!(ports(&established(&[own])), []);
        accepted.write_all(b"x").expect("sent");
        let found = established(&[own]);
        assert_eq!(ports(&found), [(server.port(), peer.port())]);
        let path = path.to_str();
        let named = found.iter().filter(|it| it.path.as_deref() == path);
        assert_eq!(named.map(|it| it.pid).collect::<Vec<_>>(), [own]);
        drop((client, unix_client, unix_accepted));
        fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn answers_that_are_cut_tell_nothing() {
        for length in 0..80 {
            assert_eq!(inet(&vec![0xff; length]), None);
        }
        assert_eq!(unix(&[1, 1, 1, 0, 9, 0, 0, 0]), None);
    }
}
