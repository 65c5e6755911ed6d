//! What the process as a whole shows in `/metrics`.

use std::sync::Arc;

use super::presented::Presented;
use crate::listener::{Cause, Connections, Kind, Validity};
use crate::proxy::gateway::Gateway;
use crate::telemetry::{AccessLog, Registry};

/// Connections of clients.
pub(super) fn connections(registry: &Registry, connections: &Arc<Connections>) {
    for kind in Kind::ALL {
        let observed = Arc::clone(connections);
        let open = move || observed.open(kind) as f64;
        registry.observe_gauge("weir_connections", "Connections of clients open now.", &[("kind", kind.name())], open);
    }
    for cause in Cause::ALL {
        let observed = Arc::clone(connections);
        let help = "Connections of clients that ended, by cause.";
        let ended = move || observed.ended(cause);
        registry.observe_counter("weir_connections_ended_total", help, &[("cause", cause.name())], ended);
    }
    let count = |name, help, read: fn(&Connections) -> u64| {
        let observed = Arc::clone(connections);
        registry.observe_counter(name, help, &[], move || read(&observed));
    };
    count("weir_connections_accepted_total", "Connections of clients accepted.", Connections::accepted);
    count("weir_accept_errors_total", "Connections that failed before they were accepted.", Connections::accept_errors);
    let help = "Times the machine had no descriptor or memory for another connection.";
    count("weir_accept_exhausted_total", help, Connections::exhausted);
    let help = "Requests on open HTTP/2 connections that were refused because memory was short.";
    count("weir_http2_streams_refused_total", help, Connections::refused_streams);
    let observed = Arc::clone(connections);
    let addresses = move || observed.addresses() as f64;
    let help = "Addresses with open connections that are counted by address.";
    registry.observe_gauge("weir_connection_addresses", help, &[], addresses);
    let observed = Arc::clone(connections);
    let limit = move || observed.limit() as f64;
    registry.observe_gauge("weir_connections_limit", "Connections of clients that may be open at once.", &[], limit);
}

/// Certificates of listeners.
pub(super) fn certificates(registry: &Registry, presented: &Presented) {
    let observed = presented.clone();
    let help = "When the first certificate of the chain in the file ends, in seconds since the Unix epoch.";
    registry.list_gauges("weir_certificate_expiry_timestamp_seconds", help, move |named| {
        for (address, Validity { file, valid }) in observed.validity() {
            let (certificate, listener) = (file.display().to_string(), address.to_string());
            named(&[("certificate", &certificate), ("listener", &listener)], *valid.end() as f64);
        }
    });
}

/// The access log.
pub(super) fn access_log(registry: &Registry, log: &AccessLog) {
    let observed = log.clone();
    let help = "Lines of the access log that were not written because its writer was too slow.";
    registry.observe_counter("weir_access_log_dropped_total", help, &[], move || observed.dropped());
}

/// Bodies read before their turn.
pub(super) fn read_ahead(registry: &Registry, gateway: &Gateway) {
    let help = "Bytes left for reading bodies before their requests are admitted.";
    for (size, budget) in [("small", gateway.small_bodies()), ("large", gateway.large_bodies())] {
        let observed = Arc::clone(budget);
        let left = move || observed.left() as f64;
        registry.observe_gauge("weir_read_ahead_bytes_left", help, &[("size", size)], left);
    }
    let observed = Arc::clone(gateway.responses());
    let help = "Bytes of responses that were read before their clients took them, so that the service is free.";
    registry.observe_gauge("weir_response_ahead_bytes", help, &[], move || observed.bytes() as f64);
}
