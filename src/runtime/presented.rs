//! Certificates that listeners present: what a reload makes of them, and who is told when they end.
//!
//! **Invariants**: all or nothing, as of every reload; one that is not valid, or will soon not be, is in the log at the start, at each
//! reload and once a day.
//! **Not here**: what a handshake makes of them (`listener`).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use tokio::time::sleep;

use crate::config::machine;
use crate::config::plan::Listener;
use crate::listener::{Bound, Offer, Terms, TermsError, Validity};

/// How often it is said that a certificate ends.
const WARNING_PERIOD: Duration = Duration::from_hours(24);

/// What the listeners present, in the order of the plan; [`None`] for those that speak cleartext.
#[derive(Clone, Debug)]
pub(super) struct Presented(Arc<[(SocketAddr, Option<Arc<Terms>>)]>);

/// What a reload would change, and where.
pub(super) type Change = (SocketAddr, Arc<Terms>, Offer);

impl Presented {
    /// Of `listeners`, by the sockets that were bound for them.
    pub(super) fn by(listeners: &[Listener], sockets: &[Vec<Bound>]) -> Self {
        let bound = sockets.first().into_iter().flatten();
        Self(listeners.iter().zip(bound).map(|(one, bound)| (one.address, bound.terms().cloned())).collect())
    }

    /// What `next` changes of it; nothing is changed yet.
    pub(super) fn prepare(&self, next: &[Listener]) -> Result<Vec<Change>, TermsError> {
        let mut changes = Vec::new();
        for ((address, terms), listener) in self.0.iter().zip(next) {
            let (Some(terms), Some(tls)) = (terms, &listener.tls) else { continue };
            if let Some(offer) = terms.prepare(tls)? {
                changes.push((*address, Arc::clone(terms), offer));
            }
        }
        Ok(changes)
    }

    /// Every certificate that is presented now, with its listener.
    pub(super) fn validity(&self) -> impl Iterator<Item = (SocketAddr, Validity)> {
        let terms = self.0.iter().filter_map(|(address, terms)| Some((*address, terms.as_ref()?)));
        terms.flat_map(|(address, terms)| terms.validity().into_iter().map(move |one| (address, one)))
    }

    /// Says each day which certificates end, for ever. At the start the machine is looked at as a whole.
    pub(super) async fn watch(&self) {
        loop {
            sleep(WARNING_PERIOD).await;
            self.warn();
        }
    }

    /// Says which certificates are not valid, or soon not.
    pub(super) fn warn(&self) {
        for (address, Validity { file, valid }) in self.validity() {
            if let Some(why) = machine::validity_warning(&valid, UnixTime::now()) {
                tracing::warn!("the certificate {} of listener {address} {why}", file.display());
            }
        }
    }
}
