//! Recordings kept as files: `packed.rec`, and `plain.rec`, which is the same and not
//! packed, of a watch of a server that answered six requests, every third too short; and
//! `form-1.rec` of 0.1.0, of another such watch.

use std::{fs, path::PathBuf};

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

#[test]
fn one_of_the_first_release_is_refused_in_one_line() {
    let whole = fs::read(path("form-1.rec")).expect("a recording");
    // Whole, and all that tells its form.
    for read in [file(&path("form-1.rec")), log(&whole), log(&whole[..16])] {
        assert_eq!((read.status, read.findings.len()), (2, 0));
        assert_eq!(read.said.lines().count(), 1, "{}", read.said);
        assert!(read.said.contains("analyze it with 0.1.0"), "{}", read.said);
    }
}
