//! Where `connect` says that it goes: `{sa_family=AF_INET, sin_port=htons(80),
//! sin_addr=inet_addr("192.0.2.1")}` and its like.

use std::net::{IpAddr, SocketAddr};

use super::{
    arguments::{field, number},
    unquote::quoted,
};

/// The address of a peer that this side connects to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PeerAddress {
    /// Of TCP.
    pub(super) address: Option<SocketAddr>,
    /// Of a Unix socket; an abstract one begins with a zero byte.
    pub(super) path: Vec<u8>,
}

impl PeerAddress {
    /// Reads the second argument of `connect`, as far as it tells.
    pub(super) fn of(argument: &[u8]) -> Self {
        let mut server = Self::default();
        if let Some(path) = field(argument, "sun_path") {
            let (abstract_name, path) = match path.strip_prefix(b"@") {
                Some(path) => (true, path),
                None => (false, path),
            };
            if let Some(path) = quoted(path) {
                server.path = path.bytes;
                if abstract_name {
                    server.path.insert(0, 0);
                }
            }
            return server;
        }
        let port = field(argument, "sin_port").or_else(|| field(argument, "sin6_port"));
        let port = port
            .and_then(|port| port.strip_prefix(b"htons(")?.strip_suffix(b")"))
            .and_then(number)
            .and_then(|port| u16::try_from(port).ok());
        // The call's last string: `inet_pton(AF_INET6, "::1", &sin6_addr)` has it in its
        // midst.
        let ip = memchr::memmem::find(argument, b"_addr(\"")
            .or_else(|| memchr::memmem::find(argument, b"inet_pton("))
            .and_then(|at| {
                let text = argument.get(at..)?;
                let start = memchr::memchr(b'"', text)? + 1;
                let text = text.get(start..)?;
                let end = memchr::memchr(b'"', text)?;
                std::str::from_utf8(text.get(..end)?).ok()
            })
            .and_then(|ip| ip.parse::<IpAddr>().ok());
        server.address = ip.zip(port).map(|(ip, port)| SocketAddr::new(ip, port));
        server
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_strace_prints_them() {
        let of = |text: &str| PeerAddress::of(text.as_bytes());
        let four = r#"{sa_family=AF_INET, sin_port=htons(7399), sin_addr=inet_addr("127.0.0.1")}"#;
        assert_eq!(of(four).address, "127.0.0.1:7399".parse().ok());
        let six = r#"{sa_family=AF_INET6, sin6_port=htons(80), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "::1", &sin6_addr), sin6_scope_id=0}"#;
        assert_eq!(of(six).address, "[::1]:80".parse().ok());
        assert_eq!(
            of(r#"{sa_family=AF_UNIX, sun_path="/run/a.sock"}"#).path,
            b"/run/a.sock"
        );
        assert_eq!(of(r#"{sa_family=AF_UNIX, sun_path=@"a"}"#).path, b"\0a");
        assert_eq!(of("0x7ffc4d1d9a30"), PeerAddress::default());
    }
}
