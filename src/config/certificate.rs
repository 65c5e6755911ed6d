//! What a certificate says of itself: for which names it is, and when it is valid.
//!
//! **Not here**: whether anybody should believe it (rustls).

use std::ops::RangeInclusive;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, Error, KeyUsage};

/// Seconds since the Unix epoch at which every one of `chain` is valid; [`None`] if one of them cannot be read.
pub(super) fn validity(chain: &[CertificateDer<'_>]) -> Option<RangeInclusive<u64>> {
    chain.iter().try_fold(0..=u64::MAX, |valid, certificate| {
        let one = validity_of(certificate)?;
        Some(*valid.start().max(one.start())..=*valid.end().min(one.end()))
    })
}

/// webpki looks at the time before it looks for the issuer, and says in an error what the time should have been: a verification
/// that trusts nobody, before and after all times, tells both ends.
fn validity_of(certificate: &CertificateDer<'_>) -> Option<RangeInclusive<u64>> {
    let parsed = EndEntityCert::try_from(certificate).ok()?;
    let judge = |seconds: u64| {
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        parsed.verify_for_usage(&[], &[], &[], time, KeyUsage::server_auth(), None, None).err()
    };
    let not_before = match judge(0) {
        Some(Error::CertNotValidYet { not_before, .. }) => not_before.as_secs(),
        // Valid since 1970, or before.
        _ => 0,
    };
    match judge(u64::MAX) {
        Some(Error::CertExpired { not_after, .. }) => Some(not_before..=not_after.as_secs()),
        _ => None,
    }
}

/// The DNS names in `certificate`, in lower case and the order of the certificate. A common name is none (RFC 9525 §2).
pub(super) fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(parsed) = EndEntityCert::try_from(certificate) else { return Vec::new() };
    parsed.valid_dns_names().map(str::to_ascii_lowercase).collect()
}
