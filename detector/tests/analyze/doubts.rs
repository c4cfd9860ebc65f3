//! Real logs, shortened, in which the rest of a response came by a way that the log
//! shows a trace of only: nobody is accused, and the reason is told.

use crate::program::{Analyzed, log};

/// A log of all calls, of a response that is 20 bytes short and then `lines`: with
/// `tid` before those that have none; `T` is the connection's descriptor.
fn analyzed(tid: &str, lines: &[&str]) -> Analyzed {
    let name = "5<TCP:[127.0.0.1:80->127.0.0.1:5000]>";
    let start = [
        r#"execve("./server", ["./server"], 0x7ffd /* 36 vars */) = 0"#,
        r#"getrandom("\0", 1, GRND_NONBLOCK) = 1"#,
        "accept4(4, NULL, NULL, 0) = T",
        r#"recvfrom(T, "GET /a HTTP/1.1\r\n\r\n", 8192, 0, NULL, NULL) = 19"#,
        r#"sendto(T, "HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n", 39, MSG_NOSIGNAL, NULL, 0) = 39"#,
        r#"sendto(T, "abcdefghij", 10, MSG_NOSIGNAL, NULL, 0) = 10"#,
    ];
    let text: String = start
        .iter()
        .chain(lines)
        .map(|line| {
            let numbered = tid.is_empty() || line.starts_with(|c: char| c.is_ascii_digit());
            let line = line
                .replace("(T)", &format!("({name})"))
                .replace("(T,", &format!("({name},"))
                .replace("= T", &format!("= {name}"));
            if numbered {
                format!("{line}\n")
            } else {
                format!("{tid} {line}\n")
            }
        })
        .collect();
    log(text)
}

fn nobody(analyzed: &Analyzed, reason: &str) {
    let (findings, summary) = (&analyzed.findings, &analyzed.summary);
    assert!(findings.is_empty(), "{findings:?}");
    assert_eq!(analyzed.status, 3, "{summary} {}", analyzed.said);
    assert!(analyzed.unjudged(reason) > 0, "{summary}");
    assert!(!analyzed.said.is_empty());
}

const SHUT: &str = "shutdown(T, SHUT_WR) = 0";
const CLOSE: &str = "close(T) = 0";
const REST: &str = r#"sendto(T, "abcdefghijklmnopqrst", 20, MSG_NOSIGNAL, NULL, 0) = 20"#;

#[test]
fn a_response_that_is_short_is_found() {
    for end in [SHUT, CLOSE] {
        let short = analyzed("10", &[end]);
        assert_eq!((short.findings.len(), short.status), (1, 1), "{end}");
    }
    let whole = analyzed("10", &[REST, CLOSE]);
    assert_eq!((whole.findings.len(), whole.status), (0, 0));
}

#[test]
fn a_child_that_is_not_followed_may_have_sent_the_rest() {
    for fork in [
        "vfork() = 828",
        "clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD, child_tidptr=0x7f0) = 828",
    ] {
        let forks = analyzed("", &[fork, "wait4(828, NULL, 0, NULL) = 828", SHUT, CLOSE]);
        nobody(&forks, "untraced-processes");
        // It ended without a send.
        let heard = analyzed("10", &[fork, "828 +++ exited with 0 +++", SHUT, CLOSE]);
        assert_eq!(heard.findings.len(), 1, "{}", heard.summary);
    }
}

#[test]
fn a_descriptor_that_was_sent_away_may_have_been_sent_on() {
    let sends = r#"sendmsg(6<UNIX-STREAM:[1->2]>, {msg_name=NULL, msg_namelen=0, msg_iov=[{iov_base="x", iov_len=1}], msg_iovlen=1, msg_control=[{cmsg_len=20, cmsg_level=SOL_SOCKET, cmsg_type=SCM_RIGHTS, cmsg_data=[5]}], msg_controllen=24, msg_flags=0}, 0) = 1"#;
    nobody(&analyzed("10", &[sends, SHUT]), "untraced-calls");
    for constant in ["0x1 /* SCM_RIGHTS */", "0x1"] {
        let sends = sends.replace("SCM_RIGHTS", constant);
        nobody(&analyzed("10", &[&sends, CLOSE]), "shared");
    }
}

#[test]
fn a_process_of_unknown_origin_may_be_a_child() {
    // Without %process, and without -y.
    let text = r#"913 fstat(3, {st_mode=S_IFREG|0644}) = 0
913 lseek(3, 0, SEEK_SET) = 0
913 mmap(NULL, 8192, PROT_READ, MAP_PRIVATE, 3, 0) = 0x7f86
913 read(3, "", 1) = 0
913 close(3) = 0
913 listen(4, 9) = 0
913 accept4(4, NULL, NULL, 0) = 5
913 recvfrom(5, "GET /a HTTP/1.1\r\n\r\n", 8192, 0, NULL, NULL) = 19
913 sendto(5, "HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n", 39, MSG_NOSIGNAL, NULL, 0) = 39
916 write(5, "abcdefghijklmnopqrstuvwxyz0123", 30) = 30
916 +++ exited with 0 +++
913 shutdown(5, SHUT_RDWR) = 0
"#;
    nobody(&log(text), "untraced-calls");
    let alone: String = text
        .lines()
        .filter(|line| !line.starts_with("916 write"))
        .flat_map(|line| [line, "\n"])
        .collect();
    assert_eq!(log(alone).findings.len(), 1);
}

const THREAD: &str = "clone3({flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD, exit_signal=0, stack=0x7f, stack_size=0x1}, 88) = 11";

#[test]
fn whoever_goes_on_after_the_end_refutes_it() {
    // unshare(CLONE_FILES) was not traced; or strace -z left the start of a call out.
    let later = "11 sendto(T, \"abcdefghijklmnopqrst\", 20, MSG_NOSIGNAL, NULL, 0) = 20";
    let unnamed = "11 sendto(5, \"abcdefghijklmnopqrst\", 20, MSG_NOSIGNAL, NULL, 0) = 20";
    let written = "11 write(5, \"abcdefghijklmnopqrst\", 20) = 20";
    let starts = "11 mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE, -1, 0) = 0x7f";
    for goes_on in [later, unnamed, written] {
        let lines = [THREAD, starts, CLOSE, goes_on, "11 close(5) = 0"];
        nobody(&analyzed("10", &lines), "untraced-calls");
    }
    let ends = analyzed("10", &[THREAD, starts, CLOSE, "11 exit(0) = ?"]);
    assert_eq!(ends.findings.len(), 1, "{}", ends.summary);
}

#[test]
fn unshare_gives_a_thread_descriptors_of_its_own() {
    for unshare in [
        "11 unshare(CLONE_FILES) = 0",
        "11 unshare(0x400 /* CLONE_FILES */) = 0",
        "11 close_range(100, 200, CLOSE_RANGE_UNSHARE) = 0",
    ] {
        let rest = format!("11 {REST}");
        let lines = [THREAD, unshare, CLOSE, &rest, "11 close(T) = 0"];
        let whole = analyzed("10", &lines);
        assert_eq!(
            (whole.findings.len(), whole.status),
            (0, 0),
            "{unshare}: {} {}",
            whole.summary,
            whole.said
        );
        let short = analyzed("10", &[THREAD, unshare, CLOSE, "11 close(T) = 0"]);
        assert_eq!(short.findings.len(), 1, "{unshare}: {}", short.summary);
    }
}

#[test]
fn a_descriptor_that_was_taken_is_shared() {
    let fork = "clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD, child_tidptr=0x7f) = 743";
    let lines = [
        fork,
        "743 close(5) = 0",
        "743 pidfd_open(10, 0) = 6",
        "743 pidfd_getfd(6, 5, 0) = 7",
        "743 sendto(7, \"abcdefghijklmnopqrst\", 20, MSG_NOSIGNAL, NULL, 0) = 20",
        "743 +++ exited with 0 +++",
    ];
    for (end, reason) in [(SHUT, "untraced-calls"), (CLOSE, "shared")] {
        let lines: Vec<_> = lines.iter().copied().chain([end]).collect();
        nobody(&analyzed("10", &lines), reason);
    }
}

#[test]
fn numbers_in_place_of_constants_are_understood() {
    for command in ["0x406", "0x406 /* F_DUPFD_CLOEXEC */", "0", "1030"] {
        let copies = format!("fcntl(T, {command}, 60) = 60");
        let rest = "write(60, \"abcdefghijklmnopqrst\", 20) = 20";
        let whole = analyzed("10", &[&copies, CLOSE, rest, "close(60) = 0"]);
        assert_eq!(
            (whole.findings.len(), whole.status),
            (0, 0),
            "{command}: {}",
            whole.summary
        );
    }
}

#[test]
fn what_strace_made_up_did_not_happen() {
    for end in [SHUT, CLOSE] {
        let lines = [&format!("{end} (INJECTED)"), REST, CLOSE];
        let made_up = analyzed("10", &lines);
        nobody(&made_up, "unseen-calls");
        assert!(made_up.said.contains("-e inject"), "{}", made_up.said);
    }
}

#[test]
fn a_ring_that_the_kernel_empties_moves_bytes_in_no_line() {
    let ring = |flags: &str| {
        format!("io_uring_setup(8, {{flags={flags}, sq_thread_cpu=0, sq_entries=8}}) = 8")
    };
    nobody(
        &analyzed("10", &[&ring("IORING_SETUP_SQPOLL"), CLOSE]),
        "unseen-calls",
    );
    assert_eq!(analyzed("10", &[&ring("0"), CLOSE]).findings.len(), 1);
}

#[test]
fn a_look_that_finds_the_end_finds_that_the_peer_left() {
    let looks = r#"recvfrom(T, "", 9, MSG_PEEK|MSG_DONTWAIT, NULL, NULL) = 0"#;
    let reads = r#"recvfrom(T, "", 9, 0, NULL, NULL) = 0"#;
    for end in [looks, reads] {
        let left = analyzed("10", &[end, CLOSE]);
        assert_eq!(left.findings.len(), 1, "{}", left.summary);
        assert_eq!(left.findings[0]["fault"], "unknown", "{end}");
    }
}

#[test]
fn bytes_out_of_band_are_in_no_message() {
    let urgent = r#"sendto(T, "x", 1, MSG_OOB, NULL, 0) = 1"#;
    let rest = r#"sendto(T, "abcdefghijklmnopqrs", 19, MSG_NOSIGNAL, NULL, 0) = 19"#;
    let sent = analyzed("10", &[urgent, rest, CLOSE]);
    assert_eq!((sent.findings.len(), sent.status), (0, 3), "{}", sent.said);
    assert_eq!(sent.summary["messages_judged"], 0, "{}", sent.summary);
    assert!(sent.said.contains("MSG_OOB"), "{}", sent.said);
}

#[test]
fn a_log_that_shows_nothing_is_not_complete() {
    let files =
        log("10 openat(AT_FDCWD, \"/etc/passwd\", O_RDONLY) = 3\n10 +++ exited with 0 +++\n");
    assert_eq!((files.findings.len(), files.status), (0, 3));
    assert!(files.said.contains("no call on a socket"), "{}", files.said);
    let silent = log(r#"10 accept4(4, NULL, NULL, 0) = 5
10 recvfrom(5, "GET /a HTTP/1.1\r\n\r\n", 8192, 0, NULL, NULL) = 19
10 close(5) = 0
"#);
    nobody(&silent, "untraced-calls");
}

#[test]
fn an_unreadable_line_may_be_of_a_socket_that_was_open_before() {
    let opens = "10 socketpair(AF_UNIX, SOCK_SEQPACKET, 0, [8, 9]) = 0\n";
    let other = "10 getrandom(\"\\0\", 1, GRND_NONBLOCK) = 1\n10 read(3, \"x\", 1) = 1\n";
    let rest = r#"10 recvfrom(8, "GET /a HTTP/1.1\r\n\r\n", 8192, 0, NULL, NULL) = 19
10 sendto(8, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcdefghi", 47, 0, NULL, 0) = 47
10 recvfrom(8, "GET /a HTTP/1.1\r\n\r\n", 8192, 0, NULL, NULL) = 19
10 sendto(8, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", 41, 0, NULL, 0) = 41
10 shutdown(8, SHUT_WR) = 0
"#;
    for garbage in ["@@\n", "s\n", "10 socketpair(AF_UNIX\n"] {
        let midst = log(format!("{other}{garbage}{rest}"));
        assert_eq!(midst.findings.len(), 0, "{garbage}: {}", midst.summary);
        assert_eq!(midst.status, 3, "{garbage}");
        // In front of the first call it is none of strace's.
        let before = log(format!("{garbage}{other}{rest}"));
        assert_eq!(before.findings.len(), 1, "{garbage}: {}", before.summary);
    }
    let whole = log(format!("{other}{opens}{rest}"));
    assert_eq!(whole.unjudged("not-stream"), 1, "{}", whole.summary);
}

#[test]
fn a_client_that_connects_as_it_sends_is_one_that_connected() {
    const TO: &str = r#"{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("192.0.2.1")}"#;
    const PUT: &str = r#""PUT /a HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc""#;
    let first = format!("sendto(4, {PUT}, 41, MSG_FASTOPEN, {TO}, 16) = 41");
    let message = format!(
        "sendmsg(4, {{msg_name={TO}, msg_namelen=16, msg_iov=[{{iov_base={PUT}, iov_len=41}}], msg_iovlen=1, msg_controllen=0, msg_flags=0}}, MSG_FASTOPEN) = 41"
    );
    let later = format!(
        "sendto(4, {PUT}, 41, MSG_FASTOPEN, {TO}, 16) = -1 EINPROGRESS (Operation now in progress)\n10 sendto(4, {PUT}, 41, 0, NULL, 0) = 41"
    );
    for (sends, peer) in [
        (first, Some("192.0.2.1:80")),
        (message, Some("192.0.2.1:80")),
        (later, Some("192.0.2.1:80")),
        (format!("sendto(4, {PUT}, 41, 0, NULL, 0) = 41"), None),
    ] {
        let analyzed = log(format!(
            "10 getrandom(\"\\0\", 1, GRND_NONBLOCK) = 1\n10 read(0, \"\", 9) = 0\n10 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 4\n10 {sends}\n10 close(4) = 0\n"
        ));
        let found: Vec<_> = analyzed
            .findings
            .iter()
            .map(|finding| {
                (
                    finding["fault"].as_str(),
                    finding["socket"]["peer"].as_str(),
                )
            })
            .collect();
        let expected: Vec<_> = peer
            .map(|peer| (Some("unknown"), Some(peer)))
            .into_iter()
            .collect();
        assert_eq!(found, expected, "{sends}: {}", analyzed.summary);
    }
}
