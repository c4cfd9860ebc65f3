//! What each path answers. The list is in `../../README.md`.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderValue};
use hyper::{Request, Response, StatusCode};
use tokio::sync::Notify;

use crate::body::{AnyBody, BIG, Pieces, Rest, filler};
use crate::options::Options;

const CHUNK: usize = 16 * 1024;
const PIECE: usize = 64 * 1024;
const PAUSE: Duration = Duration::from_millis(20);

/// Bytes that `/bytes/N` is ready to hold in memory for one response.
const MOST: usize = 1 << 30;

/// What `/until` reads up to.
const DELIMITER: u8 = b'\n';

pub async fn answer(
    request: Request<Incoming>,
    options: Arc<Options>,
    leave: Arc<Notify>,
) -> hyper::Result<Response<AnyBody>> {
    let path = request.uri().path().to_owned();
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    match parts[..] {
        ["bytes", len] => bytes(len, request.into_body()).await,
        ["ignore"] => {
            drop(request);
            Ok(full(BIG))
        }
        ["until"] => until(request.into_body(), &options).await,
        ["graceful"] => {
            drop(request);
            leave.notify_one();
            let mut response = full(BIG);
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
            Ok(response)
        }
        ["chunked", len] => Ok(parse(len).map_or_else(bad, |len| pieces(len, CHUNK, Rest::Never))),
        ["slow", len] => Ok(parse(len).map_or_else(bad, |len| {
            promise(len, pieces(len, PIECE, Rest::Between(PAUSE)))
        })),
        ["lie", promised, written] => {
            let sizes = parse(promised).zip(parse(written));
            Ok(sizes.map_or_else(bad, |(promised, written)| {
                promise(promised, pieces(written, PIECE, Rest::BeforeEnd(PAUSE)))
            }))
        }
        _ => Ok(refuse(StatusCode::NOT_FOUND)),
    }
}

/// The well-behaved one: takes the whole request, then answers.
async fn bytes(len: &str, mut body: Incoming) -> hyper::Result<Response<AnyBody>> {
    while let Some(frame) = body.frame().await {
        frame?;
    }
    let len = parse(len)
        .and_then(|len| usize::try_from(len).ok())
        .filter(|len| *len <= MOST);
    Ok(len.map_or_else(bad, full))
}

/// Reads up to the delimiter and loses interest, as a server does that knows its payload's own
/// end. What follows on the wire (at least the terminating chunk) finds no reader.
async fn until(mut body: Incoming, options: &Options) -> hyper::Result<Response<AnyBody>> {
    while let Some(frame) = body.frame().await {
        if frame?
            .data_ref()
            .is_some_and(|data| data.contains(&DELIMITER))
        {
            break;
        }
    }
    drop(body);
    if !options.block().is_zero() {
        // Blocks the runtime's thread on purpose: this is work, not waiting.
        thread::sleep(options.block());
    }
    Ok(full(BIG))
}

fn full(len: usize) -> Response<AnyBody> {
    Response::new(Either::Left(Full::new(filler(len))))
}

fn pieces(len: u64, piece: usize, rest: Rest) -> Response<AnyBody> {
    Response::new(Either::Right(Pieces::new(len, piece, rest)))
}

fn promise(len: u64, mut response: Response<AnyBody>) -> Response<AnyBody> {
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from(len));
    response
}

fn parse(number: &str) -> Option<u64> {
    number.parse().ok()
}

fn bad() -> Response<AnyBody> {
    refuse(StatusCode::BAD_REQUEST)
}

fn refuse(status: StatusCode) -> Response<AnyBody> {
    let mut response = Response::new(Either::Left(Full::new(Bytes::new())));
    *response.status_mut() = status;
    response
}
