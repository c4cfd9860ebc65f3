//! Logs that somebody edited before pasting them: cookies, tokens and bodies are replaced
//! by something shorter or longer. Nobody is accused by the length of such a string.

use crate::program::{Analyzed, with};

const ACCEPT: &str = "accept(3, {sa_family=AF_INET, sin_port=htons(40312), sin_addr=inet_addr(\"10.0.0.9\")}, [16]) = 4\n";
const GET: &str = r#"recvfrom(4, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n", 4096, 0, NULL, NULL) = 28
"#;
/// What masks are: shorter and longer than the 16 bytes that they replace.
const MASKS: [&str; 7] = [
    "XX",
    "***",
    "<redacted>",
    "[REDACTED]",
    "\u{2588}\u{2588}",
    "REDACTED-REDACTED-REDACTED",
    "\u{2026}",
];

/// The log of a connection that does these calls, all of them traced.
fn traced(calls: &[&str]) -> Analyzed {
    let calls: String = calls.iter().flat_map(|call| [call, "\n"]).collect();
    with(&["--all-traced"], format!("{ACCEPT}{GET}{calls}"))
}

/// A head that promises so many bytes, whose cookie of 16 bytes is masked so; and how long
/// it was.
fn head(mask: &str, promised: u32) -> (String, usize) {
    let head = |cookie: &str| {
        format!(
            "HTTP/1.1 200 OK\\r\\nSet-Cookie: s={cookie}\\r\\nContent-Length: {promised}\\r\\n\\r\\n"
        )
    };
    // Four line ends, of which each is two bytes and four letters.
    (head(mask), head("0123456789abcdef").len() - 8)
}

fn complete(analyzed: &Analyzed, what: &str) {
    let summary = &analyzed.summary;
    assert_eq!(
        (analyzed.findings.len(), analyzed.status),
        (0, 0),
        "{what}: {:?} {summary} {}",
        analyzed.findings,
        analyzed.said
    );
    assert_eq!(summary["messages_judged"], 1, "{what}: {summary}");
    assert!(
        analyzed.said.contains("log was edited"),
        "{}",
        analyzed.said
    );
    assert_eq!(
        analyzed.said.matches("edited").count(),
        1,
        "{}",
        analyzed.said
    );
    assert!(!analyzed.said.contains("-s"), "{}", analyzed.said);
}

fn cut(analyzed: &Analyzed, what: &str) {
    let summary = &analyzed.summary;
    assert_eq!(
        (analyzed.findings.len(), analyzed.status),
        (0, 3),
        "{what}: {:?} {summary} {}",
        analyzed.findings,
        analyzed.said
    );
    assert!(
        analyzed.said.contains("log was edited"),
        "{}",
        analyzed.said
    );
    assert!(!analyzed.said.contains("-s 8192"), "{}", analyzed.said);
}

/// Ways to send a head and 20 bytes of a body, each in a call or an element of its own.
fn apart(head: &str, length: usize, body: &str, sent: usize) -> [Vec<String>; 6] {
    let both = length + sent;
    let vector = format!(
        r#"[{{iov_base="{head}", iov_len={length}}}, {{iov_base="{body}", iov_len={sent}}}]"#
    );
    [
        vec![
            format!(r#"sendto(4, "{head}", {length}, 0, NULL, 0) = {length}"#),
            format!(r#"sendto(4, "{body}", {sent}, 0, NULL, 0) = {sent}"#),
        ],
        vec![
            format!(r#"write(4, "{head}", {length}) = {length}"#),
            format!(r#"sendfile(4, 5, [0] => [{sent}], {sent}) = {sent}"#),
        ],
        vec![
            format!(r#"send(4, "{head}", {length}, 0) = {length}"#),
            format!(r#"write(4, "{body}", {sent}) = {sent}"#),
        ],
        vec![format!("writev(4, {vector}, 2) = {both}")],
        vec![format!(
            "sendmsg(4, {{msg_name=NULL, msg_namelen=0, msg_iov={vector}, msg_iovlen=2, msg_controllen=0, msg_flags=0}}, 0) = {both}"
        )],
        vec![format!(
            "sendmmsg(4, [{{msg_hdr={{msg_name=NULL, msg_namelen=0, msg_iov={vector}, msg_iovlen=2, msg_controllen=0, msg_flags=0}}, msg_len={both}}}], 1, 0) = 1"
        )],
    ]
}

#[test]
fn a_head_that_ended_with_its_call_is_as_long_as_the_call() {
    let body = "x".repeat(20);
    for mask in MASKS {
        let (text, length) = head(mask, 20);
        for mut calls in apart(&text, length, &body, 20) {
            calls.push("close(4) = 0".to_owned());
            let calls: Vec<_> = calls.iter().map(String::as_str).collect();
            complete(&traced(&calls), &calls.join("\n"));
        }
        // A body that is masked too.
        for mut calls in apart(&text, length, mask, 20) {
            calls.push("close(4) = 0".to_owned());
            let calls: Vec<_> = calls.iter().map(String::as_str).collect();
            complete(&traced(&calls), &calls.join("\n"));
        }
    }
}

#[test]
fn a_short_one_has_the_right_numbers() {
    let body = "x".repeat(20);
    for mask in MASKS {
        let (text, length) = head(mask, 50);
        for mut calls in apart(&text, length, &body, 20) {
            calls.push("close(4) = 0".to_owned());
            let calls: Vec<_> = calls.iter().map(String::as_str).collect();
            let short = traced(&calls);
            assert_eq!(
                short.one(),
                ("premature-close", Some(50), Some(20)),
                "{}",
                calls.join("\n")
            );
            let head = &short.findings[0]["message"]["head_bytes"];
            assert_eq!(head.as_u64(), Some(length as u64));
            assert_eq!(short.status, 1);
        }
    }
}

#[test]
fn a_head_of_which_the_end_is_not_known_is_cut() {
    for mask in MASKS {
        let (text, length) = head(mask, 20);
        let whole = length + 20;
        let body = "x".repeat(20);
        // With its body in one buffer; in part; and without the body, which was taken out.
        for (shown, sent) in [
            (format!("{text}{body}"), whole),
            (format!("{text}[BODY]"), whole),
            (text.clone(), whole),
            (format!("{text}{body}"), whole - 5),
        ] {
            for call in [
                format!(r#"sendto(4, "{shown}", {sent}, 0, NULL, 0) = {sent}"#),
                format!(r#"writev(4, [{{iov_base="{shown}", iov_len={sent}}}], 1) = {sent}"#),
            ] {
                let cut_head = traced(&[&call, "close(4) = 0"]);
                cut(&cut_head, &call);
                assert_eq!(cut_head.unjudged("head-cut"), 1, "{call}");
            }
        }
        // Only a part of it was accepted.
        let call = format!(r#"sendto(4, "{text}", {length}, 0, NULL, 0) = 40"#);
        let rest = length - 40;
        let next = format!(
            r#"sendto(4, "{mask}\r\nContent-Length: 20\r\n\r\n", {rest}, 0, NULL, 0) = {rest}"#
        );
        let last = format!(r#"sendto(4, "{body}", 20, 0, NULL, 0) = 20"#);
        cut(&traced(&[&call, &next, &last, "close(4) = 0"]), &call);
    }
}

#[test]
fn what_is_short_wherever_its_head_ends_is_found() {
    let (text, _) = head("***", 1000);
    let call = format!(r#"sendto(4, "{text}xxxxx", 400, 0, NULL, 0) = 400"#);
    let short = traced(&[&call, "close(4) = 0"]);
    assert_eq!(short.one(), ("premature-close", Some(1000), None));
    assert_eq!(short.findings[0]["sent_with_head_bytes"], 400);
}

#[test]
fn a_head_over_several_calls() {
    let body = "x".repeat(20);
    for mask in MASKS {
        let first = r#"sendto(4, "HTTP/1.1 200 OK\r\n", 17, 0, NULL, 0) = 17"#;
        let second = format!(
            r#"sendto(4, "Set-Cookie: s={mask}\r\nContent-Length: 20\r\n\r\n", 54, 0, NULL, 0) = 54"#
        );
        let last = format!(r#"sendto(4, "{body}", 20, 0, NULL, 0) = 20"#);
        complete(&traced(&[first, &second, &last, "close(4) = 0"]), &second);
        let middle = format!(r#"sendto(4, "Set-Cookie: s={mask}\r\n", 32, 0, NULL, 0) = 32"#);
        let end = r#"sendto(4, "Content-Length: 20\r\n\r\n", 22, 0, NULL, 0) = 22"#;
        cut(
            &traced(&[first, &middle, end, &last, "close(4) = 0"]),
            &middle,
        );
    }
}

#[test]
fn requests_that_were_read() {
    let respond = [
        r#"sendto(4, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n", 39, 0, NULL, 0) = 39"#,
        r#"sendto(4, "xxxxxxxxxxxxxxxxxxxx", 20, 0, NULL, 0) = 20"#,
        "close(4) = 0",
    ];
    for mask in MASKS {
        // 46 bytes with a token of 16.
        let get = format!("GET /a HTTP/1.1\\r\\nCookie: {mask}\\r\\n\\r\\n");
        for read in [
            format!(r#"recvfrom(4, "{get}", 4096, 0, NULL, NULL) = 46"#),
            format!(r#"read(4, "{get}", 4096) = 46"#),
            format!(r#"readv(4, [{{iov_base="{get}", iov_len=4096}}], 1) = 46"#),
            format!(
                r#"recvmsg(4, {{msg_name=NULL, msg_namelen=0, msg_iov=[{{iov_base="{get}", iov_len=4096}}], msg_iovlen=1, msg_controllen=0, msg_flags=0}}, 0) = 46"#
            ),
        ] {
            let text = format!("{ACCEPT}{read}\n{}\n", respond.join("\n"));
            complete(&with(&["--all-traced"], text), &read);
            let text = format!("{ACCEPT}{read}\n{}\nclose(4) = 0\n", respond[0]);
            let short = with(&["--all-traced"], text);
            assert_eq!(short.one(), ("premature-close", Some(20), Some(0)));
            assert_eq!(short.findings[0]["message"]["method"], "GET", "{read}");
        }
    }
}

#[test]
fn kept_alive_and_chunked() {
    for mask in MASKS {
        // A body that was taken out, and the next response.
        let (text, length) = head(mask, 20);
        let whole = length + 20;
        let one = format!(r#"sendto(4, "{text}", {whole}, 0, NULL, 0) = {whole}"#);
        let kept = traced(&[&one, GET.trim_end(), &one, "close(4) = 0"]);
        cut(&kept, &one);
        // A chunk's text.
        let head = r#"sendto(4, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 47, 0, NULL, 0) = 47"#;
        let chunk = format!(r#"sendto(4, "14\r\n{mask}\r\n0\r\n\r\n", 31, 0, NULL, 0) = 31"#);
        let chunked = traced(&[head, &chunk, "close(4) = 0"]);
        cut(&chunked, &chunk);
        assert_eq!(chunked.unjudged("chunked"), 1);
        // Three dots say that somebody shortened it.
        if mask == "\u{2026}" {
            continue;
        }
        let vector = format!(
            r#"writev(4, [{{iov_base="14\r\n", iov_len=4}}, {{iov_base="{mask}", iov_len=20}}, {{iov_base="\r\n0\r\n\r\n", iov_len=7}}], 3) = 31"#
        );
        complete(&traced(&[head, &vector, "close(4) = 0"]), &vector);
    }
}

#[test]
fn what_strace_cut_was_not_edited() {
    let lines = [
        r#"sendto(4, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nxxxxx"..., 1041, 0, NULL, 0) = 1041"#,
        "close(4) = 0",
    ];
    let whole = traced(&lines);
    assert_eq!((whole.findings.len(), whole.status), (0, 0));
    assert_eq!(whole.said, "");
    // With its own three dots, and more bytes than the call has.
    let more = r#"sendto(4, "HTTP/1.1 200 OK\r\nSet-Cookie: REDACTED\r\nContent-Length: 1\r\n\r\nx"..., 46, 0, NULL, 0) = 46"#;
    cut(&traced(&[more, "close(4) = 0"]), more);
    // Masked, and cut behind.
    let masked = r#"sendto(4, "HTTP/1.1 200 OK\r\nSet-Cookie: ***\r\nContent-Length: 1000\r\n\r\nxxxxx"..., 1071, 0, NULL, 0) = 1071"#;
    cut(&traced(&[masked, "close(4) = 0"]), masked);
}

#[test]
fn strings_that_strace_cut_are_alike() {
    let body = "x".repeat(60);
    let some = format!(r#"sendto(4, "{body}"..., 300, 0, NULL, 0) = 300"#);
    let first =
        r#"sendto(4, "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", 40, 0, NULL, 0) = 40"#;
    // The cookie had two bytes more.
    let head = "HTTP/1.1 200 OK\\r\\nA: XX\\r\\nContent-Length: 900\\r\\n\\r\\nxxxxxxxxxx";
    let second = format!(r#"sendto(4, "{head}"..., 951, 0, NULL, 0) = 951"#);
    let kept = traced(&[
        first,
        &some,
        &some,
        &some,
        GET.trim_end(),
        &second,
        "close(4) = 0",
    ]);
    assert_eq!(
        (kept.findings.len(), kept.status, kept.unjudged("head-cut")),
        (0, 3, 1),
        "{:?} {}",
        kept.findings,
        kept.summary
    );
}

#[test]
fn addresses_that_are_masked_name_no_connection() {
    for name in [
        "TCP:[x.x.x.x:80->x.x.x.x:5000]",
        "TCP:[***]",
        "TCP:[REDACTED:80->REDACTED:5]",
    ] {
        let text: String = [
            "accept4(3, NULL, NULL, 0) = N".to_owned(),
            r#"recvfrom(N, "GET /a HTTP/1.1\r\n\r\n", 8192, 0, NULL, NULL) = 19"#.to_owned(),
            r#"sendto(N, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 43, 0, NULL, 0) = 43"#.to_owned(),
            "close(N) = 0".to_owned(),
        ]
        .iter()
        .flat_map(|line| [line.replace('N', &format!("4<{name}>")).replace("4<{name}>ULL", "NULL"), "\n".to_owned()])
        .collect();
        let text = text.replace(&format!("4<{name}>ULL"), "NULL");
        let analyzed = with(&["--all-traced"], text);
        assert_eq!(
            analyzed.findings.len(),
            0,
            "{name}: {:?}",
            analyzed.findings
        );
    }
}

#[test]
fn a_request_that_is_not_shown_may_have_been_one() {
    let response = concat!(
        r#"sendto(4, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nabcde", 45, 0, NULL, 0) = 45"#,
        "\nclose(4) = 0\n"
    );
    for read in [
        "recvfrom(4, \"<redacted>\", 8192, 0, NULL, NULL) = 50",
        "recvfrom(4, \"***\", 8192, 0, NULL, NULL) = 50",
        "recvfrom(4, \"\"..., 8192, 0, NULL, NULL) = 50",
        "recvfrom(4, 0x7ffc00000000, 8192, 0, NULL, NULL) = 50",
        "read(4, \"...\", 8192) = 50",
        "splice(4, NULL, 7, NULL, 4096, 0) = 50",
    ] {
        let analyzed = with(&["--all-traced"], format!("{ACCEPT}{read}\n{response}"));
        let summary = &analyzed.summary;
        assert_eq!(
            (analyzed.findings.len(), analyzed.status),
            (0, 3),
            "{read}: {summary}"
        );
        assert_eq!(analyzed.unjudged("not-observed"), 1, "{read}: {summary}");
        assert_eq!(analyzed.unjudged("not-http"), 0, "{read}: {summary}");
        assert_eq!(summary["messages_judged"], 0, "{read}: {summary}");
        assert_eq!(summary["connections"], 1, "{read}: {summary}");
    }
    // What was read is known to be no request.
    let read = "recvfrom(4, \"220 ready\\r\\n\", 8192, 0, NULL, NULL) = 11";
    let analyzed = with(&["--all-traced"], format!("{ACCEPT}{read}\n{response}"));
    assert_eq!(
        (analyzed.unjudged("not-http"), analyzed.status),
        (1, 0),
        "{}",
        analyzed.summary
    );
}
