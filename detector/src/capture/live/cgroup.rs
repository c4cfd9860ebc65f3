//! Control groups of version 2 (cgroups(7)): what `--cgroup` and `--unit` name.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Component, Path, PathBuf},
    process::Command,
};

use detector_common::CGROUP_LEVELS;

/// Inode number of the first namespace of control groups
/// (`PROC_CGROUP_INIT_INO`, include/linux/proc_ns.h).
const FIRST_NAMESPACE: &str = "cgroup:[4026531835]";

/// What a unit's name ends in where it says nothing else (systemctl(1)).
const SERVICE: &str = ".service";

/// Endings of the names of units that have a control group.
const KINDS: [&str; 3] = [SERVICE, ".scope", ".slice"];

/// How deep units are looked for: deeper than systemd puts any.
const UNIT_DEPTH: u32 = 8;

/// Why a control group cannot be watched. Each message says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// None is mounted.
    #[error(
        "this host has no control groups of version 2, by which --cgroup and --unit go: mount them (mount -t cgroup2 none /mnt), or use --pid or --comm"
    )]
    NotMounted,
    /// Levels would not be the kernel's.
    #[error(
        "--cgroup and --unit need the host's control group namespace: start truncwatch in it (for a container: --cgroupns=host)"
    )]
    Namespace,
    /// There is none.
    #[error("no control group {0}: see ls {1}, or systemd-cgls")]
    None(String, String),
    /// It is one of version 1.
    #[error("{0} is no control group of version 2, by which --cgroup goes: those are below {1}")]
    Version(String, String),
    /// No such unit.
    #[error("no unit {0}: see systemctl list-units --type service")]
    NoUnit(String),
    /// It has no processes.
    #[error("the unit {0} has no control group: it does not run (systemctl status {0})")]
    NotRunning(String),
    /// Deeper than the kernel side looks.
    #[error("the control group {0} is more than {max} levels deep: watch one above it", max = CGROUP_LEVELS - 1)]
    Deep(String),
    /// It could not be read.
    #[error("cannot read the control group {path}: {source}")]
    Unreadable {
        /// Its folder.
        path: String,
        /// Why not.
        source: io::Error,
    },
}

/// A control group: its folder, and what the kernel knows it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    /// Its folder.
    pub path: PathBuf,
    /// Its number: that of the folder's inode, on 64-bit kernels since 5.5.
    pub id: u64,
    /// Levels below the root, which is level 0.
    pub level: u32,
}

/// The hierarchy of version 2.
#[derive(Debug)]
pub struct Hierarchy {
    mount: PathBuf,
    /// Levels above the mounted folder.
    above: u32,
    /// The device number that all its folders have.
    device: u64,
}

impl Hierarchy {
    /// Finds it.
    ///
    /// # Errors
    ///
    /// If it is not mounted, or is seen from a namespace of its own.
    pub fn find() -> Result<Self, CgroupError> {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let (root, mount) = mounted(&table).ok_or(CgroupError::NotMounted)?;
        if fs::read_link("/proc/self/ns/cgroup").is_ok_and(|ns| ns != Path::new(FIRST_NAMESPACE)) {
            return Err(CgroupError::Namespace);
        }
        let data = fs::metadata(&mount).map_err(|source| CgroupError::Unreadable {
            path: mount.display().to_string(),
            source,
        })?;
        Ok(Self {
            above: depth(&root),
            device: data.dev(),
            mount,
        })
    }

    /// Where it is mounted.
    #[must_use]
    pub fn mount(&self) -> &Path {
        &self.mount
    }

    /// The control group of this path: a folder, or as in `/proc/PID/cgroup`.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn group(&self, path: &Path) -> Result<Cgroup, CgroupError> {
        let shown = || self.mount.display().to_string();
        let below = self.mount.join(path.strip_prefix("/").unwrap_or(path));
        for folder in [path, &below] {
            let Ok(folder) = folder.canonicalize() else {
                continue;
            };
            if folder.is_dir() && folder.starts_with(&self.mount) {
                return self.at(folder);
            }
        }
        let path = path.display().to_string();
        Err(if Path::new(&path).exists() {
            CgroupError::Version(path, shown())
        } else {
            CgroupError::None(path, shown())
        })
    }

    fn at(&self, path: PathBuf) -> Result<Cgroup, CgroupError> {
        let shown = || path.display().to_string();
        let data = fs::metadata(&path).map_err(|source| CgroupError::Unreadable {
            path: shown(),
            source,
        })?;
        if data.dev() != self.device {
            let mount = self.mount.display().to_string();
            return Err(CgroupError::Version(shown(), mount));
        }
        let level = self.above + depth(path.strip_prefix(&self.mount).unwrap_or(&path));
        if level >= CGROUP_LEVELS {
            return Err(CgroupError::Deep(shown()));
        }
        Ok(Cgroup {
            id: data.ino(),
            level,
            path,
        })
    }

    /// The control groups of a unit of systemd: those whose folder has its name
    /// (several, where users' managers have one each).
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn unit(&self, name: &str) -> Result<Vec<Cgroup>, CgroupError> {
        let found = self.running(name)?;
        if found.is_empty() {
            let name = with_kind(name);
            return Err(match is_known(&name) {
                Some(false) => CgroupError::NoUnit(name),
                Some(true) | None => CgroupError::NotRunning(name),
            });
        }
        Ok(found)
    }

    /// The same; none of a unit that does not run. systemd is not asked.
    ///
    /// # Errors
    ///
    /// If one cannot be read, or is too deep.
    pub fn running(&self, name: &str) -> Result<Vec<Cgroup>, CgroupError> {
        let mut found = Vec::new();
        folders_named(&self.mount, &with_kind(name), UNIT_DEPTH, &mut found);
        found.into_iter().map(|folder| self.at(folder)).collect()
    }
}

impl Cgroup {
    /// Its number as it is now: a unit that is started anew gets a new control
    /// group of the same name. `None` while there is none.
    #[must_use]
    pub fn current_id(&self) -> Option<u64> {
        fs::metadata(&self.path).ok().map(|data| data.ino())
    }
}

/// Root and place of the first mount of type cgroup2 (proc_pid_mountinfo(5)).
fn mounted(table: &str) -> Option<(PathBuf, PathBuf)> {
    table.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, place) = (fields.next()?, fields.next()?);
        (kind.split(' ').next() == Some("cgroup2")).then(|| (root.into(), place.into()))
    })
}

/// A unit's whole name.
fn with_kind(name: &str) -> String {
    if KINDS.iter().any(|kind| name.ends_with(kind)) {
        name.to_owned()
    } else {
        format!("{name}{SERVICE}")
    }
}

fn depth(path: &Path) -> u32 {
    let names = path
        .components()
        .filter(|part| matches!(part, Component::Normal(_)));
    u32::try_from(names.count()).unwrap_or(u32::MAX)
}

fn folders_named(folder: &Path, name: &str, depth: u32, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.filter_map(Result::ok) {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if entry.file_name() == name {
            found.push(entry.path());
        } else if depth > 1 {
            folders_named(&entry.path(), name, depth - 1, found);
        }
    }
}

/// Whether systemd knows the unit; `None` if there is no systemd to ask.
fn is_known(name: &str) -> Option<bool> {
    let answer = Command::new("systemctl")
        .args(["show", "--property=LoadState", "--value", "--", name])
        .output()
        .ok()?;
    let state = String::from_utf8(answer.stdout).ok()?;
    (answer.status.success() && !state.trim().is_empty()).then(|| state.trim() != "not-found")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_of_version_2_is_told_from_those_of_version_1() {
        let table = "\
30 1 0:27 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
31 1 0:28 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw
";
        let found = mounted(table);
        assert_eq!(found, Some(("/".into(), "/sys/fs/cgroup/unified".into())));
        assert_eq!(mounted(table.lines().next().unwrap_or_default()), None);
    }

    #[test]
    fn levels_count_from_the_root() {
        assert_eq!(depth(Path::new("/")), 0);
        assert_eq!(depth(Path::new("")), 0);
        assert_eq!(depth(Path::new("/system.slice/nginx.service")), 2);
    }
}
