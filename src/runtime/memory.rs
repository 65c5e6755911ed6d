//! How much memory the process may use, and how much it uses.
//!
//! **Invariants**: the least of what the configuration, the control groups (v2 or v1) and the machine allow; without any of them nothing
//! is watched. Files are read on the admin thread, never by a worker.
//! **Cost**: one small read under `/proc` four times a second.
//! **Not here**: what follows (`listener`).

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::listener::{Connections, Kind, Memory, Nudge};
use crate::proxy::gateway::Gateway;
use crate::telemetry::{Registry, process};

/// How often it is looked. A crowd of 10,000 connections a second, 10 KiB each, takes 25 MiB meanwhile.
const LOOK: Duration = Duration::from_millis(250);

const CGROUPS: &str = "/sys/fs/cgroup";

/// What watches the memory of a process that was configured to use at most `configured` bytes.
pub(super) fn watch(configured: Option<u64>, registry: &Registry, connections: &Arc<Connections>) -> Option<Memory> {
    let membership = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    let limit = [configured, cgroup_limit(Path::new(CGROUPS), &membership), machine].into_iter().flatten().min()?;
    let help = "Bytes of memory the process may use; above 85 % of it newcomers are refused.";
    registry.gauge("weir_memory_limit_bytes", help, &[]).set(limit as f64);
    let observed = Arc::clone(connections);
    let help = "Whether newcomers are refused because memory is short.";
    let short = move || f64::from(u8::from(observed.is_memory_short()));
    registry.observe_gauge("weir_memory_short", help, &[], short);
    Some(Memory::new(limit))
}

/// Looks again and again, and tells the listeners.
pub(super) async fn look(memory: Option<Memory>, connections: &Connections, gateway: &Gateway, nudge: &Nudge) {
    let Some(mut memory) = memory else { return };
    loop {
        sleep(LOOK).await;
        let Some(used) = process::resident_memory() else { continue };
        // Who was just refused and lingers is not one of those who were there.
        let there = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Closing);
        let open = there.map(|kind| connections.open(kind)).sum();
        let (was_short, is_short) = (connections.is_memory_short(), memory.look(used, open));
        connections.set_memory_short(is_short);
        gateway.set_memory_short(is_short);
        let limit = memory.limit();
        match (was_short, is_short) {
            (false, true) => {
                nudge.all();
                tracing::warn!(used, limit, open, "memory is short: newcomers are refused");
            }
            (true, false) => tracing::info!(used, limit, open, "memory is enough again"),
            _ => {}
        }
    }
}

/// `MemTotal` of `/proc/meminfo`, in bytes.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The least limit of the control groups that `membership`, the text of `/proc/self/cgroup`, names, and of those around them.
///
/// Source: <https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files>, cgroups(7).
fn cgroup_limit(root: &Path, membership: &str) -> Option<u64> {
    let limits = membership.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        if controllers.is_empty() {
            return least(root, path, "memory.max");
        }
        let is_memory = controllers.split(',').any(|controller| controller == "memory");
        is_memory.then(|| least(&root.join("memory"), path, "memory.limit_in_bytes")).flatten()
    });
    limits.min()
}

/// The least number in the files of this `name` from the group at `path` up to the `root`. A container sees its own group as the root,
/// whatever its path is called outside.
fn least(root: &Path, path: &str, name: &str) -> Option<u64> {
    let groups = Path::new(path.trim_start_matches('/')).ancestors();
    let numbers = groups.filter_map(|group| fs::read_to_string(root.join(group).join(name)).ok()?.trim().parse().ok());
    numbers.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_of_a_group_and_those_around_it_counts() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let limit = |membership| cgroup_limit(root.path(), membership);
        assert_eq!(limit("0::/a.slice/b.service\n"), None);
        write("a.slice/b.service/memory.max", "max\n");
        assert_eq!(limit("0::/a.slice/b.service\n"), None);
        write("a.slice/memory.max", "7000\n");
        assert_eq!(limit("0::/a.slice/b.service\n"), Some(7000));
        write("a.slice/b.service/memory.max", "5000\n");
        assert_eq!(limit("0::/a.slice/b.service\n"), Some(5000));
        write("memory/docker/memory.limit_in_bytes", "9223372036854771712\n");
        write("memory/docker/x/memory.limit_in_bytes", "3000\n");
        assert_eq!(limit("5:cpu,memory:/docker/x\n1:name=systemd:/a\n"), Some(3000));
        assert_eq!(limit("5:memory:/docker\n"), Some(9_223_372_036_854_771_712));
        write("memory.max", "2000\n");
        assert_eq!(limit("0::/not/seen/from/inside\n"), Some(2000));
        assert_eq!(limit("nonsense"), None);
    }

    #[test]
    fn the_machine_is_counted_in_kib() {
        assert_eq!(total("MemTotal:       16384 kB\nMemFree:        1 kB\n"), Some(16 << 20));
        assert_eq!(total("MemFree: 1 kB\n"), None);
        assert!(fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text)).unwrap() > 1 << 20);
    }
}
