//! One connection from accept to end.

use std::pin::pin;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;

use crate::options::Options;
use crate::plain::Plain;
use crate::routes;

/// What hyper can serve: both kinds of socket, with and without vectored writes.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

pub async fn serve<S: Stream>(stream: S, options: Arc<Options>) {
    if options.no_vectored {
        drive(Plain(stream), options).await;
    } else {
        drive(stream, options).await;
    }
}

async fn drive<S: Stream>(stream: S, options: Arc<Options>) {
    let leave = Arc::new(Notify::new());
    let service = {
        let (options, leave) = (Arc::clone(&options), Arc::clone(&leave));
        service_fn(move |request| routes::answer(request, Arc::clone(&options), Arc::clone(&leave)))
    };
    let mut connection =
        pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    let result = tokio::select! {
        // The connection goes first: when the service asks to leave, it has already returned and
        // hyper has begun to flush, so that the shutdown below falls into the middle of it.
        biased;
        result = connection.as_mut() => result,
        () = leave.notified() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    match result {
        Ok(()) => options.log(&"connection ended: Ok"),
        Err(error) => options.log(&format!("connection ended: {error:?}")),
    }
}
