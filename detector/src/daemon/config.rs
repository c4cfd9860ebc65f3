//! The daemon's configuration, a file in TOML. What this file's types say is
//! the contract: each key, its unit and its default. A key that is not known is
//! an error: a typing mistake must not leave something unwatched.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::capture::live::{self, MOST_COMMS};

/// Where it is looked for if no other place is named. It need not be there.
pub const DEFAULT_PATH: &str = "/etc/truncwatch/truncwatch.toml";

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What is watched.
    pub watch: Watch,
    /// What is watched and not told.
    pub exclude: Exclude,
    /// How findings are told.
    pub findings: Findings,
    /// Numbers for Prometheus.
    pub metrics: Metrics,
    /// What the daemon may use.
    pub limits: Limits,
}

/// What is watched: every process on the host, as far as it passes. Of one
/// kind, one has to fit; of different kinds, all.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Watch {
    /// Units of systemd, also those that do not run yet.
    #[serde(deserialize_with = "units")]
    pub units: Vec<String>,
    /// Control groups of version 2, with those below.
    pub cgroups: Vec<PathBuf>,
    /// Names of processes or threads; 16 at most.
    #[serde(deserialize_with = "comms")]
    pub comms: Vec<String>,
    /// Local or remote ports.
    #[serde(deserialize_with = "ports")]
    pub ports: Vec<u16>,
    /// Seconds without progress after which a message that owes bytes is told; 0
    /// is off.
    #[serde(deserialize_with = "seconds_or_none")]
    pub stall_seconds: Duration,
    /// Tell what the peer cut short too (always counted).
    pub show_peer: bool,
    /// Tell request targets whole; they are cut at `?` otherwise.
    pub show_query: bool,
    /// Do not copy the stacks of threads that end connections too early.
    pub no_stacks: bool,
}

/// Findings that are counted as excluded and told nowhere. Of either kind, one
/// has to fit.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Exclude {
    /// Units of systemd.
    #[serde(deserialize_with = "units")]
    pub units: Vec<String>,
    /// Names of threads that ended a connection.
    #[serde(deserialize_with = "names")]
    pub comms: Vec<String>,
}

/// How findings are told.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Findings {
    /// Where.
    pub output: Output,
    /// How many of one cause and one process are told in full in a period; the
    /// others are counted, and a line says how many they were.
    #[serde(deserialize_with = "positive")]
    pub in_full: u32,
    /// The same of all together.
    #[serde(deserialize_with = "positive")]
    pub in_full_all: u32,
    /// Length of a period, seconds.
    #[serde(deserialize_with = "seconds")]
    pub period_seconds: Duration,
}

/// Where findings are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Output {
    /// In the journal if there is one, else as JSON lines on standard output.
    #[default]
    Auto,
    /// As entries of the journal.
    Journal,
    /// As JSON lines on standard output.
    Stdout,
}

/// Numbers for Prometheus.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// Address and port of `/metrics`; [`DEFAULT_LISTEN`] without it, and nothing
    /// listens where it is `""`. There is no password: keep it on a loopback address,
    /// or behind a firewall.
    #[serde(deserialize_with = "listen")]
    pub listen: Listen,
    /// A file `….prom` for node_exporter's textfile collector; none is written
    /// without it.
    #[serde(deserialize_with = "prom")]
    pub textfile: Option<PathBuf>,
    /// How often it is written, seconds.
    #[serde(deserialize_with = "seconds")]
    pub textfile_seconds: Duration,
    /// Most values that the label `unit` takes; further units are `other`.
    #[serde(deserialize_with = "positive")]
    pub most_units: u32,
}

/// What the daemon may use.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Most connections that are tracked; of more, the ones that were idle for
    /// longest are let go, and counted as `evicted`.
    #[serde(deserialize_with = "connections")]
    pub connections: u32,
    /// Resident memory, MiB, within which programs are read to name stacks, and
    /// from which on stacks are let go, so that findings and judgement go on.
    #[serde(deserialize_with = "positive")]
    pub memory_mib: u32,
    /// How nice the daemon is to others (nice(2)), 0 to 19.
    #[serde(deserialize_with = "nice")]
    pub nice: i32,
    /// How often records are read where the kernel does not ask for it,
    /// milliseconds. Rarely read, more is not seen of messages in large calls.
    #[serde(deserialize_with = "tick")]
    pub tick_ms: u32,
}

/// Where metrics are where the configuration does not say: on this host only.
pub(super) const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9849));

/// Where `/metrics` is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Listen {
    /// At [`DEFAULT_LISTEN`], once that can be had: nobody asked for it.
    #[default]
    Default,
    /// Nowhere.
    Off,
    /// Here: what cannot be had is an error.
    At(SocketAddr),
}

impl Listen {
    /// The address, if there is to be one.
    #[must_use]
    pub fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Default => Some(DEFAULT_LISTEN),
            Self::Off => None,
            Self::At(address) => Some(address),
        }
    }
}

impl Default for Findings {
    fn default() -> Self {
        Self {
            output: Output::Auto,
            in_full: 5,
            in_full_all: 100,
            period_seconds: Duration::from_secs(600),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            listen: Listen::Default,
            textfile: None,
            textfile_seconds: Duration::from_secs(15),
            most_units: 100,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_000,
            memory_mib: 64,
            nice: 10,
            tick_ms: 250,
        }
    }
}

impl Config {
    /// Reads it: of the file that is named, else of [`DEFAULT_PATH`] if that is
    /// there, else the defaults.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or has something wrong: in one line with the file,
    /// the line and the key.
    pub fn load(named: Option<&Path>) -> Result<Self> {
        let path = named.unwrap_or(Path::new(DEFAULT_PATH));
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, path),
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                Ok(Self::default())
            }
            Err(error) => Err(error)
                .with_context(|| format!("cannot read the configuration {}", path.display())),
        }
    }

    /// The same of a text; `path` is where it is from.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        toml::from_str(text).map_err(|error| {
            let place = error.span().map(|span| place(text, span.start));
            let place = place.map_or_else(String::new, |(line, key)| match key {
                Some(key) => format!(", line {line}, {key}"),
                None => format!(", line {line}"),
            });
            let words: Vec<_> = error.message().split_whitespace().collect();
            anyhow::anyhow!("{}{place}: {}", path.display(), words.join(" "))
        })
    }
}

/// The line of a byte, from 1, and the key that it belongs to.
fn place(text: &str, at: usize) -> (usize, Option<String>) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    // A list may begin on an earlier line.
    let lines: Vec<_> = text.lines().take(line).collect();
    // A table's head belongs to no key.
    if lines.last().is_some_and(|line| line.starts_with('[')) {
        return (line, None);
    }
    let key = lines.into_iter().rev().find_map(|line| {
        let (key, _) = line.split_once('=')?;
        let key = key.trim().trim_matches('"');
        let is_key = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
        (!key.is_empty() && key.chars().all(is_key)).then(|| key.to_owned())
    });
    (line, key)
}

fn units<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    checked(from, live::unit)
}

fn names<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    checked(from, live::comm)
}

fn comms<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let names = names(from)?;
    if names.len() > MOST_COMMS {
        return Err(D::Error::custom(format!(
            "{} names: at most {MOST_COMMS} can be watched, or the whole host",
            names.len()
        )));
    }
    Ok(names)
}

fn checked<'de, D: Deserializer<'de>>(
    from: D,
    check: fn(&str) -> Result<String, String>,
) -> Result<Vec<String>, D::Error> {
    let words = Vec::<String>::deserialize(from)?;
    words
        .iter()
        .map(|word| check(word).map_err(|why| D::Error::custom(format!("{word:?}: {why}"))))
        .collect()
}

fn ports<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u16>, D::Error> {
    let ports = Vec::<u16>::deserialize(from)?;
    if ports.contains(&0) {
        return Err(D::Error::custom("no port has the number 0"));
    }
    if ports.len() > live::MOST_PORTS {
        return Err(D::Error::custom(format!(
            "{} ports: at most {} can be watched, or all",
            ports.len(),
            live::MOST_PORTS
        )));
    }
    Ok(ports)
}

fn prom<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
    let path = PathBuf::deserialize(from)?;
    if path.extension().is_none_or(|ending| ending != "prom") || !path.is_absolute() {
        return Err(D::Error::custom(
            "give the whole path of a file that ends in .prom: node_exporter reads no other",
        ));
    }
    Ok(Some(path))
}

fn listen<'de, D: Deserializer<'de>>(from: D) -> Result<Listen, D::Error> {
    let text = String::deserialize(from)?;
    if text.is_empty() {
        return Ok(Listen::Off);
    }
    let address = text.parse().map_err(|_| {
        D::Error::custom(format!(
            "{text:?}: give an address and a port, such as 127.0.0.1:9849 or [::1]:9849, or \"\" for none"
        ))
    })?;
    Ok(Listen::At(address))
}

fn positive<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    within(from, 1, u32::MAX)
}

fn connections<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    // As many as the kernel side's map holds.
    within(from, 16, 131_072)
}

fn tick<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    within(from, 10, 1000)
}

fn nice<'de, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
    let number = within(from, 0, 19)?;
    i32::try_from(number).map_err(D::Error::custom)
}

fn within<'de, D: Deserializer<'de>>(from: D, least: u32, most: u32) -> Result<u32, D::Error> {
    let number = i64::deserialize(from)
        .map_err(|_| D::Error::custom(format!("give a whole number from {least} to {most}")))?;
    match u32::try_from(number) {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(D::Error::custom(format!(
            "{number} is not from {least} to {most}"
        ))),
    }
}

fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let duration = seconds_or_none(from)?;
    if duration < Duration::from_secs(1) {
        return Err(D::Error::custom("give a number of seconds, at least 1"));
    }
    Ok(duration)
}

fn seconds_or_none<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Whole(u32),
        Part(f64),
    }
    let number = match Number::deserialize(from) {
        Ok(Number::Whole(number)) => f64::from(number),
        Ok(Number::Part(number)) => number,
        Err(_) => return Err(D::Error::custom("give a number of seconds, such as 30")),
    };
    Duration::try_from_secs_f64(number)
        .map_err(|_| D::Error::custom("give a number of seconds, such as 30"))
}

/// `--check-config`: says that it is right; what is wrong is an error.
///
/// # Errors
///
/// As [`Config::load`].
pub(super) fn check(named: Option<&Path>) -> Result<String> {
    let path = named.unwrap_or(Path::new(DEFAULT_PATH));
    if named.is_none() && !path.exists() {
        return Ok(format!(
            "there is no {}: the daemon runs with its defaults; another file is given with --config",
            path.display()
        ));
    }
    Config::load(Some(path))?;
    Ok(format!("{}: nothing is wrong with it", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        match Config::parse(text, Path::new("/etc/x.toml")) {
            Ok(config) => format!("taken: {config:?}"),
            Err(error) => format!("{error:#}"),
        }
    }

    #[test]
    fn nothing_is_the_defaults() {
        let config = Config::parse("", Path::new("x")).unwrap();
        assert_eq!(config, Config::default());
        assert_eq!(config.metrics.listen.address(), Some(DEFAULT_LISTEN));
    }

    #[test]
    fn metrics_are_on_and_can_be_turned_off() {
        let listen = |text: &str| {
            let config = Config::parse(text, Path::new("x")).unwrap();
            config.metrics.listen.address().map(|it| it.to_string())
        };
        for (text, address) in [
            ("", Some("127.0.0.1:9849")),
            ("[metrics]\nmost_units = 5", Some("127.0.0.1:9849")),
            ("[metrics]\nlisten = \"\"", None),
            ("[metrics]\nlisten = \"[::1]:80\"", Some("[::1]:80")),
        ] {
            assert_eq!(listen(text).as_deref(), address, "{text}");
        }
        // The line is there, and commented out.
        let shipped = include_str!("../../../packaging/truncwatch.toml");
        assert_eq!(listen(shipped).as_deref(), Some("127.0.0.1:9849"));
        let line = format!("\n#listen = \"{DEFAULT_LISTEN}\"\n");
        assert!(shipped.contains(&line), "{line}");
    }

    #[test]
    fn the_file_that_is_shipped_has_every_key_and_is_taken() {
        let text = include_str!("../../../packaging/truncwatch.toml");
        Config::parse(text, Path::new("x")).unwrap();
        // With what is commented out there too.
        let all: String = text
            .lines()
            .map(|line| match line.strip_prefix("#") {
                Some(rest) if rest.contains(" = ") && !rest.starts_with(' ') => rest,
                _ => line,
            })
            .collect::<Vec<_>>()
            .join("\n");
        let config = Config::parse(&all, Path::new("x")).unwrap();
        assert_eq!(config.limits, Limits::default());
        assert_eq!(config.findings, Findings::default());
        for key in [
            "units",
            "cgroups",
            "comms",
            "ports",
            "stall_seconds",
            "show_peer",
            "show_query",
            "no_stacks",
            "output",
            "in_full",
            "in_full_all",
            "period_seconds",
            "listen",
            "textfile",
            "textfile_seconds",
            "most_units",
            "connections",
            "memory_mib",
            "nice",
            "tick_ms",
        ] {
            assert!(all.contains(&format!("{key} = ")), "{key}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_key() {
        insta::assert_snapshot!(error("[watch]\nunit = [\"x\"]"), @"/etc/x.toml, line 2, unit: unknown field `unit`, expected one of `units`, `cgroups`, `comms`, `ports`, `stall_seconds`, `show_peer`, `show_query`, `no_stacks`");
        insta::assert_snapshot!(error("[watch]\nports = [\n  80,\n  70000,\n]"), @"/etc/x.toml, line 4, ports: invalid value: integer `70000`, expected u16");
        insta::assert_snapshot!(error("[watch]\nports = [0]"), @"/etc/x.toml, line 2, ports: no port has the number 0");
        insta::assert_snapshot!(error("[metrics]\n\nlisten = \"9849\""), @r#"/etc/x.toml, line 3, listen: "9849": give an address and a port, such as 127.0.0.1:9849 or [::1]:9849, or "" for none"#);
        insta::assert_snapshot!(error("[watch]\nports = [80]\n[wach]\nports = [1]"), @"/etc/x.toml, line 3: unknown field `wach`, expected one of `watch`, `exclude`, `findings`, `metrics`, `limits`");
        insta::assert_snapshot!(error("[metrics]\ntextfile = \"/x/y\""), @"/etc/x.toml, line 2, textfile: give the whole path of a file that ends in .prom: node_exporter reads no other");
        insta::assert_snapshot!(error("[limits]\nnice = -3"), @"/etc/x.toml, line 2, nice: -3 is not from 0 to 19");
        insta::assert_snapshot!(error("[limits]\nnice = \"very\""), @"/etc/x.toml, line 2, nice: give a whole number from 0 to 19");
        insta::assert_snapshot!(error("[findings]\nperiod_seconds = \"soon\""), @"/etc/x.toml, line 2, period_seconds: give a number of seconds, such as 30");
        insta::assert_snapshot!(error("[findings]\noutput = \"mail\""), @"/etc/x.toml, line 2, output: unknown variant `mail`, expected one of `auto`, `journal`, `stdout`");
        insta::assert_snapshot!(error("[watch]\nunits = [\"a/b\"]"), @r#"/etc/x.toml, line 2, units: "a/b": give a unit's name, such as nginx.service"#);
        insta::assert_snapshot!(error("[watch"), @"/etc/x.toml, line 1: unclosed table, expected `]`");
        insta::assert_snapshot!(error("[watch]\nshow_peer = true\nshow_peer = false"), @"/etc/x.toml, line 3, show_peer: duplicate key");
    }
}
