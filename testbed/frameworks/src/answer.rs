//! What each path answers. The list is in `../../README.md`.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::HeaderMap;
use http::header::{CONTENT_RANGE, ETAG, HeaderName, IF_NONE_MATCH, RANGE};

use crate::body::{Pieces, filler};

const CHUNK: usize = 16 * 1024;
const PIECE: usize = 64 * 1024;
const PAUSE: Duration = Duration::from_millis(20);

/// Bytes that `/bytes/N` is ready to hold in memory for one response.
const MOST: usize = 1 << 30;

/// Bytes of `/file`.
const FILE: usize = 1_000_000;

/// The entity tag of `/etag`.
const TAG: &str = "\"x\"";

/// The parts of a request that matter here.
#[derive(Debug)]
pub struct Asked {
    path: String,
    if_none_match: Option<String>,
    range: Option<String>,
}

impl Asked {
    /// From any framework's request. Not every one has its header types from [`http`] 1.
    pub fn new(path: &str, header: impl Fn(&str) -> Option<String>) -> Self {
        Self {
            path: path.to_owned(),
            if_none_match: header(IF_NONE_MATCH.as_str()),
            range: header(RANGE.as_str()),
        }
    }

    /// From the header types of [`http`] 1.
    pub fn of(path: &str, headers: &HeaderMap) -> Self {
        Self::new(path, |name| {
            Some(headers.get(name)?.to_str().ok()?.to_owned())
        })
    }
}

/// A response, before it is the framework's.
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// At most one field; those that frame the body are the framework's affair.
    pub header: Option<(HeaderName, String)>,
    /// The body.
    pub content: Content,
}

/// A response's body.
pub enum Content {
    /// Known at once: the framework sets Content-Length.
    Whole(Bytes),
    /// In pieces, with this Content-Length.
    Promised(u64, Pieces),
    /// In pieces, chunked.
    Chunked(Pieces),
}

/// Answers a request whose body is `body`; only `/upload` reads that.
///
/// # Errors
/// Those of reading the body.
pub async fn answer<E>(
    asked: Asked,
    body: impl Stream<Item = Result<usize, E>>,
) -> Result<Answer, E> {
    let parts: Vec<&str> = asked.path.split('/').skip(1).collect();
    Ok(match parts[..] {
        ["bytes", len] => small(len).map_or_else(bad, |len| whole(200, filler(len))),
        ["chunked", len] => number(len).map_or_else(bad, |len| {
            content(Content::Chunked(Pieces::new(len, CHUNK)))
        }),
        ["slow", len] => number(len).map_or_else(bad, |len| {
            promised(len, Pieces::new(len, PIECE).between(PAUSE))
        }),
        ["lie", len, written] => number(len)
            .zip(number(written))
            .map_or_else(bad, |(len, written)| {
                promised(len, Pieces::new(written, PIECE).before_end(PAUSE))
            }),
        ["timer", len, time] => number(len)
            .zip(number(time))
            .map_or_else(bad, |(len, time)| {
                let time = Duration::from_millis(time);
                promised(len, Pieces::new(len, PIECE).until(time))
            }),
        ["etag"] => {
            let known = asked.if_none_match.as_deref() == Some(TAG);
            let mut answer = if known {
                whole(304, Bytes::new())
            } else {
                whole(200, filler(FILE))
            };
            answer.header = Some((ETAG, TAG.to_owned()));
            answer
        }
        ["file"] => file(asked.range.as_deref()),
        ["upload"] => whole(200, Bytes::from(length(body).await?.to_string())),
        _ => whole(404, Bytes::new()),
    })
}

/// The whole file, or the part that was asked for as `bytes=FIRST-LAST`.
fn file(range: Option<&str>) -> Answer {
    let Some((first, last)) = range
        .and_then(|range| range.strip_prefix("bytes="))
        .and_then(|range| range.split_once('-'))
    else {
        return whole(200, filler(FILE));
    };
    let part = small(first)
        .zip(small(last))
        .filter(|(first, last)| first <= last && *last < FILE);
    part.map_or_else(
        || whole(416, Bytes::new()),
        |(first, last)| {
            let mut answer = whole(206, filler(last - first + 1));
            answer.header = Some((CONTENT_RANGE, format!("bytes {first}-{last}/{FILE}")));
            answer
        },
    )
}

/// Reads a body of pieces of these lengths to its end.
async fn length<E>(body: impl Stream<Item = Result<usize, E>>) -> Result<u64, E> {
    let mut body = std::pin::pin!(body);
    let mut length = 0;
    while let Some(piece) = body.next().await {
        length += piece? as u64;
    }
    Ok(length)
}

fn whole(status: u16, bytes: Bytes) -> Answer {
    Answer {
        status,
        ..content(Content::Whole(bytes))
    }
}

fn promised(len: u64, pieces: Pieces) -> Answer {
    content(Content::Promised(len, pieces))
}

fn content(content: Content) -> Answer {
    Answer {
        status: 200,
        header: None,
        content,
    }
}

fn bad() -> Answer {
    whole(400, Bytes::new())
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok()
}

fn small(text: &str) -> Option<usize> {
    text.parse().ok().filter(|number| *number <= MOST)
}
