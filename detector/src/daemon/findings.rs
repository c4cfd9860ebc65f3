//! What is told, counted, or held back.

use std::{collections::HashSet, time::Instant};

use super::{Daemon, config::Exclude, limiter::Limiter, metrics::Truncated};
use crate::{capture::live::kept, judge::Finding, origin::Origin, report::note, watch::Program};

/// Decides of each finding.
pub(super) struct Sieve<'a> {
    pub(super) exclude: &'a Exclude,
    pub(super) most_units: usize,
    pub(super) limiter: &'a mut Limiter,
    pub(super) truncated: &'a mut Truncated,
    pub(super) held_back: &'a mut u64,
    pub(super) excluded: &'a mut u64,
    pub(super) told_before: Option<&'a HashSet<u64>>,
}

impl Sieve<'_> {
    /// Whether it is told in full.
    pub(super) fn takes(&mut self, finding: &Finding, program: &Program) -> bool {
        let origin = &program.origin;
        let again = |told: &&HashSet<u64>| finding.inode.is_some_and(|it| told.contains(&it));
        if self.told_before.as_ref().is_some_and(again) {
            return false;
        }
        if excludes(self.exclude, finding, origin) {
            *self.excluded += 1;
            return false;
        }
        self.truncated.count(finding, origin, self.most_units);
        let exe = program.exe.as_deref();
        let takes = self.limiter.takes(finding, exe, origin, Instant::now());
        *self.held_back += u64::from(!takes);
        takes
    }
}

fn excludes(exclude: &Exclude, finding: &Finding, origin: &Origin) -> bool {
    let is_unit = |name: &String| {
        origin.unit.as_ref().is_some_and(|unit| {
            unit == name || unit.strip_suffix(".service") == Some(name.as_str())
        })
    };
    let is_comm = |name: &String| String::from_utf8_lossy(kept(name)) == finding.comm;
    exclude.comms.iter().any(is_comm) || exclude.units.iter().any(is_unit)
}

impl Daemon {
    /// Takes and judges what there is, and tells it.
    pub(super) fn turn(&mut self) {
        let now = Instant::now();
        self.told_before.take_if(|(until, _)| now >= *until);
        let mut sieve = Sieve {
            exclude: &self.config.exclude,
            most_units: usize::try_from(self.config.metrics.most_units).unwrap_or(usize::MAX),
            limiter: &mut self.limiter,
            truncated: &mut self.truncated,
            held_back: &mut self.held_back,
            excluded: &mut self.excluded,
            told_before: self.told_before.as_ref().map(|(_, told)| told),
        };
        let known = self.engine.not_seen().len();
        let turned = self.engine.turn(&mut self.nice, &mut |finding, program| {
            sieve.takes(finding, program)
        });
        if let Err(error) = turned {
            self.trouble(&error);
        }
        for what in self.engine.not_seen().iter().skip(known) {
            note(format_args!("not seen: {what}"));
        }
        while let Some((waiting, stack)) = self.engine.next() {
            let show_query = self.config.watch.show_query;
            self.sink.finding(&waiting.reported(&stack, show_query));
        }
        for held in self.limiter.over(now, false) {
            self.sink.held_back(&held);
        }
    }

    /// The same at the end of an engine, with what is open; the sockets of the
    /// findings.
    pub(super) fn drain(&mut self) -> HashSet<u64> {
        let mut sieve = Sieve {
            exclude: &self.config.exclude,
            most_units: usize::try_from(self.config.metrics.most_units).unwrap_or(usize::MAX),
            limiter: &mut self.limiter,
            truncated: &mut self.truncated,
            held_back: &mut self.held_back,
            excluded: &mut self.excluded,
            told_before: None,
        };
        let mut sockets = HashSet::new();
        self.engine.finish(&mut |finding, program| {
            sockets.extend(finding.inode);
            sieve.takes(finding, program)
        });
        while let Some((waiting, stack)) = self.engine.next_last() {
            let show_query = self.config.watch.show_query;
            self.sink.finding(&waiting.reported(&stack, show_query));
        }
        sockets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examples::finding;

    #[test]
    fn what_is_excluded_goes_by_name_or_unit() {
        let nginx = Origin::parse("0::/system.slice/nginx.service");
        let named = |comm: &str, excluded: &str| {
            let exclude = Exclude {
                units: Vec::new(),
                comms: vec![excluded.to_owned()],
            };
            let comm = comm.to_owned();
            excludes(&exclude, &Finding { comm, ..finding() }, &nginx)
        };
        // The kernel keeps 15 bytes.
        assert!(named("systemd-resolve", "systemd-resolved"));
        assert!(!named("systemd-resolv", "systemd-resolved"));
        let excluded = |units: &[&str], comms: &[&str]| {
            let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
            let exclude = Exclude {
                units: words(units),
                comms: words(comms),
            };
            excludes(&exclude, &finding(), &nginx)
        };
        assert!(excluded(&["nginx.service"], &[]));
        assert!(excluded(&["nginx"], &[]));
        assert!(excluded(&[], &["images"]));
        assert!(!excluded(&["ngin"], &["image"]));
        assert!(!excluded(&[], &[]));
    }
}
