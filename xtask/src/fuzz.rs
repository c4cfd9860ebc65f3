//! Inputs that libFuzzer makes, against what reads bytes from outside. The
//! targets are in `fuzz/`; this does what `cargo fuzz` does, with the toolchain
//! that is pinned: it instruments for coverage, and not for addresses, which
//! that takes for an unstable option.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use host::{root, setup};
use xshell::{Shell, cmd};

/// What to run, and for how long.
#[derive(Args)]
pub(crate) struct Arguments {
    /// What to run; all four if none is named
    #[arg(value_enum)]
    pub(crate) targets: Vec<Target>,

    /// Inputs for each; by default a million over all four
    #[arg(long, default_value_t = 250_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: u32,

    /// Begin the same sequence of inputs again
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u32,
}

/// The targets.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// Framing, against httparse and the decoders of 0.1.0
    Framing,
    /// Whole message heads
    Head,
    /// Logs of strace, from bytes to report
    Log,
    /// Records of the kernel side, from bytes to findings
    Record,
}

impl Target {
    fn name(self) -> &'static str {
        match self {
            Self::Framing => "framing",
            Self::Head => "head",
            Self::Log => "log",
            Self::Record => "record",
        }
    }

    /// The longest input.
    fn most(self) -> u32 {
        match self {
            Self::Framing | Self::Head => 4096,
            Self::Log => 8192,
            Self::Record => 16_384,
        }
    }
}

/// An input that takes longer is a hang.
const HANG: Duration = Duration::from_secs(5);

/// More memory, in MiB, is a fault.
const MEMORY: u32 = 1024;

/// As cargo-fuzz has them, without unstable options.
const FLAGS: [&str; 8] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg",
    "fuzzing",
    "-Ccodegen-units=1",
];

/// Builds the targets and runs them, one after the other.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    setup::cpp_compiler()?;
    let shell = root::shell()?;
    let programs = build(&shell)?;
    let targets = if arguments.targets.is_empty() {
        Target::value_variants()
    } else {
        &arguments.targets
    };
    let mut failed = Vec::new();
    for target in targets {
        let name = target.name();
        println!("{name}: {} inputs", arguments.runs);
        let work = root::target().join("fuzz");
        let corpus = work.join("corpus").join(name);
        let artifacts = work.join("artifacts").join(name);
        fs::create_dir_all(&corpus)?;
        fs::create_dir_all(&artifacts)?;
        let seeds = root::folder().join("fuzz/seeds").join(name);
        if !seeds.is_dir() {
            bail!("{} is missing", seeds.display());
        }
        let program = programs.join(name);
        let options = [
            format!("-runs={}", arguments.runs),
            format!("-seed={}", arguments.seed),
            format!("-max_len={}", target.most()),
            format!("-timeout={}", HANG.as_secs()),
            format!("-rss_limit_mb={MEMORY}"),
            format!("-artifact_prefix={}/", artifacts.display()),
            "-print_final_stats=1".to_owned(),
            // What is new is told at the end, as a count.
            "-verbosity=0".to_owned(),
        ];
        let result = cmd!(shell, "{program} {options...} {corpus} {seeds}")
            .quiet()
            .run();
        if result.is_err() {
            failed.push(format!(
                "{name}, by what is in {}: {} FILE runs it again",
                artifacts.display(),
                program.display()
            ));
        }
    }
    if !failed.is_empty() {
        bail!("an input was found that fails: {}", failed.join("; "));
    }
    Ok(())
}

/// Builds all targets; where they are.
fn build(shell: &Shell) -> Result<PathBuf> {
    let version = cmd!(shell, "rustc -vV").read()?;
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("rustc does not tell the host")?;
    let target = root::target().join("fuzz");
    // With --target, so that build scripts and macros are not instrumented.
    let _flags = shell.push_env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"));
    let _target = shell.push_env("CARGO_TARGET_DIR", &target);
    let _folder = shell.push_dir("fuzz");
    let cargo = root::cargo();
    cmd!(
        shell,
        "{cargo} build --release --locked --bins --target {host}"
    )
    .run()
    .context("the targets could not be built")?;
    Ok(target.join(host).join("release"))
}
