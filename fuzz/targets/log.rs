//! Logs of strace, from bytes to report.
#![no_main]

use libfuzzer_sys::fuzz_target;
use truncwatch::{
    analyze::{self, Options},
    report::{ColorChoice, Format, Reporting},
};

fuzz_target!(|log: &[u8]| {
    let options = Options {
        log: "log".into(),
        all_traced: log.len().is_multiple_of(3),
        reporting: Reporting {
            show_peer: true,
            show_query: true,
            output: None,
            format: match log.len().is_multiple_of(2) {
                true => Format::Json,
                false => Format::Table,
            },
            brief: log.len() % 4 == 1,
            color: ColorChoice::Never,
        },
    };
    let out = Box::new(std::io::sink());
    // What is no log is refused.
    if let Ok((summary, _)) = analyze::judge(&options, "log", log, out, None, |_| {}) {
        let lines = summary.log.as_ref().map_or(0, |counts| counts.lines);
        assert!(lines > 0, "a log has a line");
    }
});
