//! What strace wrote before 4.13 and writes since 6.16.

use std::{fs, path::PathBuf};

use crate::program::{self, Analyzed, file};

fn recorded(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/strace")
        .join(name)
}

fn log(lines: &str) -> Analyzed {
    program::log(format!("getpid() = 7\n{lines}"))
}

const ACCEPT: &str = r#"accept(3, {sa_family=AF_INET, sin_port=htons(40312), sin_addr=inet_addr("10.0.0.9")}, [16]) = 4
recvmsg(4, {msg_name(0)=NULL, msg_iov(1)=[{"GET /a HTTP/1.1\r\n\r\n", 4096}], msg_controllen=0, msg_flags=0}, 0) = 19
"#;
const HEAD: &str = r"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";

#[test]
fn iovecs_without_names() {
    let sends = [
        format!(r#"writev(4, [{{"{HEAD}", 41}}, {{"xxxxxxxx"..., 1000}}], 2) = SENT"#),
        format!(
            r#"sendmsg(4, {{msg_name(0)=NULL, msg_iov(2)=[{{"{HEAD}", 41}}, {{"xxxx"..., 1000}}], msg_controllen=0, msg_flags=0}}, MSG_NOSIGNAL) = SENT"#
        ),
        format!(
            r#"sendmmsg(4, {{{{{{msg_name(0)=NULL, msg_iov(2)=[{{"{HEAD}", 41}}, {{"xxxx"..., 1000}}], msg_controllen=0, msg_flags=0}}, SENT}}}}, 1, 0) = 1"#
        ),
    ];
    for send in &sends {
        for (sent, findings) in [("1041", 0), ("441", 1)] {
            let lines = format!("{ACCEPT}{}\nclose(4) = 0\n", send.replace("SENT", sent));
            let analyzed = log(&lines);
            assert_eq!(
                (
                    analyzed.findings.len(),
                    &analyzed.summary["messages_judged"]
                ),
                (findings, &1.into()),
                "{lines}: {}",
                analyzed.summary
            );
            if findings == 1 {
                assert_eq!(analyzed.one(), ("premature-close", Some(1000), Some(400)));
            }
        }
    }
}

#[test]
fn shutdown_in_words() {
    let short = format!(r#"{ACCEPT}send(4, "{HEAD}"..., 100, 0) = 100"#);
    for (how, cause) in [
        ("1 /* send */", "premature-shutdown"),
        ("2 /* send and receive */", "premature-shutdown"),
        ("0 /* receive */", "premature-close"),
    ] {
        let analyzed = log(&format!("{short}\nshutdown(4, {how}) = 0\nclose(4) = 0\n"));
        assert_eq!(analyzed.one(), (cause, Some(1000), Some(59)), "{how}");
        assert_eq!(analyzed.unjudged("unreadable-lines"), 0);
    }
}

#[test]
fn a_descriptor_that_was_passed_on_is_noticed() {
    let short = format!(r#"{ACCEPT}send(4, "{HEAD}"..., 100, 0) = 100"#);
    for control in [
        "msg_controllen=24, {cmsg_len=20, cmsg_level=SOL_SOCKET, cmsg_type=SCM_RIGHTS, {4}}",
        "msg_controllen=24, [{cmsg_len=20, cmsg_level=SOL_SOCKET, cmsg_type=SCM_RIGHTS, [4]}]",
    ] {
        let pass = format!(
            r#"sendmsg(6, {{msg_name(0)=NULL, msg_iov(1)=[{{"x", 1}}], {control}, msg_flags=0}}, 0) = 1"#
        );
        let analyzed = log(&format!("{short}\n{pass}\nclose(4) = 0\n"));
        assert_eq!(
            (analyzed.findings.len(), analyzed.unjudged("shared")),
            (0, 1),
            "{control}: {}",
            analyzed.summary
        );
    }
}

#[test]
fn what_epoll_and_options_tell_without_names() {
    let short = format!(r#"{ACCEPT}send(4, "{HEAD}"..., 100, 0) = 100"#);
    for lines in [
        "epoll_ctl(5, EPOLL_CTL_ADD, 4, {EPOLLIN, {u32=5, u64=5}}) = 0\nepoll_wait(5, {{EPOLLIN|EPOLLHUP, {u32=5, u64=5}}}, 8, -1) = 1",
        "epoll_ctl(epfd=5, op=EPOLL_CTL_ADD, fd=4, event={events=EPOLLIN, data=0x5}) = 0\nepoll_wait(epfd=5, events=[{events=EPOLLIN|EPOLLHUP, data=0x5}], maxevents=8, timeout=-1) = 1",
        "poll([{fd=4, events=POLLIN, revents=POLLIN|POLLHUP}], 1, 5) = 1",
        "getsockopt(4, SOL_SOCKET, SO_ERROR, [104], [4]) = 0",
    ] {
        let analyzed = log(&format!("{short}\n{lines}\nclose(4) = 0\n"));
        assert_eq!(analyzed.findings.len(), 0, "{lines}");
        assert_eq!(analyzed.summary["peer_endings"], 1, "{lines}");
    }
    // The option of a reset.
    let whole = format!(
        r#"{ACCEPT}send(4, "{HEAD}"..., 1041, 0) = 1041
setsockopt(4, SOL_SOCKET, SO_LINGER, {{onoff=1, linger=0}}, 8) = 0
close(4) = 0"#
    );
    let timed: String = whole
        .lines()
        .map(|line| format!("00:00:01.000001 {line}\n"))
        .collect();
    assert_eq!(
        program::log(format!("00:00:01.000001 getpid() = 7\n{timed}"))
            .one()
            .0,
        "delivery-at-risk"
    );
}

/// Made by strace 7.2 of a server whose first response is short.
#[test]
fn names_of_arguments_and_colours() {
    for name in ["strace-7.2-arg-names.log", "strace-7.2-color.log"] {
        let analyzed = file(&recorded(name));
        assert_eq!(
            analyzed.one(),
            ("premature-close", Some(1000), Some(400)),
            "{name}"
        );
        assert_eq!(analyzed.unjudged("unreadable-lines"), 0, "{name}");
        assert_eq!(analyzed.summary["messages_judged"], 2, "{name}");
        assert_eq!(analyzed.status, 1, "{name}");
    }
}

#[test]
fn names_within_calls_that_are_interrupted_or_made_by_hand() {
    let text = fs::read_to_string(recorded("strace-7.2-arg-names.log")).expect("a log");
    let number = "5888  ";
    let interrupted: String = text
        .lines()
        .flat_map(|line| match line.split_once(", flags=0, dest_addr") {
            Some((before, behind)) => vec![
                format!("{before} <unfinished ...>"),
                format!("{number}00:02:52.0 <... sendto resumed>, flags=0, dest_addr{behind}"),
            ],
            None => vec![line.to_owned()],
        })
        .map(|line| line + "\n")
        .collect();
    let analyzed = program::log(interrupted);
    assert_eq!(analyzed.one(), ("premature-close", Some(1000), Some(400)));
    // With the sockets' names.
    let named = text.replace("fd=4", "fd=4<TCP:[127.0.0.1:80->127.0.0.1:9]>");
    assert_eq!(program::log(named).one().0, "premature-close");
    // Not traced from its start.
    let closed = "close(fd=-1) = -1 EBADF (Bad file descriptor)\n";
    let analyzed = program::log(text + number + closed);
    assert_eq!(
        analyzed.unjudged("unreadable-lines"),
        0,
        "{}",
        analyzed.said
    );
}
