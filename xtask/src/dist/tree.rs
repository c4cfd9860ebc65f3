//! Where every file belongs (hier(7)), in a package and in an archive.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use host::root;
use xshell::{Shell, cmd};

/// Files of the repository, and where a package puts them.
const FILES: [(&str, &str); 9] = [
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

/// Pages for users; a package puts all into one folder.
const PAGES: [&str; 12] = [
    "README.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "docs/guide.md",
    "docs/findings.md",
    "docs/limits.md",
    "docs/permissions.md",
    "docs/performance.md",
    "docs/logs.md",
    "docs/json.md",
    "docs/daemon.md",
    "docs/kernels.md",
];

/// Beginnings of links in these pages, and what they are where all are in one folder.
const LINKS: [(&str, &str); 5] = [
    (
        "](docs/dev/",
        "](https://github.com/truncwatch/truncwatch/blob/main/docs/dev/",
    ),
    (
        "](dev/",
        "](https://github.com/truncwatch/truncwatch/blob/main/docs/dev/",
    ),
    ("](docs/", "]("),
    (
        "](CONTRIBUTING.md",
        "](https://github.com/truncwatch/truncwatch/blob/main/CONTRIBUTING.md",
    ),
    (
        "](packaging/",
        "](https://github.com/truncwatch/truncwatch/blob/main/packaging/",
    ),
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

/// Returns a page with the links that it has in a package.
fn page(from: &str) -> Result<String> {
    let path = root::folder().join(from);
    let text = fs::read_to_string(path).with_context(|| format!("there is no {from}"))?;
    let replace = |text: String, (from, to): &(&str, &str)| text.replace(from, to);
    Ok(LINKS.iter().fold(text, replace))
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
        for from in PAGES {
            let name = from.rsplit('/').next().unwrap_or(from);
            let to = format!("usr/share/doc/truncwatch/{name}");
            put(&to, page(from)?.into_bytes(), 0o644)?;
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
        host::apt::remove(&tree)?;
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
        host::apt::remove(&tree)?;
        Ok(package)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_link_to_pages_beside_them() -> Result<()> {
        let mut links = 0;
        for from in PAGES {
            for link in page(from)?.split("](").skip(1) {
                let target = link.split([')', '#']).next().unwrap_or_default();
                if target.is_empty() || target.starts_with("https://") {
                    continue;
                }
                links += 1;
                let is_beside = PAGES
                    .iter()
                    .any(|page| page.rsplit('/').next() == Some(target));
                assert!(is_beside, "{from} links to {target}");
            }
        }
        assert!(links > 30, "only {links} links were found");
        Ok(())
    }
}
