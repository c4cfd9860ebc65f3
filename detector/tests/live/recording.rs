//! `truncwatch record`, and `truncwatch analyze` of what it wrote.

use std::{
    fs,
    io::{Read as _, Write as _},
    path::Path,
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, Result};
use serde_json::Value;
use testbed::{
    BIG_BODY, TempDir,
    client::{Conn, Request, Trigger, trigger},
    server::HyperVersion,
};

use crate::servers::{hyper, truncwatch, watch};

fn analyze(path: &Path, more: &[&str]) -> Result<Output> {
    Ok(Command::new(truncwatch())
        .arg("analyze")
        .args(more)
        .arg(path)
        .stdin(Stdio::null())
        .output()?)
}

fn objects(output: &Output) -> Result<Vec<Value>> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .map(|line| Ok(serde_json::from_str(line)?))
        .collect()
}

/// What is the same for every watch of the same process: all but stacks and
/// times, which each takes by itself.
fn comparable(finding: &Value) -> Value {
    let mut finding = finding.clone();
    for name in ["time", "stack", "stack_incomplete"] {
        finding[name] = Value::Null;
    }
    finding["ending"]["idle_ms"] = Value::Null;
    for call in finding["timeline"].as_array_mut().into_iter().flatten() {
        call["t_ms"] = Value::Null;
    }
    finding
}

/// A recording of what every trigger does, and of a healthy answer, with what
/// the recording watch and another reported.
#[test]
fn it_is_judged_again_with_the_same_findings() -> Result<()> {
    let folder = TempDir::new()?;
    let path = folder.path().join("watch.rec");
    let name = path.to_str().context("a path")?;
    let server = hyper(HyperVersion::V1_8_1)?;
    let pid = server.pid().to_string();
    let recorder = Command::new(truncwatch())
        .args(["record", "--json", "-o", name, "--pid", &pid])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let recorder_pid = recorder.id().to_string();
    wait_for_frames(&path)?;
    let other = watch(server.pid(), &[])?;
    let mut truth = Vec::new();
    for cause in Trigger::ALL {
        truth.push((BIG_BODY, trigger(server.addr(), cause)?.received));
    }
    let mut connection = Conn::connect(server.addr())?;
    assert!(
        connection
            .request(&Request::get("/bytes/300000"))
            .complete()
    );
    connection.request(&Request::get("/lie/10/5?token=verysecret"));
    truth.push((10, 5));
    drop(connection);
    let report = other.stop()?;
    Command::new("kill")
        .args(["-s", "INT", &recorder_pid])
        .status()?;
    let live = recorder.wait_with_output()?;

    assert_eq!(report.sizes(), truth);
    let again = analyze(&path, &["--json"])?;
    assert_eq!(live.status.code(), Some(1));
    assert_eq!(again.status.code(), Some(1));
    // Findings with stacks and times, and the summary, to the byte.
    assert_eq!(
        String::from_utf8_lossy(&again.stdout),
        String::from_utf8_lossy(&live.stdout)
    );
    let findings = objects(&again)?;
    let (_, findings) = findings.split_last().context("a summary")?;
    assert_eq!(
        findings.iter().map(comparable).collect::<Vec<_>>(),
        report.findings.iter().map(comparable).collect::<Vec<_>>()
    );
    assert!(findings.iter().any(|finding| finding["stack"].is_array()));

    let bytes = fs::read(&path)?;
    let kept = unpacked(&bytes)?;
    let holds = |word: &str| kept.windows(word.len()).any(|part| part == word.as_bytes());
    assert!(!holds("verysecret"), "a query");
    assert!(holds("/lie/10/5"), "a target");

    // Packed, it is the same.
    let packed = folder.path().join("watch.rec.gz");
    let output = Command::new("gzip").args(["-c", name]).output()?;
    fs::write(&packed, output.stdout)?;
    assert_eq!(analyze(&packed, &["--json"])?.stdout, again.stdout);

    cut_off(&folder, &bytes, findings.len())
}

/// What the blocks of a recording hold (`recording/pack.rs`).
fn unpacked(recording: &[u8]) -> Result<Vec<u8>> {
    let mut kept = Vec::new();
    let mut rest = recording.get(16..).context("a head")?;
    while let Some((length, behind)) = rest.split_first_chunk() {
        let length = usize::try_from(u32::from_le_bytes(*length))?;
        let block = behind.get(8..8 + length).context("a block")?;
        flate2::read::DeflateDecoder::new(block).read_to_end(&mut kept)?;
        rest = &behind[8 + length..];
    }
    Ok(kept)
}

/// A recorder that crashes leaves what it had written a second before.
#[test]
fn what_a_crash_leaves_is_judged() -> Result<()> {
    let folder = TempDir::new()?;
    let path = folder.path().join("watch.rec");
    let name = path.to_str().context("a path")?;
    let server = hyper(HyperVersion::V1_8_1)?;
    let pid = server.pid().to_string();
    let mut recorder = Command::new(truncwatch())
        .args(["record", "-o", name, "--pid", &pid])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    wait_for_frames(&path)?;
    Conn::connect(server.addr())?.request(&Request::get("/lie/10/5"));
    std::thread::sleep(std::time::Duration::from_millis(1500));
    recorder.kill()?;
    recorder.wait()?;
    let read = analyze(&path, &["--json"])?;
    let said = String::from_utf8_lossy(&read.stderr);
    assert!(said.contains("ends before the watch did"), "{said}");
    assert_eq!(read.status.code(), Some(1), "{said}");
    let findings = objects(&read)?;
    let finding = findings.first().context("a finding")?;
    assert_eq!(finding["message"]["target"], "/lie/10/5");
    Ok(())
}

/// A recorder that was killed leaves a file that can be read.
fn cut_off(folder: &TempDir, bytes: &[u8], count: usize) -> Result<()> {
    let path = folder.path().join("cut.rec");
    for length in [17, 100, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&path, &bytes[..length])?;
        let output = analyze(&path, &["--json"])?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(1 | 3)), "{said}");
        assert!(said.contains("ends before the watch did"), "{said}");
        assert!(objects(&output)?.len() <= count + 1);
    }
    let mut other = bytes.to_vec();
    other[12] = 99;
    let mut file = fs::File::create(&path)?;
    file.write_all(&other)?;
    let output = analyze(&path, &[])?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("form 99"), "{said}");
    Ok(())
}

/// Waits until the recording is begun and every probe is in place.
fn wait_for_frames(path: &Path) -> Result<()> {
    for _ in 0..200 {
        std::thread::sleep(std::time::Duration::from_millis(25));
        if fs::metadata(path).is_ok_and(|file| file.len() > 16) {
            // Attached within this time.
            std::thread::sleep(std::time::Duration::from_secs(2));
            return Ok(());
        }
    }
    anyhow::bail!("the recording did not begin")
}

#[test]
fn a_command_is_recorded_and_nothing_is_printed() -> Result<()> {
    let folder = TempDir::new()?;
    let path = folder.path().join("watch.rec");
    let output = Command::new(truncwatch())
        .args(["record", "-o"])
        .arg(&path)
        .args(["--", "sh", "-c", "exit 7"])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(7), "{said}");
    assert_eq!(output.stdout, b"");
    assert!(said.contains("truncwatch analyze"), "{said}");
    let again = analyze(&path, &["--json"])?;
    let summary = objects(&again)?.pop().context("a summary")?;
    assert_eq!(summary["command_status"], 7);
    it_is_not_overwritten_by_mistake(&path)
}

/// The recording stays, whatever is written where it is, but with `--force`.
fn it_is_not_overwritten_by_mistake(path: &Path) -> Result<()> {
    let name = path.to_str().context("a path")?;
    let recording = fs::read(path)?;
    for arguments in [
        &["record", "-o", name, "--", "true"][..],
        // The command cannot be run.
        &["record", "--force", "-o", name, "--", "no-such-program"],
        &["-o", name, "--", "true"],
        &["analyze", "-o", name, name],
    ] {
        let output = Command::new(truncwatch()).args(arguments).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert_eq!(fs::read(path)?, recording, "{arguments:?}");
    }
    let output = Command::new(truncwatch())
        .args(["record", "--force", "-o", name, "--", "true"])
        .output()?;
    assert_eq!(output.status.code(), Some(0));
    assert_ne!(fs::read(path)?, recording);
    let summary = objects(&analyze(path, &["--json"])?)?.pop();
    assert_eq!(summary.context("a summary")?["command_status"], 0);
    Ok(())
}
