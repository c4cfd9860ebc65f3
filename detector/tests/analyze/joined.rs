//! Logs in which breaks between lines were lost: what is behind a call is a call too,
//! or nothing is told of the connections that it may be about.

use crate::program::{self, Analyzed};

const HEAD: &str = r#"getrandom("\0", 1, GRND_NONBLOCK) = 1
accept(3, {sa_family=AF_INET, sin_port=htons(40312), sin_addr=inet_addr("10.0.0.9")}, [16]) = 4
recvfrom(4, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n", 4096, 0, NULL, NULL) = 28
sendto(4, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", 41, 0, NULL, 0) = 41
"#;

/// The rest of the response, and its end.
const REST: &str = r#"sendto(4, "xxxxxxxx"..., 1000, 0, NULL, 0) = 1000"#;
const END: &str = "close(4) = 0\n";

/// Lines that may come before it.
const FIRST: [&str; 25] = [
    "setsockopt(4, SOL_TCP, TCP_NODELAY, [1], 4) = 0",
    "getpid() = 7599",
    "futex(0x7f3968b02000, FUTEX_WAKE_PRIVATE, 1) = 0",
    "epoll_wait(5, [{events=EPOLLIN, data={u32=4, u64=4}}], 8, -1) = 1",
    "poll([{fd=3, events=POLLIN}], 1, 5) = 1 ([{fd=3, revents=POLLIN}])",
    "poll([{fd=3, events=POLLIN}], 1, 5) = 0 (Timeout)",
    "recvfrom(4, 0x7ffc695fca40, 4096, 0, NULL, NULL) = -1 EAGAIN (Resource temporarily unavailable)",
    "accept4(3, NULL, NULL, SOCK_CLOEXEC) = -1 EAGAIN (Resource temporarily unavailable)",
    "connect(6, {sa_family=AF_UNIX, sun_path=\"/a\"}, 5) = -1 ENOENT (No such file or directory)",
    "openat(AT_FDCWD, \"/etc/passwd\", O_RDONLY) = 5",
    "openat(AT_FDCWD, \"/etc/passwd\", O_RDONLY) = 5</etc/passwd>",
    "read(5</etc/passwd>, \"sendto(4, \\\"x\\\") = 1\\n\", 4096) = 20",
    "write(1</dev/null<char 1:3>>, \"a) = 1\", 6) = 6",
    "close(9) = -1 EBADF (Bad file descriptor)",
    "close(5</etc/passwd>) = 0 <0.000012>",
    "fcntl(3, F_GETFL) = 0x2 (flags O_RDWR)",
    "fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0",
    "mmap(NULL, 8192, PROT_READ, MAP_PRIVATE, -1, 0) = 0x7f3968b02000",
    "getsockopt(4, SOL_SOCKET, SO_ERROR, [0], [4]) = 0",
    "wait4(-1, [{WIFEXITED(s) && WEXITSTATUS(s) == 3}], 0, NULL) = 7600",
    "select(5, [3], NULL, NULL, {tv_sec=1, tv_usec=0}) = 1 (in [3], left {tv_sec=0, tv_usec=99})",
    "rt_sigreturn({mask=[]}) = 0",
    "nanosleep({tv_sec=1, tv_nsec=0}, 0x7f) = ? ERESTART_RESTARTBLOCK (Interrupted by signal)",
    "--- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=7600, si_uid=0} ---",
    "umask(022) = 022",
];

fn healthy(analyzed: &Analyzed, what: &str) {
    assert_eq!(
        (analyzed.findings.len(), analyzed.status),
        (0, 0),
        "{what}: {} {}",
        analyzed.summary,
        analyzed.said
    );
    assert_eq!(analyzed.summary["messages_judged"], 1, "{what}");
}

/// Nothing is found; it is read, or said to be unreadable.
fn no_finding(analyzed: &Analyzed, what: &str) {
    assert!(
        analyzed.findings.is_empty(),
        "{what}: {:?}",
        analyzed.findings
    );
    let read = analyzed.status == 0 && analyzed.summary["messages_judged"] == 1;
    let doubted = analyzed.status == 3 && analyzed.unjudged("unreadable-lines") > 0;
    assert!(
        read || doubted,
        "{what}: {} {}",
        analyzed.summary,
        analyzed.said
    );
}

#[test]
fn what_is_behind_any_line_is_read() {
    for first in FIRST {
        for between in [" ", "   ", "\t"] {
            let log = program::log(format!("{HEAD}{first}{between}{REST}\n{END}"));
            healthy(&log, &format!("{first}{between:?}"));
        }
        // Digits of a result and letters of a name may run into each other.
        let log = program::log(format!("{HEAD}{first}{REST}\n{END}"));
        no_finding(&log, first);
        // It is behind the other.
        let log = program::log(format!("{HEAD}{REST} {first} {END}"));
        healthy(&log, first);
    }
    let three = format!("{HEAD}{} {} {REST} {END}", FIRST[0], FIRST[6]);
    healthy(&program::log(three), "three");
    // What is short stays a finding.
    let short = REST.replace("1000, 0, NULL, 0) = 1000", "900, 0, NULL, 0) = 900");
    let short = program::log(format!("{HEAD}{} {short} {END}", FIRST[0]));
    assert_eq!(short.one(), ("premature-close", Some(1000), Some(900)));
}

#[test]
fn whatever_strace_puts_before_its_lines() {
    let log: String = HEAD
        .lines()
        .chain([FIRST[0], REST, END.trim_end()])
        .map(|line| format!("{line}\n"))
        .collect();
    let forms: [fn(usize, &str) -> String; 8] = [
        |_, line| line.to_owned(),
        |_, line| format!("7599  {line}"),
        |_, line| format!("[pid  7599] {line}"),
        |at, line| format!("00:00:0{at} {line}"),
        |at, line| format!("7599  00:00:0{at}.000123 {line} <0.000012>"),
        |at, line| format!("179524918{at}.488238 {line}"),
        |_, line| format!("     0.000118 {line}"),
        |_, line| format!("7599 [00007f1c5388a310] {line}"),
    ];
    for form in forms {
        let lines: Vec<_> = log
            .lines()
            .enumerate()
            .map(|(at, line)| form(at, line))
            .collect();
        for between in ["", " "] {
            for lost in 0..lines.len() - 1 {
                let (before, after) = lines.split_at(lost + 1);
                let text = before.join("\n") + between + &after.join("\n") + "\n";
                let what = format!("{:?} {between:?} {lost}", form(0, "x"));
                no_finding(&program::log(&text), &what);
            }
        }
        // The other has nothing before it.
        let mut joined = lines.clone();
        joined.truncate(4);
        joined.push(format!("{} {REST}", lines[4]));
        joined.push(lines[6].clone());
        no_finding(&program::log(joined.join("\n")), &form(0, "x"));
    }
}

#[test]
fn breaks_may_be_lost_where_calls_are_interrupted() {
    let numbered = |lines: &str| -> String {
        let lines = format!("{HEAD}{lines}\n{END}");
        lines
            .lines()
            .map(|line| match line.as_bytes().first() {
                Some(b'0'..=b'9') => format!("{line}\n"),
                _ => format!("10 {line}\n"),
            })
            .collect()
    };
    let thread = "11 getpid() = 10";
    let cases = [
        format!("{thread}\n11 futex(0x7f, FUTEX_WAIT,  <unfinished ...>10 {REST}"),
        format!("{thread}\n11 futex(0x7f, FUTEX_WAIT,  <unfinished ...> 10 {REST}"),
        format!(
            "{thread}\nsendto(4, \"xx\"..., 1000, 0, NULL, 0 <unfinished ...>11 getpid() = 10 10 <... sendto resumed>) = 1000"
        ),
        format!("{thread}\n11 futex(0x7f <unfinished ...>\n11 <... futex resumed>) = 0 10 {REST}"),
        format!("{thread}\n11 futex(0x7f <unfinished ...>\n11 <... futex resumed>) = 010 {REST}"),
        format!("{thread}\n11 exit(0) = ?11 +++ exited with 0 +++10 {REST}"),
        format!("11 getpid() = 10 10 --- SIGUSR1 {{si_signo=SIGUSR1}} --- 10 {REST}"),
        format!("strace: Process 11 attached10 {REST}"),
    ];
    for case in &cases {
        no_finding(&program::log(numbered(case)), case);
    }
    // Torn besides.
    for case in [
        format!("futex(0x7f, FUTEX_WAIT {REST}"),
        format!("write(1</dev/null>, \"abc {REST}"),
        format!("{} sendto(4, \"xxx", FIRST[0]),
        format!("{} 4, \"xxxxxxxx\"..., 1000, 0, NULL, 0) = 1000", FIRST[0]),
        format!("{} @@", FIRST[0]),
        format!("getpid() = 1 {} sendto(4, \"x", FIRST[6]),
    ] {
        let torn = program::log(format!("{HEAD}{case}\n{END}"));
        assert_eq!((torn.findings.len(), torn.status), (0, 3), "{case}");
        assert_eq!(torn.unjudged("unreadable-lines"), 1, "{case}");
    }
}

#[test]
fn a_remark_behind_a_call_is_none() {
    for remark in [
        "// only 900",
        "# 100 are missing",
        "<-- short",
        "/* short */",
    ] {
        let sent = format!(r#"sendto(4, "xx"..., 900, 0, NULL, 0) = 900   {remark}"#);
        let short = program::log(format!("{HEAD}{sent}\n{END}"));
        assert_eq!(
            short.one(),
            ("premature-close", Some(1000), Some(900)),
            "{remark}"
        );
    }
    let elided = program::log(format!("{HEAD}getpid() = 1 // ... and more\n{END}"));
    assert_eq!(
        (elided.findings.len(), elided.unjudged("elided-lines")),
        (0, 1)
    );
}
