//! What the machine must offer for a plan to hold: descriptors, the accept queue, certificates that are still valid.
//!
//! **Invariants**: nothing here is an error; a plan that fits its machine badly still runs, and says so first.
//! **Not here**: the file (`draft`, `build`).

use std::fs;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use rustls::pki_types::UnixTime;

use super::descriptors::Reserve;
use super::plan::{Key, Listener, Plan};

/// Connections that the kernel should hold when a crowd comes faster than it is accepted; below this some are lost.
const LEAST_SOMAXCONN: u64 = 4096;
/// Time to renew a certificate: ACME clients renew at a third of 90 days (RFC 8555 leaves it to them), so one that is not renewed by
/// then is not renewed by itself.
const RENEWAL: Duration = Duration::from_hours(30 * 24);
const DAY: Duration = Duration::from_hours(24);

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
    warnings.extend(expiring(&plan.listeners, UnixTime::now()));
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

/// One line for each certificate of `listeners` that is not valid at `now`, or not for [`RENEWAL`] more.
#[must_use]
pub fn expiring(listeners: &[Listener], now: UnixTime) -> Vec<String> {
    let presented = listeners.iter().filter_map(|listener| Some((listener.address, listener.tls.as_ref()?)));
    let each = presented.flat_map(|(address, tls)| tls.certificates.iter().map(move |one| (address, one)));
    each.filter_map(|(address, certificate)| {
        let why = validity_warning(&certificate.valid, now)?;
        Some(format!("the certificate {} of listener {address} {why}", certificate.file.display()))
    })
    .collect()
}

/// What is wrong at `now` with a certificate that is valid at these seconds of the Unix epoch; [`None`] if nothing is.
#[must_use]
pub fn validity_warning(valid: &RangeInclusive<u64>, now: UnixTime) -> Option<String> {
    let now = now.as_secs();
    if now < *valid.start() {
        return Some("is not valid yet".to_owned());
    }
    match valid.end().checked_sub(now) {
        None => Some("has expired".to_owned()),
        Some(left) if left < RENEWAL.as_secs() => {
            let days = left / DAY.as_secs();
            Some(format!("expires in less than {} day{}", days + 1, if days == 0 { "" } else { "s" }))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::parse;

    #[test]
    fn a_certificate_is_warned_of_for_its_last_thirty_days() {
        let said =
            |now: u64| validity_warning(&(1_000..=10_000_000), UnixTime::since_unix_epoch(Duration::from_secs(now)));
        let month = 30 * 86_400;
        assert_eq!(said(999).as_deref(), Some("is not valid yet"));
        assert_eq!(said(1_000), None);
        assert_eq!(said(10_000_000 - month), None);
        assert_eq!(said(10_000_001 - month).as_deref(), Some("expires in less than 30 days"));
        assert_eq!(said(10_000_000).as_deref(), Some("expires in less than 1 day"));
        assert_eq!(said(10_000_001).as_deref(), Some("has expired"));
    }

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
