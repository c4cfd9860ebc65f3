//! Real logs, shortened, that have both ends of a connection: what the peer did first
//! is known as the kernel would have told it.

use crate::program::{Analyzed, log, with};

const TCP: [&str; 2] = [
    "<TCP:[127.0.0.1:5000->127.0.0.1:80]>",
    "<TCP:[127.0.0.1:80->127.0.0.1:5000]>",
];

/// The server's end is of a socket for both kinds of IP.
const MAPPED: [&str; 2] = [
    TCP[0],
    "<TCPv6:[[::ffff:127.0.0.1]:80->[::ffff:127.0.0.1]:5000]>",
];

const UNIX: [&str; 2] = ["<UNIX-STREAM:[70->71]>", "<UNIX-STREAM:[71->70]>"];

/// `4C` is the client's descriptor and `5S` the server's.
fn text(names: [&str; 2], lines: &[&str]) -> String {
    let start = [
        r#"execve("./both", ["./both"], 0x7ffd /* 36 vars */) = 0"#,
        r#"getrandom("\0", 1, GRND_NONBLOCK) = 1"#,
    ];
    let lines = start.iter().chain(lines);
    let numbered = lines.map(|line| {
        if line.starts_with(|c: char| c.is_ascii_digit()) {
            format!("{line}\n")
        } else {
            format!("10 {line}\n")
        }
    });
    let text: String = numbered.collect();
    text.replace("4C", &format!("4{}", names[0]))
        .replace("5S", &format!("5{}", names[1]))
}

const OPENS: [&str; 3] = [
    "socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_TCP) = 4<TCP:[60]>",
    r#"connect(4<TCP:[60]>, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, 16) = 0"#,
    "accept4(3<TCP:[127.0.0.1:80]>, NULL, NULL, SOCK_CLOEXEC) = 5S",
];
const PAIR: &str = "socketpair(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0, [4C, 5S]) = 0";
const ASKS: [&str; 2] = [
    r#"sendto(4C, "GET /a HTTP/1.1\r\n\r\n", 19, 0, NULL, 0) = 19"#,
    r#"recvfrom(5S, "GET /a HTTP/1.1\r\n\r\n", 4096, 0, NULL, NULL) = 19"#,
];
/// 30 bytes are promised.
const ANSWERS: &str =
    r#"sendto(5S, "HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\nabcdefghij", 49, 0, NULL, 0) = 49"#;
const READS: &str = r#"recvfrom(4C, "HTTP/1.1 2", 10, 0, NULL, NULL) = 10"#;
const READS_REST: &str =
    r#"recvfrom(4C, "00 OK\r\nContent-Length: 30\r\n\r\nabcdefghij", 4096, 0, NULL, NULL) = 39"#;
const LEAVES: &str = "close(4C) = 0";
const ENDS: &str = "close(5S) = 0";

/// A response of which the client read the beginning, and then `lines`.
fn answered(names: [&str; 2], lines: &[&str]) -> String {
    let opens = if names == UNIX { &[PAIR][..] } else { &OPENS };
    let begins = [ANSWERS, READS];
    let all: Vec<_> = [opens, &ASKS, &begins, lines].concat();
    text(names, &all)
}

fn fault(analyzed: &Analyzed) -> &str {
    let [finding] = analyzed.findings.as_slice() else {
        panic!("{:?} {}", analyzed.findings, analyzed.summary);
    };
    finding["fault"].as_str().unwrap_or_default()
}

/// The peer cut it short: counted, and shown where that is wanted.
fn by_peer(text: &str) {
    let quiet = log(text);
    assert!(quiet.findings.is_empty(), "{:?}\n{text}", quiet.findings);
    assert_eq!(
        (quiet.status, &quiet.summary["peer_endings"]),
        (0, &1.into()),
        "{} {}",
        quiet.summary,
        quiet.said
    );
    let shown = with(&["--show-peer"], text);
    assert_eq!(
        (shown.one().0, fault(&shown)),
        ("peer-closed", "peer"),
        "{text}"
    );
}

fn nobodys(text: &str) {
    let unknown = log(text);
    assert_eq!((fault(&unknown), unknown.status), ("unknown", 0), "{text}");
}

fn local(text: &str) {
    let local = log(text);
    assert_eq!((fault(&local), local.status), ("local", 1), "{text}");
}

#[test]
fn a_peer_that_closed_with_bytes_unread_has_reset_it() {
    for names in [TCP, MAPPED, UNIX] {
        by_peer(&answered(names, &[LEAVES, ENDS]));
        by_peer(&answered(
            names,
            &[LEAVES, "shutdown(5S, SHUT_WR) = 0", ENDS],
        ));
        // The other way round, it is this side's.
        local(&answered(names, &[ENDS, LEAVES]));
        local(&answered(
            names,
            &["shutdown(5S, SHUT_WR) = 0", LEAVES, ENDS],
        ));
    }
}

#[test]
fn a_peer_that_read_all_and_closed_may_be_content() {
    nobodys(&answered(TCP, &[READS_REST, LEAVES, ENDS]));
    // Of a Unix socket the kernel tells that it is gone.
    by_peer(&answered(UNIX, &[READS_REST, LEAVES, ENDS]));
    let lingers = "setsockopt(4C, SOL_SOCKET, SO_LINGER, {l_onoff=1, l_linger=0}, 8) = 0";
    by_peer(&answered(TCP, &[READS_REST, lingers, LEAVES, ENDS]));
}

#[test]
fn a_peer_that_will_send_no_more_may_still_read() {
    for names in [TCP, UNIX] {
        nobodys(&answered(names, &["shutdown(4C, SHUT_WR) = 0", ENDS]));
    }
    local(&answered(TCP, &["shutdown(4C, SHUT_RD) = 0", ENDS]));
    nobodys(&answered(TCP, &["shutdown(4C, SHUT_RDWR) = 0", ENDS]));
    by_peer(&answered(UNIX, &["shutdown(4C, SHUT_RDWR) = 0", ENDS]));
}

#[test]
fn a_peer_that_has_another_descriptor_is_there() {
    let copies = ["dup(4C) = 6<TCP:[127.0.0.1:5000->127.0.0.1:80]>", LEAVES];
    let last = "close(6<TCP:[127.0.0.1:5000->127.0.0.1:80]>) = 0";
    local(&answered(TCP, &[copies[0], copies[1], ENDS]));
    by_peer(&answered(TCP, &[copies[0], copies[1], last, ENDS]));
    // A child has both ends too, and keeps the client's.
    let forks = [
        "clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD, child_tidptr=0x7f) = 11",
        "11 close(5S) = 0",
        LEAVES,
    ];
    let exits = "11 +++ exited with 0 +++";
    local(&answered(TCP, &[&forks[..], &[ENDS, exits]].concat()));
    by_peer(&answered(TCP, &[&forks[..], &[exits, ENDS]].concat()));
    // Others may have it.
    let passes = r#"sendmsg(7<UNIX-STREAM:[1->2]>, {msg_name=NULL, msg_namelen=0, msg_iov=[{iov_base="x", iov_len=1}], msg_iovlen=1, msg_control=[{cmsg_len=20, cmsg_level=SOL_SOCKET, cmsg_type=SCM_RIGHTS, cmsg_data=[4]}], msg_controllen=24, msg_flags=0}, 0) = 1"#;
    nobodys(&answered(TCP, &[passes, LEAVES, ENDS]));
}

#[test]
fn a_server_that_closed_first_has_cut_the_upload() {
    let sends = r#"sendto(4C, "POST /up HTTP/1.1\r\nContent-Length: 100\r\n\r\nabcdefghij", 52, 0, NULL, 0) = 52"#;
    let reads = r#"recvfrom(5S, "POST ", 5, 0, NULL, NULL) = 5"#;
    let says =
        r#"sendto(5S, "HTTP/1.1 413 Too\r\nContent-Length: 0\r\n\r\n", 39, 0, NULL, 0) = 39"#;
    let lines = [&OPENS[..], &[sends, reads, says, ENDS, LEAVES]].concat();
    by_peer(&text(TCP, &lines));
}

#[test]
fn a_client_that_left_before_it_was_accepted_is_known() {
    let lines = [
        OPENS[0], OPENS[1], ASKS[0], LEAVES, OPENS[2], ASKS[1], ANSWERS, ENDS,
    ];
    by_peer(&text(TCP, &lines));
}

#[test]
fn another_connection_with_the_same_addresses_has_another_peer() {
    let first = answered(TCP, &[READS_REST, LEAVES, ENDS]);
    let again: Vec<_> = [&OPENS[..], &ASKS, &[ANSWERS, ENDS, LEAVES]].concat();
    let second = text(TCP, &again);
    let second = second.split_once("GRND_NONBLOCK) = 1\n").map(|it| it.1);
    let both = log(format!("{first}{}", second.unwrap_or_default()));
    let faults: Vec<_> = both.findings.iter().map(|it| &it["fault"]).collect();
    assert_eq!(faults, ["unknown", "local"], "{}", both.summary);
}

#[test]
fn what_was_left_unread_is_known_where_all_that_reads_is_traced() {
    // Nothing shows that it is.
    let lines = [&OPENS[..], &ASKS, &[ANSWERS, LEAVES, ENDS]].concat();
    let bare = text(TCP, &lines);
    let bare: String = bare
        .lines()
        .filter(|line| !line.contains("getrandom"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let unknown = with(&["--show-peer"], &bare);
    let peers = unknown.findings.iter().filter(|it| it["fault"] == "peer");
    assert_eq!(peers.count(), 0, "{:?}", unknown.findings);
    let known = with(&["--show-peer", "--all-traced"], &bare);
    assert_eq!(fault(&known), "peer");
}

#[test]
fn whoever_ends_both_at_once_has_ended_this_one() {
    for ends in [
        &["exit_group(0) = ?", "+++ exited with 0 +++"][..],
        &["close_range(3, 4294967295, 0) = 0"],
        &[r#"execve("./next", ["./next"], 0x7ffd /* 36 vars */) = 0"#],
    ] {
        local(&answered(TCP, ends));
    }
}

#[test]
fn an_upload_may_stop_where_an_answer_lies_unread() {
    let connects = |fd: u32| {
        format!(
            r#"socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = {fd}
connect({fd}, {{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("192.0.2.1")}}, 16) = 0
"#
        )
    };
    let answered = format!(
        r#"{}sendto(4, "GET /a HTTP/1.1\r\n\r\n", 19, 0, NULL, 0) = 19
recvfrom(4, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", 4096, 0, NULL, NULL) = 40
close(4) = 0
"#,
        connects(4)
    );
    let upload = r#"sendto(5, "POST /a HTTP/1.1\r\nContent-Length: 30\r\n\r\nabcdefghij", 50, 0, NULL, 0) = 50"#;
    let peek = r#"recvfrom(5, "HTTP/1.1 413 No\r\n", 4096, MSG_PEEK, NULL, NULL) = 17"#;
    let epoll = "epoll_ctl(3, EPOLL_CTL_ADD, 5, {events=EPOLLIN|EPOLLOUT, data={u32=5, u64=5}}) = 0\nepoll_wait(3, [{events=EPOLLIN|EPOLLOUT, data={u32=5, u64=5}}], 8, -1) = 1";
    let again =
        "recvfrom(5, 0x7ffc, 4096, 0, NULL, NULL) = -1 EAGAIN (Resource temporarily unavailable)";
    let fault = |lines: &[&str]| {
        let text = format!(
            "{answered}{}{upload}\n{}\nclose(5) = 0\n",
            connects(5),
            lines.join("\n")
        );
        let analyzed = with(&["--all-traced"], text);
        let findings = analyzed.findings.iter().map(|it| it["fault"].to_string());
        (
            findings.collect::<Vec<_>>(),
            analyzed.unjudged("early-response"),
        )
    };
    for lines in [
        &["poll([{fd=5, events=POLLIN}], 1, 0) = 1 ([{fd=5, revents=POLLIN}])"][..],
        &[epoll],
        &[peek],
        &[again, peek],
    ] {
        assert_eq!(fault(lines), (vec![], 1), "{lines:?}");
    }
    let local = vec!["\"local\"".to_owned()];
    let writable = "poll([{fd=5, events=POLLOUT}], 1, 0) = 1 ([{fd=5, revents=POLLOUT}])";
    for lines in [&[][..], &[writable], &[epoll, again]] {
        assert_eq!(fault(lines), (local.clone(), 0), "{lines:?}");
    }
}

#[test]
fn an_upload_may_stop_where_the_other_end_has_answered() {
    let first: Vec<_> = [
        &OPENS[..],
        &ASKS,
        &[ANSWERS, READS, READS_REST, LEAVES, ENDS],
    ]
    .concat();
    let first = text(TCP, &first).replace(":5000", ":5001");
    let posts = r#"sendto(4C, "POST /a HTTP/1.1\r\nContent-Length: 30\r\n\r\nabcdefghij", 50, 0, NULL, 0) = 50"#;
    let refuses =
        r#"sendto(5S, "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n", 38, 0, NULL, 0) = 38"#;
    let upload = |lines: &[&str]| {
        let second: Vec<_> = [&OPENS[..], &[posts], lines, &[LEAVES, ENDS]].concat();
        let second = text(TCP, &second);
        let second = second.split_once("GRND_NONBLOCK) = 1\n").map(|it| it.1);
        log(format!("{first}{}", second.unwrap_or_default()))
    };
    let requests = |analyzed: &Analyzed| {
        let of = |it: &&serde_json::Value| it["message"]["role"] == "request";
        analyzed.findings.iter().filter(of).count()
    };
    let refused = upload(&[refuses]);
    assert_eq!(
        (requests(&refused), refused.unjudged("early-response")),
        (0, 1)
    );
    // Nothing came back.
    let silent = upload(&[]);
    assert_eq!(
        (requests(&silent), silent.unjudged("early-response")),
        (1, 0)
    );
}
