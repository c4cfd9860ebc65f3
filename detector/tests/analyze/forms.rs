//! What calls do, as a list of facts, each a few lines of a log.

use crate::program::{self, Analyzed};

/// Analyzes a log in which every call was traced: one line says so.
fn log(text: impl AsRef<str>) -> Analyzed {
    let text = text.as_ref();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number = text.get(..digits).unwrap_or_default();
    let space = if number.is_empty() { "" } else { " " };
    program::log(format!(
        "{number}{space}getrandom(\"\\0\", 1, GRND_NONBLOCK) = 1\n{text}"
    ))
}

const ACCEPT: &str =
    "accept4(3<socket:[1]>, {sa_family=AF_UNIX}, [110 => 2], SOCK_CLOEXEC) = 7<socket:[9]>\n";
const GET: &str = r#"recvfrom(7<socket:[9]>, "GET /a HTTP/1.1\r\n\r\n", 8192, 0, NULL, NULL) = 19
"#;
/// A head of 41 bytes that promises 1,000; 59 of those are sent.
const SHORT: &str = r#"sendto(7<socket:[9]>, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nxxxxx"..., 100, 0, NULL, 0) = 100
"#;

/// A log of an accepted connection whose response is short, with these lines
/// behind, which every thread's number stands before.
fn short(lines: &str) -> Analyzed {
    log(numbered(&format!("{ACCEPT}{GET}{SHORT}{lines}")))
}

/// The lines that have no number get one.
fn numbered(lines: &str) -> String {
    lines
        .lines()
        .map(|line| match line.as_bytes().first() {
            Some(b'0'..=b'9') => format!("{line}\n"),
            _ => format!("10 {line}\n"),
        })
        .collect()
}

#[test]
fn the_ways_to_end_a_connection() {
    let cases = [
        ("shutdown(7<socket:[9]>, SHUT_WR) = 0", "premature-shutdown"),
        (
            "shutdown(7<socket:[9]>, SHUT_RDWR) = 0",
            "premature-shutdown",
        ),
        (
            "shutdown(7<socket:[9]>, 0x1 /* SHUT_WR */) = 0",
            "premature-shutdown",
        ),
        ("close(7<socket:[9]>) = 0", "premature-close"),
        (
            "close(7<socket:[9]> <unfinished ...>\n<... close resumed>) = 0",
            "premature-close",
        ),
        ("close_range(5, 4294967295, 0) = 0", "premature-close"),
        ("dup2(1</a>, 7<socket:[9]>) = 7</a>", "premature-close"),
        (
            "dup3(1</a>, 7<socket:[9]>, O_CLOEXEC) = 7</a>",
            "premature-close",
        ),
        (
            r#"execve("/bin/true", ["true"], 0x7f /* 3 vars */) = 0"#,
            "premature-close",
        ),
        ("exit_group(3) = ?\n+++ exited with 3 +++", "process-exit"),
        ("exit_group(3) = ?", "process-exit"),
        ("+++ killed by SIGKILL +++", "process-exit"),
        (
            "dup(7<socket:[9]>) = 8<socket:[9]>\nclose(7<socket:[9]>) = 0\nclose(8<socket:[9]>) = 0",
            "premature-close",
        ),
        (
            "fcntl(7<socket:[9]>, F_DUPFD_CLOEXEC, 0) = 8<socket:[9]>\n+++ killed by SIGKILL +++",
            "process-exit",
        ),
    ];
    for (lines, cause) in cases {
        let analyzed = short(lines);
        assert_eq!(analyzed.one(), (cause, Some(1000), Some(59)), "{lines}");
        assert_eq!(analyzed.status, 1, "{lines}");
        assert_eq!(analyzed.findings[0]["message"]["method"], "GET");
    }
    let killed = short("+++ killed by SIGKILL +++");
    assert_eq!(killed.findings[0]["ending"]["signal"], "SIGKILL");
}

#[test]
fn what_ends_nothing_is_no_finding() {
    let cases = [
        ("", "in-progress"),
        ("shutdown(7<socket:[9]>, SHUT_RD) = 0", "in-progress"),
        (
            "shutdown(7<socket:[9]>, SHUT_WR) = -1 EBADF (Bad file descriptor)",
            "in-progress",
        ),
        ("close(8) = 0", "in-progress"),
        (
            "dup(7<socket:[9]>) = 8<socket:[9]>\nclose(7<socket:[9]>) = 0",
            "shared",
        ),
        // The child has it too, traced or not.
        (
            "clone(child_stack=NULL, flags=SIGCHLD) = 11\nclose(7<socket:[9]>) = 0",
            "shared",
        ),
        ("fork() = 11\n+++ killed by SIGKILL +++", "shared"),
        (
            "close_range(5, 4294967295, CLOSE_RANGE_CLOEXEC) = 0",
            "in-progress",
        ),
        // It was passed on.
        (
            r#"sendmsg(5<socket:[8]>, {msg_name=NULL, msg_namelen=0, msg_iov=[{iov_base="x", iov_len=1}], msg_iovlen=1, msg_control=[{cmsg_len=20, cmsg_level=SOL_SOCKET, cmsg_type=SCM_RIGHTS, cmsg_data=[7]}], msg_controllen=24, msg_flags=0}, 0) = 1
close(7<socket:[9]>) = 0"#,
            "shared",
        ),
        // The number is another's, and nothing told of its end.
        (
            "accept4(3<socket:[1]>, NULL, NULL, SOCK_CLOEXEC) = 7<socket:[12]>\nclose(7<socket:[12]>) = 0",
            "not-observed",
        ),
        // Who knows what this was.
        (
            "sendto(7<socket:[9]>, \"xx\nclose(7<socket:[9]>) = 0",
            "lost-events",
        ),
        // How much of it was accepted is not told.
        (
            "sendto(7<socket:[9]>, \"xx\"..., 941, 0, NULL, 0) = ?\n+++ killed by SIGKILL +++",
            "lost-events",
        ),
        (
            "sendto(7<socket:[9]>, \"xx\"..., 941, 0, NULL, 0 <unfinished ...>\n+++ killed by SIGKILL +++",
            "lost-events",
        ),
        // io_uring may have sent the rest.
        (
            "io_uring_enter(4, 1, 0, 0, NULL, 8) = 1\nclose(7<socket:[9]>) = 0",
            "lost-events",
        ),
    ];
    for (lines, reason) in cases {
        let analyzed = short(lines);
        assert_eq!(analyzed.findings.len(), 0, "{lines}");
        assert_eq!(
            analyzed.unjudged(reason),
            1,
            "{lines}: {}",
            analyzed.summary
        );
    }
}

#[test]
fn the_rest_may_come_by_any_call_of_any_thread() {
    let cases = [
        r#"writev(7<socket:[9]>, [{iov_base="xx"..., iov_len=901}, {iov_base="yy"..., iov_len=40}], 2) = 941"#,
        "sendfile(7<socket:[9]>, 5</a>, [0] => [941], 941) = 941",
        r#"write(7<socket:[9]>, "xx"..., 941) = 941"#,
        r#"sendmsg(7<socket:[9]>, {msg_name=NULL, msg_namelen=0, msg_iov=[{iov_base="xx"..., iov_len=941}], msg_iovlen=1, msg_controllen=0, msg_flags=0}, MSG_NOSIGNAL) = 941"#,
        r#"sendmmsg(7<socket:[9]>, [{msg_hdr={msg_name=NULL, msg_namelen=0, msg_iov=[{iov_base="xx"..., iov_len=901}], msg_iovlen=1, msg_controllen=0, msg_flags=0}, msg_len=901}, {msg_hdr={msg_name=NULL, msg_namelen=0, msg_iov=[{iov_base="xx"..., iov_len=40}], msg_iovlen=1, msg_controllen=0, msg_flags=0}, msg_len=40}], 2, 0) = 2"#,
        "splice(5<pipe:[4]>, NULL, 7<socket:[9]>, NULL, 941, 0) = 941",
        // Another thread, known from its making or by the socket's name.
        "clone3({flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD} => {parent_tid=[11]}, 88) = 11\n11 sendto(7, \"xx\"..., 941, 0, NULL, 0) = 941",
        "11 sendto(7<socket:[9]>, \"xx\"..., 941, 0, NULL, 0) = 941",
        // One that has begun when the socket is shut down.
        "11 sendto(7<socket:[9]>, \"xx\"..., 941, 0, NULL, 0 <unfinished ...>\n10 shutdown(7<socket:[9]>, SHUT_WR) = 0\n11 <... sendto resumed>) = 941",
    ];
    for lines in cases {
        let analyzed = short(&format!("{lines}\n10 close(7<socket:[9]>) = 0"));
        assert_eq!(
            analyzed.findings.len(),
            0,
            "{lines}: {:?}",
            analyzed.findings
        );
        assert_eq!(
            analyzed.summary["messages_judged"], 1,
            "{lines}: {}",
            analyzed.summary
        );
        assert_eq!(analyzed.status, 0, "{lines}: {}", analyzed.summary);
    }
}

#[test]
fn what_the_peer_did_is_no_fault_of_ours() {
    let cases = [
        (
            r#"sendto(7<socket:[9]>, "xx"..., 941, 0, NULL, 0) = -1 EPIPE (Broken pipe)"#,
            1,
        ),
        (
            r#"recvfrom(7<socket:[9]>, 0x7f12, 8192, 0, NULL, NULL) = -1 ECONNRESET (Connection reset by peer)"#,
            1,
        ),
        (
            "poll([{fd=7, events=POLLOUT}], 1, 5) = 1 ([{fd=7, revents=POLLOUT|POLLHUP}])",
            1,
        ),
        (
            "epoll_ctl(4<anon_inode:[eventpoll]>, EPOLL_CTL_ADD, 7<socket:[9]>, {events=EPOLLIN, data={u32=5, u64=5}}) = 0\nepoll_wait(4<anon_inode:[eventpoll]>, [{events=EPOLLIN|EPOLLERR|EPOLLHUP, data={u32=5, u64=5}}], 8, -1) = 1",
            1,
        ),
        (
            "getsockopt(7<socket:[9]>, SOL_SOCKET, SO_ERROR, [ECONNRESET], [4]) = 0",
            1,
        ),
    ];
    for (lines, peers) in cases {
        let analyzed = short(&format!("{lines}\nclose(7<socket:[9]>) = 0"));
        assert_eq!(
            (analyzed.findings.len(), analyzed.status),
            (0, 0),
            "{lines}"
        );
        assert_eq!(analyzed.summary["peer_endings"], peers, "{lines}");
    }
    // Counted once, whether the other descriptor is closed too or not.
    for end in ["", "close(8<socket:[9]>) = 0\n"] {
        let analyzed = short(&format!(
            "dup(7<socket:[9]>) = 8<socket:[9]>\nrecvfrom(7<socket:[9]>, 0x7f12, 8192, 0, NULL, NULL) = -1 ECONNRESET (Connection reset by peer)\nclose(7<socket:[9]>) = 0\n{end}"
        ));
        assert_eq!((analyzed.findings.len(), analyzed.status), (0, 0), "{end}");
        assert_eq!(analyzed.summary["peer_endings"], 1, "{end}");
    }
    let half = short(
        "recvfrom(7<socket:[9]>, \"\", 8192, 0, NULL, NULL) = 0\nshutdown(7<socket:[9]>, SHUT_WR) = 0",
    );
    assert_eq!(half.findings[0]["fault"], "unknown");
    assert_eq!(half.status, 0);
}

#[test]
fn the_program_is_told_where_the_log_tells_it() {
    let exec = |pid: u32, path: &str| format!("{pid} execve(\"{path}\", [\"x\"], 0x7f) = 0\n");
    let ended = "10 close(7<socket:[9]>) = 0\n";
    let serves = numbered(&format!("{ACCEPT}{GET}{SHORT}"));
    let serving = |pid: u32| format!("{serves}{ended}").replace("10 ", &format!("{pid} "));
    let cases = [
        // It ran already when strace began.
        (serving(10), None),
        (exec(10, "/srv/a") + &serving(10), Some("/srv/a")),
        (
            exec(10, "/bin/sh") + &exec(10, "/srv/a") + &serving(10),
            Some("/srv/a"),
        ),
        (exec(10, "./a") + &serving(10), None),
        (exec(10, "/bin/sh") + &exec(10, "./a") + &serving(10), None),
        (
            "10 execve(\"/srv/b\", [\"x\"], 0x7f) = -1 ENOENT (No such file or directory)\n"
                .to_owned()
                + &serving(10),
            None,
        ),
        // A child has its maker's, until it makes an exec.
        (
            exec(10, "/srv/a") + "10 fork() = 11\n" + &serving(11),
            Some("/srv/a"),
        ),
        (
            exec(10, "/srv/a") + "10 fork() = 11\n" + &exec(11, "/srv/b") + &serving(11),
            Some("/srv/b"),
        ),
        (
            exec(10, "/srv/a") + "10 fork() = 11\n" + &exec(11, "/srv/b") + &serving(10),
            Some("/srv/a"),
        ),
        // A thread is the process.
        (
            exec(10, "/srv/a")
                + "10 clone(child_stack=0x7f, flags=CLONE_VM|CLONE_FILES|CLONE_THREAD) = 11\n"
                + &serving(11),
            Some("/srv/a"),
        ),
        // Its first line comes before that of the fork's end.
        (
            exec(10, "/srv/a")
                + "10 fork( <unfinished ...>\n"
                + &serves.replace("10 ", "11 ")
                + "10 <... fork resumed>) = 11\n"
                + &ended.replace("10 ", "11 "),
            Some("/srv/a"),
        ),
        // What an exec closes was the program's before.
        (
            exec(10, "/srv/a") + &serves + &exec(10, "/srv/b"),
            Some("/srv/a"),
        ),
    ];
    for (lines, program) in cases {
        let analyzed = log(&lines);
        assert_eq!(analyzed.findings.len(), 1, "{lines}");
        assert_eq!(
            analyzed.findings[0]["process"]["exe"].as_str(),
            program,
            "{lines}"
        );
    }
}

#[test]
fn joined_in_mid_stream_a_head_may_be_a_body() {
    // As above, but nobody saw it accepted; the call offers not all.
    let joined = log(format!(
        "{GET}{SHORT}shutdown(7<socket:[9]>, SHUT_WR) = 0\n"
    ));
    assert_eq!(
        (joined.findings.len(), joined.unjudged("mid-stream")),
        (0, 1)
    );
    // The call bears out the length.
    let whole = SHORT.replace("100, 0", "1041, 0");
    let joined = log(format!(
        "{GET}{whole}shutdown(7<socket:[9]>, SHUT_WR) = 0\n"
    ));
    assert_eq!(joined.one(), ("premature-shutdown", Some(1000), Some(59)));
    // Who else has it is not known.
    let joined = log(format!("{GET}{whole}close(7<socket:[9]>) = 0\n"));
    assert_eq!((joined.findings.len(), joined.unjudged("shared")), (0, 1));
}

#[test]
fn without_names_a_descriptor_is_a_socket_if_only_sockets_take_the_call() {
    let plain = |text: &str| text.replace("<socket:[9]>", "").replace("<socket:[1]>", "");
    let accepted = log(plain(&format!("{ACCEPT}{GET}{SHORT}close(7) = 0\n")));
    assert_eq!(accepted.one(), ("premature-close", Some(1000), Some(59)));
    let read = GET
        .replace("recvfrom", "read")
        .replace(", 0, NULL, NULL", "");
    let write = SHORT
        .replace("sendto", "write")
        .replace("100, 0, NULL, 0", "1041");
    let unknown = log(plain(&format!("{read}{write}close(7) = 0\n")));
    assert_eq!((unknown.findings.len(), unknown.status), (0, 3));
    assert_eq!(unknown.unjudged("unknown-descriptors"), 1);
    let known = log(plain(&format!("{read}{write}shutdown(7, SHUT_WR) = 0\n")));
    assert_eq!(known.one(), ("premature-shutdown", Some(1000), Some(59)));
    // A file whose content begins so.
    let file = log(plain(&format!(
        "openat(AT_FDCWD, \"/a\", O_RDWR) = 7\n{read}{write}close(7) = 0\n"
    )));
    assert_eq!((file.findings.len(), file.status), (0, 3));
    assert!(file.said.contains("no line shows a byte"), "{}", file.said);
    // Whose number is it?
    let two = format!(
        "10 {ACCEPT}10 {GET}10 {SHORT}11 sendto(7, \"xx\"..., 941, 0, NULL, 0) = 941\n10 close(7) = 0\n"
    );
    let two = log(plain(&two));
    assert_eq!((two.findings.len(), two.status), (0, 3));
    assert!(two.unjudged("ambiguous-descriptors") > 0);
}

#[test]
fn chunks_that_are_not_seen_are_not_guessed() {
    let head = r#"sendto(7<socket:[9]>, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 47, 0, NULL, 0) = 47
"#;
    let cases = [
        (r#""5\r\nhello\r\n", 10, 0, NULL, 0) = 10"#, 1, 1),
        (r#""5\r\nhello\r\n0\r\n\r\n", 15, 0, NULL, 0) = 15"#, 0, 0),
        (r#""400\r\nhello"..., 2000, 0, NULL, 0) = 2000"#, 0, 3),
    ];
    for (sent, findings, status) in cases {
        let analyzed = log(format!(
            "{ACCEPT}{GET}{head}sendto(7<socket:[9]>, {sent}\nclose(7<socket:[9]>) = 0\n"
        ));
        assert_eq!(
            (analyzed.findings.len(), analyzed.status),
            (findings, status),
            "{sent}: {}",
            analyzed.summary
        );
    }
}

#[test]
fn an_untraced_thread_may_have_sent_the_rest() {
    let thread =
        "clone3({flags=CLONE_VM|CLONE_FILES|CLONE_THREAD} => {parent_tid=[11]}, 88) = 11\n";
    let analyzed = log(format!(
        "{thread}{ACCEPT}{GET}{SHORT}close(7<socket:[9]>) = 0\n"
    ));
    assert_eq!((analyzed.findings.len(), analyzed.status), (0, 3));
    assert_eq!(analyzed.unjudged("untraced-threads"), 1);
    assert!(analyzed.said.contains("strace -f"), "{}", analyzed.said);
}

#[test]
fn linger_0_takes_back_what_the_peer_has_not_read() {
    let text = format!(
        "{ACCEPT}{GET}{}setsockopt(7<TCP:[127.0.0.1:80->127.0.0.1:9]>, SOL_SOCKET, SO_LINGER, {{l_onoff=1, l_linger=0}}, 8) = 0\nclose(7<TCP:[127.0.0.1:80->127.0.0.1:9]>) = 0\n",
        SHORT.replace("100, 0, NULL, 0) = 100", "1041, 0, NULL, 0) = 1041"),
    );
    let text = text
        .replace("socket:[9]", "TCP:[127.0.0.1:80->127.0.0.1:9]")
        .replace("AF_UNIX", "AF_INET");
    let timed: String = text
        .lines()
        .map(|line| format!("00:00:01.000001 {line}\n"))
        .collect();
    let analyzed = log(timed);
    assert_eq!(analyzed.one().0, "delivery-at-risk");
    let socket = &analyzed.findings[0]["socket"];
    assert_eq!(
        (socket["local"].as_str(), socket["peer"].as_str()),
        (Some("127.0.0.1:80"), Some("127.0.0.1:9"))
    );
}

/// What is left over from the last call, and the shutdown behind it, is proof where
/// no call can have sent so much meanwhile; without times it is none.
#[test]
fn bytes_that_no_call_can_have_sent_are_missing() {
    let promises = SHORT
        .replace("1000", "90000000")
        .replace("100, 0, NULL, 0) = 100", "90000045, 0, NULL, 0) = 100");
    let log = |microseconds: Option<u32>| {
        let lines = format!("{ACCEPT}{GET}{promises}shutdown(7<socket:[9]>, SHUT_WR) = 0\n");
        let mut times = [0, 1, 2, microseconds.unwrap_or(0) + 2].into_iter();
        lines
            .lines()
            .map(|line| match (microseconds, times.next()) {
                (Some(_), Some(time)) => format!("10 00:00:01.{time:06} {line}\n"),
                _ => format!("10 {line}\n"),
            })
            .collect::<String>()
    };
    let soon = program::log(log(Some(1000)));
    assert_eq!(
        soon.one(),
        ("premature-shutdown", Some(90_000_000), Some(55)),
        "{}",
        soon.said
    );
    assert_eq!(soon.findings[0]["assumes_traced"], serde_json::Value::Null);
    for text in [log(Some(100_000)), log(None)] {
        let untraced = program::log(&text);
        assert_eq!((untraced.findings.len(), untraced.status), (0, 3), "{text}");
        assert_eq!(untraced.unjudged("untraced-calls"), 1);
        assert_eq!(untraced.summary["messages_judged"], 0);
        // Whoever made it may know.
        let known = program::with(&["--all-traced"], &text);
        assert_eq!((known.one().0, known.status), ("premature-shutdown", 1));
    }
}

/// A log of one thread that makes others: what they do is in no line.
#[test]
fn threads_that_were_made_and_are_in_no_line_are_named() {
    let thread = "clone3({flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD, child_tid=0x7f, exit_signal=0}, 88) = 4711\n";
    let analyzed = program::log(format!("{ACCEPT}{thread}listen(3, 5) = 0\n"));
    assert_eq!((analyzed.findings.len(), analyzed.status), (0, 3));
    assert_eq!(analyzed.unjudged("untraced-threads"), 1);
    assert!(analyzed.said.contains("strace -f"), "{}", analyzed.said);
}

/// Lines of strace's, of two threads that have the socket.
const FORKED: &str = "clone(child_stack=NULL, flags=SIGCHLD) = 11\n";

#[test]
fn a_log_that_ends_where_strace_let_go_misses_nothing() {
    for end in [
        "10 recvfrom(7<socket:[9]>,  <detached ...>\n",
        "10 futex(0x7f0000000000, FUTEX_WAIT,  <detached ...>\n11 wait4(-1,  <detached ...>\n",
    ] {
        let analyzed = short(end);
        assert_eq!(
            (analyzed.findings.len(), analyzed.status),
            (0, 0),
            "{} {}",
            analyzed.summary,
            analyzed.said
        );
        assert_eq!(analyzed.unjudged("in-progress"), 1, "{}", analyzed.summary);
    }
    // From standard error, with what strace says in the midst of the line.
    let text =
        "read(3, strace: Process 10 detached\n <detached ...>\nstrace: Process 11 detached\n";
    let analyzed = log(format!("{ACCEPT}{GET}{SHORT}{text}"));
    assert_eq!(analyzed.status, 0, "{} {}", analyzed.summary, analyzed.said);
    assert_eq!(analyzed.unjudged("unreadable-lines"), 0);
}

#[test]
fn what_strace_let_go_of_may_have_sent_the_rest() {
    // strace -b execve: the child has the socket, and its program sends on.
    let exec = "11 execve(\"/bin/a\", [\"a\"], 0x7f /* 3 vars */";
    let write = "10 write(1</dev/null>, \"x\", 1) = 1\n";
    let close = "10 shutdown(7<socket:[9]>, SHUT_WR) = 0\n";
    let analyzed = short(&format!("{write}{FORKED}{exec} <detached ...>\n{close}"));
    assert_eq!(
        (analyzed.findings.len(), analyzed.status),
        (0, 3),
        "{:?}",
        analyzed.findings
    );
    assert_eq!(analyzed.unjudged("untraced-threads"), 1);
    // One that failed to run it shares the socket and does nothing.
    let failed = format!("{exec}) = -1 ENOENT (No such file or directory)\n");
    let analyzed = short(&format!("{write}{FORKED}{failed}{close}"));
    assert_eq!(analyzed.one(), ("premature-shutdown", Some(1000), Some(59)));
}

#[test]
fn calls_on_no_descriptor_do_nothing() {
    let lines = [
        "close(-1) = -1 EBADF (Bad file descriptor)",
        "close(-1 <unfinished ...>\n10 <... close resumed>) = -1 EBADF (Bad file descriptor)",
        "write(-1, \"x\", 1) = -1 EBADF (Bad file descriptor)",
        "dup2(-1, 7) = -1 EBADF (Bad file descriptor)",
        "fcntl(-1, F_DUPFD_CLOEXEC, 0) = -1 EBADF (Bad file descriptor)",
        "shutdown(-1, SHUT_WR) = -1 EBADF (Bad file descriptor)",
    ]
    .join("\n");
    let analyzed = short(&lines);
    assert_eq!(
        (analyzed.findings.len(), analyzed.status),
        (0, 0),
        "{}",
        analyzed.said
    );
    let analyzed = short(&format!("{lines}\nclose(7<socket:[9]>) = 0\n"));
    assert_eq!(analyzed.one(), ("premature-close", Some(1000), Some(59)));
}

#[test]
fn packets_are_counted_by_name() {
    let response =
        r#""HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nxxxxx", 46, 0, NULL, 0) = 46"#;
    let get = r#""GET /a HTTP/1.1\r\n\r\n", 8192, 0, NULL, NULL) = 19"#;
    for (open, name) in [
        (
            "socketpair(AF_UNIX, SOCK_SEQPACKET|SOCK_CLOEXEC, 0, [7, 8]) = 0",
            "7",
        ),
        (
            "socketpair(AF_UNIX, SOCK_SEQPACKET, 0, [7<UNIX-SEQPACKET:[11->12]>, 8<UNIX-SEQPACKET:[12->11]>]) = 0",
            "7<UNIX-SEQPACKET:[11->12]>",
        ),
        (
            "accept4(3<UNIX-SEQPACKET:[5,\"/run/a\"]>, NULL, NULL, 0) = 7<UNIX-SEQPACKET:[11->12,\"/run/a\"]>",
            "7<UNIX-SEQPACKET:[11->12,\"/run/a\"]>",
        ),
        ("socket(AF_UNIX, SOCK_SEQPACKET, 0) = 7", "7"),
        // As with -X raw.
        ("socketpair(0x1, 0x80005, 0, [7, 8]) = 0", "7"),
        (
            "socket(AF_UNIX, SOCK_SEQPACKET, 0) = 3\nlisten(3, 5) = 0\naccept4(3, NULL, NULL, 0) = 7",
            "7",
        ),
        (
            "socket(0x1, 0x5, 0) = 3\nlisten(3, 5) = 0\naccept(3, NULL, NULL) = 7",
            "7",
        ),
    ] {
        let analyzed = log(format!(
            "{open}\nrecvfrom({name}, {get}\nsendto({name}, {response}\nclose({name}) = 0\n"
        ));
        assert_eq!(analyzed.findings.len(), 0, "{open}");
        let unjudged = &analyzed.summary["unjudged"];
        assert_eq!(unjudged["not-stream"], 1, "{open}: {}", analyzed.summary);
    }
}
