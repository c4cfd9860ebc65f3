//! Kernels and results side by side, as the documentation has them.

use comfy_table::{Table, presets};

use super::{boot::Boot, fetch::Kernel};

/// What the tests are about, and how those of a column are told by name: each
/// belongs to the first column that matches.
const COLUMNS: [(&str, &[&str]); 4] = [
    ("io_uring", &["io_uring"]),
    (
        "counts",
        &["every_call_that_sends", "concurrency::", "healthy::"],
    ),
    ("verdicts", &["calls::", "endings::", "hyper_bug::"]),
    // Those that are left: how a watch begins and ends, and what it refuses.
    ("begin, end, refuse", &[""]),
];

/// One row per kernel.
pub(super) fn of_results(boots: &[(&Kernel, Boot)]) -> String {
    let mut table = markdown();
    let mut header = vec!["kernel", "loads, attaches"];
    header.extend(COLUMNS.map(|(name, _)| name));
    header.extend(["degraded", "not seen"]);
    table.set_header(header);
    for (kernel, boot) in boots {
        let mut row = vec![kernel.version.clone(), loaded(boot)];
        row.extend((0..COLUMNS.len()).map(|column| passed(boot, column)));
        row.push(of(boot.degraded.iter().copied()));
        let unseen = boot.unseen();
        row.push(if unseen.is_empty() {
            "-".to_owned()
        } else {
            unseen.join("; ")
        });
        table.add_row(row);
    }
    table.to_string()
}

/// One row per program.
pub(super) fn of_instructions(boots: &[(&Kernel, Boot)]) -> String {
    let mut table = markdown();
    let mut header = vec!["program".to_owned()];
    header.extend(boots.iter().map(|(kernel, _)| kernel.version.clone()));
    table.set_header(header);
    let counts: Vec<_> = boots.iter().map(|(_, boot)| boot.instructions()).collect();
    let mut programs: Vec<_> = counts.iter().flat_map(|counts| counts.keys()).collect();
    programs.sort();
    programs.dedup();
    for program in programs {
        let count = |counts: &std::collections::BTreeMap<_, u64>| {
            counts
                .get(program)
                .map_or_else(|| "-".to_owned(), u64::to_string)
        };
        let mut row = vec![program.clone()];
        row.extend(counts.iter().map(count));
        table.add_row(row);
    }
    table.to_string()
}

fn markdown() -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table
}

fn loaded(boot: &Boot) -> String {
    match boot.load.status {
        _ if boot.load.name.is_empty() => "did not boot".to_owned(),
        0 => format!("{} programs", boot.attached()),
        2 => "refused".to_owned(),
        status => format!("status {status}"),
    }
}

/// How many of the column's tests passed, of how many.
fn passed(boot: &Boot, column: usize) -> String {
    let belongs = |name: &str| {
        COLUMNS
            .iter()
            .position(|(_, parts)| parts.iter().any(|part| name.contains(part)))
    };
    let tests = boot.tests.iter();
    let tests: Vec<_> = tests
        .filter(|test| belongs(&test.name) == Some(column))
        .collect();
    of(tests.iter().map(|test| test.status == 0))
}

/// How many are true, of how many.
fn of(results: impl Iterator<Item = bool>) -> String {
    let results: Vec<_> = results.collect();
    let passed = results.iter().filter(|passed| **passed).count();
    match (passed, results.len()) {
        (_, 0) => "-".to_owned(),
        (passed, all) => format!("{passed} of {all}"),
    }
}
