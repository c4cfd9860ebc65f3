//! One message behind the other, by the decoders of whole bytes.

use super::{ChunkDecoder, Chunks, Framing, Parsed, framing, parse};

/// What a stream comes to, with the offset behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A whole head.
    Head(usize, Framing),
    /// The end of a body.
    End(usize),
    /// Bytes at which no message begins.
    NotHead,
    /// A head whose fields contradict each other.
    Malformed,
    /// Bytes that are not a chunked body's.
    NotChunked,
    /// Bytes behind a chunk that are no size.
    NoSize,
}

/// Returns what a stream comes to whose messages answer this method.
#[must_use]
pub fn steps(bytes: &[u8], method: &str) -> Vec<Step> {
    let (mut steps, mut at) = (Vec::new(), 0);
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let head = match parse(rest) {
            Parsed::Complete(head) => head,
            Parsed::Partial => break,
            Parsed::Invalid => {
                steps.push(Step::NotHead);
                break;
            }
        };
        at += usize::try_from(head.len).unwrap_or(rest.len());
        let framing = framing(&head, Some(method));
        if framing == Framing::Malformed {
            steps.push(Step::Malformed);
            break;
        }
        steps.push(Step::Head(at, framing));
        match framing {
            Framing::NoBody | Framing::Interim => {}
            Framing::ContentLength(length) => {
                let end = usize::try_from(length)
                    .ok()
                    .and_then(|length| at.checked_add(length));
                match end.filter(|end| *end <= bytes.len()) {
                    Some(end) => at = end,
                    None => break,
                }
                steps.push(Step::End(at));
            }
            Framing::Chunked => {
                let body = bytes.get(at..).unwrap_or_default();
                match ChunkDecoder::default().feed(body) {
                    Chunks::Done(length) => at += length,
                    Chunks::More => break,
                    Chunks::Invalid => {
                        steps.push(Step::NotChunked);
                        break;
                    }
                    Chunks::NoSize => {
                        steps.push(Step::NoSize);
                        break;
                    }
                }
                steps.push(Step::End(at));
            }
            Framing::UntilClose | Framing::Tunnel | Framing::Malformed => break,
        }
    }
    steps
}
