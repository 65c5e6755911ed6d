//! What this process uses of its machine, under the names every Prometheus client library gives it.
//!
//! Source: <https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>, proc(5).
//!
//! **Invariants**: a file that is missing or unreadable leaves its metric out; nothing is guessed.
//! **Cost**: a few reads under `/proc/self` for each scrape; counting descriptors lists them on Linux before 6.2.

use std::fs;

use rustix::process::{Resource, getrlimit};

use super::registry::{Kind, Registry};
use super::text::Reading;

/// Ticks a second in `/proc/*/stat`: `USER_HZ`, 100 on every architecture of Linux that Rust's standard library
/// supports, whatever the kernel's own timer does.
const USER_HZ: f64 = 100.0;

/// Registers the `process_*` metrics and `weir_build_info`.
pub fn register(registry: &Registry) {
    let gauge = |name, help, read: fn() -> Option<f64>| {
        registry.observe(Kind::Gauge, name, help, &[], move || read().map(Reading::Float));
    };
    gauge("process_resident_memory_bytes", "Memory of the process in RAM.", || {
        resident_memory().map(|bytes| bytes as f64)
    });
    gauge("process_open_fds", "Descriptors open.", open_fds);
    gauge("process_max_fds", "Descriptors the process may open.", max_fds);
    gauge("process_start_time_seconds", "When the process started, since the Unix epoch.", start_time);
    registry.observe(Kind::Counter, "process_cpu_seconds_total", "User and system CPU time spent.", &[], || {
        cpu_seconds().map(Reading::Float)
    });
    registry.gauge("weir_build_info", "Always 1.", &[("version", env!("CARGO_PKG_VERSION"))]).set(1);
}

/// Bytes of the process in RAM.
#[must_use]
pub fn resident_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kib: u64 =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?.parse().ok()?;
    kib.checked_mul(1024)
}

fn open_fds() -> Option<f64> {
    // Linux 6.2 and later give the count as the directory's size, without listing it; before, the size is 0.
    let counted = fs::metadata("/proc/self/fd").ok()?.len();
    if counted > 0 { Some(counted as f64) } else { Some(fs::read_dir("/proc/self/fd").ok()?.count() as f64) }
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of its neighbours")]
fn max_fds() -> Option<f64> {
    Some(getrlimit(Resource::Nofile).current.map_or(f64::INFINITY, |limit| limit as f64))
}

fn cpu_seconds() -> Option<f64> {
    Stat::read().map(|stat| stat.cpu_ticks / USER_HZ)
}

fn start_time() -> Option<f64> {
    let system = fs::read_to_string("/proc/stat").ok()?;
    let boot: f64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Stat::read().map(|stat| boot + stat.start_ticks / USER_HZ)
}

/// Fields of `/proc/self/stat`.
struct Stat {
    /// `utime` + `stime`, fields 14 and 15.
    cpu_ticks: f64,
    /// `starttime` since boot, field 22.
    start_ticks: f64,
}

impl Stat {
    fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/stat").ok()?)
    }

    fn parse(line: &str) -> Option<Self> {
        // Field 2, the command's name, may hold blanks and brackets; what follows its last bracket begins with field 3.
        let (_, rest) = line.rsplit_once(')')?;
        let field = |number: usize| rest.split_ascii_whitespace().nth(number - 3)?.parse::<f64>().ok();
        Some(Self { cpu_ticks: field(14)? + field(15)?, start_ticks: field(22)? })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn a_command_name_with_brackets_does_not_shift_the_fields() {
        let line = "7 (a) b (c) S 1 7 7 0 -1 4194560 2 0 0 0 150 25 0 0 20 0 1 0 4242 1000 1 18446744073709551615";
        let stat = Stat::parse(line).unwrap();
        assert!((stat.cpu_ticks - 175.0).abs() < f64::EPSILON);
        assert!((stat.start_ticks - 4242.0).abs() < f64::EPSILON);
        assert!(Stat::parse("7 (short) S 1").is_none());
    }

    #[test]
    fn this_process_is_seen() {
        assert!(resident_memory().unwrap() > 1024 * 1024);
        assert!(max_fds().unwrap() >= open_fds().unwrap());
        let started = SystemTime::UNIX_EPOCH + Duration::from_secs_f64(start_time().unwrap());
        let age = SystemTime::now().duration_since(started).unwrap_or_default();
        assert!(age < Duration::from_hours(1), "started {age:?} ago");
        assert!(cpu_seconds().unwrap() < 3600.0);
    }

    #[test]
    fn an_opened_file_is_counted() {
        // Other tests open and close files meanwhile, so many at once.
        let before = open_fds().unwrap();
        let files: Vec<_> = (0..200).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        assert!(open_fds().unwrap() > before + 100.0);
        drop(files);
    }
}
