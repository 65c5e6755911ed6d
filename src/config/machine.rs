//! What the machine must offer for a plan to hold: descriptors, the accept queue, certificates that are still valid.
//!
//! **Invariants**: nothing here is an error; a plan that fits its machine badly still runs, and says so first.
//! **Not here**: the file (`draft`, `build`).

use std::fs;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, RootCertStore};

use super::plan::Plan;

/// Descriptors for standard streams, sockets of workers, the admin address, logs, timers.
const OWN_DESCRIPTORS: u64 = 128;
/// Connections that the kernel should hold when a crowd comes faster than it is accepted; below this some are lost.
const LEAST_SOMAXCONN: u64 = 4096;
/// Time to renew a certificate.
const RENEWAL: Duration = Duration::from_hours(14 * 24);

/// One line for each way in which this machine does not fit `plan`.
#[must_use]
pub fn warnings(plan: &Plan) -> Vec<String> {
    let mut warnings = Vec::new();
    warnings.extend(descriptors(plan, getrlimit(Resource::Nofile).current));
    warnings.extend(accept_queue());
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
fn descriptors(plan: &Plan, limit: Option<u64>) -> Option<String> {
    let limit = limit?;
    let upstream: u64 = plan.upstreams.iter().map(|upstream| u64::from(upstream.most())).sum();
    let clients = plan.clients.max_connections.map_or(0, |count| u64::try_from(count.get()).unwrap_or(u64::MAX));
    let needed = upstream.saturating_add(clients).saturating_add(OWN_DESCRIPTORS);
    if needed > limit {
        return Some(format!(
            "{limit} descriptors allowed (RLIMIT_NOFILE), {needed} needed: {clients} for clients, {upstream} for \
             upstreams, {OWN_DESCRIPTORS} for the process; raise it (ulimit -n, LimitNOFILE=)"
        ));
    }
    let left = limit - needed;
    (clients == 0 && left < upstream).then(|| {
        format!(
            "{limit} descriptors allowed (RLIMIT_NOFILE), which leaves {left} for clients beside {upstream} requests in \
             flight; raise it (ulimit -n, LimitNOFILE=)"
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

    fn plan(max_connections: &str, concurrency: u32) -> Plan {
        let text = format!(
            "[[listener]]\naddress = \"127.0.0.1:0\"\n[clients]\nmax_connections = {max_connections}\n\
             [[upstream]]\nname = \"a\"\nservers = [\"a:1\"]\nconcurrency = {concurrency}\n\
             [[route]]\npath = \"/*\"\nupstream = \"a\"\n"
        );
        parse(&text, Path::new("weir.toml")).expect("right").plan
    }

    #[test]
    fn descriptors_must_suffice_for_clients_and_upstreams() {
        let fixed = plan("1000", 100);
        let needed = 1000 + 100 + OWN_DESCRIPTORS;
        assert_eq!(descriptors(&fixed, None), None);
        assert_eq!(descriptors(&fixed, Some(needed)), None);
        let warning = descriptors(&fixed, Some(needed - 1)).expect("one too few");
        assert!(warning.contains(&format!("{needed} needed")), "{warning}");
    }

    #[test]
    fn descriptors_left_for_clients_must_outnumber_the_upstreams() {
        let auto = plan("\"auto\"", 100);
        assert_eq!(descriptors(&auto, Some(OWN_DESCRIPTORS + 200)), None);
        let warning = descriptors(&auto, Some(OWN_DESCRIPTORS + 199)).expect("fewer than the upstreams");
        assert!(warning.contains("leaves 99 for clients"), "{warning}");
    }
}
