//! What a watch looks at: the filters, with names looked up.

use anyhow::{Result, ensure};

use crate::{
    capture::live::{Filter, MOST_COMMS, MOST_PORTS, cgroup::Hierarchy},
    cli::{Watching, kept},
    report::note,
};

/// What a connection has to pass, with names looked up.
pub(super) fn filter(cli: &Watching) -> Result<Filter> {
    ensure!(
        cli.comm.len() <= MOST_COMMS,
        "--comm is given {} times: at most {MOST_COMMS} names can be watched, or the whole host",
        cli.comm.len()
    );
    ensure!(
        cli.port.len() <= MOST_PORTS,
        "--port is given {} times: at most {MOST_PORTS} ports can be watched, or all",
        cli.port.len()
    );
    for name in &cli.comm {
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
    if !cli.unit.is_empty() || !cli.cgroup.is_empty() {
        let hierarchy = Hierarchy::find()?;
        for unit in &cli.unit {
            cgroups.append(&mut hierarchy.unit(unit)?);
        }
        for path in &cli.cgroup {
            let group = hierarchy.group(path)?;
            if !cgroups.iter().any(|known| known.path == group.path) {
                cgroups.push(group);
            }
        }
    }
    Ok(Filter {
        comms: cli.comm.clone(),
        cgroups,
        ports: cli.port.clone(),
    })
}
