//! Files for packages, made from the definitions of the options: they cannot
//! say anything else than `--help`.

mod notes;

use std::io::{self, Write};

use clap_complete::{Shell, generate};
use clap_mangen::Man;

use self::notes::Notes;
use crate::cli::{Generate, definitions};

/// Writes one.
///
/// # Errors
///
/// If it cannot be written.
pub fn write(kind: Generate, out: &mut dyn Write) -> io::Result<()> {
    let mut command = definitions();
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
    // Lines end where words do: options and paths are not torn apart.
    page.write_all(b".ad l\n.nh\n")?;
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
        Notes::of(mode).write(&mut text)?;
        // Below the heading.
        let text = String::from_utf8_lossy(&text).replace("\n.SH ", "\n.SS ");
        page.write_all(text.as_bytes())?;
    }
    Notes::of(&command).write(&mut page)?;
    man.render_version_section(&mut page)?;
    out.write_all(&page)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

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
        for heading in ["EXAMPLES", "EXIT STATUS", "NOTES"] {
            assert!(page.contains(&format!("\n.SH {heading}\n")), "{heading}");
        }
        Ok(())
    }

    /// By what shows it to people, if it is here.
    #[test]
    fn the_page_fits_a_terminal_of_80_columns() -> io::Result<()> {
        let mut page = Vec::new();
        write(Generate::Man, &mut page)?;
        let shown = Command::new("groff")
            .args(["-man", "-Tascii", "-P-cbou", "-rLL=78n"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut shown) = shown else {
            eprintln!("LEFT OUT: there is no groff here");
            return Ok(());
        };
        let mut stdin = shown.stdin.take().expect("piped");
        let writer = std::thread::spawn(move || stdin.write_all(&page));
        let output = shown.wait_with_output()?;
        writer.join().expect("written")?;
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("EXIT STATUS"), "{text}");
        let wide: Vec<_> = text.lines().filter(|line| line.len() > 80).collect();
        assert_eq!(wide, [""; 0]);
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
