//! Records as the judge takes them.

use detector_common::{End, Header, Kind, Open, Pod as _, Reset, Sample};

/// One record.
#[derive(Clone, Debug)]
pub enum Record {
    /// Bytes that may hold a message head, and behind them the call's last.
    Sample(Sample, Bytes),
    /// A connection sends its first bytes.
    Open(Box<Open>),
    /// This side ended a connection, or one descriptor of it.
    End(Box<End>),
    /// The kernel sent a reset on a connection. It is not among those that are numbered.
    Reset(Reset),
}

/// The bytes of a sample.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// The first.
    pub start: Vec<u8>,
    /// The call's last; empty where `start` holds them.
    pub tail: Vec<u8>,
}

/// Bytes that are no record of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record of {length} bytes and kind {kind} is not known to this version")]
pub struct DecodeError {
    /// Bytes there are.
    pub length: usize,
    /// What the header says it is; 0 if there is no header.
    pub kind: u32,
}

/// No socket moves more bytes, and no clock counts more nanoseconds: sums of
/// what is less, and of what one call moves, cannot overflow.
const MOST: u64 = 1 << 62;

impl Record {
    /// Reads one record.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if the bytes are too few, the kind is not known, or an
    /// offset or a time cannot be.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let header = Header::read(bytes);
        let error = DecodeError {
            length: bytes.len(),
            kind: header.map_or(0, |header| header.kind),
        };
        let record = Self::read(bytes, header.and_then(|header| header.kind()), error)?;
        let most = match &record {
            Self::Sample(sample, _) => sample.offset.max(sample.opposite),
            Self::Open(_) | Self::Reset(_) => 0,
            Self::End(end) => end.connection.sent.max(end.connection.received),
        };
        if most.max(record.header().time_ns) > MOST {
            return Err(error);
        }
        Ok(record)
    }

    fn read(bytes: &[u8], kind: Option<Kind>, error: DecodeError) -> Result<Self, DecodeError> {
        match kind.ok_or(error)? {
            Kind::Sample => {
                let sample = Sample::read(bytes).ok_or(error)?;
                let data = bytes.get(size_of::<Sample>()..).ok_or(error)?;
                let (start, rest) = data.split_at_checked(sample.len as usize).ok_or(error)?;
                let tail = rest.get(..sample.tail as usize).ok_or(error)?;
                let bytes = Bytes {
                    start: start.to_vec(),
                    tail: tail.to_vec(),
                };
                Ok(Self::Sample(sample, bytes))
            }
            Kind::Open => Open::read(bytes)
                .map(|open| Self::Open(Box::new(open)))
                .ok_or(error),
            Kind::End => End::read(bytes)
                .map(|end| Self::End(Box::new(end)))
                .ok_or(error),
            Kind::Reset => Reset::read(bytes).map(Self::Reset).ok_or(error),
        }
    }

    /// The bytes that [`Record::decode`] reads.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Sample(sample, bytes) => [sample.bytes(), &bytes.start, &bytes.tail].concat(),
            Self::Open(open) => open.bytes().to_vec(),
            Self::End(end) => end.bytes().to_vec(),
            Self::Reset(reset) => reset.bytes().to_vec(),
        }
    }

    /// What every record begins with.
    #[must_use]
    pub fn header(&self) -> &Header {
        match self {
            Self::Sample(sample, _) => &sample.header,
            Self::End(end) => &end.header,
            Self::Open(open) => &open.header,
            Self::Reset(reset) => &reset.header,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_or_unknown_is_refused() {
        assert_eq!(
            Record::decode(&[]).err(),
            Some(DecodeError { length: 0, kind: 0 })
        );
        let mut header = Header::zeroed();
        header.kind = 99;
        assert_eq!(
            Record::decode(header.bytes()).err(),
            Some(DecodeError {
                length: 32,
                kind: 99
            })
        );
        let mut sample = Sample::zeroed();
        sample.header.kind = Kind::Sample as u32;
        sample.len = 5;
        let mut bytes = sample.bytes().to_vec();
        bytes.extend_from_slice(b"HTTP");
        assert!(
            Record::decode(&bytes).is_err(),
            "one byte fewer than it says"
        );
        bytes.push(b'/');
        assert!(
            matches!(Record::decode(&bytes), Ok(Record::Sample(_, data)) if data.start == b"HTTP/")
        );
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let mut sample = Sample::zeroed();
        sample.header.kind = Kind::Sample as u32;
        sample.moved = u32::MAX;
        sample.offset = MOST;
        assert!(Record::decode(sample.bytes()).is_ok());
        for spoil in [
            |sample: &mut Sample| sample.offset = u64::MAX - 1,
            |sample: &mut Sample| sample.opposite = u64::MAX - 1,
            |sample: &mut Sample| sample.header.time_ns = u64::MAX - 1,
        ] {
            let mut spoiled = sample;
            spoil(&mut spoiled);
            assert!(Record::decode(spoiled.bytes()).is_err(), "{spoiled:?}");
        }
    }
}
