//! What the kernel says of a socket's queues, which it tells where it has sock_diag(7): a
//! module of its own for each family, that a kernel may lack.

use anyhow::{Context as _, Result};
use testbed::{
    calls::{self, Launcher},
    client::{Request, TIMEOUT},
};

use crate::servers::{text, watch};

/// Whose turn it is: a client that has read all waits for more, one that reads nothing
/// fills the queue.
#[test]
fn a_stall_says_whether_the_send_queue_is_empty_or_full() -> Result<()> {
    const MANY: u64 = 20_000_000;
    for tcp in [false, true] {
        for (path, reads, queue) in [
            ("/write/stall/1000/300".to_owned(), true, "empty"),
            (format!("/nonblocking/stall/{MANY}/{MANY}"), false, "full"),
        ] {
            let mut launcher = Launcher::start(&calls::build()?)?;
            let watcher = watch(launcher.pid(), &["--follow", "--stall", "0.5"])?;
            let request = Request::get(&path);
            launcher.run_with(tcp, |mut client| {
                if reads {
                    return (client.request(&request), Some(client));
                }
                let sent = client
                    .send(&request.message())
                    .and_then(|()| client.wait_hangup(TIMEOUT));
                let mut outcome = client.receive(&request);
                outcome.write_error = sent.err().map(|error| error.kind());
                (outcome, Some(client))
            })?;
            let report = watcher.stop()?;
            let stalled = report
                .findings
                .iter()
                .find(|finding| text(finding, "/cause") == Some("stalled"))
                .with_context(|| report.summary.to_string())?;
            assert_eq!(
                text(stalled, "/ending/send_queue"),
                Some(queue),
                "{path} {tcp}"
            );
        }
    }
    Ok(())
}
