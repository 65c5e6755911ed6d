//! What the machine must offer for a plan to hold: descriptors, the accept queue, certificates that are still valid.
//!
//! **Invariants**: nothing here is an error; a plan that fits its machine badly still runs, and says so first.
//! **Not here**: the file (`draft`, `build`).

use std::fs;
use std::num::NonZeroUsize;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, RootCertStore};

use super::descriptors::Reserve;
use super::plan::{Key, Plan};

/// Connections that the kernel should hold when a crowd comes faster than it is accepted; below this some are lost.
const LEAST_SOMAXCONN: u64 = 4096;
/// Time to renew a certificate.
const RENEWAL: Duration = Duration::from_hours(14 * 24);

/// One line for each way in which this machine does not fit `plan`.
#[must_use]
pub fn warnings(plan: &Plan) -> Vec<String> {
    let mut warnings = Vec::new();
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    // The start raises the limit in force to this one.
    warnings.extend(descriptors(plan, Reserve::planned(plan, cores), getrlimit(Resource::Nofile).maximum));
    warnings.extend(accept_queue());
    if let Some(Key::Missing(path)) = plan.pass.as_ref().map(|pass| &pass.key) {
        warnings.push(format!("the key of [pass] is not there and is created at the start: {}", path.display()));
    }
    let now = UnixTime::now();
    for listener in &plan.listeners {
        if let Some(why) = listener
            .tls
            .as_ref()
            .and_then(|tls| tls.end_entity_cert().ok())
            .and_then(|certificate| expiry(certificate, now))
        {
            warnings.push(format!("the certificate of listener {} {why}", listener.address));
        }
    }
    warnings
}

/// `limit` is `RLIMIT_NOFILE`, [`None`] for unlimited.
fn descriptors(plan: &Plan, reserve: Reserve, limit: Option<u64>) -> Option<String> {
    let Reserve { upstreams, own } = reserve;
    let (left, allowed) = (reserve.left(limit), limit?);
    let how = "raise it (LimitNOFILE=, ulimit -n), or lower the concurrency of upstreams";
    if !reserve.fits(limit, plan.clients.max_connections) {
        let clients = reserve.clients(limit, plan.clients.max_connections);
        return Some(format!(
            "{allowed} descriptors allowed (RLIMIT_NOFILE), which leaves {left} for clients beside {upstreams} for upstreams and \
             {own} for the process: only {clients} connections will be open at once; {how}"
        ));
    }
    let auto = plan.clients.max_connections.is_none();
    let few = u64::try_from(left).is_ok_and(|left| left < upstreams);
    (auto && few).then(|| {
        format!(
            "{allowed} descriptors allowed (RLIMIT_NOFILE), which leaves {left} for clients, fewer than the {upstreams} that \
             are set aside for upstreams; {how}"
        )
    })
}

fn accept_queue() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/net/core/somaxconn").ok()?;
    let length: u64 = text.trim().parse().ok()?;
    (length < LEAST_SOMAXCONN).then(|| {
        format!(
            "net.core.somaxconn is {length}: a crowd that comes at once overflows the accept queue; set it to 65535"
        )
    })
}

/// What is wrong with the time of `certificate`.
///
/// webpki looks at the validity of a certificate before it looks for its issuer, so a verification that trusts nobody
/// tells whether it has run out, and nothing else.
fn expiry(certificate: &CertificateDer<'_>, now: UnixTime) -> Option<&'static str> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let nobody = RootCertStore::empty();
    let provider = aws_lc_rs::default_provider();
    let judge = |time: UnixTime| {
        let algorithms = provider.signature_verification_algorithms.all;
        match verify_server_cert_signed_by_trust_anchor(&parsed, &nobody, &[], time, algorithms) {
            Err(rustls::Error::InvalidCertificate(why)) => Some(why),
            _ => None,
        }
    };
    let expired =
        |why: &CertificateError| matches!(why, CertificateError::Expired | CertificateError::ExpiredContext { .. });
    let early = |why: &CertificateError| {
        matches!(why, CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. })
    };
    let soon = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()).saturating_add(RENEWAL));
    match judge(now) {
        Some(why) if expired(&why) => Some("has expired"),
        Some(why) if early(&why) => Some("is not valid yet"),
        _ => judge(soon).filter(expired).map(|_| "expires within 14 days"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::parse;

    fn plan(max_connections: &str) -> Plan {
        let text = format!(
            "[[listener]]\naddress = \"127.0.0.1:0\"\n[clients]\nmax_connections = {max_connections}\n\
             [[upstream]]\nname = \"a\"\nservers = [\"a:1\"]\nconcurrency = 100\n\
             [[route]]\npath = \"/*\"\nupstream = \"a\"\n"
        );
        parse(&text, Path::new("weir.toml")).expect("right").plan
    }

    const RESERVE: Reserve = Reserve { upstreams: 200, own: 100 };

    #[test]
    fn descriptors_must_suffice_for_clients_and_upstreams() {
        let fixed = plan("1000");
        assert_eq!(descriptors(&fixed, RESERVE, None), None);
        assert_eq!(descriptors(&fixed, RESERVE, Some(1300)), None);
        let warning = descriptors(&fixed, RESERVE, Some(1299)).expect("one too few");
        assert!(warning.contains("only 999 connections"), "{warning}");
    }

    #[test]
    fn descriptors_left_for_clients_must_outnumber_those_for_upstreams() {
        let auto = plan("\"auto\"");
        assert_eq!(descriptors(&auto, RESERVE, Some(500)), None);
        let warning = descriptors(&auto, RESERVE, Some(499)).expect("fewer than the upstreams");
        assert!(warning.contains("leaves 199 for clients, fewer"), "{warning}");
        let warning = descriptors(&auto, RESERVE, Some(363)).expect("next to none");
        assert!(warning.contains("only 64 connections"), "{warning}");
    }
}
