//! Real logs, shortened, of a thread that ends a connection while a send of another
//! is in progress on it.

use crate::program::{Analyzed, log};

/// A response of 2,000 bytes with `head` sent before by itself, whose body's send
/// begins; then `lines`. `T` is the connection's descriptor.
fn analyzed(head_apart: bool, lines: &[&str]) -> Analyzed {
    let (head, begins) = if head_apart {
        (
            r#"11 sendto(T, "HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n", 41, 0, NULL, 0) = 41"#,
            r#"11 sendto(T, "xxxxxxxx"..., 2000, 0, NULL, 0 <unfinished ...>"#,
        )
    } else {
        (
            "11 mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE, -1, 0) = 0x7f",
            r#"11 sendto(T, "HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\nxxxxxxxx"..., 2041, 0, NULL, 0 <unfinished ...>"#,
        )
    };
    let start = [
        r#"10 execve("./server", ["./server"], 0x7ffd /* 36 vars */) = 0"#,
        r#"10 getrandom("\0", 1, GRND_NONBLOCK) = 1"#,
        "10 accept4(4, NULL, NULL, 0) = T",
        r#"10 recvfrom(T, "GET /a HTTP/1.1\r\n\r\n", 8192, 0, NULL, NULL) = 19"#,
        "10 clone3({flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD, exit_signal=0, stack=0x7f, stack_size=0x1}, 88) = 11",
        head,
        begins,
    ];
    let text: String = start
        .iter()
        .chain(lines)
        .flat_map(|line| [line, "\n"])
        .collect();
    let name = "5<TCP:[127.0.0.1:80->127.0.0.1:5000]>";
    log(text
        .replace("(T", &format!("({name}"))
        .replace("= T", &format!("= {name}")))
}

const SHUT: &str = "10 shutdown(T, SHUT_WR) = 0";
const CLOSE: &str = "10 close(T) = 0";
const FAILS: &str = r#"11 sendto(T, "xxxxxxxx"..., 1500, 0, NULL, 0) = -1 EPIPE (Broken pipe)"#;

fn resumed(result: &str) -> String {
    format!("11 <... sendto resumed>) = {result}")
}

/// One message was judged, and nothing is left that was not.
fn complete(analyzed: &Analyzed, status: i32) {
    let summary = &analyzed.summary;
    assert_eq!(analyzed.status, status, "{summary} {}", analyzed.said);
    assert_eq!(summary["connections"], 1, "{summary}");
    assert_eq!(summary["messages_judged"], 1, "{summary}");
    for reason in ["mid-stream", "shared", "interrupted-calls", "lost-events"] {
        assert_eq!(analyzed.unjudged(reason), 0, "{summary}");
    }
}

#[test]
fn what_was_accepted_before_a_shutdown_counts() {
    for apart in [false, true] {
        let taken = if apart { 541 } else { 582 };
        let result = resumed(&taken.to_string());
        for ends in [&[SHUT, &result, FAILS, CLOSE][..], &[SHUT, CLOSE, &result]] {
            let short = analyzed(apart, ends);
            assert_eq!(
                short.one(),
                ("premature-shutdown", Some(2000), Some(541)),
                "{ends:?}"
            );
            let finding = &short.findings[0];
            assert_eq!(finding["fault"], "local", "{finding}");
            assert_eq!(finding["stranded_bytes"], 1459, "{finding}");
            complete(&short, 1);
        }
        let rest = resumed(if apart { "2000" } else { "2041" });
        let whole = analyzed(apart, &[SHUT, &rest, CLOSE]);
        assert!(whole.findings.is_empty(), "{:?}", whole.findings);
        complete(&whole, 0);
    }
}

#[test]
fn a_send_that_goes_on_after_the_close_counts() {
    // The number is another's before the send is back.
    let opens = "10 accept4(4, NULL, NULL, 0) = 5<TCP:[127.0.0.1:80->127.0.0.1:5001]>";
    for (apart, rest) in [(false, "2041"), (true, "2000")] {
        let rest = resumed(rest);
        for ends in [
            &[CLOSE, &rest][..],
            &[CLOSE, opens, &rest],
            &["10 close_range(5, 5, 0) = 0", &rest],
            &["10 dup2(2, 5) = 5", &rest],
        ] {
            let whole = analyzed(apart, ends);
            assert!(whole.findings.is_empty(), "{:?}", whole.findings);
            complete(&whole, 0);
        }
        // Why it ended there no line tells.
        for ends in [
            &[CLOSE, &resumed("600")][..],
            &["10 close_range(5, 5, 0) = 0", &resumed("600")],
        ] {
            let short = analyzed(apart, ends);
            assert!(short.findings.is_empty(), "{:?}", short.findings);
            assert_eq!((short.status, short.unjudged("shared")), (3, 1), "{ends:?}");
        }
    }
}

#[test]
fn a_send_of_which_the_end_is_not_told_accuses_nobody() {
    for end in [SHUT, CLOSE] {
        for ends in [&[end][..], &[end, "11 +++ exited with 0 +++"]] {
            let unknown = analyzed(true, ends);
            assert!(unknown.findings.is_empty(), "{:?}", unknown.findings);
            assert_eq!(
                (unknown.status, unknown.unjudged("interrupted-calls")),
                (3, 1),
                "{ends:?}: {}",
                unknown.summary
            );
        }
    }
}

#[test]
fn a_descriptor_that_remains_ends_it_once_the_send_is_back() {
    let copy = "10 dup(T) = 6<TCP:[127.0.0.1:80->127.0.0.1:5000]>";
    let last = "10 close(6<TCP:[127.0.0.1:80->127.0.0.1:5000]>) = 0";
    let short = analyzed(true, &[copy, CLOSE, &resumed("600"), last]);
    assert_eq!(short.one(), ("premature-close", Some(2000), Some(600)));
    complete(&short, 1);
}

#[test]
fn a_splice_in_progress_is_a_send_on_where_it_writes_to() {
    let begins = "11 splice(7<pipe:[9]>, NULL, T, NULL, 2000, SPLICE_F_MOVE <unfinished ...>"
        .replace('T', "5<TCP:[127.0.0.1:80->127.0.0.1:5000]>");
    let begun = resumed("41");
    let lines = [
        begun.as_str(),
        &begins,
        SHUT,
        "11 <... splice resumed>) = 300",
        CLOSE,
    ];
    let short = analyzed(false, &lines);
    assert_eq!(short.one(), ("premature-shutdown", Some(2000), Some(300)));
    complete(&short, 1);
}
