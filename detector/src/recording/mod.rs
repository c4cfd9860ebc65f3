//! What `truncwatch record` keeps of a watch, and how it is judged again.
//!
//! A recording holds every input of the judge, in order, and what the report
//! needs besides. It begins with [`MAGIC`], [`VERSION`] (16 bits), the packing (8
//! bits: 1, or 0 in those that are not packed) and a zero byte; then come
//! frames, packed in blocks (`pack.rs`). A frame is the length of what follows it
//! (32 bits), one byte that tells what it is, and the rest. Numbers are
//! little-endian. Records and counters are as the
//! kernel side writes them (`detector-common`), but for the bytes of samples
//! that the judge did not read or that are no framing, which are taken out
//! (`redact/`). Those of one connection come in the order in which it took them.
//!
//! | byte | what it is | what it holds |
//! | --- | --- | --- |
//! | 1 | [`About`], the first | JSON |
//! | 2 | a record | the record |
//! | 3, 6 | `settle`, `release` | cookie, then the counters, if there are any |
//! | 4, 5 | `note`, `stall` | cookie, time, counters |
//! | 7 | `finish` | cookie and counters, of each socket that is open |
//! | 8 | [`Program`] of a process, as known from here on | JSON |
//! | 9 | findings are taken | calls that the kernel did not show so far |
//! | 10 | [`ReportedFinding`]: what was reported with a finding | JSON |
//! | 11 | [`Totals`], the last | JSON |
//! | 12 | `open_before` | JSON |
//!
//! A file that ends within a block or a frame is read up to there: what was
//! written a second before a crash is whole in the file. [`VERSION`] changes with a
//! record's form and with a frame's meaning; fields of JSON may be added. Form 1, of
//! 0.1.0, is read too; one that is not known is refused.
//!
//! | file | what it does |
//! | --- | --- |
//! | `input.rs`  | what the judge takes, as values |
//! | `frame.rs`  | frames to bytes and back |
//! | `redact/`    | takes out what is not to be kept |
//! | `pack.rs`   | packs in blocks, and unpacks |
//! | `writer.rs` | writes a recording |
//! | `recorded_judge.rs`   | the judge of a watch, which may be recorded |
//! | `reader.rs` | reads a recording |
//! | `form1.rs`  | reads the frames of 0.1.0 |
//! | `file.rs`   | the file that one is written to |

mod file;
mod form1;
mod frame;
mod input;
mod pack;
mod reader;
mod recorded_judge;
mod redact;
mod writer;

pub use self::{
    file::{FileError, RecordingFile, is_recording},
    frame::{
        About, FindingKey, Frame, FrameError, Process, Program, ReportedFinding, ReportedFrame,
        Totals,
    },
    input::Input,
    reader::{ReadError, Reader},
    recorded_judge::RecordedJudge,
    writer::Writer,
};

/// How a recording begins.
pub const MAGIC: [u8; 12] = *b"\x93truncwatch\n";

/// The form of the frames.
pub const VERSION: u16 = 2;

/// How the frames are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// They are not.
    None,
    /// In blocks.
    Blocks,
}

impl Packing {
    /// The four bytes that follow [`MAGIC`].
    pub(crate) const fn form(self) -> [u8; 4] {
        let [low, high] = VERSION.to_le_bytes();
        let packing = match self {
            Self::None => 0,
            Self::Blocks => 1,
        };
        [low, high, packing, 0]
    }
}

/// The same recording without packing.
#[cfg(test)]
pub(crate) fn unpacked(recording: &[u8]) -> Vec<u8> {
    use std::io::Read as _;
    let start = MAGIC.len();
    assert_eq!(recording[start..start + 4], Packing::Blocks.form());
    let mut plain = MAGIC.to_vec();
    plain.extend_from_slice(&Packing::None.form());
    let packed = recording.get(start + 4..).unwrap_or_default();
    let read = pack::Unpacker::new(packed).read_to_end(&mut plain);
    assert!(read.is_ok(), "{read:?}");
    plain
}
