//! What a listener presents under TLS and asks for, and how a reload replaces it.
//!
//! **Invariants**: TLS 1.2 and 1.3 only; no early data (a replayed sign-up, RFC 8446 §8); no session state in memory; an
//! offer is replaced as a whole, and a handshake that has begun ends by the one it began with. Tickets are sealed by keys that live in
//! memory only and are replaced every six hours; the last two are good (RFC 5077 §4, by rustls), so a session is resumed for
//! twelve hours at most, by any worker, and across reloads. A listener that asks for certificates gives no tickets: whoever is verified
//! is verified now, by the anchors that are trusted now.
//! **Cost**: an uncontended shared lock and two lookups by name a handshake.
//! **Not here**: the handshake (`tls`), reading files (`config`).

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, TrustAnchor};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert, VerifierBuilderError,
    WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig, version};

use crate::config::plan::{self, ClientCertificates, UnknownNames};

/// ALPN identifiers (RFC 7301 §6), in our order of preference. A client that names others only is refused (§3.2).
const ALPN: [&[u8]; 2] = [H2, b"http/1.1"];
pub(super) const H2: &[u8] = b"h2";

/// One ticket per handshake: browsers use one, and each costs an encryption and 200 bytes.
const TICKETS: usize = 1;

/// What cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum TermsError {
    /// The provider lacks what TLS needs, or there is no randomness.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// The certificates of clients cannot be verified.
    #[error(transparent)]
    Clients(#[from] VerifierBuilderError),
}

/// What one listener offers; all workers share it.
#[derive(Debug)]
pub struct Terms {
    offer: RwLock<Arc<Offer>>,
    /// Outlives every offer, so that clients need no full handshake for a new certificate.
    ticketer: Arc<dyn ProducesTickets>,
}

/// What is offered from one reload to the next.
#[derive(Debug)]
pub struct Offer {
    config: Arc<ServerConfig>,
    shown: Shown,
    /// When each certificate is valid.
    validity: Vec<Validity>,
}

/// When a certificate is valid.
#[derive(Clone, Debug)]
pub struct Validity {
    /// The file of its chain, as configured.
    pub file: PathBuf,
    /// Seconds since the Unix epoch at which its whole chain is valid.
    pub valid: RangeInclusive<u64>,
}

/// What tells one offer from another. A certificate names its key.
#[derive(Debug, PartialEq)]
struct Shown {
    chains: Vec<Vec<CertificateDer<'static>>>,
    unknown_names: UnknownNames,
    /// Whether they must have one, and who may have issued it.
    clients: Option<(bool, Vec<TrustAnchor<'static>>)>,
}

impl Terms {
    /// The terms of a listener.
    pub fn new(tls: &plan::Tls) -> Result<Arc<Self>, TermsError> {
        let ticketer = aws_lc_rs::Ticketer::new()?;
        Ok(Arc::new(Self { offer: RwLock::new(Arc::new(Offer::new(tls, &ticketer)?)), ticketer }))
    }

    /// What would be offered by `tls`; [`None`] if that is what is offered now.
    pub fn prepare(&self, tls: &plan::Tls) -> Result<Option<Offer>, TermsError> {
        if self.offer().shown == Shown::of(tls) {
            return Ok(None);
        }
        Offer::new(tls, &self.ticketer).map(Some)
    }

    /// Offers this to whoever comes from now on.
    pub fn replace(&self, offer: Offer) {
        *self.offer.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(offer);
    }

    /// When each certificate that is offered now is valid.
    #[must_use]
    pub fn validity(&self) -> Vec<Validity> {
        self.offer().validity.clone()
    }

    /// For a handshake that begins now.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.offer().config)
    }

    fn offer(&self) -> Arc<Offer> {
        Arc::clone(&self.offer.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Offer {
    fn new(tls: &plan::Tls, ticketer: &Arc<dyn ProducesTickets>) -> Result<Self, TermsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = verifier(&tls.clients, &provider)?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(ByName::of(tls)));
        config.alpn_protocols = ALPN.iter().map(|name| name.to_vec()).collect();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        if matches!(tls.clients, ClientCertificates::Off) {
            config.ticketer = Arc::clone(ticketer);
            config.send_tls13_tickets = TICKETS;
        }
        let validity = |one: &plan::Certificate| Validity { file: one.file.clone(), valid: one.valid.clone() };
        let validity = tls.certificates.iter().map(validity).collect();
        Ok(Self { config: Arc::new(config), shown: Shown::of(tls), validity })
    }
}

fn verifier(
    clients: &ClientCertificates,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, VerifierBuilderError> {
    let builder = |roots: &Arc<RootCertStore>| {
        WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider))
    };
    match clients {
        ClientCertificates::Off => Ok(WebPkiClientVerifier::no_client_auth()),
        ClientCertificates::Optional(roots) => builder(roots).allow_unauthenticated().build(),
        ClientCertificates::Required(roots) => builder(roots).build(),
    }
}

impl Shown {
    fn of(tls: &plan::Tls) -> Self {
        let anchors = |roots: &RootCertStore| roots.roots.clone();
        Self {
            chains: tls.certificates.iter().map(|one| one.pair.cert.clone()).collect(),
            unknown_names: tls.unknown_names,
            clients: match &tls.clients {
                ClientCertificates::Off => None,
                ClientCertificates::Optional(roots) => Some((false, anchors(roots))),
                ClientCertificates::Required(roots) => Some((true, anchors(roots))),
            },
        }
    }
}

/// Chooses a certificate by the name that the client asks for (SNI, RFC 6066 §3).
#[derive(Debug)]
struct ByName {
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// By what stands behind `*.`.
    wildcard: HashMap<String, Arc<CertifiedKey>>,
    /// For all others, if they are served.
    default: Option<Arc<CertifiedKey>>,
}

impl ByName {
    fn of(tls: &plan::Tls) -> Self {
        let default = tls.certificates.first().filter(|_| tls.unknown_names == UnknownNames::Default);
        let default = default.map(|one| Arc::clone(&one.pair));
        let mut chosen = Self { exact: HashMap::new(), wildcard: HashMap::new(), default };
        for certificate in &tls.certificates {
            for name in &certificate.names {
                let (names, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut chosen.wildcard, parent),
                    None => (&mut chosen.exact, name.as_str()),
                };
                names.entry(name.to_owned()).or_insert_with(|| Arc::clone(&certificate.pair));
            }
        }
        chosen
    }

    /// `name` in lower case. A wildcard stands for exactly one label (RFC 9525 §6.3).
    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        self.exact.get(name).or_else(|| self.wildcard.get(name.split_once('.')?.1))
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // rustls gives the name in lower case.
        let named = hello.server_name().and_then(|name| self.find(name.trim_end_matches('.')));
        named.or(self.default.as_ref()).cloned()
    }
}
