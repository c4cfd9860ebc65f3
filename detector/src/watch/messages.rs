//! What is watched, in words.

use std::collections::BTreeSet;

use super::events::Watch;
use crate::judge::Unjudged;
use crate::{
    capture::live::process,
    report::{grouped, note},
};

impl Watch<'_> {
    /// What is watched, in words.
    pub(super) fn scope(&self) -> String {
        format!("{}{}", self.roots(), self.filters())
    }

    /// The filters, in words.
    pub(super) fn filters(&self) -> String {
        format!("{}{}", self.process_filters(), self.port_filter())
    }

    /// Those of processes.
    fn process_filters(&self) -> String {
        let or = |words: Vec<String>| words.join(" or ");
        let mut text = String::new();
        if !self.options.comms.is_empty() {
            text.push_str(&format!(" named {}", or(self.options.comms.clone())));
        }
        if !self.engine.cgroups().is_empty() {
            let paths = self.engine.cgroups().iter();
            let paths = paths.map(|group| group.path.display().to_string());
            text.push_str(&format!(" in {}", or(paths.collect())));
        }
        text
    }

    /// That of connections.
    fn port_filter(&self) -> String {
        let ports: Vec<_> = self.options.ports.iter().map(ToString::to_string).collect();
        match ports.as_slice() {
            [] => String::new(),
            ports => format!(" on port {}", ports.join(" or ")),
        }
    }

    /// Says that children are not watched: a server's master has others work.
    pub(super) fn note_children(&self) {
        if self.options.follow || self.options.pids.is_empty() {
            return;
        }
        let children = process::descendants(&self.options.pids)
            .iter()
            .filter(|pid| !self.options.pids.contains(pid))
            .count();
        if children > 0 {
            let (noun, are) = if children == 1 {
                ("child", "is")
            } else {
                ("children", "are")
            };
            note(format_args!(
                "{children} {noun} {are} not watched; with --follow they are too"
            ));
        }
    }

    /// Says which names no process has now: they may be misspelt.
    pub(super) fn note_names(&self) {
        for name in &self.options.comms {
            if !process::any_named(name) {
                note(format_args!(
                    "no process has the name {name} now; those to come are watched"
                ));
            }
        }
        if self.options.comms.is_empty() {
            return;
        }
        // A process that is named by its number has to pass the filter all the same.
        for pid in &self.options.pids {
            let named = |name: &String| process::is_named(*pid, name);
            if self.options.comms.iter().any(named) {
                continue;
            }
            let comm = process::comm(*pid).unwrap_or_default();
            let children = match self.options.follow {
                true => ", unless a child of it is named so",
                false => "",
            };
            note(format_args!(
                "process {pid} is named {comm} and has no thread named {}: nothing of it is watched{children}; leave out --comm to watch it",
                self.options.comms.join(" or ")
            ));
        }
    }

    /// Says what to do where records were lost.
    pub(super) fn note_lost(&self, records: u64) {
        if records > 0 {
            note(format_args!(
                "events were lost ({}), and their connections were not judged: the host is short of CPU; watch fewer processes or ports (--pid, --comm, --port), or with --no-stack",
                grouped(records)
            ));
        }
    }

    /// Who may have handed connections on to what is watched, in words, if any were used
    /// before.
    pub(super) fn masters(&self) -> String {
        if self.engine.tally().missed(Unjudged::MidStream) == 0 {
            return String::new();
        }
        let masters: BTreeSet<_> = self
            .options
            .pids
            .iter()
            .filter_map(|pid| process::master(*pid))
            .filter(|master| !self.options.pids.contains(master))
            .collect();
        let named = masters
            .into_iter()
            .map(|pid| format!(" (process {pid} may have handed them on: --follow --pid {pid})"));
        named.collect()
    }

    /// Says that the filters may be wrong.
    pub(super) fn note_nothing_passed(&self) {
        let (processes, port) = (self.process_filters(), self.port_filter());
        let filtered = !processes.is_empty() || !port.is_empty();
        if self.summary.connections == 0 && filtered {
            note(format_args!(
                "no process{processes} used a connection{port}"
            ));
        }
    }

    /// The processes that are watched, in words.
    pub(super) fn roots(&self) -> String {
        if self.options.pids.is_empty() {
            return "every process on this host".to_owned();
        }
        // One may be given twice.
        let pids: BTreeSet<_> = self.options.pids.iter().collect();
        let named: Vec<_> = pids
            .into_iter()
            .map(|pid| match process::comm(*pid) {
                Some(comm) => format!("{pid} ({comm})"),
                None => pid.to_string(),
            })
            .collect();
        let children = self
            .engine
            .live()
            .watched()
            .len()
            .saturating_sub(named.len());
        let followed = match (self.options.follow, children) {
            (false, _) => String::new(),
            (true, 0) => " and children to come".to_owned(),
            (true, 1) => " and its child".to_owned(),
            (true, count) => format!(" and {count} children"),
        };
        let noun = if named.len() == 1 {
            "process"
        } else {
            "processes"
        };
        format!("{noun} {}{followed}", named.join(", "))
    }
}
