//! The testbed's routes on warp.

use std::error::Error;

use bytes::Buf;
use futures_util::TryStreamExt;
use http::header::{CONTENT_LENGTH, HeaderMap};
use testbed_frameworks::{Answer, Asked, Content, Options, announce, answer};
use tokio::net::{TcpListener, UnixListener};
use warp::Filter;
use warp::path::FullPath;
use warp::reply::{Reply, Response};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::read();
    let filter = warp::path::full()
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(handle);
    if let Some(path) = &options.unix {
        let listener = UnixListener::bind(path)?;
        announce(path.display())?;
        warp::serve(filter).incoming(listener).run().await;
    } else {
        let listener = TcpListener::bind(options.address()?).await?;
        announce(listener.local_addr()?)?;
        warp::serve(filter).incoming(listener).run().await;
    }
    Ok(())
}

async fn handle(
    path: FullPath,
    headers: HeaderMap,
    body: impl warp::Stream<Item = Result<impl Buf, warp::Error>>,
) -> Response {
    let asked = Asked::of(path.as_str(), &headers);
    match answer(asked, body.map_ok(|piece| piece.remaining())).await {
        Ok(answer) => response(answer),
        Err(_) => http::StatusCode::BAD_REQUEST.into_response(),
    }
}

fn response(answer: Answer) -> Response {
    let mut response = match answer.content {
        Content::Whole(bytes) => Response::new(bytes.into()),
        Content::Promised(len, pieces) => {
            let mut response = warp::reply::stream(pieces).into_response();
            response.headers_mut().insert(CONTENT_LENGTH, len.into());
            response
        }
        Content::Chunked(pieces) => warp::reply::stream(pieces).into_response(),
    };
    if let Ok(status) = answer.status.try_into() {
        *response.status_mut() = status;
    }
    if let Some((name, value)) = answer.header
        && let Ok(value) = value.try_into()
    {
        response.headers_mut().insert(name, value);
    }
    response
}
