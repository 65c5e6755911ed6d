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

    /// Looks at the processes, by name and number, each with those of its children that run the same program; one that has just ended is passed over.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn look(&mut self, processes: &[(String, u32)]) -> std::io::Result<()> {
        let at = micros(self.clock.now());
        for (name, pid) in processes {
            if let Some(used) = all_used(*pid) {
                let line = serde_json::to_string(&Resources { at, process: name.clone(), ..used })?;
                writeln!(self.out, "{line}")?;
            }
        }
        self.out.flush()
    }
}

/// Of `pid` and its children of the same name: pages they share count in each, as in a sum that `ps` shows.
fn all_used(pid: u32) -> Option<Resources> {
    let text = |pid: u32, file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
    let mut sum = used(pid)?;
    let name = text(pid, "comm")?;
    // proc_pid_task_children(5): the children of each thread; forking gateways fork in the first.
    let children = text(pid, &format!("task/{pid}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    for child in children.filter(|child| text(*child, "comm").as_ref() == Some(&name)).filter_map(used) {
        sum.cpu += child.cpu;
        sum.memory += child.memory;
        sum.descriptors = sum.descriptors.saturating_add(child.descriptors);
    }
    Some(sum)
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
