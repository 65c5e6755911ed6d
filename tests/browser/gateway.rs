//! weir itself, with a waiting room, in front of a service that is busy for as long as the test wants.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// A running weir with a service behind it.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) address: SocketAddr,
    busy: Arc<AtomicBool>,
    /// Request lines that reached the service.
    pub(crate) served: Arc<Mutex<Vec<String>>>,
    _directory: tempfile::TempDir,
}

impl Gateway {
    /// The same, and the service is busy with a request of somebody else until it is released.
    pub(crate) fn busy(lines: &str) -> Self {
        let gateway = Self::start(lines);
        let mut other = TcpStream::connect(gateway.address).unwrap();
        other.write_all(b"GET /busy HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let end = Instant::now() + PATIENCE;
        while gateway.served.lock().unwrap().is_empty() {
            assert!(Instant::now() < end, "the service is never reached");
            std::thread::sleep(Duration::from_millis(20));
        }
        // Read by nobody; it lives as long as the request.
        std::thread::spawn(move || std::io::copy(&mut other, &mut std::io::sink()));
        gateway
    }

    /// Starts both, with `lines` in the room.
    pub(crate) fn start(lines: &str) -> Self {
        let (busy, served) = (Arc::new(AtomicBool::new(true)), Arc::<Mutex<Vec<String>>>::default());
        let service = serve(&busy, &served);
        let directory = tempfile::tempdir().unwrap();
        let [address, admin] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
        let path = directory.path().join("weir.toml");
        let config = format!(
            "[[listener]]\naddress = \"{address}\"\n[admin]\naddress = \"{admin}\"\n[pass]\nkey = \"file:pass.key\"\n\
             [[waiting_room]]\nname = \"Pendaftaran\"\nkey = \"file:room.key\"\n{lines}\n\
             [[upstream]]\nname = \"u\"\nservers = [\"{service}\"]\nconcurrency = 1\n\
             [[route]]\npath = \"/*\"\nupstream = \"u\"\nwaiting_room = \"Pendaftaran\"\ngrants_pass = true\n\
             queue = {{ wait = \"200ms\", length = 1 }}\n"
        );
        fs::write(&path, config).unwrap();
        let log = fs::File::create(directory.path().join("stderr")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_weir"))
            .arg("--config")
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let gateway = Self { child, address, busy, served, _directory: directory };
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < end, "weir does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        gateway
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Somebody else gets in line, and is never seen again.
    pub(crate) fn another(&self) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    }

    /// The service has time.
    pub(crate) fn release(&self) {
        self.busy.store(false, Ordering::SeqCst);
    }

    /// How often a request line that begins so reached the service.
    pub(crate) fn reached(&self, line: &str) -> usize {
        self.served.lock().unwrap().iter().filter(|served| served.starts_with(line)).count()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn serve(busy: &Arc<AtomicBool>, served: &Arc<Mutex<Vec<String>>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (busy, served) = (Arc::clone(busy), Arc::clone(served));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (busy, served) = (Arc::clone(&busy), Arc::clone(&served));
            std::thread::spawn(move || while answer(&stream, &busy, &served).is_ok() {});
        }
    });
    address
}

fn answer(stream: &TcpStream, busy: &AtomicBool, served: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    if reader.read_line(&mut line)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    loop {
        let mut field = String::new();
        if reader.read_line(&mut field)? <= 2 {
            break;
        }
        if let Some(value) = field.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    served.lock().unwrap().push(format!("{} {}", line.trim(), String::from_utf8_lossy(&body)));
    let end = Instant::now() + Duration::from_mins(2);
    while line.starts_with("GET /busy") && busy.load(Ordering::SeqCst) && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    let page = if line.starts_with("GET /form") {
        "<!doctype html><title>Form</title><form method=post action=/register><input name=name><button>Send</button></form>"
    } else {
        "<!doctype html><title>In</title><h1>Inside</h1>"
    };
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\n\r\n", page.len());
    let mut stream = stream;
    stream.write_all(head.as_bytes())?;
    stream.write_all(page.as_bytes())
}
