//! Recordings kept as files: `packed.rec`, and `plain.rec`, which is the same and not
//! packed, of a watch of a server that answered six requests, every third too short; and
//! those of 0.1.0: `form-1.rec` of another such watch, `form-1-served.rec` of a process
//! that serves itself whole, short, chunked and unended responses by TCP and a Unix
//! socket, `form-1-joined.rec` of one whose connections were older than the watch.

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::program::{file, log};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/recordings")
        .join(name)
}

#[test]
fn packed_or_not_it_is_read() {
    for name in ["plain.rec", "packed.rec"] {
        let read = file(&path(name));
        assert_eq!((read.status, read.findings.len()), (1, 2), "{name}");
        for finding in &read.findings {
            assert_eq!(finding["cause"], "premature-close");
            assert_eq!(finding["promised_bytes"], 1000);
            assert_eq!(finding["sent_bytes"], 100);
            assert!(finding["stack"].is_array(), "{name}");
        }
        let summary = &read.summary;
        assert_eq!(
            (&summary["connections"], &summary["messages_judged"]),
            (&6.into(), &6.into())
        );
        let process = &summary["processes"][0];
        assert_eq!(process["comm"], "python3");
        assert_eq!(
            (&process["judged"], &process["cut"]),
            (&6.into(), &2.into())
        );
        assert_eq!(process["targets"].as_array().map(Vec::len), Some(2));
        assert_eq!(read.said, "", "{name}");
    }
}

#[test]
fn one_that_ends_anywhere_is_read_up_to_there() {
    for name in ["plain.rec", "packed.rec"] {
        let whole = fs::read(path(name)).expect("a recording");
        for part in 1..8 {
            let read = log(&whole[..whole.len() * part / 8]);
            assert!(
                [1, 3].contains(&read.status),
                "{name} {part}: {}",
                read.said
            );
            assert_eq!(read.summary["events_lost"], serde_json::Value::Null);
            assert!(
                read.said.contains("ends before the watch did"),
                "{}",
                read.said
            );
        }
    }
}

#[test]
fn one_that_is_damaged_or_of_another_form_is_said_to_be() {
    let mut whole = fs::read(path("packed.rec")).expect("a recording");
    let last = whole.len() - 30;
    whole[last] ^= 0x40;
    let read = log(&whole);
    assert!([1, 3].contains(&read.status));
    assert!(read.said.contains("it is damaged"), "{}", read.said);
    for (at, other, form) in [(14, 9, "form 2, packing 9"), (12, 3, "form 3, packing 9")] {
        whole[at] = other;
        let read = log(&whole);
        assert_eq!(read.status, 2);
        assert!(read.said.contains(form), "{}", read.said);
    }
}

/// Recordings of 0.1.0, and what its own `analyze --json` printed of each (`.jsonl`).
const FIRST: [&str; 3] = ["form-1", "form-1-served", "form-1-joined"];

/// The objects that 0.1.0 printed.
fn printed(name: &str) -> Vec<Value> {
    let text = fs::read_to_string(path(&format!("{name}.jsonl"))).expect("JSON lines");
    let object = |line| serde_json::from_str(line).expect("JSON");
    text.lines().map(object).collect()
}

/// What today's object has otherwise than 0.1.0's; what it has besides is no difference.
fn differences(name: &str, old: &Value, new: &Value) -> Vec<String> {
    match old {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(field, old)| differences(&format!("{name}.{field}"), old, &new[field]))
            .collect(),
        _ if old == new => Vec::new(),
        _ => vec![format!("{name} {old} {new}")],
    }
}

#[test]
fn one_of_the_first_release_gives_what_it_gave_then() {
    for name in FIRST {
        let read = file(&path(&format!("{name}.rec")));
        assert_eq!((read.status, read.said.as_str()), (1, ""), "{name}");
        let mut old = printed(name);
        let summary = old.pop().expect("a summary");
        assert_eq!(differences("", &summary, &read.summary), [""; 0], "{name}");
        assert_eq!(old.len(), read.findings.len(), "{name}");
        for (old, new) in old.iter().zip(&read.findings) {
            let differ = differences("", old, new);
            // What 0.1.0 did not record is not known, and no proof of whose fault it is.
            let not_known = |it: &&String| {
                let unproven =
                    old["cause"] == "delivery-at-risk" || old["message"]["role"] == "request";
                !(it.as_str() == ".socket.unread_bytes 0 null"
                    || it.as_str() == ".socket.linger_reset false null"
                    || (unproven && it.as_str() == ".fault \"local\" \"unknown\""))
            };
            assert_eq!(differ.iter().find(not_known), None, "{name}");
        }
    }
}

#[test]
fn one_of_the_first_release_proves_no_fault_by_what_it_does_not_tell() {
    for (name, target, fault) in [
        ("form-1-served", "/short", "local"),
        ("form-1-served", "/pair", "local"),
        // How much had gone out is not known.
        ("form-1-served", "/linger", "unknown"),
        // Nor whether HTTP answered.
        ("form-1-joined", "/stopped", "unknown"),
    ] {
        let read = file(&path(&format!("{name}.rec")));
        let one = read
            .findings
            .iter()
            .find(|it| it["message"]["target"] == target);
        assert_eq!(one.map(|it| &it["fault"]), Some(&fault.into()), "{target}");
    }
}

#[test]
fn one_of_the_first_release_that_is_cut_or_damaged_is_said_to_be() {
    let whole = fs::read(path("form-1-served.rec")).expect("a recording");
    for part in 1..8 {
        let read = log(&whole[..whole.len() * part / 8]);
        assert!([1, 3].contains(&read.status), "{part}: {}", read.said);
        assert_eq!(read.said.lines().count(), 1, "{}", read.said);
        assert!(
            read.said.contains("ends before the watch did"),
            "{}",
            read.said
        );
    }
    // The first frame's length, its kind, that of a record, and its size.
    let second = 20 + usize::from(whole[16]);
    for (at, byte) in [
        (19, 0xff),
        (20, 99),
        (20, 12),
        (second + 5, 4),
        (second + 5, 2),
        (second, whole[second] - 1),
    ] {
        let mut damaged = whole.clone();
        damaged[at] = byte;
        let read = log(&damaged);
        assert_eq!((read.status, read.findings.len()), (3, 0), "{at} {byte}");
        assert_eq!(read.said.lines().count(), 1, "{}", read.said);
        assert!(read.said.contains("it is damaged at byte"), "{}", read.said);
    }
}
