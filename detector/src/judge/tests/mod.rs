//! What is and what is not reported, as a list of facts.

mod beside;
mod bodies;
mod chunked;
mod cut;
mod evicted;
mod generated;
mod holders;
mod nature;
mod next;
mod peer;
mod places;
mod records;
mod short;

use super::Tally;

const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
const HEAD: &[u8] = b"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n";
const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

fn ok(length: u64) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes()
}

fn judged(tally: &Tally) -> (u64, Vec<(&'static str, u64)>) {
    let missed = tally
        .unjudged
        .iter()
        .map(|(reason, count)| (reason.name(), *count))
        .collect();
    (tally.messages_judged, missed)
}
