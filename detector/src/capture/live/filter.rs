//! What a connection has to pass to be taken up. The kernel side does the
//! asking (`detector-ebpf/src/filter.rs`).

use aya::maps::{HashMap, MapData, MapError};
use detector_common::{COMMS, Comm, filter};

use super::cgroup::Cgroup;

/// Bytes of a process's name that the kernel keeps (`TASK_COMM_LEN`, less the
/// zero at its end).
pub const COMM_BYTES: usize = 15;

/// Names that a filter can have.
pub const MOST_COMMS: usize = COMMS;

/// Ports that a filter can have, as many as the kernel side's map holds.
pub const MOST_PORTS: usize = 256;

/// One of each kind that is not empty has to fit.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Names of processes or threads, as in `/proc/PID/comm`; what is longer
    /// than [`COMM_BYTES`] is cut, as the kernel cuts it. What is beyond
    /// [`MOST_COMMS`] is left out.
    pub comms: Vec<String>,
    /// Control groups, with all below them.
    pub cgroups: Vec<Cgroup>,
    /// Local or remote ports.
    pub ports: Vec<u16>,
}

impl Filter {
    /// Which kinds there are, as the kernel side is told.
    pub(super) fn bits(&self) -> u32 {
        [
            (self.comms.is_empty(), filter::COMM),
            (self.cgroups.is_empty(), filter::CGROUP),
            (self.ports.is_empty(), filter::PORT),
        ]
        .into_iter()
        .filter(|(empty, _)| !empty)
        .fold(0, |bits, (_, bit)| bits | bit)
    }

    /// Whether a capture that was started with this filter can go over to
    /// another: what the kernel side was told at load is the same.
    pub(super) fn can_become(&self, other: &Self) -> bool {
        self.bits() == other.bits()
            && self.comms() == other.comms()
            && other.cgroup_levels() & !self.cgroup_levels() == 0
    }

    /// How many names the kernel side is told.
    pub(super) fn comm_count(&self) -> u32 {
        u32::try_from(self.comms.len().min(COMMS)).unwrap_or(0)
    }

    /// The names as the kernel side compares them.
    pub(super) fn comms(&self) -> [Comm; COMMS] {
        let mut words = [[0; 4]; COMMS];
        for (name, comm) in self.comms.iter().zip(&mut words) {
            let name = padded(name);
            let (parts, _) = name.as_chunks();
            for (word, part) in comm.iter_mut().zip(parts) {
                *word = u32::from_ne_bytes(*part);
            }
        }
        words
    }

    /// A bit per level at which a control group is.
    pub(super) fn cgroup_levels(&self) -> u32 {
        self.cgroups
            .iter()
            .filter_map(|group| 1u32.checked_shl(group.level))
            .fold(0, |levels, level| levels | level)
    }
}

/// The kernel side's maps of them.
pub(super) struct Filters {
    pub(super) cgroups: HashMap<MapData, u64, u32>,
    pub(super) ports: HashMap<MapData, u32, u32>,
}

impl Filters {
    pub(super) fn fill(&mut self, filter: &Filter) -> Result<(), MapError> {
        for group in &filter.cgroups {
            self.cgroups.insert(group.id, 0, 0)?;
        }
        for port in &filter.ports {
            self.ports.insert(u32::from(*port), 0, 0)?;
        }
        Ok(())
    }
}

impl Filters {
    /// Lets pass what the second filter does instead of what the first does.
    pub(super) fn change(&mut self, old: &Filter, new: &Filter) -> Result<(), MapError> {
        // First what is new: nothing that both let pass is left out meanwhile.
        self.fill(new)?;
        for group in &old.cgroups {
            if new.cgroups.iter().all(|other| other.id != group.id) {
                // Not there is as good as removed.
                drop(self.cgroups.remove(&group.id));
            }
        }
        for port in &old.ports {
            if !new.ports.contains(port) {
                drop(self.ports.remove(&u32::from(*port)));
            }
        }
        Ok(())
    }
}

/// Returns as much of a process's name as the kernel keeps (`TASK_COMM_LEN`, proc(5)).
#[must_use]
pub fn kept(name: &str) -> &[u8] {
    let bytes = name.as_bytes();
    bytes.get(..COMM_BYTES).unwrap_or(bytes)
}

/// Checks what is to be the name of a process or thread.
///
/// # Errors
///
/// If no process can have it: what to give instead.
pub fn comm(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains('\0') {
        return Err("give a name as ps -e prints it".to_owned());
    }
    Ok(text.to_owned())
}

/// Checks what is to be the name of a unit.
///
/// # Errors
///
/// If no unit can have it: what to give instead.
pub fn unit(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(['/', '\0']) || text.starts_with(['.', '-']) {
        return Err("give a unit's name, such as nginx.service".to_owned());
    }
    Ok(text.to_owned())
}

/// A name as the kernel keeps it.
fn padded(name: &str) -> [u8; COMM_BYTES + 1] {
    let mut padded = [0; COMM_BYTES + 1];
    for (slot, byte) in padded.iter_mut().zip(name.bytes().take(COMM_BYTES)) {
        *slot = byte;
    }
    padded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_as_the_kernel_cuts_them() {
        assert_eq!(&padded("nginx"), b"nginx\0\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(&padded("a-very-long-program-name"), b"a-very-long-pro\0");
    }

    #[test]
    fn what_the_kernel_side_was_told_at_load_cannot_change() {
        let ports = |ports: &[u16]| Filter {
            ports: ports.to_vec(),
            ..Filter::default()
        };
        assert!(ports(&[80]).can_become(&ports(&[81, 82])));
        assert!(!ports(&[80]).can_become(&ports(&[])));
        let named = |name: &str| Filter {
            comms: vec![name.to_owned()],
            ..Filter::default()
        };
        assert!(!named("nginx").can_become(&named("node")));
    }

    #[test]
    fn kinds_and_levels_are_bits() {
        let group = |level| Cgroup {
            path: "/".into(),
            id: 1,
            level,
        };
        let filter = Filter {
            ports: vec![80],
            cgroups: vec![group(2), group(3), group(2)],
            ..Filter::default()
        };
        assert_eq!(filter.bits(), filter::PORT | filter::CGROUP);
        assert_eq!(filter.cgroup_levels(), 0b1100);
        assert_eq!(Filter::default().bits(), 0);
    }
}
