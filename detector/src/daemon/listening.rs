//! Where metrics are had: at the address that the configuration names, or at the one
//! that is theirs where it names none.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use tokio::sync::mpsc;

use super::{
    config::{DEFAULT_LISTEN, Listen},
    metrics::{Asked, Server},
};
use crate::report::note;

/// How often the default address is tried again.
const AGAIN: Duration = Duration::from_secs(30);

/// The server of `/metrics`, with what is to be done where it cannot be had.
pub(super) struct Listening {
    /// How scrapers ask.
    ask: mpsc::Sender<Asked>,
    server: Option<Server>,
    /// The address that it was to be at, which may have had port 0.
    asked_for: Option<SocketAddr>,
    /// The default address was taken, and when it is tried again.
    again: Option<Instant>,
}

impl Listening {
    /// Begins to listen.
    ///
    /// # Errors
    ///
    /// If an address that the configuration names cannot be had.
    pub(super) async fn start(listen: Listen, ask: mpsc::Sender<Asked>) -> Result<Self> {
        let mut listening = Self {
            ask,
            server: None,
            asked_for: None,
            again: None,
        };
        listening.go_to(listen).await?;
        Ok(listening)
    }

    /// Goes over to what another configuration says.
    ///
    /// # Errors
    ///
    /// If an address that it names cannot be had. Then the old one stays.
    pub(super) async fn go_to(&mut self, listen: Listen) -> Result<()> {
        self.again = None;
        let Some(address) = listen.address() else {
            self.stop().await;
            return Ok(());
        };
        if self.server.is_some() && self.asked_for == Some(address) {
            return Ok(());
        }
        match self.move_to(address).await {
            Ok(()) => Ok(()),
            Err(error) if listen == Listen::Default => {
                self.again = Some(Instant::now() + AGAIN);
                let meanwhile = match &self.server {
                    Some(server) => format!("they stay at {} until then", server.address()),
                    None => "findings are reported all the same".to_owned(),
                };
                note(format_args!(
                    "no metrics at {address} ({error}): trying again every {} s, {meanwhile}; another address is metrics.listen, and \"\" turns them off",
                    AGAIN.as_secs()
                ));
                Ok(())
            }
            Err(error) => Err(error).with_context(|| {
                format!("cannot listen on {address} for metrics (metrics.listen)")
            }),
        }
    }

    /// Tries the default address again, if it is time to.
    pub(super) async fn again(&mut self) {
        let now = Instant::now();
        if self.again.is_none_or(|due| now < due) {
            return;
        }
        self.again = Some(now + AGAIN);
        if self.move_to(DEFAULT_LISTEN).await.is_ok() {
            self.again = None;
            note(format_args!("{}", self.words()));
        }
    }

    /// Where they are, in words.
    pub(super) fn words(&self) -> String {
        match &self.server {
            Some(server) => format!("metrics are at http://{}/metrics", server.address()),
            None => "there are no metrics".to_owned(),
        }
    }

    /// Listens at another address, and lets the one before it go; one that cannot be had
    /// leaves that.
    async fn move_to(&mut self, address: SocketAddr) -> std::io::Result<()> {
        let old = self.server.as_ref().map(Server::address);
        let begun = Server::start(address, self.ask.clone()).await;
        let begun = match (begun, old) {
            // Of the same port, it may be ours that is in the way.
            (Err(error), Some(old)) if old.port() == address.port() => {
                self.stop().await;
                let begun = Server::start(address, self.ask.clone()).await;
                if begun.is_err() {
                    self.server = Some(Server::start(old, self.ask.clone()).await.map_err(
                        |again| {
                            std::io::Error::other(format!("{error}; nor is {old} free: {again}"))
                        },
                    )?);
                }
                begun
            }
            (begun, _) => begun,
        };
        let server = begun?;
        if let Some(old) = self.server.replace(server) {
            old.stop().await;
        }
        self.asked_for = Some(address);
        Ok(())
    }

    async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn run<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
            .block_on(test)
    }

    fn is_there(address: SocketAddr) -> bool {
        TcpStream::connect(address).is_ok()
    }

    #[test]
    fn an_address_that_is_named_and_taken_is_an_error_and_the_old_one_stays() {
        run(async {
            let (ask, _asked) = mpsc::channel(1);
            let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
            let at_taken = Listen::At(taken.local_addr().expect("one"));
            assert!(Listening::start(at_taken, ask.clone()).await.is_err());
            let any = Listen::At(([127, 0, 0, 1], 0).into());
            let mut listening = Listening::start(any, ask).await.expect("a port");
            let own = listening.server.as_ref().map(Server::address);
            let own = own.expect("it listens");
            let error = listening.go_to(at_taken).await.expect_err("it is taken");
            assert!(format!("{error:#}").contains("metrics.listen"), "{error:#}");
            assert!(is_there(own));
            // Nor is it let go where the port is the same, and another has it elsewhere.
            let elsewhere = TcpListener::bind(("127.0.0.2", own.port())).expect("a port");
            let all = Listen::At(([0, 0, 0, 0], own.port()).into());
            assert!(listening.go_to(all).await.is_err());
            assert!(is_there(own));
            drop(elsewhere);
            listening.go_to(all).await.expect("it is free");
            assert!(is_there(own) && is_there(([127, 0, 0, 2], own.port()).into()));
            listening.go_to(Listen::Off).await.expect("nothing is");
            assert!(!is_there(own));
            assert_eq!(listening.words(), "there are no metrics");
        });
    }
}
