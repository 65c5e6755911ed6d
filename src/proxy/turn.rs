//! Holding a request, in line until its turn or outside it until an earlier one of its client is done.
//!
//! While it waits, three things can happen, and the first one counts: its turn comes, its deadline passes, its client leaves.
//! A small body has been read before (`upload` says why); for one that stays unread the socket is watched.
//!
//! **Invariants**: ends by the deadline; whoever left is not served.
//! **Cost**: one timer, and one descriptor while an HTTP/1.1 body stays unread; `WATCHERS` of them at once, the others are
//! looked at when their turn comes.
//! **Not here**: the line itself (`admission`).

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use http::Version;

use crate::admission::verdict::Reason;
use crate::clock::{Clock, Tick};
use crate::proxy::departure::{departed, has_left};
use crate::proxy::peer::Peer;
use crate::proxy::upload::Budget;

/// What a waiting request has to do with its client.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// The other end.
    pub peer: &'a Arc<Peer>,
    /// Version of HTTP; only HTTP/1.1 hides departures.
    pub version: Version,
    /// Its body has not been read to the end.
    pub owes_body: bool,
}

/// Waits for the turn of `held`, until `deadline` at most; an error is the reason why it will not come.
pub async fn turn<T>(
    deadline: Tick,
    held: impl Future<Output = T>,
    client: Client<'_>,
    watchers: &Arc<Budget>,
    clock: &Clock,
) -> Result<T, Reason> {
    let http1 = client.version <= Version::HTTP_11;
    let watcher = if http1 && client.owes_body { watchers.reserve(1) } else { None };
    let mut departure = pin!(async {
        if watcher.is_some() { departed(&client.peer.socket).await } else { std::future::pending().await }
    });
    let mut deadline = pin!(until(clock, deadline));
    let mut held = pin!(held);
    let turn = poll_fn(|context| {
        if let Poll::Ready(turn) = held.as_mut().poll(context) {
            return Poll::Ready(Ok(turn));
        }
        if departure.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(Reason::ClientLeft));
        }
        deadline.as_mut().poll(context).map(|()| Err(Reason::Expired))
    })
    .await?;
    // Unread or pipelined bytes hide a departure from hyper; a look costs less than serving nobody.
    if http1 && has_left(&client.peer.socket) { Err(Reason::ClientLeft) } else { Ok(turn) }
}

async fn until(clock: &Clock, deadline: Tick) {
    match clock.instant(deadline) {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
