//! `/metrics` over HTTP/1, in the daemon's own event loop: a page that comes
//! shows that the loop makes progress.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc, oneshot},
    task::JoinHandle,
};

use super::{Snapshot, snapshot::Form};

/// Most clients at a time.
const CLIENTS: usize = 8;

/// How long a client may take, for a request or an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Somebody asks for the numbers.
pub(in crate::daemon) type Asked = oneshot::Sender<Snapshot>;

/// Listens until it is dropped.
#[derive(Debug)]
pub(in crate::daemon) struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Begins to listen; asks the event loop by `ask`.
    ///
    /// # Errors
    ///
    /// If the address cannot be had.
    pub(in crate::daemon) async fn start(
        address: SocketAddr,
        ask: mpsc::Sender<Asked>,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(serve(listener, ask));
        Ok(Self { address, task })
    }

    /// Ends, and gives the address back: another server may take it at once.
    pub(in crate::daemon) async fn stop(mut self) {
        self.task.abort();
        // It was ended, which is an error to whoever waits for it.
        if (&mut self.task).await.is_err() {}
    }

    /// Where it listens.
    pub(in crate::daemon) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, ask: mpsc::Sender<Asked>) {
    let room = Arc::new(Semaphore::new(CLIENTS));
    loop {
        // Further clients wait in the listener's queue.
        let Ok(place) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, say: not at once again.
            tokio::time::sleep(Duration::from_secs(1)).await;
            continue;
        };
        let ask = ask.clone();
        tokio::spawn(async move {
            // A client that is slow, or speaks no HTTP, is nobody's concern.
            drop(tokio::time::timeout(PATIENCE, answer_one(stream, ask)).await);
            drop(place);
        });
    }
}

/// One connection, one answer: scrapers come every few seconds.
async fn answer_one(stream: TcpStream, ask: mpsc::Sender<Asked>) {
    let service = service_fn(move |request| answer(request, ask.clone()));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    // As above.
    if served.is_err() {}
}

async fn answer(
    request: Request<Incoming>,
    ask: mpsc::Sender<Asked>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let plain = |status: StatusCode, text: &'static str| {
        let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
        *response.status_mut() = status;
        Ok(response)
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "GET /metrics\n");
    }
    if request.uri().path() != "/metrics" {
        return plain(
            StatusCode::NOT_FOUND,
            "truncwatch: the numbers are at /metrics\n",
        );
    }
    let accept = request.headers().get(header::ACCEPT);
    let form = Form::accepted(accept.and_then(|it| it.to_str().ok()).unwrap_or_default());
    let (asked, snapshot) = oneshot::channel();
    if ask.send(asked).await.is_err() {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "truncwatch ends\n");
    }
    let page = snapshot.await.ok().and_then(|it| it.encode(form).ok());
    let Some(page) = page else {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "truncwatch ends\n");
    };
    let mut response = Response::new(Full::new(Bytes::from(page)));
    let kind = header::HeaderValue::from_static(form.content_type());
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}
