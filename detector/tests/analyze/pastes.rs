//! Logs that went through editors, mails and other programs.

use crate::program::{self, Analyzed};

/// What is made of a line and its number.
type Form = fn(usize, &str) -> String;

/// A whole response, and a short one.
fn log(short: bool) -> Vec<String> {
    let sent = if short { 400 } else { 1000 };
    [
        r#"getrandom("\0", 1, GRND_NONBLOCK) = 1"#.to_owned(),
        r#"accept(3, {sa_family=AF_INET, sin_port=htons(40312), sin_addr=inet_addr("10.0.0.9")}, [16]) = 4"#.to_owned(),
        r#"recvfrom(4, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n", 4096, 0, NULL, NULL) = 28"#.to_owned(),
        r#"sendto(4, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", 41, 0, NULL, 0) = 41"#.to_owned(),
        format!(r#"sendto(4, "xxxxxxxx"..., {sent}, 0, NULL, 0) = {sent}"#),
        "close(4) = 0".to_owned(),
    ]
    .map(|line| format!("7599  00:46:07.658081 {line}"))
    .to_vec()
}

fn same_as_plain(form: impl Fn(usize, &str) -> String, join: &str, what: &str) {
    for short in [false, true] {
        let text: Vec<_> = log(short)
            .iter()
            .enumerate()
            .map(|(at, line)| form(at, line))
            .collect();
        read(&program::log(text.join(join) + join), short, what);
    }
}

fn read(analyzed: &Analyzed, short: bool, what: &str) {
    assert_eq!(
        (analyzed.findings.len(), analyzed.status),
        (usize::from(short), i32::from(short)),
        "{what}: {} {}",
        analyzed.summary,
        analyzed.said
    );
    assert_eq!(analyzed.summary["messages_judged"], 1, "{what}");
}

#[test]
fn what_stands_before_each_line_is_taken_off() {
    let forms: [(&str, Form); 10] = [
        ("grep -n", |at, line| format!("{}:{line}", at + 17)),
        ("grep -H", |_, line| format!("/tmp/trace.log:{line}")),
        ("cat -n", |at, line| format!("{:6}\t{line}", at + 1)),
        ("a mail", |_, line| format!("> {line}")),
        ("an answer", |_, line| format!(">> {line}")),
        ("a quoted answer", |_, line| format!("> > {line}")),
        ("journalctl", |_, line| {
            format!("Nov 21 03:15:02 host strace[123]: {line}")
        }),
        ("compose", |_, line| format!("web-1  | {line}")),
        ("kubectl", |_, line| format!("[pod/web-7d/app] {line}")),
        ("docker -t", |_, line| {
            format!("2026-11-21T03:15:02.123456789Z {line}")
        }),
    ];
    for (what, form) in forms {
        for ends in ["\n", "\r\n"] {
            same_as_plain(form, ends, what);
        }
    }
}

#[test]
fn encodings_and_line_ends() {
    for ends in ["\n", "\r\n", "\r", "\r\r\n"] {
        same_as_plain(|_, line| line.to_owned(), ends, ends);
        for short in [false, true] {
            let text = log(short).join(ends);
            let mut marked = "\u{feff}".as_bytes().to_vec();
            marked.extend_from_slice(text.as_bytes());
            read(&program::log(marked), short, "UTF-8 with a mark");
            for mark in ["", "\u{feff}"] {
                let units: Vec<u16> = format!("{mark}{text}").encode_utf16().collect();
                let little: Vec<u8> = units.iter().flat_map(|it| it.to_le_bytes()).collect();
                read(&program::log(little), short, "UTF-16");
                let big: Vec<u8> = units.iter().flat_map(|it| it.to_be_bytes()).collect();
                read(&program::log(big), short, "UTF-16, the other way");
            }
        }
    }
    same_as_plain(
        |_, line| line.replace(' ', "\u{a0}"),
        "\n",
        "blanks that do not break",
    );
}

#[test]
fn lines_that_a_search_left_out_prove_nothing() {
    let lines: Vec<_> = log(false)
        .iter()
        .enumerate()
        .map(|(at, line)| format!("{}:{line}", at + 1))
        .collect();
    let found = lines.iter().enumerate().filter(|(at, _)| *at != 4);
    let found: Vec<_> = found.map(|(_, line)| line.as_str()).collect();
    let analyzed = program::log(found.join("\n"));
    assert_eq!((analyzed.findings.len(), analyzed.status), (0, 3));
    assert_eq!(analyzed.unjudged("elided-lines"), 1, "{}", analyzed.summary);
}

#[test]
fn lines_of_other_programs_are_passed_and_other_logs_are_not_mixed_in() {
    let mut lines: Vec<_> = log(true)
        .iter()
        .map(|line| format!("web-1  | {line}"))
        .collect();
    lines.insert(0, "Attaching to web-1, db-1".to_owned());
    lines.insert(3, "db-1   | ready".to_owned());
    read(&program::log(lines.join("\n")), true, "another program's");
    lines[3] = r#"db-1   | 7  write(4, "x", 1) = 1"#.to_owned();
    let mixed = program::log(lines.join("\n"));
    assert_eq!((mixed.findings.len(), mixed.status), (0, 3));
    assert!(mixed.said.contains("db-1 and web-1"), "{}", mixed.said);
}

#[test]
fn a_log_of_journald_is_believed_as_far_as_it_drops_nothing() {
    let of = |lines: Vec<String>| -> String {
        lines
            .iter()
            .map(|line| format!("Nov 21 03:15:02 host strace[1]: {line}\n"))
            .collect()
    };
    let before = vec!["7599  00:46:07.658081 getpid() = 7599".to_owned(); 1100];
    let analyzed = program::log(of([before, log(true)].concat()));
    assert_eq!((analyzed.findings.len(), analyzed.status), (0, 3));
    assert!(analyzed.unjudged("elided-lines") > 0);
}

#[test]
fn what_cannot_be_read_is_named() {
    let text = log(true).join("\n");
    let json: String = log(true)
        .iter()
        .map(|line| {
            format!(
                "{}\n",
                serde_json::json!({ "log": line, "stream": "stderr" })
            )
        })
        .collect();
    let several: String = log(true)
        .iter()
        .zip(["a1", "b2", "c3", "d4", "e5", "f6"])
        .map(|(line, word)| format!("<{word}> {line}\n"))
        .collect();
    let utf_32: Vec<u8> = format!("\u{feff}{text}")
        .chars()
        .flat_map(|letter| u32::from(letter).to_le_bytes())
        .collect();
    for (log, says) in [
        (json.into_bytes(), "JSON"),
        (several.into_bytes(), "`<a1> `"),
        (utf_32, "UTF-32"),
        (
            b"% time     seconds  usecs/call     calls    errors syscall\n".to_vec(),
            "strace -c",
        ),
    ] {
        let refused = program::log(log);
        assert_eq!(refused.status, 2, "{says}: {}", refused.said);
        assert!(refused.said.contains(says), "{}", refused.said);
        assert_eq!(refused.said.lines().count(), 1, "{}", refused.said);
    }
}

/// It was not judged, and what to run is said.
fn untold(analyzed: &Analyzed, says: &str) {
    assert_eq!(
        (analyzed.findings.len(), analyzed.status),
        (0, 3),
        "{says}: {:?}",
        analyzed.findings
    );
    let said = analyzed.said.replace("\n  ", " ");
    assert!(said.contains(says), "{said}");
    assert!(said.contains("strace -f -tt -yy"), "{said}");
}

#[test]
fn addresses_in_place_of_bytes() {
    let start = r#"accept(3, {sa_family=AF_INET, sin_port=htons(40312), sin_addr=inet_addr("10.0.0.9")}, [16]) = 4
recvfrom(4, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n", 4096, 0, NULL, NULL) = 28
"#;
    let sends = [
        "sendto(0x4, 0x7ffc695fca40, 0x49, 0, 0, 0) = 0x49\nsendto(0x4, 0x5634084730a0, 0x190, 0, 0, 0) = 0x190\nclose(0x4) = 0",
        "writev(4, 0x7ffc695fca40, 2) = 473\nclose(4) = 0",
        "sendmsg(4, 0x7ffc695fca40, MSG_NOSIGNAL) = 473\nclose(4) = 0",
        "writev(4, [{iov_base=0x7ffc695fca40, iov_len=73}, {iov_base=0x7f, iov_len=1000}], 2) = 473\nclose(4) = 0",
        "sendto(sockfd=0x4, buf=0x7ffc695fca40, len=0x49, flags=0, dest_addr=0, addrlen=0) = 0x49\nclose(fd=0x4) = 0",
    ];
    for send in sends {
        untold(
            &program::log(format!("{start}{send}\n")),
            "addresses instead of",
        );
    }
    let all = "accept(0x3, 0, 0) = 0x4\nrecvfrom(0x4, 0x7f00, 0x1000, 0, 0, 0) = 0x1c\nsendto(0x4, 0x7ffc, 0x49, 0, 0, 0) = 0x49\nclose(0x4) = 0\n";
    untold(&program::log(all), "addresses instead of");
}

#[test]
fn quotes_that_an_editor_changed() {
    for short in [false, true] {
        for (opens, ends) in [
            ("\u{201c}", "\u{201d}"),
            ("\u{201e}", "\u{201c}"),
            ("\u{ab}", "\u{bb}"),
            ("&quot;", "&quot;"),
        ] {
            let text: String = log(short)
                .iter()
                .map(|line| {
                    let mut parts = line.split('"');
                    let first = parts.next().unwrap_or_default().to_owned();
                    let rest = parts.enumerate().map(|(at, part)| {
                        let quote = if at % 2 == 0 { opens } else { ends };
                        format!("{quote}{part}")
                    });
                    first + &rest.collect::<String>() + "\n"
                })
                .collect();
            untold(&program::log(&text), "changed its quotes");
            // As Windows-1252.
            let windows: Vec<u8> = text
                .chars()
                .map(|letter| match letter {
                    '\u{201c}' => 0x93,
                    '\u{201d}' => 0x94,
                    '\u{201e}' => 0x84,
                    letter => u8::try_from(letter).unwrap_or(b'?'),
                })
                .collect();
            untold(&program::log(windows), "changed its quotes");
        }
    }
}
