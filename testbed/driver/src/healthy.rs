//! Traffic in which nothing is cut short, with what each answer must be.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::client::{Addr, Conn, Request, RequestBody};
use crate::nginx::Nginx;

/// A request, and what makes its answer a healthy one.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// What is asked.
    pub request: Request,
    /// The status of the answer.
    pub status: u16,
    /// The bytes of its body.
    pub received: u64,
}

impl Exchange {
    /// A request without a body.
    pub fn new(method: &str, path: &str, status: u16, received: u64) -> Self {
        Self {
            request: Request::new(method, path),
            status,
            received,
        }
    }

    /// A GET that is answered with 200.
    pub fn get(path: &str, received: u64) -> Self {
        Self::new("GET", path, 200, received)
    }

    /// Both kinds of upload; the answer has so many bytes.
    fn uploads(path: &str, length: usize, received: u64) -> [Self; 2] {
        let halves = vec![vec![b'u'; length / 2], vec![b'u'; length - length / 2]];
        [
            RequestBody::Sized(vec![b'u'; length]),
            RequestBody::Chunked(halves),
        ]
        .map(|body| Self {
            request: Request::post(path, body),
            status: 200,
            received,
        })
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// The same, by a client that begins to read only after a while.
    #[must_use]
    pub fn read_after(mut self, delay: Duration) -> Self {
        self.request = self.request.read_after(delay);
        self
    }

    /// The same, with something before its path.
    #[must_use]
    pub fn below(mut self, prefix: &str) -> Self {
        self.request.path.insert_str(0, prefix);
        self
    }

    /// Asks, and compares the answer.
    ///
    /// # Errors
    /// If the answer is not what it must be.
    pub fn perform(&self, conn: &mut Conn) -> Result<()> {
        let outcome = conn.request(&self.request);
        ensure!(
            outcome.complete()
                && outcome.status == Some(self.status)
                && outcome.received == self.received,
            "{} {}: {outcome:?}",
            self.request.method,
            self.request.path
        );
        Ok(())
    }
}

/// For the servers of [`crate::framework`]: all methods, framings and statuses whose answer has a
/// known length.
pub fn framework() -> Vec<Exchange> {
    let mut exchanges = vec![
        Exchange::get("/bytes/0", 0),
        Exchange::get("/bytes/1000", 1_000),
        Exchange::new("HEAD", "/bytes/5000", 200, 0),
        Exchange::get("/bytes/20000", 20_000),
        Exchange::new("GET", "/etag", 304, 0).header("If-None-Match", "\"x\""),
        Exchange::new("GET", "/file", 206, 1_000).header("Range", "bytes=5000-5999"),
        Exchange::get("/bytes/1", 1),
        Exchange::new("HEAD", "/file", 200, 0),
        Exchange::get("/bytes/300000", 300_000),
        Exchange::new("GET", "/nothing", 404, 0),
    ];
    // The answer is the length in decimal digits.
    exchanges.extend(Exchange::uploads("/upload", 50_000, 5));
    exchanges.extend(Exchange::uploads("/upload", 100, 3));
    exchanges
}

/// For the hyper test server.
pub fn hyper() -> Vec<Exchange> {
    let mut exchanges = vec![
        Exchange::get("/bytes/0", 0),
        Exchange::get("/bytes/1000", 1_000),
        Exchange::new("HEAD", "/bytes/5000", 200, 0),
        Exchange::get("/bytes/300000", 300_000),
        Exchange::new("GET", "/nothing", 404, 0),
    ];
    exchanges.extend(Exchange::uploads("/bytes/10", 50_000, 10));
    exchanges
}

/// For nginx's own files, which are put there.
///
/// # Errors
/// Those of writing a file.
pub fn nginx(nginx: &Nginx) -> Result<Vec<Exchange>> {
    nginx.put("empty", b"")?;
    nginx.put("small", &[b'x'; 512])?;
    nginx.put("large", &vec![b'x'; 300_000])?;
    let missing = not_found(nginx)?;
    Ok(vec![
        Exchange::get("/small", 512),
        Exchange::get("/empty", 0),
        Exchange::new("HEAD", "/large", 200, 0),
        Exchange::get("/large", 300_000),
        Exchange::new("GET", "/large", 206, 1_000).header("Range", "bytes=5000-5999"),
        // No file is as new as that.
        Exchange::new("GET", "/small", 304, 0).header("If-None-Match", "*"),
        Exchange::new("GET", "/nothing", 404, missing),
    ])
}

/// Bytes of the page that says that there is nothing, which has nginx's version in it.
fn not_found(nginx: &Nginx) -> Result<u64> {
    Conn::connect(&nginx.tcp())?
        .request(&Request::get("/nothing"))
        .promised
        .context("nginx answers without a length")
}

/// Sends `messages` requests, `exchanges` over and over, by one connection after another that
/// lasts as long as the server keeps it.
///
/// # Errors
/// At the first answer that is not what it must be.
pub fn keep_alive(addr: &Addr, exchanges: &[Exchange], messages: u64) -> Result<()> {
    let mut conn = Conn::connect(addr)?;
    for (exchange, _) in exchanges.iter().cycle().zip(0..messages) {
        if !conn.reusable() {
            conn = Conn::connect(addr)?;
        }
        exchange.perform(&mut conn)?;
    }
    Ok(())
}

/// The same by several clients at once, each of which sends `messages`.
///
/// # Errors
/// Those of [`keep_alive`].
pub fn at_once(addr: &Addr, exchanges: &[Exchange], clients: u64, messages: u64) -> Result<()> {
    thread::scope(|scope| {
        let clients: Vec<_> = (0..clients)
            .map(|number| {
                // Not in step with each other.
                let mut exchanges = exchanges.to_vec();
                let by = usize::try_from(number).map_or(0, |it| it % exchanges.len().max(1));
                exchanges.rotate_left(by);
                scope.spawn(move || keep_alive(addr, &exchanges, messages))
            })
            .collect();
        for client in clients {
            match client.join() {
                Ok(result) => result?,
                Err(_) => bail!("a client panicked"),
            }
        }
        Ok(())
    })
}
