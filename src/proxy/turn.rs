//! Holding a request in line until its turn.
//!
//! While it waits, four things can happen, and the first one counts: its turn comes, its deadline passes, its client leaves,
//! its body turns out to be broken. A small body is read meanwhile (`upload` says why); for a body that stays unread the
//! socket is watched instead.
//!
//! **Invariants**: ends by the deadline; whoever left is not served.
//! **Cost**: one timer, and one descriptor while a large HTTP/1.1 body stays unread.
//! **Not here**: the line itself (`admission`).

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use http::Version;

use crate::admission::permit::Permit;
use crate::admission::route::Held;
use crate::admission::verdict::Reason;
use crate::clock::{Clock, Tick};
use crate::proxy::departure::{departed, has_left};
use crate::proxy::peer::Peer;
use crate::proxy::upload::{Budget, Upload};

/// What a waiting request has to do with its client.
#[derive(Debug)]
pub struct Client<'a> {
    /// The other end.
    pub peer: &'a Arc<Peer>,
    /// Version of HTTP; only HTTP/1.1 hides departures.
    pub version: Version,
    /// The client waits for `100 Continue` before it sends its body: not before its turn.
    pub expects_continue: bool,
}

/// Waits for the turn of `held`; an error is the reason why it will not come.
pub async fn turn(
    mut held: Held,
    client: Client<'_>,
    upload: &mut Upload,
    budget: &Arc<Budget>,
    clock: &Clock,
) -> Result<Permit, Reason> {
    let http1 = client.version <= Version::HTTP_11;
    let reads_ahead = http1 && !client.expects_continue && upload.reserve(budget);
    let watches = http1 && !reads_ahead && !upload.is_complete();
    let mut departure =
        pin!(async { if watches { departed(&client.peer.socket).await } else { std::future::pending().await } });
    let mut deadline = pin!(until(clock, held.deadline));
    let permit = poll_fn(|context| {
        if let Poll::Ready(turn) = Pin::new(&mut held.waiting).poll(context) {
            return Poll::Ready(turn.map_err(|_| Reason::Expired));
        }
        if departure.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(Reason::ClientLeft));
        }
        if reads_ahead && let Poll::Ready(Err(error)) = upload.poll_ahead(context) {
            return Poll::Ready(Err(error.reason()));
        }
        deadline.as_mut().poll(context).map(|()| Err(Reason::Expired))
    })
    .await?;
    // hyper may have read ahead what hides a departure from it; a look costs less than serving nobody.
    if http1 && has_left(&client.peer.socket) { Err(Reason::ClientLeft) } else { Ok(permit) }
}

async fn until(clock: &Clock, deadline: Tick) {
    match clock.instant(deadline) {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
