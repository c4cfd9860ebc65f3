//! What findings say of calls: how much they left over, and what that proves.

use serde_json::Value;

use crate::program::{Analyzed, log, with};

const START: &str = r#"accept(3, {sa_family=AF_INET, sin_port=htons(40312), sin_addr=inet_addr("10.0.0.9")}, [16]) = 4
recvfrom(4, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n", 4096, 0, NULL, NULL) = 28
"#;

fn traced(lines: &[&str]) -> Analyzed {
    let lines: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
    with(&["--all-traced"], format!("{START}{lines}"))
}

fn stranded(lines: &[&str]) -> Value {
    let analyzed = traced(lines);
    analyzed.one();
    analyzed.findings[0]["stranded_bytes"].clone()
}

const HEAD: &str = r#"write(4, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", 41) = 41"#;
const SHUT: &str = "shutdown(4, SHUT_WR) = 0";

#[test]
fn what_a_file_had_left_is_not_what_was_asked_for() {
    for (lines, expected) in [
        (
            &[
                "sendfile(4, 5, [0] => [400], 9223372036854710272) = 400",
                "sendfile(4, 5, [400], 9223372036854709872) = 0",
            ][..],
            Value::from(0),
        ),
        (
            &["sendfile(4, 5, [0] => [400], 2147479552) = 400"],
            Value::Null,
        ),
        (
            &["sendfile(4, 5, NULL, 18446744073709551615) = 400"],
            Value::Null,
        ),
        (&["sendfile(4, 5, NULL, 400) = 400"], Value::from(0)),
        (
            &["splice(6, NULL, 4, NULL, 9223372036854775807, 0) = 400"],
            Value::Null,
        ),
        (
            &[
                "splice(6, NULL, 4, NULL, 65536, 0) = 400",
                "splice(6, NULL, 4, NULL, 65536, 0) = 0",
            ],
            Value::from(0),
        ),
        // A full socket: what the file has left of the message.
        (
            &[
                "sendfile(4, 5, [0] => [400], 1000) = 400",
                "sendfile(4, 5, [400], 600) = -1 EAGAIN (Resource temporarily unavailable)",
            ],
            Value::from(600),
        ),
        (
            &[
                "sendfile(4, 5, [0] => [400], 2147479552) = 400",
                "sendfile(4, 5, [400], 2147479552) = -1 EAGAIN (Resource temporarily unavailable)",
            ],
            Value::Null,
        ),
    ] {
        let lines = [&[HEAD], lines, &[SHUT]].concat();
        assert_eq!(stranded(&lines), expected, "{lines:?}");
    }
}

/// Every number in it.
fn numbers(value: &Value, found: &mut Vec<f64>) {
    match value {
        Value::Number(number) => found.extend(number.as_f64()),
        Value::Array(items) => items.iter().for_each(|item| numbers(item, found)),
        Value::Object(fields) => fields.values().for_each(|item| numbers(item, found)),
        _ => {}
    }
}

#[test]
fn no_number_is_above_2_to_53() {
    let head = |length: &str| {
        let text = format!("HTTP/1.1 200 OK\\r\\nContent-Length: {length}\\r\\n\\r\\n");
        let bytes = text.len() - 6;
        format!(r#"write(4, "{text}", {bytes}) = {bytes}"#)
    };
    for length in [
        "9223372036854775808",
        "18446744073709551000",
        "9007199254740993",
    ] {
        let analyzed = traced(&[
            &head(length),
            "sendfile(4, 5, [0] => [400], 9223372036854710272) = 400",
            r#"sendto(4, 0x7f0000000000, 18446744073709551615, 0, NULL, 0) = -1 EFAULT (Bad address)"#,
            SHUT,
        ]);
        let mut found = Vec::new();
        analyzed
            .findings
            .iter()
            .chain([&analyzed.summary])
            .for_each(|object| numbers(object, &mut found));
        assert!(!found.is_empty());
        assert!(
            found
                .iter()
                .all(|number| *number <= 9_007_199_254_740_992.0),
            "{found:?}"
        );
        assert_eq!(analyzed.findings.len(), 1, "{}", analyzed.summary);
        assert_eq!(analyzed.findings[0]["promised_bytes"], Value::Null);
        assert_eq!(analyzed.findings[0]["sent_bytes"], 400);
    }
}

#[test]
fn behind_this_side_s_own_shutdown_nothing_is_stranded() {
    for fails in [
        r#"sendto(4, "zzzz", 4, 0, NULL, 0) = -1 EPIPE (Broken pipe)"#,
        r#"sendto(4, "zzzz", 4, MSG_NOSIGNAL, NULL, 0) = -1 EPIPE (Broken pipe)"#,
        r#"writev(4, [{iov_base="zzzz", iov_len=4}], 1) = -1 EPIPE (Broken pipe)"#,
        "sendfile(4, 5, NULL, 960) = -1 EPIPE (Broken pipe)",
    ] {
        let sends = r#"write(4, "xxxx", 4) = 4"#;
        assert_eq!(
            stranded(&[HEAD, sends, SHUT, fails, fails, "close(4) = 0"]),
            0
        );
    }
}

/// A log with times, of a response of which the kernel took a part.
fn full(calls: &str, end: &str) -> Analyzed {
    log(format!(
        "00:46:07.650000 accept4(3, NULL, NULL, 0) = 4\n\
         00:46:07.650100 recvfrom(4, \"GET /a HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n\", 4096, 0, NULL, NULL) = 28\n\
         {calls}00:46:07.650{end} shutdown(4, SHUT_WR) = 0\n\
         00:46:07.660000 close(4) = 0\n"
    ))
}

const PART: &str = "00:46:07.650200 sendto(4, \"HTTP/1.1 200 OK\\r\\nContent-Length: 3000000\\r\\n\\r\\nxxxx\"..., 3000043, MSG_NOSIGNAL, NULL, 0) = 219264\n";

#[test]
fn a_socket_that_was_full_was_not_written_to() {
    let at_once = full(PART, "260");
    assert_eq!(at_once.one().0, "premature-shutdown");
    let again = "= -1 EAGAIN (Resource temporarily unavailable)\n";
    for failed in [
        format!("sendto(4, \"xxxx\"..., 2780779, MSG_NOSIGNAL, NULL, 0) {again}"),
        format!("write(4, \"xxxx\"..., 2780779) {again}"),
        format!("writev(4, [{{iov_base=\"xxxx\"..., iov_len=2780779}}], 1) {again}"),
        format!(
            "sendmsg(4, {{msg_name=NULL, msg_namelen=0, msg_iov=[{{iov_base=\"xxxx\"..., iov_len=2780779}}], msg_iovlen=1, msg_controllen=0, msg_flags=0}}, 0) {again}"
        ),
        format!("sendfile(4, 5, [219221], 2780779) {again}"),
    ] {
        for waits in [
            "",
            "00:46:07.650500 epoll_ctl(6, EPOLL_CTL_MOD, 4, {events=EPOLLIN|EPOLLOUT, data={u32=4, u64=4}}) = 0\n",
            "00:46:07.650500 epoll_wait(6, [], 8, 0) = 0\n",
        ] {
            let calls = format!("{PART}00:46:07.650400 {failed}00:46:07.650450 {failed}{waits}");
            let found = full(&calls, "600");
            assert_eq!(
                found.one().0,
                "premature-shutdown",
                "{calls}: {}",
                found.said
            );
            assert_eq!(found.status, 1);
            let assumed = found.findings[0]["assumes_traced"].as_array();
            assert!(assumed.is_some_and(|calls| calls.contains(&"splice".into())));
        }
        // Without times too.
        let line = |text: &str| {
            text.lines()
                .map(|line| format!("{}\n", line.split_once(' ').map_or("", |it| it.1)))
                .collect::<String>()
        };
        let timeless = log(format!(
            "accept4(3, NULL, NULL, 0) = 4\n{}{failed}shutdown(4, SHUT_WR) = 0\n",
            line(PART).replace(
                "sendto",
                "recvfrom(4, \"GET /a HTTP/1.1\\r\\n\\r\\n\", 99, 0, NULL, NULL) = 19\nsendto"
            )
        ));
        assert_eq!(timeless.one().0, "premature-shutdown", "{}", timeless.said);
    }
}

#[test]
fn what_may_have_been_sent_later_is_no_finding() {
    let failed = "00:46:07.650400 sendto(4, \"xxxx\"..., 2780779, MSG_NOSIGNAL, NULL, 0) = -1 EAGAIN (Resource temporarily unavailable)\n";
    let late = log(format!(
        "00:46:07.650000 accept4(3, NULL, NULL, 0) = 4\n\
         00:46:07.650100 recvfrom(4, \"GET /a HTTP/1.1\\r\\n\\r\\n\", 4096, 0, NULL, NULL) = 19\n\
         {PART}{failed}00:46:07.690000 shutdown(4, SHUT_WR) = 0\n"
    ));
    assert_eq!(
        (late.findings.len(), late.unjudged("untraced-calls")),
        (0, 1),
        "{:?}",
        late.findings
    );
}

#[test]
fn more_of_each_call_is_not_advised_where_it_was_shown() {
    let long = "x".repeat(8192);
    let body = format!(r#"sendto(4, "{long}"..., 20000, 0, NULL, 0) = 20000"#);
    let head =
        r#"sendto(4, "HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n", 42, 0, NULL, 0) = 42"#;
    // A response to HEAD, beside a body that was cut, on a connection that was joined.
    let unknown = r#"recvfrom(7, "\0\5\1\0\0\1\2\3", 4096, 0, NULL, NULL) = 8"#;
    let accept = "accept4(3, NULL, NULL, 0) = 7";
    let beside =
        r#"sendto(7, "HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n", 42, 0, NULL, 0) = 42"#;
    let analyzed = traced(&[
        head,
        &body,
        accept,
        unknown,
        beside,
        "close(7) = 0",
        "close(4) = 0",
    ]);
    assert_eq!(analyzed.findings.len(), 0, "{:?}", analyzed.findings);
    assert!(!analyzed.said.contains("-s 8192"), "{}", analyzed.said);
    // With less it is.
    let short = format!(
        r#"sendto(4, "{}"..., 20000, 0, NULL, 0) = 20000"#,
        "x".repeat(64)
    );
    let analyzed = traced(&[
        head,
        &short,
        accept,
        r#"recvfrom(7, "HE"..., 4096, 0, NULL, NULL) = 60"#,
        beside,
        "close(7) = 0",
        "close(4) = 0",
    ]);
    assert!(
        analyzed.said.contains("-s 8192"),
        "{} {}",
        analyzed.summary,
        analyzed.said
    );
}
