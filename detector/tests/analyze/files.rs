//! Logs that are files: those of the bug, packed ones, and what is none.

use std::{
    fs,
    io::Write as _,
    path::PathBuf,
    time::{Duration, Instant},
};

use crate::program::{file, log};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/strace")
        .join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(path(name)).expect("a log")
}

/// Promised and accepted bytes of hyper's bug, whose head has 101 bytes.
const SENDTO: (&str, Option<u64>, Option<u64>) =
    ("premature-shutdown", Some(14_991_808), Some(219_163));

#[test]
fn hypers_bug_is_found() {
    let sendto = file(&path("hyper-1.8.1-bad-sendto.log"));
    assert_eq!((sendto.one(), sendto.status), (SENDTO, 1));
    let finding = &sendto.findings[0];
    assert_eq!(finding["fault"], "local");
    assert_eq!(finding["stranded_bytes"], 14_772_645);
    assert_eq!(finding["message"]["method"], "POST");
    assert_eq!(finding["log_time"], "00:46:07.658081");
    assert_eq!(finding["time"], serde_json::Value::Null);
    // What no line tells is not zero.
    let socket = &finding["socket"];
    assert_eq!(socket["unread_bytes"], serde_json::Value::Null);
    assert_eq!(socket["linger_reset"], serde_json::Value::Null);
    let writev = file(&path("hyper-1.8.1-bad-writev.log"));
    assert_eq!(
        writev.one(),
        ("premature-shutdown", Some(14_991_808), Some(219_182))
    );
}

#[test]
fn a_whole_response_is_none() {
    let good = file(&path("hyper-1.8.1-good-sendto.log"));
    assert_eq!((good.findings.len(), good.status), (0, 0));
    assert_eq!(good.summary["messages_judged"], 1);
}

#[test]
fn the_published_form_is_judged_as_far_as_it_goes() {
    let bad = file(&path("published-bad.log"));
    assert_eq!(bad.one(), ("premature-shutdown", Some(14_991_808), None));
    assert_eq!(bad.findings[0]["sent_with_head_bytes"], 219_264);
    assert_eq!(bad.status, 1);
    let good = file(&path("published-good.log"));
    assert_eq!((good.findings.len(), good.status), (0, 3));
    assert_eq!(good.unjudged("elided-lines"), 1);
    assert!(good.said.contains("left out"), "{}", good.said);
    // One after the other, on the same descriptor.
    let both = log(text("published-bad.log") + &text("published-good.log"));
    assert_eq!((both.findings.len(), both.status), (1, 1));
}

#[test]
fn gzip_is_unpacked_and_a_packed_log_may_be_cut_off() {
    let whole = packed(&text("hyper-1.8.1-bad-sendto.log"));
    assert_eq!(log(&whole).one(), SENDTO);
    let cut = log(&whole[..whole.len() - 20]);
    assert!(cut.status == 3 || cut.status == 1, "{}", cut.said);
    assert_eq!(cut.unjudged("unreadable-lines"), 1);
    assert!(cut.said.contains("cut off behind line"), "{}", cut.said);
    assert_eq!(cut.said.lines().count(), 1, "{}", cut.said);
    // So short that there is nothing in it.
    let nothing = log(&whole[..12]);
    assert_eq!(nothing.status, 2, "{}", nothing.said);
    assert!(
        nothing.said.contains("cut off: get the whole file"),
        "{}",
        nothing.said
    );
}

fn packed(text: &str) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(text.as_bytes()).expect("packed");
    packer.finish().expect("packed")
}

#[test]
fn a_packed_log_that_is_damaged_is_judged_up_to_there() {
    let other: String = (0..40_000)
        .map(|at| {
            format!(
                "7599  00:46:08.{at:06} getpid() = {}\n",
                at * 7919 % 100_003
            )
        })
        .collect();
    let whole = packed(&(text("hyper-1.8.1-bad-sendto.log") + &other));
    // Within it, and in the checksum at its end.
    for at in [whole.len() / 2, whole.len() - 6] {
        let mut damaged = whole.clone();
        damaged[at..at + 4].copy_from_slice(&[0xff, 0, 0xff, 0]);
        let judged = log(damaged);
        assert_eq!(
            (judged.one(), judged.status),
            (SENDTO, 1),
            "{}",
            judged.said
        );
        assert!(judged.unjudged("unreadable-lines") > 0);
        assert!(
            judged.said.contains("damaged behind line"),
            "{}",
            judged.said
        );
    }
    let mut nothing = whole;
    nothing[10..].fill(0xff);
    let refused = log(nothing);
    assert_eq!(refused.status, 2);
    assert!(
        refused.said.contains("packed by gzip and damaged"),
        "{}",
        refused.said
    );
    assert_eq!(refused.said.lines().count(), 1);
}

#[test]
fn a_line_that_cannot_be_read_takes_back_what_it_might_refute() {
    let good = text("hyper-1.8.1-good-sendto.log");
    let lines: Vec<_> = good.lines().collect();
    for (at, garbage) in [
        (5, "@@ garbage @@"),
        (40, "\u{0}\u{0}\u{0}"),
        (60, "7599  00:46:0"),
        (70, "listening"),
    ] {
        let mut torn = lines.clone();
        torn[at] = garbage;
        let analyzed = log(torn.join("\n"));
        assert_eq!(
            (analyzed.findings.len(), analyzed.status),
            (0, 3),
            "{garbage}"
        );
        assert_eq!(analyzed.unjudged("unreadable-lines"), 1);
        assert!(
            analyzed.said.contains(&format!("line {}", at + 1)),
            "{}",
            analyzed.said
        );
    }
}

#[test]
fn a_log_may_end_anywhere() {
    let good = text("hyper-1.8.1-good-sendto.log");
    for length in (0..good.len()).step_by(97) {
        let Some(start) = good.get(..length) else {
            continue;
        };
        let analyzed = log(start);
        assert_eq!(analyzed.findings.len(), 0, "after {length} bytes");
    }
    let bad = text("hyper-1.8.1-bad-sendto.log");
    let torn = log(&bad[..bad.len() - 30]);
    assert_eq!(torn.status, 1, "the shutdown is whole: {}", torn.summary);
}

#[test]
fn what_is_no_log_is_refused_with_what_to_do() {
    let none = log("hello\nworld\n");
    assert_eq!(none.status, 2);
    assert!(
        none.said.contains("no log of strace") && none.said.contains("strace -f"),
        "{}",
        none.said
    );
    assert_eq!(log("").status, 2);
    assert_eq!(log(vec![0_u8; 100_000]).status, 2);
    let missing = file(&path("there-is-none.log"));
    assert_eq!(missing.status, 2);
    assert!(missing.said.contains("No such file"), "{}", missing.said);
    assert_eq!(missing.said.lines().count(), 1);
    assert_eq!(file(&path("")).status, 2, "a folder");
    let zstd = log(b"\x28\xb5\x2f\xfd abc");
    assert!(
        zstd.status == 2 && zstd.said.contains("zstd -dc"),
        "{}",
        zstd.said
    );
}

#[test]
fn a_file_of_one_thread_of_several_is_not_judged() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let log = folder.join("trace.7599");
    let one: String = text("hyper-1.8.1-bad-writev.log")
        .lines()
        .filter_map(|line| Some(format!("{}\n", line.split_once(' ')?.1)))
        .collect();
    fs::write(&log, &one).expect("written");
    let apart = file(&log);
    assert_eq!((apart.findings.len(), apart.status), (0, 3));
    let (stem, _) = log
        .to_str()
        .and_then(|it| it.rsplit_once('.'))
        .expect("a path");
    let command = format!("\n  strace-log-merge {stem} | truncwatch analyze -\n");
    assert!(apart.said.ends_with(&command), "{}", apart.said);
    assert_eq!(crate::program::log(one).status, 1);
}

/// A line of this call by thread 1.
fn call(text: &str) -> String {
    format!("1  00:46:07.925223 {text}\n")
}

#[test]
fn a_log_takes_as_long_as_it_is_large() {
    const MANY: usize = 400_000;
    let requests = "GET / HTTP/1.1\\n\\n".repeat(MANY);
    let responses = "HTTP/1.1 204 x\\n\\n".repeat(MANY);
    let bytes = 16 * MANY;
    let pipelined = call("accept4(3, NULL, NULL, 0) = 7")
        + &call(&format!(
            "recvfrom(7, \"{requests}\", {bytes}, 0, NULL, NULL) = {bytes}"
        ))
        + &call(&format!(
            "sendto(7, \"{responses}\", {bytes}, 0, NULL, 0) = {bytes}"
        ));
    let threads: String = (1..MANY / 2)
        .map(|thread| format!("{thread}  00:46:07.925223 recvfrom(7,  <unfinished ...>\n"))
        .collect();
    for (log, messages) in [(pipelined, Some(MANY as u64)), (threads, None)] {
        let began = Instant::now();
        let analyzed = crate::program::log(log);
        // What grew by the square took longer than this.
        assert!(began.elapsed() < Duration::from_secs(15), "{messages:?}");
        assert_eq!(analyzed.findings.len(), 0);
        if messages.is_some() {
            assert_eq!(analyzed.summary["messages_judged"].as_u64(), messages);
        }
    }
}

#[test]
fn a_line_that_was_many_takes_as_long_as_it_is_large() {
    const MANY: usize = 100_000;
    let began = Instant::now();
    for line in [
        "close(-1) = -1 EBADF (Bad file descriptor) ",
        "sendto(-1, \"\", 0, 0, NULL, 0) = -1 EBADF (Bad file descriptor) ",
        "--- SIGCHLD {si_signo=SIGCHLD} --- ",
        "strace: Process 5 attached close(-1) = -1 EBADF (Bad file descriptor) ",
    ] {
        let joined = format!("getpid() = 7\n{}\n", line.repeat(MANY));
        let analyzed = crate::program::log(joined);
        assert_eq!(analyzed.unjudged("unreadable-lines"), 0, "{line}");
    }
    // What grew by the square took longer than this.
    assert!(began.elapsed() < Duration::from_secs(15));
}

#[test]
fn a_report_does_not_replace_the_log() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let log = folder.join("judged.log");
    fs::write(&log, text("hyper-1.8.1-bad-sendto.log")).expect("written");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_truncwatch"))
        .args(["analyze", "-o"])
        .args([&log, &log])
        .output()
        .expect("truncwatch runs");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the file to be judged"), "{said}");
    assert_eq!(file(&log).status, 1);
}
