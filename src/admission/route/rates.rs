//! The rates of a route's client limits.
//!
//! **Invariants**: charged before anything is given; a refusal charges nothing of the limit that refuses.
//! **Cost**: a sharded look-up for each limit with a rate.
//! **Not here**: slots (`mod`), the buckets (`admission::rate`).

use super::{RouteAdmission, jittered};
use crate::admission::client::{ClientHash, ClientLimit};
use crate::admission::verdict::{Account, Exceeded, Reason, Refusal};
use crate::clock::Tick;

impl RouteAdmission {
    /// Charges all rates for one request, the arguments as for [`RouteAdmission::decide`], which does so itself: for a request that is given
    /// something without being decided about.
    ///
    /// # Errors
    /// One of them is exceeded.
    pub fn charge(
        &self,
        now: Tick,
        client: impl Fn(&ClientLimit) -> Option<ClientHash>,
        chance: f64,
    ) -> Result<(), Refusal> {
        for (position, limit) in self.client_limits.iter().enumerate().filter(|(_, limit)| limit.buckets().is_some()) {
            if let Some(Err(over)) = client(limit).map(|client| limit.charge(now, client)) {
                let retry_after = jittered(over.retry_after, chance);
                let limit = Some(Exceeded { account: Account::Limit(position), reset: Some(over.retry_after) });
                return Err(Refusal { reason: Reason::ClientLimit, retry_after, limit });
            }
        }
        Ok(())
    }
}
