//! A weir process under test: started on a configuration, asked for its metrics and log, killed when dropped.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tempfile::TempDir;

use crate::client;

/// Long enough for anything that works at all, on two busy cores.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Ports below the range from which the kernel takes those of outgoing connections, so that none is lost in between.
const PORTS: std::ops::Range<u16> = 10_000..32_000;
const STARTS: usize = 5;

/// A running weir.
pub(crate) struct Weir {
    child: Child,
    /// Speaks cleartext.
    pub(crate) http: SocketAddr,
    /// Speaks TLS, with the certificate of [`Weir::certificate`].
    pub(crate) https: SocketAddr,
    /// Speaks to operators.
    pub(crate) admin: SocketAddr,
    directory: TempDir,
    /// What stands in its file before the configuration of the test.
    preface: String,
}

impl Weir {
    /// Starts weir on `config`, which has everything but listeners, admin address and log.
    pub(crate) fn start(config: &str) -> Self {
        Self::start_under(&[], config)
    }

    /// The same by way of another command, such as `prlimit`, that becomes weir.
    pub(crate) fn start_under(command: &[&str], config: &str) -> Self {
        for _ in 0..STARTS {
            let mut weir = Self::spawn(command, config);
            if weir.becomes_ready() {
                return weir;
            }
            eprintln!("weir did not start:\n{}", weir.stderr());
        }
        panic!("weir does not start");
    }

    fn spawn(command: &[&str], config: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let [http, https, admin] = [free_address(), free_address(), free_address()];
        let certificate = certificate();
        fs::write(directory.path().join("cert.pem"), &certificate.0).unwrap();
        fs::write(directory.path().join("key.pem"), &certificate.1).unwrap();
        let path = directory.path().join("weir.toml");
        let preface = format!(
            "[[listener]]\naddress = \"{http}\"\n[[listener]]\naddress = \"{https}\"\n\
             tls = {{ certificate = \"cert.pem\", key = \"key.pem\" }}\n[admin]\naddress = \"{admin}\"\n\
             [log]\naccess = \"file:access.log\"\n"
        );
        fs::write(&path, format!("{preface}{config}")).unwrap();
        let stderr = File::create(directory.path().join("stderr")).unwrap();
        let binary = env!("CARGO_BIN_EXE_weir");
        let words: Vec<&str> = command.iter().copied().chain([binary]).collect();
        let child = Command::new(words[0])
            .args(&words[1..])
            .arg("--config")
            .arg(path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", words[0]));
        Self { child, http, https, admin, directory, preface }
    }

    /// Writes another `config` into its file and has it read again; waits until `result` has come of it once more.
    pub(crate) fn reload(&self, config: &str, result: &str) {
        let series = format!("weir_config_reloads_total{{result=\"{result}\"}}");
        let before = self.metrics().value(&series);
        fs::write(self.directory.path().join("weir.toml"), format!("{}{config}", self.preface)).unwrap();
        self.signal(Signal::HUP);
        self.wait_for(&series, before + 1);
    }

    /// Kills it, as `kill -9` does, and starts it again on the same addresses, files and configuration.
    pub(crate) fn restart(&mut self) {
        self.kill_and_restart(|_| {});
    }

    /// Kills it at this instant, lets `meanwhile` change its directory, and starts it again as it was.
    pub(crate) fn kill_and_restart(&mut self, meanwhile: impl FnOnce(&std::path::Path)) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        meanwhile(self.directory.path());
        let stderr = File::options().append(true).open(self.directory.path().join("stderr")).unwrap();
        self.child = Command::new(env!("CARGO_BIN_EXE_weir"))
            .arg("--config")
            .arg(self.directory.path().join("weir.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap();
        assert!(self.becomes_ready(), "weir does not start again:\n{}", self.stderr());
    }

    fn becomes_ready(&mut self) -> bool {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            if client::try_get(self.admin, "/readyz").is_ok_and(|answer| answer.status == 200) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The certificate of its TLS listener, for `127.0.0.1` and `localhost`.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.directory.path().join("cert.pem")
    }

    /// A file of its own, for tools.
    pub(crate) fn scratch(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What it has written to standard error.
    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(self.directory.path().join("stderr")).unwrap_or_default()
    }

    /// The access log as it stands.
    pub(crate) fn access_log(&self) -> String {
        fs::read_to_string(self.directory.path().join("access.log")).unwrap_or_default()
    }

    /// The text of `/metrics`.
    pub(crate) fn metrics(&self) -> Metrics {
        Metrics(client::get(self.admin, "/metrics").text())
    }

    /// Waits until `series` has `value`.
    pub(crate) fn wait_for(&self, series: &str, value: u64) {
        if !within(PATIENCE, || self.metrics().value(series) == value) {
            let name = series.split('{').next().unwrap();
            let now: Vec<_> =
                self.metrics().0.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect();
            panic!("never: {series} {value}, but\n{}", now.join("\n"));
        }
    }

    /// Waits until `upstream` has so many requests in flight and in line.
    pub(crate) fn wait_for_load(&self, upstream: &str, in_flight: u32, queued: u32) {
        self.wait_for(&format!("weir_in_flight{{upstream=\"{upstream}\"}}"), u64::from(in_flight));
        self.wait_for(&format!("weir_queued{{upstream=\"{upstream}\"}}"), u64::from(queued));
    }

    /// Waits until nothing is in flight, in line or connected any more: nothing leaked.
    pub(crate) fn wait_for_rest(&self) {
        let mut last = String::new();
        let rest = within(PATIENCE, || {
            let metrics = self.metrics();
            let busy = [
                "weir_in_flight{",
                "weir_queued{",
                "weir_clients_active{",
                "weir_requests_parked{",
                "weir_sessions_active",
                "weir_sessions_parked",
                "weir_connections{",
                "weir_server_in_flight{",
            ];
            last = metrics
                .0
                .lines()
                .filter(|line| busy.iter().any(|name| line.starts_with(name)))
                .fold(String::new(), |text, line| text + line + "\n");
            busy.iter().all(|name| metrics.sum(name) == 0)
        });
        assert!(rest, "not at rest:\n{last}");
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Stops it, and waits until none of its threads runs.
    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        let (_, status) = waitpid(Some(pid), WaitOptions::UNTRACED).unwrap().unwrap();
        assert!(status.stopped(), "{status:?}");
    }

    /// How it ended; [`None`] if it still runs after `patience`.
    pub(crate) fn exit(&mut self, patience: Duration) -> Option<ExitStatus> {
        let mut status = None;
        within(patience, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status
    }

    /// Whether it runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Bytes of it in RAM.
    pub(crate) fn resident_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Weir {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("standard error of weir:\n{}", self.stderr());
        }
        // Gone already where the test ended it.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Prometheus text.
pub(crate) struct Metrics(pub(crate) String);

impl Metrics {
    /// The value of one series, labels in alphabetical order. All that are asked for are whole numbers.
    pub(crate) fn value(&self, series: &str) -> u64 {
        let found = self.0.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        found.unwrap_or_else(|| panic!("no {series} in\n{}", self.0)).parse().unwrap()
    }

    /// The sum of all series that begin so.
    pub(crate) fn sum(&self, prefix: &str) -> u64 {
        let series = self.0.lines().filter(|line| line.starts_with(prefix));
        series.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }

    /// How many requests of `route` ended for `reason`.
    pub(crate) fn requests(&self, route: &str, reason: &str) -> u64 {
        self.value(&format!("weir_requests_total{{reason=\"{reason}\",route=\"{route}\"}}"))
    }
}

/// One upstream `u` at `server` with `concurrency`, and one route `all` to it with the further keys in `route`.
pub(crate) fn one_route(server: SocketAddr, concurrency: u32, route: &str) -> String {
    format!(
        "[[upstream]]\nname = \"u\"\nservers = [\"{server}\"]\nconcurrency = {concurrency}\n\
         [[route]]\nname = \"all\"\npath = \"/*\"\nupstream = \"u\"\n{route}\n"
    )
}

/// Whether `condition` comes true within `patience`.
pub(crate) fn within(patience: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if began.elapsed() > patience {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits for `condition`, and fails by the name of `what` if it does not come true.
pub(crate) fn eventually(what: &str, condition: impl FnMut() -> bool) {
    assert!(within(PATIENCE, condition), "never: {what}");
}

/// An address nobody listens on, and nobody will unless told to.
pub(crate) fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let count = u32::from(PORTS.end - PORTS.start);
    // Processes that test at the same time start at different places.
    let start = std::process::id().wrapping_mul(7919) % count;
    loop {
        let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = PORTS.start + u16::try_from((start + step) % count).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// Certificate and key, PEM.
fn certificate() -> &'static (String, String) {
    static CERTIFICATE: OnceLock<(String, String)> = OnceLock::new();
    CERTIFICATE.get_or_init(|| {
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    })
}
