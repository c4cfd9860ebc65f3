//! Frames to bytes and back.

use std::collections::BTreeMap;

use detector_common::{Connection as Counters, Pod};
use serde::{Deserialize, Serialize};

use super::Input;
use crate::{
    capture::Record,
    judge::Finding,
    stack::{self, Stack},
};

/// One frame.
#[derive(Clone, Debug)]
pub enum Frame {
    /// What the recording is.
    About(About),
    /// An input of the judge.
    Input(Input),
    /// The program of a process.
    Program(Program),
    /// Findings are taken; so many calls were not shown by the kernel so far.
    Report(u64),
    /// What was reported with a finding.
    ReportedFinding(Box<ReportedFinding>),
    /// The end of the watch.
    Totals(Totals),
}

/// What a recording is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct About {
    /// Version of truncwatch.
    pub truncwatch: String,
    /// When it was begun, RFC 3339.
    pub begun: String,
    /// `CLOCK_MONOTONIC` then, nanoseconds.
    pub monotonic_ns: u64,
    /// Queries of targets are kept.
    #[serde(default)]
    pub show_query: bool,
}

/// The program of a process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Program {
    /// The process.
    pub pid: u32,
    /// Its program's path.
    pub exe: Option<String>,
}

/// Which finding it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingKey {
    /// [`Finding::tid`].
    pub tid: u32,
    /// Of its ending.
    pub time_ns: u64,
    /// [`Finding::inode`].
    pub inode: Option<u64>,
    /// Of its message.
    pub head_offset: u64,
    /// Its cause's name.
    pub cause: String,
}

impl FindingKey {
    /// That of a finding.
    #[must_use]
    pub fn of(finding: &Finding) -> Self {
        Self {
            tid: finding.tid,
            time_ns: finding.ending.time_ns,
            inode: finding.inode,
            head_offset: finding.message.head_offset,
            cause: finding.cause.name().to_owned(),
        }
    }
}

/// What was reported with a finding.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReportedFinding {
    /// Which.
    pub finding: FindingKey,
    /// When, RFC 3339.
    pub time: String,
    /// Its program.
    pub exe: Option<String>,
    /// Its unit of systemd.
    #[serde(default)]
    pub unit: Option<String>,
    /// Its container.
    #[serde(default)]
    pub container: Option<String>,
    /// Its stack, the innermost function first.
    pub frames: Vec<ReportedFrame>,
    /// [`Stack::incomplete`].
    pub incomplete: Option<String>,
}

/// A [`stack::Frame`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReportedFrame {
    symbol: Option<String>,
    file: Option<String>,
    line: Option<u32>,
    module: Option<String>,
    offset: Option<u64>,
    inlined: bool,
}

impl ReportedFinding {
    /// What was reported with this finding, but for what is known of its process.
    #[must_use]
    pub fn new(finding: &Finding, time: String, stack: &Stack) -> Self {
        let frames = stack.frames.iter().cloned();
        Self {
            finding: FindingKey::of(finding),
            time,
            exe: None,
            unit: None,
            container: None,
            frames: frames
                .map(|frame| ReportedFrame {
                    symbol: frame.symbol,
                    file: frame.file,
                    line: frame.line,
                    module: frame.module,
                    offset: frame.offset,
                    inlined: frame.inlined,
                })
                .collect(),
            incomplete: stack.incomplete.clone(),
        }
    }

    /// The stack.
    #[must_use]
    pub fn stack(&self) -> Stack {
        let frames = self.frames.iter().cloned();
        Stack {
            frames: frames
                .map(|frame| stack::Frame {
                    symbol: frame.symbol,
                    file: frame.file,
                    line: frame.line,
                    module: frame.module,
                    offset: frame.offset,
                    inlined: frame.inlined,
                })
                .collect(),
            incomplete: self.incomplete.clone(),
        }
    }
}

/// The end of a watch.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Totals {
    /// How long it was.
    pub seconds: f64,
    /// The kernel side's counters, by name.
    pub kernel: BTreeMap<String, u64>,
    /// Calls that the kernel did not show.
    pub missed: u64,
    /// Records that were not known.
    pub unknown_records: u64,
    /// The status of the command that was watched, if one was.
    pub command_status: Option<i32>,
    /// What the kernel did not show, in words.
    #[serde(default)]
    pub not_seen: Vec<String>,
    /// The processes that the summary lists, who they are.
    #[serde(default)]
    pub processes: Vec<Process>,
}

/// What was known of a process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its name.
    pub comm: Option<String>,
    /// Its program's path.
    pub exe: Option<String>,
}

/// Bytes that are no frame of the recording's form.
#[derive(Debug, thiserror::Error)]
#[error("a frame of kind {kind} and {length} bytes is none of its form")]
pub struct FrameError {
    kind: u8,
    length: usize,
}

impl FrameError {
    /// That these bytes, said to be of this kind, are none.
    pub(super) fn new(kind: u8, bytes: &[u8]) -> Self {
        let length = bytes.len();
        Self { kind, length }
    }
}

impl Frame {
    /// Which it is, and the rest.
    ///
    /// # Errors
    ///
    /// Never for these types; the serializer's interface asks for it.
    pub fn encode(&self) -> Result<(u8, Vec<u8>), serde_json::Error> {
        let counted = |cookie: &u64, counters: Option<&Counters>| {
            let mut bytes = cookie.to_le_bytes().to_vec();
            bytes.extend_from_slice(counters.map(Pod::bytes).unwrap_or_default());
            bytes
        };
        let timed = |cookie: &u64, counters: &Counters, now_ns: &u64| {
            let mut bytes = cookie.to_le_bytes().to_vec();
            bytes.extend_from_slice(&now_ns.to_le_bytes());
            bytes.extend_from_slice(counters.bytes());
            bytes
        };
        Ok(match self {
            Self::About(about) => (1, serde_json::to_vec(about)?),
            Self::Input(Input::Take(record)) => (2, record.encode()),
            Self::Input(Input::Settle(cookie, counters)) => {
                (3, counted(cookie, counters.as_deref()))
            }
            Self::Input(Input::Note(cookie, counters, now)) => (4, timed(cookie, counters, now)),
            Self::Input(Input::Stall(cookie, counters, now)) => (5, timed(cookie, counters, now)),
            Self::Input(Input::Release(cookie, counters)) => {
                (6, counted(cookie, counters.as_deref()))
            }
            Self::Input(Input::Finish(open)) => {
                let each = open.iter();
                let bytes = each.flat_map(|(cookie, counters)| counted(cookie, Some(counters)));
                (7, bytes.collect())
            }
            Self::Input(Input::OpenBefore(before)) => (12, serde_json::to_vec(before)?),
            Self::Program(program) => (8, serde_json::to_vec(program)?),
            Self::Report(missed) => (9, missed.to_le_bytes().to_vec()),
            Self::ReportedFinding(told) => (10, serde_json::to_vec(told)?),
            Self::Totals(totals) => (11, serde_json::to_vec(totals)?),
        })
    }

    /// Reads one.
    ///
    /// # Errors
    ///
    /// [`FrameError`] if it is none.
    pub fn decode(kind: u8, bytes: &[u8]) -> Result<Self, FrameError> {
        Self::read(kind, bytes).ok_or_else(|| FrameError::new(kind, bytes))
    }

    fn read(kind: u8, bytes: &[u8]) -> Option<Self> {
        let counted = || {
            let (cookie, rest) = number(bytes)?;
            let counters = match rest {
                [] => None,
                _ => Some(Box::new(exactly::<Counters>(rest)?)),
            };
            Some((cookie, counters))
        };
        let timed = || {
            let (cookie, rest) = number(bytes)?;
            let (now_ns, rest) = number(rest)?;
            Some((cookie, Box::new(exactly::<Counters>(rest)?), now_ns))
        };
        Some(match kind {
            1 => Self::About(serde_json::from_slice(bytes).ok()?),
            2 => Self::Input(Input::Take(Record::decode(bytes).ok()?)),
            3 => counted()
                .map(|(cookie, counters)| Input::Settle(cookie, counters))?
                .into(),
            4 => timed()
                .map(|(cookie, counters, now)| Input::Note(cookie, counters, now))?
                .into(),
            5 => timed()
                .map(|(cookie, counters, now)| Input::Stall(cookie, counters, now))?
                .into(),
            6 => counted()
                .map(|(cookie, counters)| Input::Release(cookie, counters))?
                .into(),
            7 => {
                let each = bytes.chunks(8 + size_of::<Counters>());
                let open = each.map(|each| {
                    let (cookie, rest) = number(each)?;
                    Some((cookie, exactly(rest)?))
                });
                Input::Finish(open.collect::<Option<_>>()?).into()
            }
            8 => Self::Program(serde_json::from_slice(bytes).ok()?),
            9 => Self::Report(exactly(bytes)?),
            10 => Self::ReportedFinding(serde_json::from_slice(bytes).ok()?),
            11 => Self::Totals(serde_json::from_slice(bytes).ok()?),
            12 => Input::OpenBefore(serde_json::from_slice(bytes).ok()?).into(),
            _ => return None,
        })
    }
}

impl From<Input> for Frame {
    fn from(input: Input) -> Self {
        Self::Input(input)
    }
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u64::from_le_bytes(*number), rest))
}

fn exactly<T: Pod>(bytes: &[u8]) -> Option<T> {
    (bytes.len() == size_of::<T>()).then(|| T::read(bytes))?
}
