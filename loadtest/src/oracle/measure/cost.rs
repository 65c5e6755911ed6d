//! What it cost.
//!
//! *`gateway_memory`*, *`harness_memory`*: the most that the gateway's processes, and all others of the run, had resident together in
//! one second. *`gateway_cpu`*: processor time of the gateway's processes over all requests people sent; a process that was started anew counts from nothing.

use std::collections::BTreeMap;

use crate::oracle::evidence::Evidence;

/// Microseconds.
const SECOND: u64 = 1_000_000;

/// Resident memory, in bytes.
pub(super) struct Memory {
    pub(super) gateway: f64,
    pub(super) harness: f64,
}

/// How gateways are called in the ledger (`coordinator::product`).
const GATEWAYS: [&str; 4] = ["weir", "nginx", "haproxy", "envoy"];

/// Whether `process` is the gateway's.
fn is_gateway(process: &str) -> bool {
    GATEWAYS.iter().any(|gateway| process.starts_with(gateway))
}

pub(super) fn memory(evidence: &Evidence<'_>) -> Memory {
    let mut by_second: BTreeMap<(u64, &str), u64> = BTreeMap::new();
    for used in &evidence.resources {
        let memory = by_second.entry((used.at / SECOND, used.process.as_str())).or_default();
        *memory = (*memory).max(used.memory);
    }
    let most = |gateway: bool| {
        let mut sums: BTreeMap<u64, u64> = BTreeMap::new();
        for ((second, _), memory) in by_second.iter().filter(|((_, process), _)| is_gateway(process) == gateway) {
            *sums.entry(*second).or_default() += memory;
        }
        sums.into_values().max().map_or(f64::NAN, |bytes| bytes as f64)
    };
    Memory { gateway: most(true), harness: most(false) }
}

/// Seconds of processor time a request.
pub(super) fn processor(evidence: &Evidence<'_>) -> f64 {
    let (mut last, mut total): (BTreeMap<&str, u64>, Option<u64>) = (BTreeMap::new(), None);
    for used in evidence.resources.iter().filter(|used| is_gateway(&used.process)) {
        let before = last.insert(&used.process, used.cpu).unwrap_or(0);
        let more = used.cpu.checked_sub(before).unwrap_or(used.cpu);
        total = Some(total.unwrap_or(0) + more);
    }
    total.map_or(f64::NAN, |total| total as f64 / 1e6 / evidence.told.len() as f64)
}
