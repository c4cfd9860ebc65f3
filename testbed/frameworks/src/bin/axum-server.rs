//! The testbed's routes on axum.

use std::error::Error;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use futures_util::TryStreamExt;
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use testbed_frameworks::{Answer, Asked, Content, Options, announce, answer};
use tokio::net::{TcpListener, UnixListener};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::read();
    let router = Router::new().fallback(handle);
    if let Some(path) = &options.unix {
        let listener = UnixListener::bind(path)?;
        announce(path.display())?;
        axum::serve(listener, router).await?;
    } else {
        let listener = TcpListener::bind(options.address()?).await?;
        announce(listener.local_addr()?)?;
        axum::serve(listener, router).await?;
    }
    Ok(())
}

async fn handle(request: Request) -> Result<Response, StatusCode> {
    let asked = Asked::of(request.uri().path(), request.headers());
    let body = request.into_body().into_data_stream();
    match answer(asked, body.map_ok(|piece| piece.len())).await {
        Ok(answer) => response(answer).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR),
        Err(_) => Err(StatusCode::BAD_REQUEST),
    }
}

fn response(answer: Answer) -> http::Result<Response> {
    let mut response = Response::builder().status(answer.status);
    if let Some((name, value)) = answer.header {
        response = response.header(name, value);
    }
    match answer.content {
        Content::Whole(bytes) => response.body(Body::from(bytes)),
        Content::Promised(len, pieces) => response
            .header(CONTENT_LENGTH, len)
            .body(Body::from_stream(pieces)),
        Content::Chunked(pieces) => response.body(Body::from_stream(pieces)),
    }
}
