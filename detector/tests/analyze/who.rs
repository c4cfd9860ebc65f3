//! By whom: processes in findings, in the summary and with `--brief`.

use std::process::Command;

use crate::program::{Analyzed, with};

/// A server's lines by thread `tid`: a response that is whole, and one that is short.
fn serves(tid: &str) -> String {
    let exchange = |fd: u32, sent: &str| {
        format!(
            "{tid} 10:00:00.100000 accept4(3<TCP:[127.0.0.1:80]>, NULL, NULL, 0) = {fd}<TCP:[127.0.0.1:80->127.0.0.1:4{fd}]>\n\
             {tid} 10:00:00.100100 recvfrom({fd}<TCP:[127.0.0.1:80->127.0.0.1:4{fd}]>, \"GET /a?b HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n\", 8192, 0, NULL, NULL) = 30\n\
             {tid} 10:00:00.100200 sendto({fd}<TCP:[127.0.0.1:80->127.0.0.1:4{fd}]>, \"HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\n\\r\\n{sent}\", {}, 0, NULL, 0) = {}\n\
             {tid} 10:00:00.100300 shutdown({fd}<TCP:[127.0.0.1:80->127.0.0.1:4{fd}]>, SHUT_WR) = 0\n\
             {tid} 10:00:00.100400 close({fd}<TCP:[127.0.0.1:80->127.0.0.1:4{fd}]>) = 0\n",
            38 + sent.len(),
            38 + sent.len()
        )
    };
    exchange(7, "hello") + &exchange(8, "he")
}

fn analyzed(lines: &str) -> Analyzed {
    with(&["--all-traced"], lines)
}

#[test]
fn a_thread_s_number_is_not_the_process_s() {
    // strace -f -p, which tells of nothing that was there before.
    let log = analyzed(&serves("17133"));
    let [finding] = log.findings.as_slice() else {
        panic!("{:?} {}", log.findings, log.said);
    };
    assert!(finding["process"]["pid"].is_null(), "{finding}");
    assert_eq!(finding["process"]["tid"], 17_133);
    let process = &log.summary["processes"][0];
    assert!(process["pid"].is_null(), "{process}");
    assert_eq!(
        (&process["tid"], &process["judged"], &process["cut"]),
        (&17_133.into(), &2.into(), &1.into())
    );
    assert_eq!(process["targets"], serde_json::json!(["/a"]));
}

#[test]
fn a_process_that_the_log_proves_is_told() {
    let time = "10:00:00.000001";
    for (start, pid) in [
        (
            format!("17133 {time} execve(\"/s\", [\"s\"], 0x7f) = 0\n"),
            17_133,
        ),
        (format!("17133 {time} getpid() = 17133\n"), 17_133),
        (
            format!(
                "17128 {time} execve(\"/s\", [\"s\"], 0x7f) = 0\n\
                 17128 {time} clone3({{flags=CLONE_VM|CLONE_FILES|CLONE_THREAD}} => {{parent_tid=[17133]}}, 88) = 17133\n"
            ),
            17_128,
        ),
        (
            format!("17128 {time} getpid() = 17128\n17133 {time} getpid() = 17128\n"),
            17_128,
        ),
        (format!("17128 {time} fork() = 17133\n"), 17_133),
    ] {
        let log = analyzed(&(start.clone() + &serves("17133")));
        assert_eq!(log.findings.len(), 1, "{start} {}", log.said);
        assert_eq!(log.findings[0]["process"]["pid"], pid, "{start}");
        let processes = log.summary["processes"].as_array().expect("a list");
        assert_eq!(processes[0]["pid"], pid, "{start}");
        assert!(processes[0].get("tid").is_none());
    }
}

#[test]
fn one_line_a_finding() {
    let path = std::env::temp_dir().join(format!("truncwatch-brief-{}", std::process::id()));
    let start = "17133 10:00:00.000001 execve(\"/usr/bin/server\", [\"s\"], 0x7f) = 0\n";
    std::fs::write(&path, start.to_owned() + &serves("17133")).expect("written");
    let run = |more: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_truncwatch"))
            .args(["analyze", "--all-traced", "--brief"])
            .args(more)
            .arg(&path)
            .output()
            .expect("truncwatch runs")
    };
    let output = run(&[]);
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines();
    assert_eq!(
        lines.next(),
        Some(
            "10:00:00 premature-shutdown local process 17133 200 GET /a 2 of 5 shutdown(8, SHUT_WR)"
        )
    );
    assert!(
        lines
            .next()
            .is_some_and(|line| line.starts_with("read 11 lines")),
        "{text}"
    );
    let by = "  by process    server[17133] :80 1 of 2 cut (premature-shutdown; /a)";
    assert!(text.contains(by), "{text}");
    for more in [&["--json"][..], &["--format", "json"]] {
        let output = run(more);
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("--brief"));
    }
    std::fs::remove_file(path).expect("removed");
}
