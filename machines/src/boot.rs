//! Runs one machine, and reads what its script (`init.sh`) says.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result};

use super::{arch::Arch, fetch::Kernel, qemu::Qemu};

/// Seconds until a machine is ended: one that fails hangs.
const LIMIT: u32 = 7200;

/// Software emulation, always: a `/dev/kvm` that is there may still not work.
const MACHINE: &str = "-accel tcg,thread=multi -smp 2 -m 2G -nodefaults \
                       -net none -no-reboot -display none -serial stdio";

/// Nothing but a panic is printed beside the script's words.
const COMMAND_LINE: &str = "quiet loglevel=1 panic=-1";

/// What happened in one machine.
#[derive(Default)]
pub(super) struct Boot {
    /// truncwatch alone, watching for a moment.
    pub(super) load: Section,
    /// The tests that ran.
    pub(super) tests: Vec<Section>,
    /// What the tests are, where they were only to say that.
    pub(super) list: Vec<String>,
    /// What the kernel complained of.
    pub(super) warnings: Vec<String>,
    /// The script came to its end.
    pub(super) complete: bool,
    /// Whether it was as declared when something was taken away.
    pub(super) degraded: Vec<bool>,
}

/// One thing that ran.
#[derive(Default)]
pub(super) struct Section {
    pub(super) name: String,
    pub(super) status: i32,
    /// What it printed.
    pub(super) lines: Vec<String>,
}

impl Boot {
    /// Everything was loaded and attached.
    pub(super) fn loads(&self) -> bool {
        self.load.name == "load" && self.load.status == 0
    }

    /// What truncwatch says that it will not see.
    pub(super) fn unseen(&self) -> Vec<&str> {
        self.said("truncwatch: not seen: ").collect()
    }

    /// How many programs are attached where nothing is taken away.
    pub(super) fn attached(&self) -> usize {
        self.verified().next().map_or(0, |programs| programs.len())
    }

    /// How many instructions the verifier walked, by program: of all that were loaded.
    pub(super) fn instructions(&self) -> BTreeMap<String, u64> {
        self.verified().flatten().collect()
    }

    fn verified(&self) -> impl Iterator<Item = BTreeMap<String, u64>> {
        self.said("truncwatch: instructions verified: ")
            .filter_map(|map| serde_json::from_str(map).ok())
    }

    /// The rest of each line that begins so.
    fn said(&self, start: &'static str) -> impl Iterator<Item = &str> {
        let lines = self.load.lines.iter();
        lines.filter_map(move |line| line.strip_prefix(start))
    }
}

/// Removes what it said before.
pub(super) fn forget(arch: &Arch, kernel: &Kernel) -> Result<()> {
    let log = log(arch, kernel);
    if log.exists() {
        fs::remove_file(log)?;
    }
    Ok(())
}

fn log(arch: &Arch, kernel: &Kernel) -> PathBuf {
    arch.folder().join(format!("linux-{}.log", kernel.version))
}

/// Boots it, with this behind its command line, and waits for its end. What it said
/// stays in a file.
pub(super) fn run(
    arch: &Arch,
    qemu: &Qemu,
    kernel: &Kernel,
    image: &Path,
    more: &str,
) -> Result<Boot> {
    println!("Linux {} {more}", kernel.version);
    let command_line = format!("{} {COMMAND_LINE} {more}", arch.command_line);
    let mut child = command(arch, qemu)
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(image)
        .args(["-append", &command_line])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start QEMU")?;
    let output = child.stdout.take().context("no standard output")?;
    let mut log = File::options()
        .create(true)
        .append(true)
        .open(log(arch, kernel))?;
    writeln!(log, "## {command_line}")?;
    let mut reader = Reader::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).trim_end().to_owned();
        writeln!(log, "{line}")?;
        reader.line(&line);
    }
    child.wait()?;
    Ok(reader.boot)
}

/// Ended if it takes too long, and out of the way of other work.
fn command(arch: &Arch, qemu: &Qemu) -> Command {
    let limit = LIMIT.to_string();
    let mut command = Command::new("timeout");
    command.args(["--foreground", "--kill-after=10", &limit]);
    command.args(["nice", "-n", "10"]);
    qemu.add_to(&mut command);
    command.args(arch.machine.split_whitespace());
    command.args(MACHINE.split_whitespace());
    command
}

/// Puts the lines where they belong.
#[derive(Default)]
struct Reader {
    boot: Boot,
    open: Option<(Section, Instant)>,
}

impl Reader {
    fn line(&mut self, line: &str) {
        if let Some(name) = line.strip_prefix("@@ begin ") {
            let section = Section {
                name: name.to_owned(),
                ..Section::default()
            };
            self.open = Some((section, Instant::now()));
        } else if let Some(status) = line.strip_prefix("@@ end ") {
            if let Some((mut section, since)) = self.open.take() {
                section.status = status.parse().unwrap_or(-1);
                self.close(section, since);
            }
        } else if let Some((section, _)) = &mut self.open {
            section.lines.push(line.to_owned());
        }
    }

    fn close(&mut self, section: Section, since: Instant) {
        if section.name == "warnings" {
            self.boot.warnings = section.lines;
            self.boot.complete = true;
            return;
        }
        if section.name == "list" {
            self.boot.list = section.lines;
            return;
        }
        let seconds = since.elapsed().as_secs_f32();
        let (status, name) = (section.status, &section.name);
        println!("  {name}: status {status}, {seconds:.0} s");
        if status != 0 {
            for line in &section.lines {
                println!("    {line}");
            }
        }
        if section.name == "load" {
            self.boot.load = section;
        } else {
            self.boot.tests.push(section);
        }
    }
}
