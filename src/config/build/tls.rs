//! Listeners: their certificates and keys, read and compared with each other and with the hosts of routes.
//!
//! **Not here**: reading files (`files`), what a certificate says (`certificate`).

use super::super::certificate;
use super::super::draft::{self, Ask, CertificateFiles};
use super::super::explain::{Faults, quoted};
use super::super::plan::{Certificate, ClientCertificates, Listener, Tls};
use super::super::reader::Written;
use super::files::Files;

pub(super) fn listener(draft: draft::Listener, files: &Files<'_>, faults: &mut Faults<'_>) -> Option<Listener> {
    if let Some(orphan) = draft.certificates.first().filter(|_| !draft.tls_is_written) {
        let message = "`certificate` has no meaning without `tls`".to_owned();
        let help = "the first certificate, which clients without a name get too, is that of `tls`".to_owned();
        faults.add(&orphan.span, message, Some("write `tls` too, or leave this out".to_owned()), Some(help));
    }
    let others = draft.certificates;
    // Its faults are recorded already.
    let tls = match draft.tls {
        Some(tls) => Some(presented(tls, others, files, faults)?),
        None if draft.tls_is_written => return None,
        None => None,
    };
    let proxy_protocol = draft.proxy_protocol.is_some_and(|written| written.value);
    Some(Listener { address: draft.address?.value, tls, proxy_protocol })
}

fn presented(
    draft: draft::Tls,
    others: Vec<CertificateFiles>,
    files: &Files<'_>,
    faults: &mut Faults<'_>,
) -> Option<Tls> {
    let clients = clients(&draft, files, faults);
    let first = read(draft.first, files, faults);
    // Each is read before any is given up.
    let others: Vec<_> = others.into_iter().map(|one| (one.span.clone(), read(one, files, faults))).collect();
    let mut certificates = vec![first?];
    for (span, other) in others {
        let other = other?;
        let taken = |name: &&String| certificates.iter().any(|earlier| earlier.names.contains(name));
        let (doubles, own): (Vec<&String>, Vec<&String>) = other.names.iter().partition(taken);
        if own.is_empty() {
            let message = if doubles.is_empty() {
                format!("{} has no DNS name: no client can ask for it", other.file.display())
            } else {
                format!("every name of {} is in a certificate above: it would never be presented", other.file.display())
            };
            faults.add(&span, message, Some("leave this out".to_owned()), None);
        } else if !doubles.is_empty() {
            let doubles: Vec<String> = doubles.into_iter().map(|name| quoted(name)).collect();
            let list = doubles.join(", ");
            faults.warn(&span, &format!("for {list} a certificate above is presented, not {}", other.file.display()));
        }
        certificates.push(other);
    }
    Some(Tls { certificates, unknown_names: draft.unknown_names, clients: clients? })
}

fn read(draft: CertificateFiles, files: &Files<'_>, faults: &mut Faults<'_>) -> Option<Certificate> {
    let (file, key) = (draft.certificate?, draft.key?);
    let pair = files.certified_key(&file, &key, faults)?;
    let (Some(valid), Some(end_entity)) = (certificate::validity(&pair.cert), pair.cert.first()) else {
        let message = format!("`certificate` holds a certificate that cannot be read: {}", file.value.display());
        faults.add(&file.span, message, None, None);
        return None;
    };
    let names = certificate::names(end_entity);
    Some(Certificate { file: file.value, pair, names, valid })
}

fn clients(draft: &draft::Tls, files: &Files<'_>, faults: &mut Faults<'_>) -> Option<ClientCertificates> {
    let roots = draft.client_ca.as_ref().and_then(|ca| files.trust_anchors("client_ca", ca, faults));
    let ask = draft.client_certificates.as_ref();
    let asked = ask.filter(|ask| ask.value != Ask::Off);
    match (asked, &draft.client_ca) {
        // What is written wrong is a fault already.
        (None, Some(ca)) if ask.is_some() || !draft.client_certificates_is_written => {
            let message = "`client_ca` has no meaning unless clients are asked for certificates".to_owned();
            let label = "write `client_certificates = \"required\"` or \"optional\" too".to_owned();
            faults.add(&ca.span, message, Some(label), None);
        }
        (Some(asked), None) if !draft.client_ca_is_written => {
            let message = "who may issue the certificates of clients is not written".to_owned();
            faults.add(&asked.span, message, Some("write `client_ca = \"file.pem\"` too".to_owned()), None);
        }
        _ => {}
    }
    match asked.map(|asked| asked.value) {
        None | Some(Ask::Off) => Some(ClientCertificates::Off),
        Some(Ask::Optional) => Some(ClientCertificates::Optional(roots?)),
        Some(Ask::Required) => Some(ClientCertificates::Required(roots?)),
    }
}

/// Warns of hosts of routes that no certificate covers, where there are any: whoever asks for one is warned away by his browser.
pub(super) fn warn_of_uncovered(hosts: &[Written<String>], listeners: &[Option<Listener>], faults: &mut Faults<'_>) {
    let tls: Vec<&Tls> = listeners.iter().flatten().filter_map(|listener| listener.tls.as_ref()).collect();
    if tls.is_empty() {
        return;
    }
    for host in hosts.iter().filter(|host| !tls.iter().any(|tls| tls.covers(&host.value))) {
        faults.warn(&host.span, &format!("no certificate of a listener is for the host {}", quoted(&host.value)));
    }
}
