//! What a watch looks at: the filters, with names looked up.

use anyhow::{Result, ensure};

use super::Options;
use crate::{
    capture::live::{Filter, MOST_COMMS, MOST_PORTS, cgroup::Hierarchy, kept},
    report::note,
};

/// What a connection has to pass, with names looked up.
pub(super) fn filter(options: &Options) -> Result<Filter> {
    ensure!(
        options.comms.len() <= MOST_COMMS,
        "--comm is given {} times: at most {MOST_COMMS} names can be watched, or the whole host",
        options.comms.len()
    );
    ensure!(
        options.ports.len() <= MOST_PORTS,
        "--port is given {} times: at most {MOST_PORTS} ports can be watched, or all",
        options.ports.len()
    );
    for name in &options.comms {
        let kept = kept(name);
        if kept.len() < name.len() {
            note(format_args!(
                "the kernel keeps {} bytes of a name: for --comm {name}, {} is looked for",
                kept.len(),
                String::from_utf8_lossy(kept)
            ));
        }
    }
    let mut cgroups = Vec::new();
    if !options.units.is_empty() || !options.cgroups.is_empty() {
        let hierarchy = Hierarchy::find()?;
        for unit in &options.units {
            cgroups.append(&mut hierarchy.unit(unit)?);
        }
        for path in &options.cgroups {
            let group = hierarchy.group(path)?;
            if !cgroups.iter().any(|known| known.path == group.path) {
                cgroups.push(group);
            }
        }
    }
    Ok(Filter {
        comms: options.comms.clone(),
        cgroups,
        ports: options.ports.clone(),
    })
}
