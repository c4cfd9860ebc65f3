//! What the configuration says is watched, as the kernel side is told.

use anyhow::Result;

use super::config::Config;
use crate::{
    capture::live::{
        self, Filter,
        cgroup::{Cgroup, Hierarchy},
    },
    report::note,
    watch::settings::{Monitor, Settings},
};

/// Levels of the hierarchy at which a service may be that does not run yet: in
/// system.slice, or in a slice of its own below.
const SERVICE_LEVELS: [u32; 2] = [2, 3];

/// What is watched.
pub(super) struct Watching {
    pub(super) filter: Filter,
    /// Units that do not run.
    pub(super) missing: Vec<String>,
}

impl Watching {
    /// Looks the names up.
    ///
    /// # Errors
    ///
    /// If there are no control groups to go by, or one is not there.
    pub(super) fn of(config: &Config) -> Result<Self> {
        let watch = &config.watch;
        let mut cgroups = Vec::new();
        let mut missing = Vec::new();
        if !watch.units.is_empty() || !watch.cgroups.is_empty() {
            let hierarchy = Hierarchy::find()?;
            for unit in &watch.units {
                let mut found = hierarchy.running(unit)?;
                if found.is_empty() {
                    found.extend(SERVICE_LEVELS.map(nobody));
                    missing.push(unit.clone());
                }
                cgroups.append(&mut found);
            }
            for path in &watch.cgroups {
                cgroups.push(hierarchy.group(path)?);
            }
        }
        Ok(Self {
            filter: Filter {
                comms: watch.comms.clone(),
                cgroups,
                ports: watch.ports.clone(),
            },
            missing,
        })
    }

    /// Says which units do not run: they may be misspelt.
    pub(super) fn note_missing(&self) {
        for unit in &self.missing {
            note(format_args!(
                "the unit {unit} does not run now; it is watched when it does"
            ));
        }
    }
}

/// A control group that no process is in: the kernel side then looks at this
/// level, and at no process there.
fn nobody(level: u32) -> Cgroup {
    Cgroup {
        path: "/nonexistent".into(),
        id: u64::MAX,
        level,
    }
}

/// How the engine is told.
pub(super) fn settings(config: &Config, filter: Filter) -> Settings {
    Settings {
        live: live::Options {
            watch_all: true,
            filter,
            ring_bytes: RING_BYTES,
            stack_bytes: Some(STACK_BYTES),
            stacks: match config.watch.no_stacks {
                true => live::Stacks::None,
                false => live::Stacks::Some,
            },
            ..live::Options::default()
        },
        stall: config.watch.stall_seconds,
        show_peer: config.watch.show_peer,
        monitor: Some(Monitor {
            connections: usize::try_from(config.limits.connections).unwrap_or(usize::MAX),
            memory: u64::from(config.limits.memory_mib) << 20,
        }),
    }
}

/// Bytes of the ring buffers: less than a watch by hand has, for these pages are in
/// memory for months, and count twice: they are mapped twice. A third of a second of
/// 20,000 messages a second; a stack that is lost costs less than a record.
const RING_BYTES: u32 = 8 << 20;
const STACK_BYTES: u32 = 1 << 20;

/// What is watched, in words.
pub(super) fn words(config: &Config) -> String {
    let watch = &config.watch;
    let mut text = "every process on this host".to_owned();
    let mut add = |before: &str, words: Vec<String>| {
        if !words.is_empty() {
            text.push_str(&format!(" {before} {}", words.join(" or ")));
        }
    };
    add("named", watch.comms.clone());
    let paths = watch.cgroups.iter().map(|path| path.display().to_string());
    add("in", watch.units.iter().cloned().chain(paths).collect());
    add("on port", watch.ports.iter().map(u16::to_string).collect());
    text
}
