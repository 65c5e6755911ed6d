//! What people do who wait for their turn: send their request, are given a place, ask after it as told, and send it again when it is
//! their turn.
//!
//! **Invariants**: nobody asks before he was told to, nor later; who holds has every question after his place held, and between two of them
//! he waits as told like everybody else. Nobody leaves before he is served.
//! **Cost**: as of all people ([`super::super::visit`]); 88 bytes an answer.

use std::time::Duration;

use http::HeaderValue;
use tokio::time::{sleep_until, timeout};

use super::super::scenario::Waits;
use super::super::timeline::span;
use super::super::visit::{FASTEST_RELOAD, Visit};
use super::super::wire::Reply;
use super::told::{Asked, Stand, Told};

/// A held answer is waited for so much longer than it may be held.
const LATE: Duration = Duration::from_secs(10);

impl Visit {
    /// Comes, waits as told, and is served.
    pub(in super::super) async fn wait(mut self, waits: Waits) {
        let hold = (self.rng.f64() < waits.holding).then(|| span(waits.hold));
        let (mut at, mut ticket) = (self.person.arrives, None);
        loop {
            sleep_until(self.scene.clock.instant(at)).await;
            let Some(reply) = self.request(at, ticket.as_ref()).await else {
                at = self.scene.clock.now() + self.pause();
                continue;
            };
            if reply.status.is_success() {
                return;
            }
            let again = reply.retry_after.map(|again| again.max(span(FASTEST_RELOAD)));
            at = self.scene.clock.now() + again.unwrap_or_else(|| self.pause());
            ticket = reply.ticket.or(ticket);
            if let (Some(ticket), Some(Told { stand: Stand::Waiting { .. }, .. })) = (&ticket, reply.told) {
                at = self.turn(at, ticket, hold).await;
            }
        }
    }

    /// Asks from `at` on until it is his turn; says when he knew.
    async fn turn(&mut self, mut at: Duration, ticket: &HeaderValue, hold: Option<Duration>) -> Duration {
        loop {
            sleep_until(self.scene.clock.instant(at)).await;
            let sent = self.scene.clock.now();
            let patience = LATE + hold.unwrap_or_default();
            let told = timeout(patience, self.scene.wire.ask(self.number, ticket, hold)).await.ok().flatten();
            let ended = self.scene.clock.now();
            let Some(told) = told else {
                at = ended + self.pause();
                continue;
            };
            self.tell(Asked { person: self.number, intended: at, sent, ended, holds: hold.is_some(), told });
            if told.stand == Stand::Turn {
                return ended;
            }
            at = ended + told.again;
        }
    }

    /// Sends his request.
    async fn request(&mut self, intended: Duration, ticket: Option<&HeaderValue>) -> Option<Reply> {
        let sent = self.scene.clock.now();
        let reply = self.attempt(1, intended, ticket).await?;
        if let Some(told) = reply.told {
            let ended = self.scene.clock.now();
            self.tell(Asked { person: self.number, intended, sent, ended, holds: false, told });
        }
        Some(reply)
    }
}
