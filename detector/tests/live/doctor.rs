//! `truncwatch doctor`: what it says is what happens.

use std::{
    os::unix::process::CommandExt as _,
    process::{Command, Output},
};

use anyhow::Result;
use serde_json::Value;

use crate::{
    errors::with_mounts,
    servers::{truncwatch, truncwatch_for_everybody},
};

/// What it printed, and its exit status, which must agree.
fn read(output: &Output) -> Result<(Value, i32)> {
    let object: Value = serde_json::from_slice(&output.stdout)?;
    let status = output.status.code().unwrap_or(-1);
    let verdict = match status {
        0 => "works",
        2 => "missing",
        3 => "degraded",
        _ => "none",
    };
    assert_eq!(object.pointer("/verdict"), Some(&verdict.into()));
    assert!(output.stderr.is_empty());
    Ok((object, status))
}

/// State and remedy of a feature.
fn check<'a>(object: &'a Value, feature: &str) -> (Option<&'a str>, Option<&'a str>) {
    let found = object
        .pointer("/checks")
        .and_then(Value::as_array)
        .and_then(|checks| {
            checks
                .iter()
                .find(|check| check.get("feature") == Some(&feature.into()))
        });
    let field = |name| {
        found
            .and_then(|check| check.get(name))
            .and_then(Value::as_str)
    };
    (field("state"), field("remedy"))
}

#[test]
fn where_the_tests_run_watching_works_and_it_proves_it() -> Result<()> {
    let output = Command::new(truncwatch())
        .args(["doctor", "--json"])
        .output()?;
    let (object, status) = read(&output)?;
    assert!([0, 3].contains(&status), "{object}");
    let works = |feature| check(&object, feature) == (Some("works"), None);
    for feature in ["a message cut short", "filters", "tracefs"] {
        assert!(works(feature), "{feature}: {object}");
    }
    // What counts: the tracepoint, or before Linux 6.5 the functions.
    let counts = works("sock_send_length") != works("unix_stream_sendmsg");
    assert!(counts, "{object}");
    Ok(())
}

#[test]
fn without_privileges_it_says_which_are_missing() -> Result<()> {
    let (_folder, copy) = truncwatch_for_everybody()?;
    let output = Command::new(&copy)
        .args(["doctor", "--json"])
        .uid(65534)
        .gid(65534)
        .current_dir("/")
        .output()?;
    let (object, status) = read(&output)?;
    assert_eq!(status, 2);
    let (state, remedy) = check(&object, "CAP_BPF");
    assert_eq!(state, Some("missing"));
    assert!(remedy.is_some_and(|remedy| remedy.contains("sudo")));
    // What cannot be tried is not claimed.
    assert_eq!(check(&object, "a message cut short"), (None, None));
    Ok(())
}

#[test]
fn without_kernel_types_or_control_groups_it_says_so() -> Result<()> {
    let hide = "mount --bind /dev/null /sys/kernel/btf/vmlinux";
    let (object, status) = read(&with_mounts(hide, "doctor --json")?)?;
    assert_eq!(status, 2);
    assert_eq!(check(&object, "kernel types (BTF)").0, Some("missing"));
    let none = "umount -l /sys/fs/cgroup/unified; umount -l /sys/fs/cgroup; true";
    let (object, status) = read(&with_mounts(none, "doctor --json")?)?;
    assert_eq!(status, 3);
    assert_eq!(check(&object, "control groups (v2)").0, Some("degraded"));
    Ok(())
}

#[test]
fn its_table_is_80_columns_wide_where_there_is_no_terminal() -> Result<()> {
    let output = Command::new(truncwatch()).arg("doctor").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.lines().count() > 20, "{text}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'));
    Ok(())
}
