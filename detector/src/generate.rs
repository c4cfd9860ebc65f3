//! Files for packages, made from the definitions of the options: they cannot
//! say anything else than `--help`.

use std::io::{self, Write};

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};
use clap_mangen::Man;

use crate::cli::{Cli, Generate};

/// Writes one.
///
/// # Errors
///
/// If it cannot be written.
pub fn write(kind: Generate, out: &mut dyn Write) -> io::Result<()> {
    let mut command = Cli::command();
    let shell = match kind {
        Generate::Man => return manual(command, out),
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

/// The manual page: one for all modes, with their options in sections of their own.
fn manual(mut command: clap::Command, out: &mut dyn Write) -> io::Result<()> {
    command.build();
    let mut page = Vec::new();
    let man = Man::new(command.clone());
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    for mode in command.get_subcommands() {
        if mode.get_name() == "help" {
            continue;
        }
        let name = mode.get_name().to_uppercase();
        writeln!(page, ".SH TRUNCWATCH {name}")?;
        let man = Man::new(mode.clone());
        let mut text = Vec::new();
        man.render_description_section(&mut text)?;
        man.render_options_section(&mut text)?;
        man.render_extra_section(&mut text)?;
        // Below the heading.
        let text = String::from_utf8_lossy(&text).replace("\n.SH ", "\n.SS ");
        page.write_all(text.as_bytes())?;
    }
    man.render_extra_section(&mut page)?;
    man.render_version_section(&mut page)?;
    out.write_all(as_it_stands(&String::from_utf8_lossy(&page)).as_bytes())
}

/// The page with the examples and lists behind the options, which clap takes for
/// running text, line by line as they are written.
fn as_it_stands(page: &str) -> String {
    let mut out = String::new();
    let mut stands = false;
    for line in page.lines() {
        let begins = line.starts_with(".SH ") || line.starts_with(".SS ");
        if begins && std::mem::take(&mut stands) {
            out.push_str(".fi\n");
        }
        if begins && line.ends_with(" EXTRA") {
            stands = true;
            out.push_str(&line.replace("EXTRA", "NOTES"));
            out.push_str("\n.nf\n");
            continue;
        }
        out.push_str(line);
        out.push('\n');
    }
    if stands {
        out.push_str(".fi\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn the_page_has_all_modes_and_refers_to_no_other() -> io::Result<()> {
        let mut page = Vec::new();
        write(Generate::Man, &mut page)?;
        let page = String::from_utf8_lossy(&page).replace('\\', "");
        for mode in ["ANALYZE", "RECORD", "DOCTOR", "DAEMON"] {
            assert!(page.contains(&format!(".SH TRUNCWATCH {mode}\n")), "{mode}");
        }
        assert!(page.contains("--all-traced") && page.contains("--check-config"));
        assert!(!page.contains("-analyze(1)"), "there is one page");
        // Lists stay lists.
        for (at, _) in page.match_indices("\nExit status:\n") {
            let before = page.get(..at).unwrap_or_default();
            assert!(before.rfind("\n.nf") > before.rfind("\n.fi"));
        }
        Ok(())
    }

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
