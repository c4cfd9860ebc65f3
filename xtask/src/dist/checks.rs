//! Asks other people's tools what they think of `packaging/`.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail, ensure};
use host::root;
use xshell::{Shell, cmd};

/// The most that `systemd-analyze security` may say of the unit, in tenths.
const EXPOSURE: u32 = 20;

/// Checks the files; says what it left out.
pub(super) fn packaging(shell: &Shell) -> Result<()> {
    let folder = root::folder().join("packaging");
    let rules = folder.join("prometheus/truncwatch.rules.yml");
    let promtool = std::env::var("TRUNCWATCH_PROMTOOL").unwrap_or_else(|_| "promtool".to_owned());
    if root::has(&promtool) || Path::new(&promtool).is_file() {
        cmd!(shell, "{promtool} check rules {rules}")
            .quiet()
            .ignore_stdout()
            .run()
            .context("promtool refuses the alert rules")?;
        println!("alert rules: promtool takes them");
    } else {
        println!("LEFT OUT: promtool check rules: there is no promtool (Debian: prometheus)");
    }
    let unit = folder.join("systemd/truncwatch.service");
    if root::has("systemd-analyze") {
        let said = cmd!(
            shell,
            "systemd-analyze security --offline=yes --no-pager {unit}"
        )
        .quiet()
        .read()?;
        let tenths = exposure(&said).with_context(|| format!("no score in: {said}"))?;
        ensure!(
            tenths <= EXPOSURE,
            "systemd-analyze security gives the unit {}.{}",
            tenths / 10,
            tenths % 10
        );
        println!("unit: exposure {}.{}", tenths / 10, tenths % 10);
    } else {
        println!("LEFT OUT: systemd-analyze security: there is none");
    }
    let dashboard = fs::read_to_string(folder.join("grafana/truncwatch.json"))?;
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard)?;
    ensure!(
        dashboard["panels"]
            .as_array()
            .is_some_and(|it| !it.is_empty()),
        "the dashboard has no panels"
    );
    Ok(())
}

/// The score in the last line, in tenths.
fn exposure(said: &str) -> Option<u32> {
    let (_, score) = said.rsplit_once("Overall exposure level for ")?;
    let (_, score) = score.split_once(": ")?;
    let (whole, tenth) = score.split_whitespace().next()?.split_once('.')?;
    Some(whole.parse::<u32>().ok()? * 10 + tenth.parse::<u32>().ok()?)
}

/// Whether a program needs no interpreter, and so no libraries.
pub(super) fn is_static(binary: &Path) -> Result<()> {
    let bytes = fs::read(binary)?;
    let number = |at: usize, length: usize| -> Option<u64> {
        let bytes = bytes.get(at..at + length)?;
        Some(
            bytes
                .iter()
                .rev()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        )
    };
    // The program headers of a 64-bit ELF file (elf(5)).
    let headers = || -> Option<Vec<u64>> {
        let start = usize::try_from(number(32, 8)?).ok()?;
        let size = usize::try_from(number(54, 2)?).ok()?;
        let count = usize::try_from(number(56, 2)?).ok()?;
        (0..count).map(|at| number(start + at * size, 4)).collect()
    };
    const PT_INTERP: u64 = 3;
    match headers() {
        None => bail!("{} is no ELF file", binary.display()),
        Some(kinds) if kinds.contains(&PT_INTERP) => {
            bail!(
                "{} needs an interpreter: it is not static",
                binary.display()
            )
        }
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_is_in_the_last_line() {
        let said = "✗ X\n\n→ Overall exposure level for truncwatch.service: 2.0 OK :-)\n";
        assert_eq!(exposure(said), Some(20));
        assert_eq!(exposure("nothing"), None);
    }

    #[test]
    fn this_test_is_not_static() {
        let own = std::env::current_exe().unwrap();
        assert!(is_static(&own).is_err());
    }
}
