//! Files for packages, made from the definitions of the options: they cannot
//! say anything else than `--help`.

use std::io::{self, Write};

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use crate::cli::{Cli, Generate};

/// Writes one.
///
/// # Errors
///
/// If it cannot be written.
pub fn write(kind: Generate, out: &mut dyn Write) -> io::Result<()> {
    let mut command = Cli::command();
    let shell = match kind {
        Generate::Man => return clap_mangen::Man::new(command).render(out),
        Generate::CompleteBash => Shell::Bash,
        Generate::CompleteZsh => Shell::Zsh,
        Generate::CompleteFish => Shell::Fish,
        Generate::CompleteElvish => Shell::Elvish,
        Generate::CompletePowershell => Shell::PowerShell,
    };
    // It cannot say that writing failed: into memory first.
    let mut text = Vec::new();
    generate(shell, &mut command, "truncwatch", &mut text);
    out.write_all(&text)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn each_names_the_options() -> io::Result<()> {
        for kind in Generate::value_variants() {
            let mut text = Vec::new();
            write(*kind, &mut text)?;
            let text = String::from_utf8_lossy(&text).replace('\\', "");
            for name in ["duration", "doctor", "follow"] {
                assert!(text.contains(name), "{kind:?}: {name}");
            }
        }
        Ok(())
    }
}
