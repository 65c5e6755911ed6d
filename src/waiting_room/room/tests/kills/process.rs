//! A room in a child process, from outside: it is spoken to, heard, and killed.

use std::env;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::SCENARIO;
use super::wire::{Ask, Say, Scenario};

/// The name under which the harness knows the child's test.
const CHILD: &str = "waiting_room::room::tests::kills::child::child_that_is_a_room";

/// A room that says nothing for so long has a fault, however busy the machine is.
pub(super) const BOUND: Duration = Duration::from_mins(2);

pub(super) struct Process {
    child: Child,
    asks: BufWriter<ChildStdin>,
    says: Receiver<Say>,
}

impl Process {
    pub(super) fn start(scenario: &Scenario) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", CHILD, "--nocapture", "--test-threads=1"])
            .env(SCENARIO, serde_json::to_string(scenario).unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let asks = BufWriter::new(child.stdin.take().unwrap());
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let (sender, says) = mpsc::channel();
        thread::spawn(move || {
            let mut line = Vec::new();
            // A line without an end was never said; other lines are the harness's.
            while out.read_until(b'\n', &mut line).is_ok() && line.ends_with(b"\n") {
                if line.starts_with(b"{") && sender.send(serde_json::from_slice(&line).unwrap()).is_err() {
                    return;
                }
                line.clear();
            }
        });
        Self { child, asks, says }
    }

    /// Says something; a process that was killed does not hear it.
    pub(super) fn ask(&mut self, ask: &Ask) {
        let line = serde_json::to_string(ask).unwrap();
        writeln!(self.asks, "{line}").ok();
    }

    /// The next that it says within `patience`; all that was said to it is on its way then.
    pub(super) fn hear(&mut self, patience: Duration) -> Option<Say> {
        if let Ok(say) = self.says.try_recv() {
            return Some(say);
        }
        self.asks.flush().ok();
        match self.says.recv_timeout(patience) {
            Ok(say) => Some(say),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => panic!("the room ended by itself: {:?}", self.child.wait()),
        }
    }

    /// The next that it says.
    pub(super) fn heard(&mut self) -> Say {
        self.hear(BOUND).expect("the room says nothing")
    }

    /// Kills it; what it had said before.
    pub(super) fn kill(mut self) -> Vec<Say> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.says.iter().collect()
    }

    /// Lets it end as it should; whether all is on the disk.
    pub(super) fn close(mut self) -> bool {
        self.ask(&Ask::Close);
        self.asks.flush().unwrap();
        let last = self.says.iter().last();
        assert!(self.child.wait().unwrap().success());
        matches!(last, Some(Say::Closed(true)))
    }
}
