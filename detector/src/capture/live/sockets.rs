//! Which sockets still exist, by what `/proc` says (proc(5)).

use std::{collections::HashSet, fs, io::ErrorKind, os::unix::fs::MetadataExt as _, path::Path};

/// The tables, and in which column the inode number is.
const TABLES: [(&str, usize); 3] = [("tcp", 9), ("tcp6", 9), ("unix", 6)];

/// The inode numbers of the TCP and Unix sockets in every network namespace
/// that a process is in; `None` if not all of `/proc` can be read. A socket that no
/// process holds any more has none.
#[must_use]
pub fn existing() -> Option<HashSet<u64>> {
    let mut namespaces = HashSet::new();
    let mut inodes = HashSet::new();
    let processes = fs::read_dir("/proc").ok()?.filter_map(|entry| {
        let name = entry.ok()?.file_name();
        name.to_str()?.parse::<u32>().ok()
    });
    for folder in processes.map(|pid| format!("/proc/{pid}")) {
        // The file is the namespace's, and so is its inode number: the link
        // ns/net says the same, but not to everybody and not of everybody.
        let namespace = match fs::metadata(format!("{folder}/net/unix")) {
            Ok(data) => data.ino(),
            // Hidden (proc(5), hidepid): what cannot be seen is not gone.
            Err(error)
                if error.kind() == ErrorKind::PermissionDenied && Path::new(&folder).exists() =>
            {
                return None;
            }
            // It ended meanwhile.
            Err(_) => continue,
        };
        if !namespaces.insert(namespace) {
            continue;
        }
        for (table, column) in TABLES {
            let text = fs::read_to_string(format!("{folder}/net/{table}")).unwrap_or_default();
            inodes.extend(text.lines().skip(1).filter_map(|line| {
                let inode: u64 = line.split_whitespace().nth(column)?.parse().ok()?;
                (inode != 0).then_some(inode)
            }));
        }
    }
    Some(inodes)
}

#[cfg(test)]
mod tests {
    use std::os::{fd::AsRawFd as _, unix::net::UnixStream};

    use super::*;

    #[test]
    fn a_socket_exists_until_it_is_closed() -> std::io::Result<()> {
        let (one, _other) = UnixStream::pair()?;
        let link = fs::read_link(format!("/proc/self/fd/{}", one.as_raw_fd()))?;
        let inode: u64 = link
            .to_string_lossy()
            .trim_matches(|letter: char| !letter.is_ascii_digit())
            .parse()
            .map_err(std::io::Error::other)?;
        let listed = || existing().is_some_and(|inodes| inodes.contains(&inode));
        assert!(listed());
        drop(one);
        assert!(!listed());
        Ok(())
    }
}
