//! Everything that is tested in minutes, in one command; the rest is `cargo xtask prove`.

use anyhow::{Context as _, Result, bail};
use host::{root, setup};
use testbed::{framework::Framework, server};
use xshell::cmd;

/// The tests that put on as much load as they can, or watch the whole host.
const ALONE: [&str; 2] = ["concurrency::", "daemon::"];

/// Tests that drive Python and are not in its module.
const PYTHON_TOO: [&str; 6] = [
    "head_by_head",
    "children_are_followed",
    "filters::",
    "its_first_connection",
    "a_program_that_it_becomes",
    "a_limit_ends_it",
];

/// Runs the tests; says what it left out.
pub(crate) fn run() -> Result<()> {
    let shell = root::shell()?;
    let cargo = root::cargo();
    let mut left_out = Vec::new();
    if let Err(error) = setup::test_programs() {
        // What they leave out is told below, one by one.
        println!("test programs: MISSING: {error:#}");
    }
    let live = root::is_root();
    if !live {
        left_out.push(
            "the tests on the live kernel (detector/tests/live): they load eBPF programs and need \
             root; run sudo --preserve-env=PATH,HOME cargo xtask test"
                .to_owned(),
        );
    }
    // The servers are built once, ahead of the tests that time out.
    for version in server::HyperVersion::ALL {
        server::build(version)?;
    }
    let skipped = &missing_servers(&mut left_out);
    if root::is_ci() && !left_out.is_empty() {
        bail!(
            "in continuous integration nothing may be left out: {}",
            left_out.join("; ")
        );
    }
    cmd!(shell, "{cargo} test --locked --workspace -- {skipped...}")
        .run()
        .context("tests failed")?;
    if live {
        // Two at a time: each drives a server of its own, and they count. Those
        // that put on as much load as they can run alone: nothing may be lost.
        let others = ALONE.map(|name| ["--skip", name]).concat();
        for (threads, which) in [("2", &others[..]), ("1", &ALONE)] {
            cmd!(
                shell,
                "{cargo} test --locked --package truncwatch --test live -- --test-threads={threads} {which...} {skipped...}"
            )
            .run()
            .context("tests on the live kernel failed")?;
        }
    }
    for what in &left_out {
        println!("LEFT OUT: {what}");
    }
    if left_out.is_empty() {
        println!(
            "all tests ran, those on the live kernel too; the matrix of servers is cargo xtask prove"
        );
    }
    Ok(())
}

/// Builds the servers that other people make; for each that cannot be had, the
/// options that skip its tests.
fn missing_servers(left_out: &mut Vec<String>) -> Vec<String> {
    let mut skipped = Vec::new();
    let mut skip = |server: &str, tests: &[&str], error: &str| {
        left_out.push(format!("the tests with {server}: {error}"));
        for test in tests {
            skipped.extend(["--skip".to_owned(), (*test).to_owned()]);
        }
    };
    if !root::has("nginx") {
        skip(
            "nginx",
            &["nginx", "soak::", "a_kill_leaves"],
            "it is not installed",
        );
    }
    if !root::has("curl") {
        skip("curl", &["soak::", "a_kill_leaves"], "it is not installed");
    }
    if !root::has("prometheus") {
        skip(
            "Prometheus",
            &["the_real_prometheus"],
            "it is not installed",
        );
    }
    // Both at once: programs in Python, under strace.
    if !root::has("strace") || !root::has("python3") {
        skip(
            "strace and python3",
            &["strace::"],
            "one of them is not installed",
        );
    }
    for framework in Framework::ALL {
        let name = framework.name();
        let result = match framework {
            Framework::Node if !root::has("node") => Err("it is not installed".to_owned()),
            Framework::Python if !root::has("python3") => Err("it is not installed".to_owned()),
            _ => framework.build().map_err(|error| format!("{error:#}")),
        };
        let Err(error) = result else { continue };
        // Their modules have their names; some others use Python too.
        let module = format!("{name}::");
        let mut tests = vec![module.as_str()];
        if framework == Framework::Python {
            tests.extend(PYTHON_TOO);
        }
        if framework == Framework::Node {
            tests.extend(["soak::", "a_kill_leaves"]);
        }
        skip(name, &tests, &error);
    }
    skipped
}
