//! What each process of a run uses, by `/proc`, once a second.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use crate::clock::Clock;
use crate::ledger::Resources;
use crate::visitor::draw::micros;

/// Between two looks.
pub const LOOK: Duration = Duration::from_secs(1);

/// Microseconds in a tick of `/proc/PID/stat`: Linux counts 100 a second on every architecture it tells programs of.
const TICK: u64 = 10_000;

/// Writes what processes use.
#[derive(Debug)]
pub struct Watch {
    out: BufWriter<File>,
    clock: Clock,
}

impl Watch {
    /// Into the file at `path`.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn new(path: &Path, clock: Clock) -> std::io::Result<Self> {
        let file = File::options().create(true).append(true).open(path)?;
        Ok(Self { out: BufWriter::new(file), clock })
    }

    /// Looks at the processes, by name and number; one that has just ended is passed over.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn look(&mut self, processes: &[(String, u32)]) -> std::io::Result<()> {
        let at = micros(self.clock.now());
        for (name, pid) in processes {
            if let Some(used) = used(*pid) {
                let line = serde_json::to_string(&Resources { at, process: name.clone(), ..used })?;
                writeln!(self.out, "{line}")?;
            }
        }
        self.out.flush()
    }
}

fn used(pid: u32) -> Option<Resources> {
    let text = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
    // proc_pid_stat(5): the name may hold anything but ends with the last parenthesis; fields 14 and 15 are utime and stime.
    let stat = text("stat")?;
    let mut times = stat.rsplit(')').next()?.split_whitespace().skip(11).map(str::parse::<u64>);
    let ticks = times.next()?.ok()? + times.next()?.ok()?;
    let status = text("status")?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = resident.split_whitespace().next()?.parse().ok()?;
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    Some(Resources {
        cpu: ticks * TICK,
        memory: kibibytes * 1024,
        descriptors: u32::try_from(descriptors).unwrap_or(u32::MAX),
        ..Resources::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_something_and_nobody_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("resources.jsonl");
        let mut watch = Watch::new(&path, Clock::start()).expect("a file");
        watch.look(&[("test".into(), std::process::id()), ("nobody".into(), u32::MAX)]).expect("written");
        let text = std::fs::read_to_string(path).expect("a file");
        let lines: Vec<Resources> = text.lines().map(|line| serde_json::from_str(line).expect("a line")).collect();
        let [here] = &lines[..] else { panic!("{lines:?}") };
        assert!(here.process == "test" && here.memory > 1 << 20 && here.descriptors > 2, "{here:?}");
    }
}
