//! Random logs of connections of many kinds, of which the generator knows what was cut
//! short: whatever is done to a log that can be noticed, nothing else is found.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt::{Debug, Write as _},
};

use proptest::{
    collection::vec,
    prelude::*,
    sample::Index,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use crate::mutations::{Mutation, Short, found, mutate, mutation};

/// What a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Accepted: a request is read and answered.
    Answered,
    /// The same over MPTCP (`IPPROTO_MPTCP`).
    Mptcp,
    /// A response that nobody asked for.
    Unasked(Origin),
    /// A byte is sent or received beside the stream (`MSG_OOB`).
    OutOfBand,
    /// Packets in place of a stream (`SOCK_SEQPACKET`).
    Packets,
    /// An upload is refused when its head was read; then so much of the rest is read.
    Refused(Rest),
    /// A client stops an upload when it reads the refusal.
    Stopped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Accepted,
    Connected,
    Pair,
    /// Open when the log begins.
    Inherited,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Unread,
    PartRead,
    /// Up to the client's end.
    Read,
}

/// How a message's bytes are cut into calls.
#[derive(Clone, Copy, Debug)]
enum Calls {
    One,
    HeadFirst,
    Vector,
    /// A sendmsg with a vector.
    Message,
    /// The first call is taken in part.
    Partial(u8),
}

#[derive(Clone, Copy, Debug)]
enum Ending {
    Close,
    Shutdown,
    Exit,
}

#[derive(Clone, Debug)]
struct Connection {
    kind: Kind,
    length: usize,
    chunked: bool,
    calls: Calls,
    ending: Ending,
    /// Exchanges before the last.
    before: usize,
    /// So much of the last response's body is sent.
    cut: Option<Index>,
    /// Which byte is beside the stream, and where.
    number: u16,
}

fn kind() -> impl Strategy<Value = Kind> {
    use Kind::*;
    prop_oneof![
        4 => Just(Answered),
        2 => Just(Mptcp),
        1 => Just(Unasked(Origin::Accepted)),
        1 => Just(Unasked(Origin::Connected)),
        1 => Just(Unasked(Origin::Pair)),
        1 => Just(Unasked(Origin::Inherited)),
        2 => Just(OutOfBand),
        2 => Just(Packets),
        1 => Just(Refused(Rest::Unread)),
        1 => Just(Refused(Rest::PartRead)),
        1 => Just(Refused(Rest::Read)),
        1 => Just(Stopped),
    ]
}

fn connection() -> impl Strategy<Value = Connection> {
    let calls = prop_oneof![
        Just(Calls::One),
        Just(Calls::HeadFirst),
        Just(Calls::Vector),
        Just(Calls::Message),
        any::<u8>().prop_map(Calls::Partial),
    ];
    let ending = prop_oneof![
        3 => Just(Ending::Close),
        2 => Just(Ending::Shutdown),
        1 => Just(Ending::Exit)
    ];
    (
        kind(),
        prop_oneof![1 => 1..9_usize, 3 => 9..300_usize],
        prop::bool::weighted(0.2),
        calls,
        ending,
        0..3_usize,
        prop::option::weighted(0.3, any::<Index>()),
        any::<u16>(),
    )
        .prop_map(
            |(kind, length, chunked, calls, ending, before, cut, number)| Connection {
                kind,
                length,
                chunked,
                calls,
                ending,
                before,
                cut,
                number,
            },
        )
}

/// As strace prints bytes.
fn quoted(bytes: &str) -> String {
    format!("\"{}\"", bytes.replace('\r', "\\r").replace('\n', "\\n"))
}

impl Connection {
    /// The descriptor as the log names it.
    fn name(&self, fd: usize, names: bool) -> String {
        let (port, inode) = (1000 + fd, 70_000 + 10 * fd);
        if !names {
            return fd.to_string();
        }
        match self.kind {
            Kind::Packets => format!("{fd}<UNIX-SEQPACKET:[{inode}->{}]>", inode + 1),
            Kind::Unasked(Origin::Pair) => format!("{fd}<UNIX-STREAM:[{inode}->{}]>", inode + 1),
            Kind::Mptcp => format!("{fd}<MPTCP:[10.0.0.1:80->10.0.0.2:{port}]>"),
            Kind::Stopped | Kind::Unasked(Origin::Connected) => {
                format!("{fd}<TCP:[10.0.0.1:{port}->10.0.0.9:80]>")
            }
            _ => format!("{fd}<TCP:[10.0.0.1:80->10.0.0.2:{port}]>"),
        }
    }

    fn opens(&self, fd: usize, names: bool) -> Vec<String> {
        let name = self.name(fd, names);
        let address = r#"{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("10.0.0.9")}"#;
        match self.kind {
            Kind::Packets | Kind::Unasked(Origin::Pair) => {
                let kind = match self.kind {
                    Kind::Packets => "SOCK_SEQPACKET",
                    _ => "SOCK_STREAM",
                };
                let other = if names {
                    let inode = 70_000 + 10 * fd;
                    let kind = kind.trim_start_matches("SOCK_");
                    format!("{}<UNIX-{kind}:[{}->{inode}]>", fd + 100, inode + 1)
                } else {
                    (fd + 100).to_string()
                };
                vec![format!(
                    "socketpair(AF_UNIX, {kind}|SOCK_CLOEXEC, 0, [{name}, {other}]) = 0"
                )]
            }
            Kind::Stopped | Kind::Unasked(Origin::Connected) => {
                let socket = if names {
                    format!("{fd}<TCP:[{}]>", 70_000 + 10 * fd)
                } else {
                    fd.to_string()
                };
                vec![
                    format!("socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_TCP) = {socket}"),
                    format!("connect({socket}, {address}, 16) = 0"),
                ]
            }
            Kind::Unasked(Origin::Inherited) => Vec::new(),
            Kind::Mptcp => vec![format!(
                "accept4({}, {{sa_family=AF_INET, sin_port=htons(9), sin_addr=inet_addr(\"10.0.0.2\")}}, [128 => 16], SOCK_CLOEXEC) = {name}",
                if names { "3<MPTCP:[10.0.0.1:80]>" } else { "3" }
            )],
            _ => vec![format!(
                "accept4({}, {{sa_family=AF_INET, sin_port=htons(9), sin_addr=inet_addr(\"10.0.0.2\")}}, [16], SOCK_CLOEXEC) = {name}",
                if names { "3<TCP:[10.0.0.1:80]>" } else { "3" }
            )],
        }
    }

    fn receives(name: &str, bytes: &str) -> String {
        let text = quoted(bytes);
        format!(
            "recvfrom({name}, {text}, 4096, 0, NULL, NULL) = {}",
            bytes.len()
        )
    }

    /// The calls that send these bytes, the first `head` of which are a head.
    fn sends(&self, name: &str, bytes: &str, head: usize) -> Vec<String> {
        let send = |bytes: &str, taken: usize| {
            let text = quoted(bytes);
            format!(
                "sendto({name}, {text}, {}, MSG_NOSIGNAL, NULL, 0) = {taken}",
                bytes.len()
            )
        };
        let (first, rest) = bytes.split_at(head);
        let vector = |close: &str| {
            format!(
                "[{{iov_base={}, iov_len={head}}}, {{iov_base={}, iov_len={}}}]{close}",
                quoted(first),
                quoted(rest),
                rest.len()
            )
        };
        match self.calls {
            Calls::HeadFirst if !rest.is_empty() => {
                vec![send(first, head), send(rest, rest.len())]
            }
            Calls::Vector => vec![format!(
                "writev({name}, {}) = {}",
                vector(", 2"),
                bytes.len()
            )],
            Calls::Message => vec![format!(
                "sendmsg({name}, {{msg_name=NULL, msg_namelen=0, msg_iov={}, msg_iovlen=2, msg_controllen=0, msg_flags=0}}, 0) = {}",
                vector(""),
                bytes.len()
            )],
            Calls::Partial(at) if bytes.len() > 1 => {
                let taken = 1 + usize::from(at) % (bytes.len() - 1);
                let rest = &bytes[taken..];
                vec![send(bytes, taken), send(rest, rest.len())]
            }
            _ => vec![send(bytes, bytes.len())],
        }
    }

    /// A response, the length of its head, and what its body has on the wire.
    fn response(&self, status: u16) -> (String, usize) {
        let framing = if self.chunked {
            "transfer-encoding: chunked".to_owned()
        } else {
            format!("content-length: {}", self.length)
        };
        let head = format!(
            "HTTP/1.1 {status} X\r\nserver: some\r\n{framing}\r\nset-cookie: 0123456789abcdef\r\n\r\n"
        );
        let data = "x".repeat(self.length);
        let body = if self.chunked {
            format!("{:x}\r\n{data}\r\n0\r\n\r\n", self.length)
        } else {
            data
        };
        (format!("{head}{body}"), head.len())
    }

    /// The response, cut or not, and what is short of it.
    fn last(&self, status: u16) -> (String, usize, Option<Short>) {
        let (mut bytes, head) = self.response(status);
        let Some(at) = &self.cut else {
            return (bytes, head, None);
        };
        let kept = at.index(bytes.len() - head);
        bytes.truncate(head + kept);
        let short = match self.chunked {
            true => (None, None),
            false => (Some(self.length as u64), Some(kept as u64)),
        };
        (bytes, head, Some(short))
    }

    /// Its lines and what is short.
    fn lines(&self, fd: usize, names: bool) -> (Vec<String>, Option<Short>) {
        const GET: &str =
            "GET /abcdef HTTP/1.1\r\nHost: example.org\r\ncookie: 0123456789abcdef\r\n\r\n";
        let upload = "POST /up HTTP/1.1\r\nHost: example.org\r\ncontent-length: 5000000\r\n\r\n";
        let name = self.name(fd, names);
        let mut lines = self.opens(fd, names);
        let mut short = None;
        let urgent = if self.number.is_multiple_of(2) {
            format!("sendto({name}, \"!\", 1, MSG_OOB, NULL, 0) = 1")
        } else {
            format!("recvfrom({name}, \"!\", 1, MSG_OOB, NULL, NULL) = 1")
        };
        match self.kind {
            Kind::Answered | Kind::Mptcp | Kind::Packets | Kind::OutOfBand => {
                let (bytes, head) = self.response(200);
                for _ in 0..self.before {
                    lines.push(Self::receives(&name, GET));
                    lines.extend(self.sends(&name, &bytes, head));
                }
                lines.push(Self::receives(&name, GET));
                let (bytes, head, cut) = self.last(200);
                lines.extend(self.sends(&name, &bytes, head));
                match self.kind {
                    Kind::OutOfBand => {
                        // Somewhere behind what opens it.
                        let places = lines.len() - 1;
                        lines.insert(1 + usize::from(self.number / 2) % (places + 1), urgent);
                    }
                    Kind::Packets => {}
                    _ => short = cut,
                }
            }
            Kind::Unasked(_) => {
                let (bytes, head, _) = self.last(200);
                lines.extend(self.sends(&name, &bytes, head));
            }
            Kind::Refused(rest) => {
                lines.push(Self::receives(&name, upload));
                let (bytes, head, cut) = self.last(413);
                lines.extend(self.sends(&name, &bytes, head));
                short = cut;
                let body = "u".repeat(50);
                match rest {
                    Rest::Unread => {}
                    Rest::PartRead => lines.push(Self::receives(&name, &body)),
                    Rest::Read => {
                        lines.push(Self::receives(&name, &body));
                        if matches!(self.ending, Ending::Shutdown) {
                            lines.push(format!("shutdown({name}, SHUT_WR) = 0"));
                        }
                        lines.push(format!("recvfrom({name}, \"\", 4096, 0, NULL, NULL) = 0"));
                    }
                }
            }
            Kind::Stopped => {
                let part = format!("{upload}{}", "u".repeat(self.length));
                lines.extend(self.sends(&name, &part, upload.len()));
                let (bytes, _) = self.response(413);
                lines.push(Self::receives(&name, &bytes));
            }
        }
        match self.ending {
            Ending::Close => lines.push(format!("close({name}) = 0")),
            Ending::Shutdown => {
                if self.kind != Kind::Refused(Rest::Read) {
                    lines.push(format!("shutdown({name}, SHUT_WR) = 0"));
                }
                lines.push(format!("close({name}) = 0"));
            }
            Ending::Exit => {}
        }
        (lines, short)
    }
}

/// A process's log.
#[derive(Clone, Debug)]
struct Log {
    connections: Vec<Connection>,
    /// Whose line comes next.
    order: Vec<Index>,
    /// As with `-yy`.
    names: bool,
    /// As with `-f` and `-tt`.
    times: bool,
    /// It shows that all calls were traced.
    proves: bool,
}

fn some_log() -> impl Strategy<Value = Log> {
    (
        vec(connection(), 1..5),
        vec(any::<Index>(), 64),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(connections, order, names, times, proves)| Log {
            connections,
            order,
            names,
            times,
            proves,
        })
}

impl Log {
    /// Its text, and what is short.
    fn text(&self) -> (String, Vec<Short>) {
        // One that reads: of a log without any it is not known whether strace was asked for
        // calls that do.
        let reads = Connection {
            kind: Kind::Answered,
            length: 5,
            chunked: false,
            calls: Calls::One,
            ending: Ending::Close,
            before: 0,
            cut: None,
            number: 0,
        };
        let (mut lines, _) = reads.lines(9, self.names);
        if self.proves {
            lines.insert(0, "getrandom(\"\\0\", 1, GRND_NONBLOCK) = 1".into());
        }
        let mut short = Vec::new();
        let mut queues: Vec<_> = self
            .connections
            .iter()
            .enumerate()
            .map(|(number, connection)| {
                let (lines, cut) = connection.lines(10 + number, self.names);
                short.extend(cut);
                lines.into_iter()
            })
            .collect();
        let mut order = self.order.iter().cycle();
        while !queues.is_empty() {
            let turn = order.next().map_or(0, |order| order.index(queues.len()));
            match queues[turn].next() {
                Some(line) => lines.push(line),
                None => drop(queues.remove(turn)),
            }
        }
        lines.push("exit_group(0) = ?".into());
        lines.push("+++ exited with 0 +++".into());
        let mut text = String::new();
        for (number, line) in lines.iter().enumerate() {
            if self.times {
                write!(
                    text,
                    "4242 12:00:{:02}.{:06} ",
                    number / 50,
                    number % 50 * 20_000
                )
                .expect("memory");
            }
            text.push_str(line);
            text.push('\n');
        }
        (text, short)
    }

    /// The log without any mutation.
    fn check(&self) -> Result<(), TestCaseError> {
        let (text, short) = self.text();
        let (found, summary) = found(text.clone().into_bytes()).expect("a log");
        let mut left = short.clone();
        for finding in &found {
            let place = left.iter().position(|one| one == finding);
            prop_assert!(
                place.is_some(),
                "{:?} {:?} {}\n{}",
                found,
                short,
                summary,
                text
            );
            left.swap_remove(place.unwrap_or_default());
        }
        let all = !self.proves || left.is_empty();
        prop_assert!(all, "{:?} {:?} {}\n{}", found, short, summary, text);
        Ok(())
    }
}

/// Whether what is found is among what is short; numbers may be missing.
fn are_true(found: &[Short], short: &[Short]) -> bool {
    let mut left = short.to_vec();
    let mut found = found.to_vec();
    // Those of which more is known first.
    found.sort_unstable_by_key(|(promised, sent)| (promised.is_none(), sent.is_none()));
    found.iter().all(|(promised, sent)| {
        let fits = |one: &Short| {
            (promised.is_none() || *promised == one.0) && (sent.is_none() || *sent == one.1)
        };
        let place = left.iter().position(fits);
        place.map(|place| left.swap_remove(place)).is_some()
    })
}

/// The same cases in each run, so many as asked for.
fn runner(cases: u32) -> TestRunner {
    let asked = std::env::var("PROPTEST_CASES").ok();
    let cases = asked.and_then(|asked| asked.parse().ok()).unwrap_or(cases);
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

/// The name of a variant, without what it holds.
fn variant(of: &impl Debug) -> String {
    let text = format!("{of:?}");
    text.chars()
        .take_while(|letter| letter.is_alphanumeric())
        .collect()
}

#[test]
fn logs_of_all_kinds_are_judged_right() {
    runner(2_000)
        .run(&some_log(), |log| log.check())
        .expect("what is known");
}

#[test]
fn logs_of_all_kinds_with_something_wrong() {
    let reached = RefCell::new(BTreeMap::new());
    let strategy = (some_log(), vec(mutation(), 1..4));
    let cases = RefCell::new(0_u32);
    runner(5_000)
        .run(&strategy, |(log, mutations)| {
            let (text, short) = log.text();
            let mut bytes = text.into_bytes();
            let mut noticed = true;
            for mutation in &mutations {
                let (mutated, notice) = mutate(&bytes, mutation);
                if mutated.is_empty() {
                    return Ok(());
                }
                if mutated != bytes {
                    for connection in &log.connections {
                        let both = format!("{:?}, {}", connection.kind, variant(mutation));
                        *reached.borrow_mut().entry(both).or_insert(0_u32) += 1;
                    }
                }
                noticed &= notice;
                bytes = mutated;
            }
            *cases.borrow_mut() += 1;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let Some((found, summary)) = found(bytes) else {
                return Ok(());
            };
            if noticed {
                let right = are_true(&found, &short);
                prop_assert!(
                    right,
                    "{:?} {:?} {} {:?}\n{}",
                    found,
                    short,
                    summary,
                    mutations,
                    text
                );
            }
            Ok(())
        })
        .expect("nothing that is not so");
    // A kind that is not generated is not tested: 12 kinds, 10 mutations.
    let reached = reached.borrow();
    assert_eq!(reached.len(), 12 * Mutation::COUNT, "{reached:?}");
    let least = *cases.borrow() / 1000;
    for (both, count) in &*reached {
        assert!(*count > least, "{both}: {count}");
    }
}
