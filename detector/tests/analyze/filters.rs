//! Real logs of filters that leave calls out: of what those may have done, nobody
//! is accused.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use crate::{
    program::{Analyzed, file, with},
    strace::trace,
};

/// What the programs here begin with: whole responses of 3,000,000 bytes.
pub(crate) const BEGIN: &str = r"
import fcntl, os, socket, sys, threading
GET = b'GET /a HTTP/1.1\r\nHost: x\r\n\r\n'
BODY = b'x' * 3000000
def head(length):
    return b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n' % length
def read_all(client):
    while client.recv(1 << 20): pass
listener = socket.socket()
listener.bind(('127.0.0.1', 0))
listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
listener.listen()
def accepted():
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    client.connect(listener.getsockname())
    server, _ = listener.accept()
    client.sendall(GET)
    server.recv(8192)
    return client, server
def begun():                      # the kernel takes a part
    client, server = accepted()
    server.setblocking(False)
    sent = server.send(head(len(BODY)) + BODY)
    server.setblocking(True)
    reader = threading.Thread(target=read_all, args=[client])
    return server, (head(len(BODY)) + BODY)[sent:], reader
";

/// The ways to send the rest.
const RESTS: [(&str, &str); 5] = [
    (
        "write",
        "\n    while rest: rest = rest[os.write(fd, rest):]",
    ),
    (
        "writev",
        "\n    while rest: rest = rest[os.writev(fd, [rest]):]",
    ),
    (
        "sendmsg",
        "\n    while rest: rest = rest[server.sendmsg([rest]):]",
    ),
    (
        "sendfile",
        r"
    with open('/proc/self/exe', 'rb') as f:
        while rest: rest = rest[os.sendfile(fd, f.fileno(), 0, len(rest)):]",
    ),
    (
        "splice",
        r"
    r, w = os.pipe()
    while rest:
        count = os.write(w, rest[:4096])
        while count:
            moved = os.splice(r, fd, count); count -= moved; rest = rest[moved:]",
    ),
];

/// A program that sends the rest so and ends the connection.
fn sends_the_rest(how: &str, end: &str) -> String {
    format!(
        "{BEGIN}
for at in range(3):
    server, rest, reader = begun()
    reader.start(); fd = server.fileno(){how}
    {end}
    reader.join()
"
    )
}

/// No finding, and the reason is told.
fn nobody_is_accused(analyzed: &Analyzed, what: &str) {
    assert_eq!(
        (analyzed.findings.len(), analyzed.status),
        (0, 3),
        "{what}: {:?} {} {}",
        analyzed.findings,
        analyzed.summary,
        analyzed.said
    );
}

#[test]
fn the_rest_may_have_come_by_a_call_that_was_not_traced() {
    let filters = [
        "%net,close,shutdown",
        "%net,write,close",
        "sendto,recvfrom,accept4,shutdown,close",
        "%net,%process,close",
        "%net,fcntl,ioctl,close",
    ];
    for (call, how) in RESTS {
        for end in [
            "server.shutdown(socket.SHUT_RDWR); server.close()",
            "server.close()",
        ] {
            let program = sends_the_rest(how, end);
            for filter in filters {
                let in_it = filter.split(',').any(|it| {
                    it == call || (it == "%net" && ["sendmsg", "sendfile"].contains(&call))
                });
                let name = format!("rest-{call}-{}", filter.replace(['%', ','], "-"));
                let options = ["-f", "-tt", "-yy", "-s", "8192", "-e", filter];
                let analyzed = file(&trace(&name, &program, &options, true));
                let what = format!("{call}, {filter}, {end}");
                if in_it {
                    assert_eq!(analyzed.findings.len(), 0, "{what}");
                    assert_eq!(analyzed.summary["messages_judged"], 6, "{what}");
                } else {
                    nobody_is_accused(&analyzed, &what);
                    assert!(analyzed.unjudged("untraced-calls") >= 3, "{what}");
                    assert!(analyzed.said.contains("--all-traced"), "{}", analyzed.said);
                }
            }
            // The command that is recommended.
            let filter = "%net,%desc,%process,close_range,unshare";
            let options = ["-f", "-tt", "-yy", "-s", "8192", "-e", filter];
            let analyzed = file(&trace("rest-all", &program, &options, true));
            assert_eq!((analyzed.findings.len(), analyzed.status), (0, 0), "{call}");
        }
    }
}

/// A child, or another descriptor, goes on with the connection.
const GOES_ON: [(&str, &str); 4] = [
    (
        "fork",
        r"
    child = os.fork()
    if not child:
        import time; time.sleep(0.05)
        while rest: rest = rest[os.write(fd, rest):]
        os._exit(0)
    server.close(); os.waitpid(child, 0)",
    ),
    (
        "fork and dup2",
        r"
    child = os.fork()
    if not child:
        os.dup2(fd, 1); os.close(fd)
        import time; time.sleep(0.05)
        while rest: rest = rest[os.write(1, rest):]
        os._exit(0)
    server.close(); os.waitpid(child, 0)",
    ),
    (
        "dup",
        r"
    copy = os.dup(fd); server.close()
    while rest: rest = rest[os.write(copy, rest):]
    os.close(copy)",
    ),
    (
        "dup2",
        r"
    os.dup2(fd, 50); server.close()
    while rest: rest = rest[os.write(50, rest):]
    os.close(50)",
    ),
];

#[test]
fn a_copy_that_was_not_traced_may_have_gone_on() {
    let filters = [
        "%net,%desc",
        "%net,write,writev,sendfile,splice,close",
        "%net,read,write,writev,sendfile,splice,close,epoll_wait,epoll_ctl",
        "%net,close",
        "%net,read,write,close,dup3,fcntl,ioctl",
    ];
    for (way, how) in GOES_ON {
        let program = sends_the_rest(how, "pass");
        for filter in filters {
            for names in ["-yy", "-q"] {
                for follow in [&["-f"][..], &[]] {
                    let options: Vec<_> = follow
                        .iter()
                        .copied()
                        .chain(["-tt", names, "-s", "8192", "-e", filter])
                        .collect();
                    let analyzed = file(&trace("goes-on", &program, &options, true));
                    let what = format!("{way}, {options:?}");
                    assert_eq!(
                        analyzed.findings.len(),
                        0,
                        "{what}: {:?}",
                        analyzed.findings
                    );
                    // With the copy in the log (Python's dup is an fcntl) it is whole.
                    let whole = match way {
                        "dup" => filter == "%net,%desc" || filter.contains("fcntl"),
                        "dup2" => filter == "%net,%desc",
                        _ => false,
                    };
                    if !whole {
                        nobody_is_accused(&analyzed, &what);
                    }
                }
            }
        }
        let filter = "%net,%desc,%process,close_range,unshare";
        let options = ["-f", "-tt", "-yy", "-s", "8192", "-e", filter];
        let analyzed = file(&trace("goes-on-all", &program, &options, true));
        assert_eq!((analyzed.findings.len(), analyzed.status), (0, 0), "{way}");
    }
}

/// A server that was there before strace: three responses, each the first half of
/// what it promises; `end` ends each.
fn attached(name: &str, filter: &str, end: &str) -> PathBuf {
    let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.log"));
    let program = format!(
        "{BEGIN}
import select
client, server = socket.socketpair()
poll = select.epoll()
print('up', flush=True)
sys.stdin.readline()
for at in range(3):
    client = socket.create_connection(listener.getsockname())
    poll.register(listener, select.EPOLLIN); poll.poll(); poll.unregister(listener)
    server, _ = listener.accept()
    client.sendall(GET)
    server.recv(8192)
    os.writev(server.fileno(), [head(1000), b'x' * 500])
    {end}
print('done', flush=True)
sys.stdin.readline()
"
    );
    let mut server = Command::new("/usr/bin/python3")
        .args(["-I", "-S", "-c", &program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a server");
    let mut said = BufReader::new(server.stdout.take().expect("piped"));
    let mut line = String::new();
    said.read_line(&mut line).expect("it is up");
    let mut strace = Command::new("strace")
        .args(["-f", "-tt", "-yy", "-s", "8192", "-e", filter])
        .args(["-p", &server.id().to_string(), "-o"])
        .arg(&log)
        .stderr(Stdio::piped())
        .spawn()
        .expect("strace runs");
    let mut told = BufReader::new(strace.stderr.take().expect("piped"));
    told.read_line(&mut line).expect("it attaches");
    go_on(&mut server);
    said.read_line(&mut line).expect("it served");
    // It lets go, and the log ends.
    let pid = i32::try_from(strace.id()).expect("a number");
    let pid = rustix::process::Pid::from_raw(pid).expect("a number");
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("interrupted");
    strace.wait().expect("strace ends");
    go_on(&mut server);
    server.wait().expect("the server ends");
    log
}

fn go_on(server: &mut Child) {
    let input = server.stdin.as_mut().expect("piped");
    input.write_all(b"\n").expect("written");
}

#[test]
fn of_a_process_that_ran_it_is_said_what_a_finding_rests_on() {
    let all = "%net,%desc,%process,close_range,unshare";
    let shut = attached("attached-shut", all, "server.shutdown(socket.SHUT_WR)");
    let shut = file(&shut);
    assert_eq!(shut.findings.len(), 3, "{} {}", shut.summary, shut.said);
    let closed = attached("attached-closed", all, "server.close()");
    let judged = file(&closed);
    assert_eq!(
        (judged.findings.len(), judged.status),
        (3, 1),
        "{}",
        judged.said
    );
    for finding in &judged.findings {
        assert_eq!(finding["cause"], "premature-close");
        let assumed = finding["assumes_traced"].as_array().expect("calls");
        assert!(assumed.contains(&"fork".into()), "{assumed:?}");
    }
    assert!(judged.said.contains("--all-traced"), "{}", judged.said);
    let sure = with(&["--all-traced"], fs::read(&closed).expect("a log"));
    assert_eq!(sure.findings.len(), 3);
    assert_eq!(sure.findings[0]["assumes_traced"], serde_json::Value::Null);
    assert_eq!(sure.said, "");
    // Of lists of calls, and without what keeps a connection, nothing.
    for filter in [
        "accept4,recvfrom,writev,close",
        "%net,writev,close",
        "%net,writev,close,epoll_wait",
    ] {
        let narrow = file(&attached("attached-narrow", filter, "server.close()"));
        nobody_is_accused(&narrow, filter);
        assert_eq!(narrow.unjudged("untraced-calls"), 3, "{filter}");
    }
}

/// A server that makes a process for each connection, traced without `-f`.
#[test]
fn processes_that_are_not_followed_are_named() {
    let program = format!(
        "{BEGIN}
for at in range(3):
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    if not os.fork():
        server.recv(8192); server.sendall(head(5)); os._exit(0)
    server.close(); client.sendall(GET); client.recv(100); os.wait()
"
    );
    let filter = "%net,%desc,%process,close_range,unshare";
    for follow in [&["-f"][..], &[]] {
        let options: Vec<_> = follow
            .iter()
            .copied()
            .chain(["-tt", "-yy", "-s", "8192", "-e", filter])
            .collect();
        let analyzed = file(&trace("forks", &program, &options, true));
        if follow.is_empty() {
            nobody_is_accused(&analyzed, "not followed");
            assert_eq!(analyzed.unjudged("untraced-processes"), 3);
            assert!(analyzed.said.contains("(-f)"), "{}", analyzed.said);
        } else {
            assert_eq!(analyzed.findings.len(), 3, "{}", analyzed.summary);
            assert_eq!(analyzed.unjudged("untraced-processes"), 0);
        }
    }
}

/// A reset takes back what the peer has not read: whether it had time is told by
/// times, and else not.
#[test]
fn without_times_what_depends_on_them_is_named() {
    let program = format!(
        "{BEGIN}
import struct
client, server = accepted()
server.sendall(head(500) + b'x' * 500)
server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
server.close()
"
    );
    // Of a log it is not known what was sent: nobody is accused.
    for (times, findings, status) in [("-tt", 1, 0), ("-q", 0, 3), ("-t", 0, 3)] {
        let options = ["-f", times, "-yy", "-s", "8192"];
        let analyzed = file(&trace("linger", &program, &options, true));
        assert_eq!(
            (analyzed.findings.len(), analyzed.status),
            (findings, status),
            "{times}: {} {}",
            analyzed.summary,
            analyzed.said
        );
        assert_eq!(analyzed.unjudged("no-times"), 1 - findings as u64);
        // The request is judged too.
        assert_eq!(analyzed.summary["messages_judged"], 1 + findings);
        assert_eq!(analyzed.said.contains("(-tt)"), findings == 0);
        assert_eq!(analyzed.summary["seconds"].is_null(), times == "-q");
    }
}

/// The table of `strace -C` is part of the log and no time of its.
#[test]
fn the_table_of_strace_c_is_no_line_of_the_log() {
    let program = format!("{BEGIN}\nclient, server = accepted()\nserver.sendall(head(0))\n");
    for (times, null) in [("-tt", false), ("-q", true)] {
        let options = ["-f", "-C", times, "-yy", "-s", "8192"];
        let log = trace("table", &program, &options, true);
        let text = fs::read_to_string(&log).expect("a log");
        assert!(text.contains("% time "), "strace prints its table");
        let analyzed = file(&log);
        assert_eq!(analyzed.status, 0, "{} {}", analyzed.summary, analyzed.said);
        assert_eq!(analyzed.unjudged("unreadable-lines"), 0);
        let seconds = &analyzed.summary["seconds"];
        assert_eq!(seconds.is_null(), null, "{seconds}");
        assert!(seconds.as_f64().unwrap_or(0.0) < 20.0, "{seconds}");
    }
}
