//! The terminal belongs to others too: to the shell, to pagers, to tee.

use std::process::Command;

use anyhow::{Context as _, Result};
use testbed::{TempDir, server::HyperVersion};

use crate::servers::{hyper, truncwatch};

/// A shell on a terminal of 24 lines and 80 columns: what it shows for a line that is typed
/// in, with Ctrl-C after `interrupt` seconds, until it says that the line is done.
const SHELL: &str = r#"
import fcntl, os, pty, select, struct, sys, termios, time
line, interrupt = sys.argv[1], float(sys.argv[2])
pid, terminal = pty.fork()
if pid == 0:
    os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
os.write(terminal, b"bind 'set enable-bracketed-paste off'; PS1=; stty -echo; echo BEG''IN\n")
shown, sent, until = b"", 0, time.time() + 30
while time.time() < until and b"DONE" not in shown:
    if select.select([terminal], [], [], 0.05)[0]:
        shown += os.read(terminal, 65536)
    if sent == 0 and b"BEGIN" in shown:
        shown = b""
        os.write(terminal, line.encode() + b"; echo DO''NE\n")
        sent = time.time()
    if sent and interrupt and b"watching" in shown and time.time() > sent + interrupt:
        os.write(terminal, b"\x03")
        interrupt = 0
        # An interrupted line is not gone on with.
        time.sleep(1.5)
        os.write(terminal, b"echo DO''NE\n")
os.write(terminal, b"exit\n")
sys.stdout.buffer.write(shown)
"#;

/// What a terminal shows of a shell's line; `{}` in it is truncwatch.
fn shown(line: &str, interrupt: f64) -> Result<String> {
    let line = line.replace("{}", &truncwatch().display().to_string());
    let output = Command::new("python3")
        .args(["-c", SHELL, &line, &interrupt.to_string()])
        .env("TERM", "xterm")
        .env_remove("NO_COLOR")
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    anyhow::ensure!(text.contains("DONE"), "{text:?} {output:?}");
    Ok(text)
}

/// What the line that changes in place takes itself away with.
const DRAWN: &str = "\u{1b}[2K";

/// A bar that is drawn and gone before it can be read is left between findings.
#[test]
fn a_small_log_has_no_bar() -> Result<()> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");
    for log in ["recordings/packed.rec", "recordings/plain.rec"] {
        let text = shown(&format!("{{}} analyze {folder}/{log}"), 0.0)?;
        assert!(text.contains("messages judged"), "{text}");
        assert!(
            !text.contains('\u{2588}') && !text.contains(DRAWN),
            "{text}"
        );
    }
    Ok(())
}

#[test]
fn only_what_is_in_the_foreground_draws() -> Result<()> {
    let server = hyper(HyperVersion::V1_12_0)?;
    let watch = format!("{{}} --pid {} --duration 1.2", server.pid());
    for (line, drawn) in [
        (watch.clone(), true),
        (format!("{watch} >/dev/null"), true),
        (format!("{watch} | cat"), false),
        (format!("{watch} & wait"), false),
        (format!("{watch} >/dev/null & wait"), false),
        (format!("TERM=dumb {watch}"), false),
        (format!("env -u TERM {watch}"), false),
    ] {
        let text = shown(&line, 0.0)?;
        assert!(text.contains("truncwatch: watching"), "{line}: {text:?}");
        assert_eq!(text.contains(DRAWN), drawn, "{line}: {text:?}");
        assert_eq!(text.contains('\u{1b}'), drawn, "{line}: {text:?}");
    }
    Ok(())
}

/// One that goes to the background draws no more, and again when it comes back.
#[test]
fn what_is_stopped_and_goes_on_behind_the_shell_draws_no_more() -> Result<()> {
    let server = hyper(HyperVersion::V1_12_0)?;
    let line = format!(
        "{{}} --pid {} --duration 4 >/dev/null & sleep 1; echo NOW; fg >/dev/null",
        server.pid()
    );
    let text = shown(&line, 0.0)?;
    let (before, after) = text.split_once("NOW").context("no mark")?;
    assert!(!before.contains(DRAWN), "{before:?}");
    assert!(after.contains(DRAWN), "{after:?}");
    Ok(())
}

/// Ctrl-C ends both: what comes of the watch is not lost with its reader.
#[test]
fn a_summary_outlives_its_reader() -> Result<()> {
    let server = hyper(HyperVersion::V1_12_0)?;
    let folder = TempDir::new()?;
    for reader in [
        format!("tee {}/t.txt", folder.path().display()),
        "cat".to_owned(),
        "grep --line-buffered .".to_owned(),
    ] {
        for options in ["", "--json"] {
            let line = format!("{{}} {options} --pid {} | {reader}", server.pid());
            let text = shown(&line, 0.7)?;
            let summary = text.matches("0 connections, 0 messages judged").count();
            // The reader may have passed the report on before it ended.
            let report = text.matches(r#""type":"summary""#).count();
            assert!(summary + report >= 1 && summary <= 1, "{line}: {text:?}");
        }
    }
    // One that stays has it all.
    let path = folder.path().join("stays.txt");
    let line = format!("{{}} --pid {} | tee -i {}", server.pid(), path.display());
    let text = shown(&line, 0.7)?;
    assert!(!text.contains("no reader any more"), "{text:?}");
    let kept = std::fs::read_to_string(path)?;
    assert!(kept.contains("0 messages judged"), "{kept:?}");
    Ok(())
}

/// A pager that is left leaves no watch behind that the shell waits for.
#[test]
fn a_watch_ends_with_its_pager() -> Result<()> {
    let server = hyper(HyperVersion::V1_12_0)?;
    let line = format!("{{}} --pid {} | sleep 0.5", server.pid());
    let text = shown(&line, 0.0)?;
    assert!(text.contains("0 messages judged"), "{text:?}");
    Ok(())
}

#[test]
fn a_report_in_a_file_says_where_and_how_much() -> Result<()> {
    let server = hyper(HyperVersion::V1_12_0)?;
    let folder = TempDir::new()?;
    let folder = folder.path().display();
    for to in ["-o night.txt", "> night.txt", "--json > night.txt"] {
        let pid = server.pid();
        let line = format!("cd {folder}; {{}} --pid {pid} --duration 0.2 {to}");
        let text = shown(&line, 0.0)?;
        let said = "truncwatch: no finding in night.txt: 0 messages judged";
        assert!(text.contains(said), "{line}: {text:?}");
    }
    Ok(())
}

#[test]
fn colours_are_all_there_or_none() -> Result<()> {
    const COLOUR: &str = "\u{1b}[38;5;";
    for (line, coloured) in [
        ("{} doctor", true),
        ("{} doctor --color never", false),
        ("NO_COLOR=1 {} doctor", false),
        ("NO_COLOR=1 {} doctor --color always", true),
        ("NO_COLOR=1 {} doctor --color always | cat", true),
        ("TERM=dumb {} doctor", false),
        ("{} doctor | cat", false),
    ] {
        let text = shown(line, 0.0)?;
        assert_eq!(text.contains(COLOUR), coloured, "{line}: {text:?}");
        assert_eq!(text.contains('\u{1b}'), coloured, "{line}: {text:?}");
    }
    Ok(())
}
