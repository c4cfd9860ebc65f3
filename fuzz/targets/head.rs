//! Whole message heads, and how long their bodies are.
#![no_main]

use libfuzzer_sys::fuzz_target;
use truncwatch::http::{self, Framing, Head, Parsed, StartLine};

fuzz_target!(|bytes: &[u8]| {
    if let Parsed::Complete(head) = http::parse(bytes) {
        whole(bytes, &head);
    }
    if let Some(head) = http::parse_seen(bytes) {
        framed(&head);
    }
});

/// A head is the same without what follows it.
fn whole(bytes: &[u8], head: &Head) {
    let len = usize::try_from(head.len).unwrap_or(usize::MAX);
    let (alone, _) = bytes.split_at(len);
    assert_eq!(http::parse(alone), Parsed::Complete(head.clone()));
    if let Some((_, cut)) = alone.split_last() {
        assert!(!matches!(http::parse(cut), Parsed::Complete(_)));
    }
    framed(head);
}

fn framed(head: &Head) {
    for method in [None, Some("GET"), Some("HEAD"), Some("CONNECT")] {
        let framing = http::framing(head, method);
        let request = matches!(head.start, StartLine::Request { .. });
        assert!(!request || !matches!(framing, Framing::UntilClose | Framing::Interim));
        assert_ne!(framing, Framing::ContentLength(0));
    }
}
