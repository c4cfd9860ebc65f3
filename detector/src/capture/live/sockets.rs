//! Which sockets still exist, by what `/proc` says (proc(5)).

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{BufRead as _, BufReader, ErrorKind},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

/// The tables, and in which column the inode number is.
const TABLES: [(&str, usize); 3] = [("tcp", 9), ("tcp6", 9), ("unix", 6)];

/// Bytes of a table that are read at once.
const PIECE: usize = 32 << 10;

/// Which of these inode numbers are those of a TCP or Unix socket, in any network
/// namespace that a process is in; `None` if not all of `/proc` can be read. A socket
/// that no process holds any more has none.
///
/// This takes as long as the tables are: a third of a second where there are 100,000
/// sockets.
#[must_use]
pub fn existing(asked: &HashSet<u64>) -> Option<HashSet<u64>> {
    // Where processes of others are not even listed (proc(5), hidepid=invisible), the
    // first is not.
    if !Path::new("/proc/1").exists() {
        return None;
    }
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
            let file = match File::open(format!("{folder}/net/{table}")) {
                Ok(file) => file,
                // The process may have ended meanwhile, the kernel may lack IPv6.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                // Such as too many open files.
                Err(_) => return None,
            };
            let mut reader = BufReader::with_capacity(PIECE, file);
            let mut line = Vec::new();
            // Names of Unix sockets are bytes.
            while reader.read_until(b'\n', &mut line).ok()? > 0 {
                let inode = inode(&line, column).filter(|inode| asked.contains(inode));
                inodes.extend(inode);
                line.clear();
            }
        }
    }
    Some(inodes)
}

/// The number in this column of a line.
fn inode(line: &[u8], column: usize) -> Option<u64> {
    let mut words = line
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    std::str::from_utf8(words.nth(column)?).ok()?.parse().ok()
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
        let listed = || existing(&[inode].into()).is_some_and(|found| found.contains(&inode));
        assert!(listed());
        let nothing = existing(&HashSet::new());
        assert_eq!(nothing, Some(HashSet::new()));
        drop(one);
        assert!(!listed());
        Ok(())
    }
}
