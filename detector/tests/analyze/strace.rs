//! Real logs of the same program, with many options of strace: the findings are
//! the same.

use std::{fs, path::PathBuf, process::Command};

use crate::program::{Analyzed, file};

/// Connections within one process: whole and short, by many calls.
const ALONE: &str = r"
import os, socket
GET = b'GET /a HTTP/1.1\r\nHost: x\r\n\r\n'
def head(length, more=b''):
    return b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n' % (length, more)
def pair():
    client, server = socket.socketpair()
    client.send(GET)
    server.recv(8192)
    return client, server
listener = socket.socket()
listener.bind(('127.0.0.1', 0))
listener.listen()
def tcp():
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    client.sendall(GET)
    server.recvmsg(8192)
    return client, server
c1, s = pair()                      # whole, in several calls, kept alive
s.sendmsg([head(500), b'x' * 200, b'y' * 300])
c1.send(GET); os.read(s.fileno(), 8192)
os.writev(s.fileno(), [head(7), b'\0\1\377\\\x22 z'])
s.shutdown(socket.SHUT_WR); s.close()
c2, s = pair()                      # short: shutdown
s.send(head(1000) + b'x' * 400)
s.shutdown(socket.SHUT_WR); s.close()
c3, s = tcp()                       # short: close of the second descriptor
os.write(s.fileno(), head(2000, b'X: a, b) = 5\r\n') + b'(' * 700)
d = os.dup(s.fileno()); s.close(); os.close(d)
c4, s = tcp()                       # whole: the rest comes from a file
s.send(head(300))
with open('/proc/self/exe', 'rb') as f:
    os.sendfile(s.fileno(), f.fileno(), 0, 300)
s.close()
c5, s = pair()                      # short: dup2 over it
s.sendmsg([head(3000), b'x' * 9])
null = os.open('/dev/null', os.O_RDWR)
os.dup2(null, s.fileno()); os.close(s.detach())
c6, s = pair()                      # chunked and whole
s.send(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
os.writev(s.fileno(), [b'64\r\n', b'x' * 100, b'\r\n']); s.send(b'0\r\n\r\n'); s.close()
c7, s = pair()                      # chunked without its end
s.send(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n' + b'x' * 100 + b'\r\n')
s.close()
c8, s = pair()                      # short: the process ends
s.send(head(4000) + b'x' * 11)
for client in (c1, c2, c5, c6, c7, c8): client.recv(65536)
os._exit(3)
";

/// What is wrong in it: cause, promised and sent bytes.
const WRONG: [(&str, u64, u64); 4] = [
    ("premature-close", 2000, 700),
    ("premature-close", 3000, 9),
    ("premature-shutdown", 1000, 400),
    ("process-exit", 4000, 11),
];

/// Several processes and threads; it needs `-f`.
const TOGETHER: &str = r"
import os, socket, threading
GET = b'GET /a HTTP/1.1\r\nHost: x\r\n\r\n'
def head(length):
    return b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n' % length
def pair():
    client, server = socket.socketpair()
    client.send(GET)
    server.recv(8192)
    return client, server
def in_thread(what):
    thread = threading.Thread(target=what); thread.start(); thread.join()
c1, s = pair()                      # whole: another thread sends the rest
s.send(head(1000) + b'x' * 400)
in_thread(lambda: s.send(b'x' * 600)); s.close()
c2, s = pair()                      # short: another thread ends it
s.send(head(1000) + b'x' * 500)
in_thread(lambda: s.shutdown(socket.SHUT_WR)); s.close()
c3, s = pair()                      # whole: a child sends the rest
s.send(head(2000))
child = os.fork()
if child == 0:
    s.send(b'x' * 2000)
    os._exit(0)
s.close(); os.waitpid(child, 0)
c4, s = pair()                      # short: the child is killed, and it is the last
closed, close = os.pipe()
child = os.fork()
if child == 0:
    s.send(head(3000) + b'x' * 12)
    os.read(closed, 1)
    os.kill(os.getpid(), 9)
s.close(); os.write(close, b'.'); os.waitpid(child, 0)
";

/// Runs the program under strace with these options; where the log is.
pub(crate) fn trace(name: &str, program: &str, options: &[&str], by_file: bool) -> PathBuf {
    let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.log"));
    let python = ["/usr/bin/python3", "/usr/local/bin/python3"]
        .into_iter()
        .find(|path| fs::exists(path).unwrap_or(false))
        .unwrap_or("python3");
    let mut command = Command::new("strace");
    if by_file {
        command.arg("-o").arg(&log);
    }
    let output = command
        .args(options)
        .args([python, "-I", "-S", "-c", program])
        .output()
        .expect("strace runs");
    if !by_file {
        fs::write(&log, &output.stderr).expect("written");
    }
    log
}

fn wrong(analyzed: &Analyzed) -> Vec<(&str, u64, u64)> {
    let mut wrong: Vec<_> = analyzed
        .findings
        .iter()
        .filter(|finding| finding["message"]["framing"] == "content-length")
        .map(|finding| {
            (
                finding["cause"].as_str().unwrap_or_default(),
                finding["promised_bytes"].as_u64().unwrap_or(0),
                finding["sent_bytes"].as_u64().unwrap_or(0),
            )
        })
        .collect();
    wrong.sort_unstable();
    wrong
}

#[test]
fn whatever_the_options_the_findings_are_the_same() {
    let filter = "trace=%net,%desc,%process,close_range,unshare";
    let sets: [&[&str]; 20] = [
        &["-f", "-tt", "-yy"],
        &["-f", "-tt", "-yy", "-e", filter],
        &["-e", filter],
        &["-tt"],
        &["-t", "-T"],
        &["-ttt", "-y"],
        &["-r", "-yy"],
        &["-r", "-tt", "-f"],
        &["-f", "-x"],
        &["-f", "-xx"],
        &["-f", "-xx", "-y"],
        &["-f", "-xx", "-yy", "-T"],
        &["-f", "-v", "-yy"],
        &["-f", "-e", "abbrev=none"],
        &["-f", "-i", "-y"],
        &["-f", "-n", "-y"],
        &["-f", "-a", "1"],
        &["-f", "-q", "-yy"],
        &["-f", "-qq", "-e", "signal=none"],
        &["-f", "--seccomp-bpf", "-y", "-e", filter],
    ];
    for (at, set) in sets.iter().enumerate() {
        for by_file in [true, false] {
            let options: Vec<_> = set.iter().copied().chain(["-s", "8192"]).collect();
            let name = format!("alone-{at}-{by_file}");
            let analyzed = file(&trace(&name, ALONE, &options, by_file));
            let what = format!(
                "{options:?}, file {by_file}: {} {}",
                analyzed.summary, analyzed.said
            );
            assert_eq!(wrong(&analyzed), WRONG, "{what}");
            assert_eq!(analyzed.findings.len(), WRONG.len() + 1, "{what}");
            assert_eq!(analyzed.status, 1, "{what}");
            assert_eq!(
                analyzed.summary["messages_judged"].as_u64(),
                analyzed.summary["messages_judged"]
                    .as_u64()
                    .filter(|judged| *judged >= 18),
                "{what}"
            );
        }
    }
}

#[test]
fn processes_and_threads() {
    for (at, set) in [&["-f", "-tt", "-yy"][..], &["-f"], &["-f", "-y", "-r"]]
        .iter()
        .enumerate()
    {
        for by_file in [true, false] {
            let options: Vec<_> = set.iter().copied().chain(["-s", "8192"]).collect();
            let expected = [
                ("premature-shutdown", 1000, 500),
                ("process-exit", 3000, 12),
            ];
            // Where strace is late with a child's first line nothing proves who had
            // its sockets: that is said, and the next log has it.
            let found = (0..5).any(|attempt| {
                let name = format!("together-{at}-{by_file}-{attempt}");
                let analyzed = file(&trace(&name, TOGETHER, &options, by_file));
                let wrong = wrong(&analyzed);
                let what = format!(
                    "{options:?}, file {by_file}: {} {}",
                    analyzed.summary, analyzed.said
                );
                assert!(wrong.iter().all(|it| expected.contains(it)), "{what}");
                assert!(
                    wrong == expected || analyzed.unjudged("shared") > 0,
                    "{what}"
                );
                wrong == expected
            });
            assert!(found, "{options:?}, file {by_file}");
        }
    }
}

#[test]
fn without_f_what_other_threads_sent_is_not_known() {
    let analyzed = file(&trace(
        "alone-of-many",
        TOGETHER,
        &["-y", "-s", "8192"],
        true,
    ));
    assert_eq!(
        (analyzed.findings.len(), analyzed.status),
        (0, 3),
        "{:?}",
        analyzed.findings
    );
}

#[test]
fn a_log_that_shows_too_little_says_what_to_run() {
    let analyzed = file(&trace("little", ALONE, &["-f", "-s", "20"], true));
    assert_eq!(
        (analyzed.findings.len(), analyzed.status),
        (0, 3),
        "{:?}",
        analyzed.findings
    );
    // On lines of their own, to be copied.
    let (_, commands) = analyzed.said.rsplit_once("):\n").expect("advice");
    let (command, judge) = commands
        .split_once("truncwatch: then:\n")
        .expect("what to do with the log");
    assert_eq!(judge, "  truncwatch analyze --all-traced trace.log\n");
    let command = command.replace("\\\n", " ");
    assert!(
        command.starts_with("  strace -f -tt -yy -s ") && command.ends_with("-p PID\n"),
        "{}",
        analyzed.said
    );
    // The lengths are seen; the ends of some heads are not.
    let analyzed = file(&trace("some", ALONE, &["-f", "-s", "42"], true));
    let causes: Vec<_> = wrong(&analyzed)
        .into_iter()
        .map(|(cause, promised, _)| (cause, promised))
        .collect();
    assert_eq!(causes, WRONG.map(|(cause, promised, _)| (cause, promised)));
}

/// Three requests at once: the first response is left short, the others are whole.
const PIPELINED: &str = r"
import socket
GET = b'GET /a HTTP/1.1\r\nHost: x\r\n\r\n'
def head(length):
    return b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n' % length
client, s = socket.socketpair()
client.send(GET * 3); s.recv(8192)
s.send(head(1000) + b'x' * 400)
s.send(head(100) + b'y' * 100); s.send(head(100) + b'z' * 100)
client.recv(8192)
s.close()
";

#[test]
fn a_short_response_before_whole_ones_is_a_desync() {
    let options = ["-f", "-tt", "-yy", "-s", "8192"];
    let analyzed = file(&trace("pipelined", PIPELINED, &options, true));
    assert_eq!(wrong(&analyzed), [("desync", 1000, 400)]);
    assert_eq!(
        (analyzed.status, &analyzed.summary["messages_judged"]),
        // The client's three requests are judged too.
        (1, &6.into())
    );
}
