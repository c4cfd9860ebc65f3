//! The matrix of servers: the live tests that are `#[ignore]`d, because CI runs one whole
//! and one cut case of each server.

use anyhow::{Context as _, Result, ensure};
use host::root;
use testbed::framework::Framework;
use xshell::{Shell, cmd};

use super::sums::Counts;

/// The tests, in their order.
pub(super) struct Matrix {
    shell: Shell,
    tests: Vec<String>,
}

/// What cargo is asked to run.
const LIVE: [&str; 6] = [
    "--locked",
    "--package",
    "truncwatch",
    "--test",
    "live",
    "--",
];

impl Matrix {
    /// Builds the servers, and the tests, of which it makes a list.
    pub(super) fn prepare() -> Result<Self> {
        for framework in Framework::ALL {
            framework.build()?;
        }
        let shell = root::shell()?;
        let cargo = root::cargo();
        let list = cmd!(shell, "{cargo} test {LIVE...} --ignored --list").read()?;
        let tests: Vec<_> = list
            .lines()
            .filter_map(|line| line.strip_suffix(": test"))
            .map(str::to_owned)
            .collect();
        ensure!(!tests.is_empty(), "no live test is ignored: {list}");
        Ok(Self { shell, tests })
    }

    /// Runs the test that has its turn.
    pub(super) fn run(&self, number: u64) -> Result<Counts> {
        let Self { shell, tests } = self;
        let turn = usize::try_from(number % tests.len() as u64)?;
        let test = tests.get(turn).context("no test has its turn")?;
        let cargo = root::cargo();
        let output = cmd!(
            shell,
            "{cargo} test {LIVE...} --ignored --exact {test} --nocapture --test-threads=1"
        )
        .ignore_status()
        .read()?;
        ensure!(
            output.contains("test result: ok. 1 passed"),
            "{test}: {output}"
        );
        let (messages, cut) = proved(&output);
        ensure!(messages > 0, "{test} says of no message that it was judged");
        Ok([
            ("tests", 1),
            ("messages judged", messages),
            ("cut short and reported", cut),
        ]
        .into())
    }
}

/// Adds up the lines `proved: 12 messages, 1 cut short` of a test. libtest may have begun
/// the line.
fn proved(output: &str) -> (u64, u64) {
    let mut sums = (0, 0);
    for line in output.lines() {
        let Some((_, rest)) = line.split_once("proved: ") else {
            continue;
        };
        let mut numbers = rest.split(", ").map(|part| {
            let number = part.split(' ').next();
            number.and_then(|number| number.parse::<u64>().ok())
        });
        if let (Some(Some(messages)), Some(Some(cut))) = (numbers.next(), numbers.next()) {
            sums.0 += messages;
            sums.1 += cut;
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_test_proved_is_added_up() {
        let output = "test a::b ... proved: 12 messages, 0 cut short\nx\nproved: 2 messages, 1 cut short\nok\n";
        assert_eq!(proved(output), (14, 1));
        assert_eq!(proved("proved: nothing"), (0, 0));
    }
}
