//! Message heads, how long their bodies are, and chunked bodies.
#![no_main]

use libfuzzer_sys::fuzz_target;
use truncwatch::http::{self, ChunkDecoder, Chunks, Framing, Head, Parsed, StartLine};

fuzz_target!(|bytes: &[u8]| {
    let body = match http::parse(bytes) {
        Parsed::Complete(head) => whole(bytes, &head),
        Parsed::Partial | Parsed::Invalid => bytes,
    };
    if let Some(head) = http::parse_seen(bytes) {
        framed(&head);
    }
    chunked(body);
});

/// A head is the same without what follows it, which is returned.
fn whole<'a>(bytes: &'a [u8], head: &Head) -> &'a [u8] {
    let len = usize::try_from(head.len).unwrap_or(usize::MAX);
    let (alone, body) = bytes.split_at(len);
    assert_eq!(http::parse(alone), Parsed::Complete(head.clone()));
    if let Some((_, cut)) = alone.split_last() {
        assert!(!matches!(http::parse(cut), Parsed::Complete(_)));
    }
    framed(head);
    body
}

fn framed(head: &Head) {
    for method in [None, Some("GET"), Some("HEAD"), Some("CONNECT")] {
        let framing = http::framing(head, method);
        let request = matches!(head.start, StartLine::Request { .. });
        assert!(!request || !matches!(framing, Framing::UntilClose | Framing::Interim));
        assert_ne!(framing, Framing::ContentLength(0));
    }
}

/// A body ends where it ends, in whatever pieces it comes.
fn chunked(body: &[u8]) {
    let mut decoder = ChunkDecoder::default();
    let whole = decoder.feed(body);
    if let Chunks::Done(len) = whole {
        assert!(len <= body.len());
    }
    let mut bytewise = ChunkDecoder::default();
    let mut apart = Chunks::More;
    for (at, byte) in body.iter().enumerate() {
        apart = match bytewise.feed(&[*byte]) {
            Chunks::Done(_) => Chunks::Done(at + 1),
            other => other,
        };
        if apart != Chunks::More {
            break;
        }
    }
    assert_eq!(whole, apart);
    if whole == Chunks::More {
        assert_eq!(decoder, bytewise);
        let left = decoder.data_left();
        assert!(left == 0 || decoder.skip(left));
    }
}
