//! What `-y` and `-yy` say of a descriptor: whether it is a socket, which one,
//! and between what addresses.

use std::net::SocketAddr;

use detector_common::family;

use super::{
    arguments::number,
    unquote::{quoted, unescape},
};

/// What is known of a socket by what the log calls it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SocketName {
    /// As in `socket:[N]` of `/proc/PID/fd`.
    pub(super) inode: Option<u64>,
    /// The same of the other end, of a Unix socket.
    pub(super) peer_inode: Option<u64>,
    /// Address family, as the kernel numbers them; 0 if it is not told.
    pub(super) family: u16,
    pub(super) local: Option<SocketAddr>,
    pub(super) peer: Option<SocketAddr>,
    /// The path of a Unix socket.
    pub(super) path: Vec<u8>,
    /// It is known to carry no stream: datagrams, netlink.
    pub(super) no_stream: bool,
    /// It carries packets in their order (`SOCK_SEQPACKET`, unix(7)).
    pub(super) packets: bool,
}

/// What a descriptor is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ParsedName {
    /// The log does not say.
    Nothing,
    /// A file, a pipe, and so on.
    NoSocket,
    Socket(Box<SocketName>),
}

impl SocketName {
    /// Whether both may be names of one socket.
    pub(super) fn may_be(&self, other: &Self) -> bool {
        let differ = |a: Option<SocketAddr>, b: Option<SocketAddr>| matches!((a, b), (Some(a), Some(b)) if a != b);
        match (self.inode, other.inode) {
            (Some(a), Some(b)) => a == b,
            _ => !differ(self.local, other.local) && !differ(self.peer, other.peer),
        }
    }

    /// Adds what another name of the same socket tells.
    pub(super) fn learn(&mut self, other: &Self) {
        self.inode = self.inode.or(other.inode);
        self.peer_inode = self.peer_inode.or(other.peer_inode);
        if self.family == 0 {
            self.family = other.family;
        }
        self.local = self.local.or(other.local);
        self.peer = self.peer.or(other.peer);
        if self.path.is_empty() {
            self.path.clone_from(&other.path);
        }
        self.no_stream |= other.no_stream;
        self.packets |= other.packets;
    }
}

/// Reads an annotation, without a quick look at whether it is a socket's.
pub(super) fn parse_name(annotation: &[u8]) -> ParsedName {
    let Some(inside) = annotation
        .strip_prefix(b"<")
        .and_then(|inside| inside.strip_suffix(b">"))
    else {
        return ParsedName::Nothing;
    };
    let plain;
    // With `-xx`.
    let inside = if inside.starts_with(b"\\") {
        match unescape(inside) {
            Some(text) => {
                plain = text;
                &plain
            }
            None => return ParsedName::NoSocket,
        }
    } else {
        inside
    };
    let Some(bracket) = memchr::memchr(b'[', inside) else {
        return ParsedName::NoSocket;
    };
    let (kind, rest) = inside.split_at(bracket);
    let Some(content) = rest
        .strip_prefix(b"[")
        .and_then(|rest| rest.strip_suffix(b"]"))
    else {
        return ParsedName::NoSocket;
    };
    let mut name = SocketName::default();
    match kind {
        b"socket:" => name.inode = number(content),
        b"TCP:" | b"MPTCP:" => {
            name.family = family::INET;
            internet(&mut name, content);
        }
        b"TCPv6:" | b"MPTCPv6:" => {
            name.family = family::INET6;
            internet(&mut name, content);
        }
        b"UNIX-SEQPACKET:" => {
            name.family = family::UNIX;
            name.packets = true;
            unix(&mut name, content);
        }
        b"UNIX-STREAM:" | b"UNIX:" => {
            name.family = family::UNIX;
            unix(&mut name, content);
        }
        _ if kind.ends_with(b":")
            && kind.iter().all(|byte| {
                byte.is_ascii_uppercase() || matches!(byte, b':' | b'-' | b'v' | b'6')
            })
            && kind.first().is_some_and(u8::is_ascii_uppercase) =>
        {
            name.no_stream = true;
        }
        _ => return ParsedName::NoSocket,
    }
    ParsedName::Socket(Box::new(name))
}

/// `127.0.0.1:80->127.0.0.1:5000`, or the inode number of one without.
fn internet(name: &mut SocketName, content: &[u8]) {
    let text = String::from_utf8_lossy(content);
    match text.split_once("->") {
        Some((local, peer)) => {
            name.local = local.parse().ok();
            name.peer = peer.parse().ok();
        }
        None => match text.parse() {
            Ok(inode) => name.inode = Some(inode),
            Err(_) => name.local = text.parse().ok(),
        },
    }
}

/// `310716->310717,"/run/a.sock"`.
fn unix(name: &mut SocketName, content: &[u8]) {
    let (numbers, path) = match memchr::memchr(b',', content) {
        Some(comma) => (
            content.get(..comma).unwrap_or_default(),
            content.get(comma + 1..).unwrap_or_default(),
        ),
        None => (content, &[][..]),
    };
    let end = memchr::memmem::find(numbers, b"->").unwrap_or(numbers.len());
    name.inode = numbers.get(..end).and_then(number);
    name.peer_inode = numbers.get(end + 2..).and_then(number);
    // An abstract one is written `@"name"`.
    let (abstract_name, path) = match path.strip_prefix(b"@") {
        Some(path) => (true, path),
        None => (false, path),
    };
    if let Some(path) = quoted(path) {
        name.path = path.bytes;
        if abstract_name {
            name.path.insert(0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(annotation: &str) -> SocketName {
        match parse_name(annotation.as_bytes()) {
            ParsedName::Socket(name) => *name,
            other => panic!("{annotation}: {other:?}"),
        }
    }

    #[test]
    fn sockets() {
        assert_eq!(socket("<socket:[310716]>").inode, Some(310_716));
        assert_eq!(
            socket(r"<\x73\x6f\x63\x6b\x65\x74\x3a\x5b\x37\x5d>").inode,
            Some(7)
        );
        let tcp = socket("<TCP:[127.0.0.1:80->127.0.0.1:5000]>");
        assert_eq!(
            (tcp.family, tcp.local, tcp.peer),
            (
                2,
                "127.0.0.1:80".parse().ok(),
                "127.0.0.1:5000".parse().ok()
            )
        );
        let six = socket("<TCPv6:[[::1]:80->[::1]:5000]>");
        assert_eq!((six.family, six.local), (10, "[::1]:80".parse().ok()));
        assert_eq!(socket("<TCP:[2685563]>").inode, Some(2_685_563));
        let unix = socket(r#"<UNIX-STREAM:[1->2,"/run/a.sock"]>"#);
        assert_eq!(
            (unix.family, unix.inode, unix.peer_inode, &*unix.path),
            (1, Some(1), Some(2), &b"/run/a.sock"[..])
        );
        assert!(socket("<UDP:[127.0.0.1:5]>").no_stream);
        assert!(socket("<NETLINK:[ROUTE:5]>").no_stream);
    }

    #[test]
    fn what_is_none() {
        for text in [
            "</etc/passwd>",
            "<pipe:[5]>",
            "<anon_inode:[eventfd]>",
            "</a[b]>",
            "</dev/null<char 1:3>>",
            r"<\x2f\x65>",
        ] {
            assert_eq!(parse_name(text.as_bytes()), ParsedName::NoSocket, "{text}");
        }
        assert_eq!(parse_name(b""), ParsedName::Nothing);
    }

    #[test]
    fn names_of_one_socket() {
        let before = socket("<TCP:[5]>");
        let after = socket("<TCP:[127.0.0.1:80->127.0.0.1:5000]>");
        assert!(before.may_be(&after));
        assert!(!after.may_be(&socket("<TCP:[127.0.0.1:80->127.0.0.1:5001]>")));
        assert!(!before.may_be(&socket("<socket:[6]>")));
    }
}
