//! All numbers at one moment, and how Prometheus is told them. What each means
//! stands in its help text, and for operators in `docs/daemon.md`.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _, prometheus_text, text},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge, info::Info},
    registry::{Registry, Unit},
};

use crate::{
    judge::{Cause, Finding},
    origin::Origin,
};

/// What the label `unit` says of units beyond the limit.
const OTHER: &str = "other";

/// Messages that were cut short, by cause, fault and unit.
#[derive(Clone, Debug, Default)]
pub(in crate::daemon) struct Truncated {
    counts: BTreeMap<(&'static str, &'static str, String), u64>,
    units: HashSet<String>,
}

impl Truncated {
    /// Every cause that there is, at 0: a series that begins with its first
    /// finding would hide that from `increase()`.
    pub(in crate::daemon) fn new() -> Self {
        let mut counts = BTreeMap::new();
        for (cause, fault) in Cause::WITH_FAULTS {
            counts.insert((cause.name(), fault.name(), String::new()), 0);
        }
        Self {
            counts,
            units: HashSet::new(),
        }
    }

    pub(in crate::daemon) fn count(&mut self, finding: &Finding, origin: &Origin, most: usize) {
        let label = origin.label();
        let unit = if label.is_empty() || self.units.contains(label) {
            label
        } else if self.units.len() < most {
            self.units.insert(label.to_owned());
            label
        } else {
            OTHER
        };
        let key = (finding.cause.name(), finding.fault.name(), unit.to_owned());
        *self.counts.entry(key).or_default() += 1;
    }
}

/// How full a map of the kernel side is.
#[derive(Clone, Debug)]
pub(in crate::daemon) struct Map {
    pub(in crate::daemon) name: &'static str,
    pub(in crate::daemon) entries: u64,
    pub(in crate::daemon) room: u64,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub(in crate::daemon) struct Snapshot {
    pub(in crate::daemon) truncated: Truncated,
    pub(in crate::daemon) judged: u64,
    pub(in crate::daemon) peer_endings: u64,
    pub(in crate::daemon) unjudged: BTreeMap<&'static str, u64>,
    pub(in crate::daemon) lost: BTreeMap<&'static str, u64>,
    pub(in crate::daemon) connections: u64,
    pub(in crate::daemon) tracked: u64,
    pub(in crate::daemon) tracked_limit: u64,
    pub(in crate::daemon) maps: Vec<Map>,
    pub(in crate::daemon) held_back: u64,
    pub(in crate::daemon) excluded: u64,
    pub(in crate::daemon) sink_failures: u64,
    pub(in crate::daemon) not_seen: u64,
    pub(in crate::daemon) shedding: bool,
    pub(in crate::daemon) reloads: u64,
    pub(in crate::daemon) reload_failures: u64,
    pub(in crate::daemon) cpu: Duration,
    pub(in crate::daemon) resident: u64,
    pub(in crate::daemon) descriptors: u64,
    /// When the daemon began, seconds since 1970.
    pub(in crate::daemon) started: f64,
}

/// The form that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::daemon) enum Form {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The text format 0.0.4, which node_exporter reads.
    Text,
}

impl Form {
    /// By what a client accepts.
    pub(super) fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => prometheus_text::CONTENT_TYPE,
        }
    }
}

impl Snapshot {
    /// As Prometheus reads it.
    ///
    /// # Errors
    ///
    /// Never for a string; the encoder's interface asks for it.
    pub(super) fn encode(self, form: Form) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut out = String::new();
        match form {
            Form::OpenMetrics => text::encode(&mut out, &registry)?,
            Form::Text => prometheus_text::encode(&mut out, &registry)?,
        }
        Ok(out)
    }
}

/// Writes families one after the other.
struct Families<'a>(DescriptorEncoder<'a>);

impl Families<'_> {
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let counter = ConstCounter::new(value);
        let encoder = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        counter.encode(encoder)
    }

    fn gauge(&mut self, name: &str, help: &str, unit: Option<&Unit>, value: u64) -> fmt::Result {
        let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
        let encoder = self
            .0
            .encode_descriptor(name, help, unit, MetricType::Gauge)?;
        gauge.encode(encoder)
    }

    /// One series per label.
    fn counters<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        rows: impl Iterator<Item = (&'a str, u64)>,
    ) -> fmt::Result {
        let mut encoder = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for (value, count) in rows {
            let labels = [(label, value)];
            ConstCounter::new(count).encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn maps(
        &mut self,
        name: &str,
        help: &str,
        maps: &[Map],
        value: fn(&Map) -> u64,
    ) -> fmt::Result {
        let mut encoder = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        for map in maps {
            let gauge = ConstGauge::new(i64::try_from(value(map)).unwrap_or(i64::MAX));
            let labels = [("map", map.name)];
            gauge.encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut to = Families(encoder);
        let mut truncated = to.0.encode_descriptor(
            "truncwatch_truncated_messages",
            "HTTP messages that were cut short",
            None,
            MetricType::Counter,
        )?;
        for ((cause, fault, unit), count) in &self.truncated.counts {
            let labels = [
                ("cause", *cause),
                ("fault", *fault),
                ("unit", unit.as_str()),
            ];
            ConstCounter::new(*count).encode(truncated.encode_family(&labels)?)?;
        }
        to.counter(
            "truncwatch_messages_judged",
            "HTTP messages that were proved whole or cut short",
            self.judged,
        )?;
        to.counter(
            "truncwatch_peer_endings",
            "HTTP messages that the peer cut short, reported or not",
            self.peer_endings,
        )?;
        to.counters(
            "truncwatch_unjudged",
            "Messages and connections that were not judged, by reason",
            "reason",
            self.unjudged
                .iter()
                .map(|(reason, count)| (*reason, *count)),
        )?;
        to.counters(
            "truncwatch_events_lost",
            "Events that were not seen, by what was full or missing",
            "why",
            self.lost.iter().map(|(why, count)| (*why, *count)),
        )?;
        to.counter(
            "truncwatch_connections",
            "Connections that moved bytes",
            self.connections,
        )?;
        to.gauge(
            "truncwatch_connections_tracked",
            "Connections that are known to be open",
            None,
            self.tracked,
        )?;
        to.gauge(
            "truncwatch_connections_limit",
            "Connections from which on the idlest are let go",
            None,
            self.tracked_limit,
        )?;
        to.maps(
            "truncwatch_map_entries",
            "Entries of the kernel side's maps, counted once a minute",
            &self.maps,
            |map| map.entries,
        )?;
        to.maps(
            "truncwatch_map_limit",
            "Entries that the kernel side's maps have room for",
            &self.maps,
            |map| map.room,
        )?;
        to.counter(
            "truncwatch_findings_held_back",
            "Findings that the rate limits counted and did not report one by one",
            self.held_back,
        )?;
        to.counter(
            "truncwatch_findings_excluded",
            "Findings that the configuration excludes",
            self.excluded,
        )?;
        to.counter(
            "truncwatch_sink_failures",
            "Findings that the journal or standard output did not take",
            self.sink_failures,
        )?;
        to.gauge(
            "truncwatch_not_seen",
            "Kinds of events that this host does not show",
            None,
            self.not_seen,
        )?;
        to.gauge(
            "truncwatch_shedding",
            "1 while stacks are let go, to save memory or time",
            None,
            u64::from(self.shedding),
        )?;
        to.counter(
            "truncwatch_reloads",
            "Times that the configuration was read again and taken",
            self.reloads,
        )?;
        to.counter(
            "truncwatch_reload_failures",
            "Times that it was read again and had something wrong",
            self.reload_failures,
        )?;
        self.own(&mut to)
    }
}

impl Snapshot {
    /// By the names that Prometheus's own client libraries give them.
    fn own(&self, to: &mut Families<'_>) -> fmt::Result {
        let cpu = ConstCounter::new(self.cpu.as_secs_f64());
        cpu.encode(to.0.encode_descriptor(
            "process_cpu",
            "CPU time of truncwatch",
            Some(&Unit::Seconds),
            MetricType::Counter,
        )?)?;
        to.gauge(
            "process_resident_memory",
            "Resident memory of truncwatch",
            Some(&Unit::Bytes),
            self.resident,
        )?;
        to.gauge(
            "process_open_fds",
            "Open descriptors of truncwatch",
            None,
            self.descriptors,
        )?;
        let started = ConstGauge::new(self.started);
        started.encode(to.0.encode_descriptor(
            "process_start_time",
            "When truncwatch began, since 1970",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?)?;
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        build.encode(to.0.encode_descriptor(
            "truncwatch_build",
            "The version of truncwatch",
            None,
            MetricType::Info,
        )?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examples::finding;

    fn snapshot() -> Snapshot {
        let mut truncated = Truncated::default();
        let nginx = Origin::parse("0::/system.slice/nginx.service");
        truncated.count(&finding(), &nginx, 1);
        truncated.count(&finding(), &nginx, 1);
        // Beyond the limit of units, and of none.
        let other = Origin::parse("0::/system.slice/node.service");
        truncated.count(&finding(), &other, 1);
        truncated.count(&finding(), &Origin::default(), 1);
        Snapshot {
            truncated,
            judged: 1_000,
            unjudged: [("encrypted", 5)].into(),
            lost: [("ring-full", 0)].into(),
            maps: vec![Map {
                name: "connections",
                entries: 7,
                room: 131_072,
            }],
            cpu: Duration::from_millis(1500),
            resident: 20 << 20,
            started: 1.5e9,
            ..Snapshot::default()
        }
    }

    /// The same for every version.
    fn page(form: Form) -> Result<String, fmt::Error> {
        let page = snapshot().encode(form)?;
        Ok(page.replace(env!("CARGO_PKG_VERSION"), "VERSION"))
    }

    #[test]
    fn in_the_form_of_openmetrics() -> fmt::Result {
        insta::assert_snapshot!("openmetrics", page(Form::OpenMetrics)?);
        Ok(())
    }

    #[test]
    fn in_the_form_that_node_exporter_reads() -> fmt::Result {
        insta::assert_snapshot!("text", page(Form::Text)?);
        Ok(())
    }

    #[test]
    fn every_cause_is_there_from_the_beginning() -> fmt::Result {
        let snapshot = Snapshot {
            truncated: Truncated::new(),
            ..Snapshot::default()
        };
        let text = snapshot.encode(Form::Text)?;
        let line = r#"truncwatch_truncated_messages_total{cause="premature-close",fault="local",unit=""} 0"#;
        assert!(text.contains(line), "{text}");
        Ok(())
    }
}
