//! Debian packages without installing them: an apt with sources, lists and a
//! cache of its own, so that those of the machine stay as they are. It needs no
//! root. The mirror is the one that the machine's own sources name.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use xshell::{Shell, cmd};

use crate::root;

/// A suite of Debian's, and in which of its two archives it is.
pub enum Suite<'a> {
    /// Such as `trixie` and `trixie-backports`.
    Main(&'a str),
    /// Such as `trixie-security`.
    Security(&'a str),
}

/// An apt that sees these suites and no others, of one architecture.
pub struct Apt {
    folder: PathBuf,
    options: Vec<String>,
}

/// A version of a package that can be had.
pub struct Available {
    /// Its name.
    pub package: String,
    /// Its version.
    pub version: String,
}

impl Apt {
    /// Keeps its files in this folder, and fetches the suites' lists, of this
    /// machine's architecture.
    pub fn new(folder: &Path, suites: &[Suite<'_>]) -> Result<Self> {
        Self::with(folder, suites, &[])
    }

    /// The same of this architecture, by Debian's name.
    pub fn of(architecture: &str, folder: &Path, suites: &[Suite<'_>]) -> Result<Self> {
        let options = ["Architecture", "Architectures"];
        let options = options.map(|name| format!("-oAPT::{name}={architecture}"));
        Self::with(folder, suites, &options)
    }

    /// The same as if nothing were installed: for what is to run in another machine.
    pub fn of_nothing(architecture: &str, folder: &Path, suites: &[Suite<'_>]) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let status = folder.join("status");
        fs::write(&status, "")?;
        let mut apt = Self::of(architecture, folder, suites)?;
        apt.options
            .push(format!("-oDir::State::status={}", status.display()));
        Ok(apt)
    }

    fn with(folder: &Path, suites: &[Suite<'_>], more: &[String]) -> Result<Self> {
        for program in ["apt-get", "apt-cache", "dpkg"] {
            if !root::has(program) {
                bail!("there is no {program}: this needs a Debian machine");
            }
        }
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(part))?;
        }
        let sources = folder.join("sources.list");
        fs::write(&sources, lines(suites)?)?;
        let option = |name: &str, value: &Path| format!("-o{name}={}", value.display());
        let mut apt = Self {
            folder: folder.to_owned(),
            options: vec![
                option("Dir::Etc::SourceList", &sources),
                option("Dir::Etc::SourceParts", Path::new("/dev/null")),
                option("Dir::State::Lists", &folder.join("lists")),
                option("Dir::Cache", &folder.join("cache")),
                // The sandbox user cannot write here, and the lock is root's.
                "-oAPT::Sandbox::User=".to_owned(),
                "-oDebug::NoLocking=true".to_owned(),
                // Descriptions of programs with windows: larger than all else.
                "-oAcquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
                "-oAcquire::Languages=none".to_owned(),
            ],
        };
        apt.options.extend_from_slice(more);
        let shell = Shell::new()?;
        let options = &apt.options;
        cmd!(shell, "apt-get -qq {options...} update")
            .quiet()
            .run()
            .context("the lists of Debian packages could not be fetched")?;
        Ok(apt)
    }

    /// The names that begin so.
    pub fn names(&self, start: &str) -> Result<Vec<String>> {
        let (shell, options) = (Shell::new()?, &self.options);
        let names = cmd!(shell, "apt-cache {options...} pkgnames {start}")
            .quiet()
            .read()?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// All versions of these packages that can be had.
    pub fn available(&self, packages: &[String]) -> Result<Vec<Available>> {
        if packages.is_empty() {
            return Ok(Vec::new());
        }
        let (shell, options) = (Shell::new()?, &self.options);
        let rows = cmd!(shell, "apt-cache {options...} madison {packages...}")
            .quiet()
            .read()?;
        // Rows of name | version | where from.
        let row = |line: &str| {
            let mut fields = line.split('|').map(|field| field.trim().to_owned());
            Some(Available {
                package: fields.next()?,
                version: fields.next()?,
            })
        };
        Ok(rows.lines().filter_map(row).collect())
    }

    /// Fetches a package and unpacks it into this folder.
    pub fn unpack(&self, package: &str, version: &str, into: &Path) -> Result<()> {
        let archives = self.folder.join("download");
        remove(&archives)?;
        fs::create_dir_all(&archives)?;
        let shell = Shell::new()?;
        shell.change_dir(&archives);
        let (options, exactly) = (&self.options, format!("{package}={version}"));
        cmd!(shell, "apt-get -qq {options...} download {exactly}")
            .quiet()
            .run()
            .with_context(|| format!("{exactly} could not be fetched"))?;
        unpack_all(&archives, into)?;
        remove(&archives)
    }

    /// Fetches packages with everything that they need and this machine has
    /// not, and unpacks all that into this folder.
    pub fn unpack_with_needs(
        &self,
        packages: &[&str],
        release: Option<&str>,
        into: &Path,
    ) -> Result<()> {
        let (shell, options) = (Shell::new()?, &self.options);
        let release: &[&str] = &release.map_or(vec![], |name| vec!["--target-release", name]);
        cmd!(
            shell,
            "apt-get -qq {options...} install --yes --download-only --no-install-recommends {release...} {packages...}"
        )
        .quiet()
        .ignore_stdout()
        .run()
        .with_context(|| format!("{} could not be fetched", packages.join(" ")))?;
        unpack_all(&self.folder.join("cache/archives"), into)
    }
}

/// The sources, as sources.list(5) has them.
fn lines(suites: &[Suite<'_>]) -> Result<String> {
    let line = |archive: &str, suite: &str| {
        let mirror = mirror(archive).with_context(|| {
            format!("this machine's apt sources name no mirror that ends in {archive}")
        })?;
        Ok::<_, anyhow::Error>(format!(
            "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {mirror} {suite} main\n"
        ))
    };
    suites
        .iter()
        .map(|suite| match suite {
            Suite::Main(name) => line("/debian", name),
            Suite::Security(name) => line("/debian-security", name),
        })
        .collect()
}

/// The first mirror that apt uses here whose address ends so.
fn mirror(archive: &str) -> Option<String> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(entries.filter_map(Result::ok).map(|entry| entry.path()));
    }
    files.sort();
    files
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .find_map(|text| {
            text.lines()
                .filter(|line| line.starts_with("URIs:") || line.starts_with("deb "))
                .flat_map(str::split_whitespace)
                .find(|word| word.contains("://") && word.trim_end_matches('/').ends_with(archive))
                .map(str::to_owned)
        })
}

fn unpack_all(archives: &Path, into: &Path) -> Result<()> {
    let shell = Shell::new()?;
    for entry in fs::read_dir(archives)? {
        let archive = entry?.path();
        if archive.extension().is_some_and(|ending| ending == "deb") {
            cmd!(shell, "dpkg -x {archive} {into}").quiet().run()?;
        }
    }
    Ok(())
}

/// Removes a folder that may not be there.
pub fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}
