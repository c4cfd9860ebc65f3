//! The hash of the sources that a sum is of: framing, the kernel side, the judge.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use host::root;
use xshell::cmd;

/// Files, and folders with all that is in them.
const SOURCES: [&str; 9] = [
    "detector-common/Cargo.toml",
    "detector-common/src",
    "detector-ebpf/Cargo.lock",
    "detector-ebpf/Cargo.toml",
    "detector-ebpf/src",
    "detector-framing/Cargo.toml",
    "detector-framing/src",
    "detector/src/http",
    "detector/src/judge",
];

/// Files and folders that only tests have.
const TESTS: [&str; 5] = ["tests", "tests.rs", "histories", "histories.rs", "wire.rs"];

/// Returns the hash, shortened.
pub(super) fn hash() -> Result<String> {
    let folder = root::folder();
    let mut files = Vec::new();
    for source in SOURCES {
        collect(folder, Path::new(source), &mut files)?;
    }
    files.sort();
    let shell = root::shell()?;
    let each = cmd!(shell, "sha256sum {files...}").quiet().read()?;
    let mut all = cmd!(shell, "sha256sum").stdin(each).quiet().read()?;
    all.truncate(12);
    Ok(all)
}

fn collect(folder: &Path, path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let whole = folder.join(path);
    let of = || format!("cannot read {}", whole.display());
    if !whole.is_dir() {
        fs::metadata(&whole).with_context(of)?;
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(&whole).with_context(of)? {
        let name = entry.with_context(of)?.file_name();
        if !TESTS.iter().any(|test| name == *test) {
            collect(folder, &path.join(name), files)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_hashed_without_their_tests() -> Result<()> {
        let mut files = Vec::new();
        for source in SOURCES {
            collect(root::folder(), Path::new(source), &mut files)?;
        }
        let has = |name: &str| files.iter().any(|file| file == Path::new(name));
        assert!(has("detector/src/judge/mod.rs") && has("detector-ebpf/src/main.rs"));
        assert!(
            !files
                .iter()
                .any(|file| file.iter().any(|part| part == "tests"))
        );
        assert_eq!(hash()?.len(), 12);
        assert_eq!(hash()?, hash()?);
        Ok(())
    }
}
