//! Where every file belongs (hier(7)), in a package and in an archive.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use xshell::{Shell, cmd};

use crate::root;

/// Files of the repository, and where a package puts them.
const FILES: [(&str, &str); 12] = [
    (
        "packaging/truncwatch.toml",
        "etc/truncwatch/truncwatch.toml",
    ),
    (
        "packaging/systemd/truncwatch.service",
        "usr/lib/systemd/system/truncwatch.service",
    ),
    (
        "packaging/systemd/truncwatch.sysusers",
        "usr/lib/sysusers.d/truncwatch.conf",
    ),
    (
        "packaging/prometheus/truncwatch.rules.yml",
        "usr/share/doc/truncwatch/truncwatch.rules.yml",
    ),
    (
        "packaging/grafana/truncwatch.json",
        "usr/share/doc/truncwatch/grafana-dashboard.json",
    ),
    ("docs/daemon.md", "usr/share/doc/truncwatch/daemon.md"),
    ("docs/json.md", "usr/share/doc/truncwatch/json.md"),
    ("README.md", "usr/share/doc/truncwatch/README.md"),
    (
        "packaging/debian/NEWS",
        "usr/share/doc/truncwatch/NEWS.Debian",
    ),
    (
        "packaging/debian/copyright",
        "usr/share/doc/truncwatch/copyright",
    ),
    ("LICENSE-MIT", "usr/share/doc/truncwatch/LICENSE-MIT"),
    ("LICENSE-APACHE", "usr/share/doc/truncwatch/LICENSE-APACHE"),
];

/// Files that the program prints itself, and where they go.
const GENERATED: [(&str, &str); 4] = [
    ("man", "usr/share/man/man1/truncwatch.1"),
    (
        "complete-bash",
        "usr/share/bash-completion/completions/truncwatch",
    ),
    (
        "complete-zsh",
        "usr/share/zsh/vendor-completions/_truncwatch",
    ),
    (
        "complete-fish",
        "usr/share/fish/vendor_completions.d/truncwatch.fish",
    ),
];

/// Scripts of dpkg.
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// What is packed.
pub(super) struct Tree<'a> {
    pub(super) shell: &'a Shell,
    pub(super) binary: &'a Path,
}

impl Tree<'_> {
    /// Puts everything below this folder.
    fn fill(&self, folder: &Path) -> Result<()> {
        let put = |place: &str, content: Vec<u8>, mode: u32| -> Result<()> {
            let path = folder.join(place);
            fs::create_dir_all(path.parent().context("no folder")?)?;
            fs::write(&path, content)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
            Ok(())
        };
        put("usr/bin/truncwatch", fs::read(self.binary)?, 0o755)?;
        let (shell, program) = (self.shell, folder.join("usr/bin/truncwatch"));
        cmd!(shell, "strip --strip-debug {program}").quiet().run()?;
        for (from, to) in FILES {
            let path = root::folder().join(from);
            let content = fs::read(&path).with_context(|| format!("there is no {from}"))?;
            put(to, content, 0o644)?;
        }
        for (kind, to) in GENERATED {
            let text = cmd!(shell, "{program} --generate {kind}")
                .quiet()
                .output()?;
            put(to, text.stdout, 0o644)?;
        }
        Ok(())
    }

    /// An archive that is unpacked over `/`.
    pub(super) fn archive(&self, folder: &Path, name: &str) -> Result<PathBuf> {
        let tree = folder.join(name);
        self.fill(&tree)?;
        let archive = folder.join(format!("{name}.tar.gz"));
        let shell = self.shell;
        // The same bytes each time.
        cmd!(
            shell,
            "tar --create --gzip --file {archive} --directory {folder} --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 {name}"
        )
        .quiet()
        .run()?;
        crate::apt::remove(&tree)?;
        Ok(archive)
    }

    /// A package for Debian.
    pub(super) fn package(&self, folder: &Path, version: &str) -> Result<PathBuf> {
        let shell = self.shell;
        let architecture = cmd!(shell, "dpkg --print-architecture").quiet().read()?;
        let tree = folder.join("deb");
        self.fill(&tree)?;
        let page = tree.join("usr/share/man/man1/truncwatch.1");
        cmd!(shell, "gzip --best --no-name {page}").quiet().run()?;
        let size = cmd!(shell, "du --summarize --block-size=1024 {tree}")
            .quiet()
            .read()?;
        let size = size.split_whitespace().next().unwrap_or("0");
        let packaging = root::folder().join("packaging/debian");
        let control = fs::read_to_string(packaging.join("control.in"))?
            .replace("@VERSION@", version)
            .replace("@ARCHITECTURE@", &architecture)
            .replace("@SIZE@", size);
        let to = tree.join("DEBIAN");
        fs::create_dir_all(&to)?;
        fs::write(to.join("control"), control)?;
        fs::copy(packaging.join("conffiles"), to.join("conffiles"))?;
        for script in SCRIPTS {
            fs::copy(packaging.join(script), to.join(script))?;
            fs::set_permissions(to.join(script), fs::Permissions::from_mode(0o755))?;
        }
        let package = folder.join(format!("truncwatch_{version}_{architecture}.deb"));
        cmd!(
            shell,
            "dpkg-deb --root-owner-group --build {tree} {package}"
        )
        .quiet()
        .ignore_stdout()
        .run()?;
        crate::apt::remove(&tree)?;
        Ok(package)
    }
}
