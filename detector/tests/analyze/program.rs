//! Runs `truncwatch analyze`.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use serde_json::Value;

/// What an analysis came to.
pub(crate) struct Analyzed {
    pub(crate) status: i32,
    pub(crate) findings: Vec<Value>,
    /// Null if it printed none.
    pub(crate) summary: Value,
    pub(crate) said: String,
}

impl Analyzed {
    /// How often something was not judged for this reason.
    pub(crate) fn unjudged(&self, reason: &str) -> u64 {
        self.summary["unjudged"][reason].as_u64().unwrap_or(0)
    }

    /// The cause of the only finding, promised and sent bytes.
    pub(crate) fn one(&self) -> (&str, Option<u64>, Option<u64>) {
        let [finding] = self.findings.as_slice() else {
            panic!("{:?} {}", self.findings, self.summary);
        };
        (
            finding["cause"].as_str().expect("a cause"),
            finding["promised_bytes"].as_u64(),
            finding["sent_bytes"].as_u64(),
        )
    }
}

/// Analyzes a file.
pub(crate) fn file(path: &Path) -> Analyzed {
    run(&[path.as_os_str().to_str().expect("a path")], b"")
}

/// Analyzes a log that comes by standard input.
pub(crate) fn log(text: impl AsRef<[u8]>) -> Analyzed {
    run(&["-"], text.as_ref())
}

/// Analyzes a log that comes by standard input, with these options.
pub(crate) fn with(options: &[&str], text: impl AsRef<[u8]>) -> Analyzed {
    run(&[options, &["-"]].concat(), text.as_ref())
}

fn run(arguments: &[&str], input: &[u8]) -> Analyzed {
    let mut child = Command::new(env!("CARGO_BIN_EXE_truncwatch"))
        .args(["analyze", "--json"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("truncwatch runs");
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_vec();
    let writer = thread::spawn(move || {
        // It need not read to the end.
        if let Err(error) = stdin.write_all(&input) {
            assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
        }
    });
    let output = child.wait_with_output().expect("truncwatch ends");
    writer.join().expect("written");
    let mut objects: Vec<Value> = String::from_utf8(output.stdout)
        .expect("text")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let summary = objects.pop().unwrap_or(Value::Null);
    Analyzed {
        status: output.status.code().expect("no signal"),
        findings: objects,
        summary,
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
