//! The servers as child processes, and what the kernel says of their CPU time.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::BARE;
use crate::crowd::{Answer, ask};

const PATIENCE: Duration = Duration::from_secs(10);

/// Until a server has done what is left to do after its last answer.
const REST: Duration = Duration::from_millis(5);

/// A running server.
pub(crate) struct Server {
    child: Child,
    pub(crate) addresses: Vec<SocketAddr>,
}

impl Server {
    /// weir with a room on `/daftar` that calls one person a second; there is no service behind it.
    pub(crate) fn weir(directory: &Path, logs: bool) -> Self {
        let [address, admin] = [free_address(), free_address()];
        let log = if logs { "file:access.log" } else { "off" };
        let config = format!(
            "[[listener]]\naddress = \"{address}\"\n[admin]\naddress = \"{admin}\"\n[log]\naccess = \"{log}\"\n\
             [runtime]\nworkers = 1\n[pass]\nkey = \"file:pass.key\"\n\
             [[waiting_room]]\nname = \"opening\"\nkey = \"file:room.key\"\npace = \"1/s\"\n\
             [[upstream]]\nname = \"u\"\nservers = [\"{}\"]\nconcurrency = 64\n\
             [[route]]\npath = \"/daftar\"\nupstream = \"u\"\nwaiting_room = \"opening\"\ngrants_pass = true\n",
            free_address()
        );
        let path = directory.join("weir.toml");
        fs::write(&path, config).unwrap();
        let errors = fs::File::create(directory.join("stderr")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.arg("--config").arg(path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        let child = command.spawn().unwrap();
        let began = Instant::now();
        while std::net::TcpStream::connect(admin).is_err()
            || ask(admin, b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n").status() != "200"
        {
            assert!(began.elapsed() < PATIENCE, "{}", fs::read_to_string(directory.join("stderr")).unwrap());
            sleep(Duration::from_millis(20));
        }
        Self { child, addresses: vec![address] }
    }

    /// The bare server, with a socket for each of `answers`.
    pub(crate) fn bare(directory: &Path, answers: &[Answer]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg(BARE);
        for (position, answer) in answers.iter().enumerate() {
            let path = directory.join(format!("answer{position}"));
            fs::write(&path, answer.bytes()).unwrap();
            command.arg(path);
        }
        // It ends when its standard input does.
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        let addresses = said.lines().take(answers.len()).map(|line| line.unwrap().parse().unwrap()).collect();
        Self { child, addresses }
    }

    /// CPU time that `work` costs it.
    pub(crate) fn cost(&self, work: impl FnOnce()) -> Duration {
        let before = self.cpu();
        work();
        sleep(REST);
        self.cpu().saturating_sub(before)
    }

    /// Of all its threads, since each began.
    fn cpu(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let nanos = tasks.map(|task| {
            let figures = fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
            figures.split(' ').next().unwrap().parse::<u64>().unwrap()
        });
        Duration::from_nanos(nanos.sum())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// An address at which nobody listens.
fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}
