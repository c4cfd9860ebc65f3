//! Recordings of each form that was ever written, kept as files: `plain.rec` of 0.1.0,
//! whose frames are not packed, and `packed.rec`. Both are of one watch of a server
//! that answered six requests, every third too short.

use std::{fs, path::PathBuf};

use crate::program::{file, log};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/recordings")
        .join(name)
}

#[test]
fn every_form_is_read() {
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
    whole[14] = 9;
    let read = log(&whole);
    assert_eq!(read.status, 2);
    assert!(read.said.contains("form 1, packing 9"), "{}", read.said);
}
