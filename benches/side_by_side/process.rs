//! Child processes, where they run, and what the kernel says of their time and memory.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

/// The processor of the proxies, and that of origin and load.
pub(crate) const PROXY: &str = "0";
pub(crate) const LOAD: &str = "1";

/// Bytes of a page, as /proc counts memory.
const PAGE_KIB: f64 = 4.0;

/// Whether there are two processors, and `taskset` to keep processes on one of them.
pub(crate) fn pins() -> bool {
    static PINS: OnceLock<bool> = OnceLock::new();
    let two = || std::thread::available_parallelism().is_ok_and(|count| count.get() > 1);
    *PINS.get_or_init(|| is_on_path("taskset") && two())
}

pub(crate) fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Servers are where administrators look.
    std::env::split_paths(&path).chain([Path::new("/usr/sbin").to_owned()]).any(|place| place.join(program).is_file())
}

/// `program` on `processor`.
pub(crate) fn command(program: &str, processor: &str) -> Command {
    if !pins() {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["-c", processor, program]);
    command
}

/// A child, killed on drop.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(mut command: Command) -> Self {
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// This program in another part.
    pub(crate) fn own(words: &[&str], processor: &str) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut command = command(program.to_str().unwrap(), processor);
        command.args(words);
        Self::start(command)
    }

    /// CPU time of all its threads so far.
    pub(crate) fn cpu(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.0.id())).unwrap();
        let nanos = tasks.map(|task| {
            let figures = fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
            figures.split(' ').next().unwrap().parse::<u64>().unwrap()
        });
        Duration::from_nanos(nanos.sum())
    }

    /// KiB of memory that are its own.
    pub(crate) fn resident(&self) -> f64 {
        let figures = fs::read_to_string(format!("/proc/{}/statm", self.0.id())).unwrap();
        figures.split(' ').nth(1).unwrap().parse::<f64>().unwrap() * PAGE_KIB
    }
}

impl Process {
    /// Descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.0.id())).unwrap().count()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
