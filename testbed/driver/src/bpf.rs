//! What a process holds of BPF, and whether the kernel still has it.

use std::{fs, io, thread};

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How long the kernel may take to let go of what nobody holds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Numbers of what a process holds, by `/proc/PID/fdinfo` (proc(5)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Programs.
    pub programs: BTreeSet<u32>,
    /// Maps.
    pub maps: BTreeSet<u32>,
    /// Links: that a program is attached.
    pub links: BTreeSet<u32>,
}

impl Held {
    /// What this process holds now.
    ///
    /// # Errors
    /// If it does not run, or is another user's.
    pub fn by(pid: u32) -> io::Result<Self> {
        let mut held = Self::default();
        for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
            // It may have been closed meanwhile.
            let text = fs::read_to_string(entry?.path()).unwrap_or_default();
            let number = |name| {
                let line = text.lines().find_map(|line| line.strip_prefix(name));
                line.and_then(|number| number.trim().parse::<u32>().ok())
            };
            // A link names its program too.
            held.links.extend(number("link_id:"));
            held.programs.extend(number("prog_id:"));
            held.maps.extend(number("map_id:"));
        }
        Ok(held)
    }

    /// What of it the kernel still has. It lets go a moment after the last holder does.
    ///
    /// # Errors
    /// If the kernel does not say what it has.
    pub fn left(&self) -> io::Result<Self> {
        let left = |all: &BTreeSet<u32>, now: BTreeSet<u32>| all & &now;
        let programs: Result<_, _> = aya::programs::loaded_programs()
            .map(|program| program.map(|program| program.id()))
            .collect();
        let maps: Result<_, _> = aya::maps::loaded_maps()
            .map(|map| map.map(|map| map.id()))
            .collect();
        let links: Result<_, _> = aya::programs::loaded_links()
            .map(|link| link.map(|link| link.id()))
            .collect();
        Ok(Self {
            programs: left(&self.programs, programs.map_err(io::Error::other)?),
            maps: left(&self.maps, maps.map_err(io::Error::other)?),
            links: left(&self.links, links.map_err(io::Error::other)?),
        })
    }

    /// Waits until the kernel has none of it any more, 10 s at most; what is left then.
    ///
    /// # Errors
    /// As [`Held::left`].
    pub fn left_in_the_end(&self) -> io::Result<Self> {
        let until = Instant::now() + PATIENCE;
        loop {
            // What is being taken apart while it is listed is no answer.
            if let Ok(left) = self.left()
                && (left == Self::default() || Instant::now() > until)
            {
                return Ok(left);
            }
            if Instant::now() > until {
                return self.left();
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}
