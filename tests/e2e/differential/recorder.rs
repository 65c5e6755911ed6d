//! The service behind the gateways: it writes down what it was asked, read by the strictest reader there is.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::reference::{Ending, Message, Reader, read};

/// What came over a connection.
#[derive(Clone, Debug)]
pub(crate) enum Heard {
    /// A request, to its end.
    Message(Message),
    /// Bytes that are no request.
    Garbage(&'static str, Vec<u8>),
    /// A request that broke off: its sender gave it up.
    Cut,
}

/// A running service; it stops when dropped.
pub(crate) struct Recorder {
    pub(crate) address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
    stopped: Arc<AtomicBool>,
}

impl Recorder {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (heard, stopped) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let (log, flag) = (Arc::clone(&heard), Arc::clone(&stopped));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if flag.load(Ordering::SeqCst) {
                    return;
                }
                let log: Arc<Mutex<Vec<Heard>>> = Arc::clone(&log);
                // A connection that breaks says nothing more.
                std::thread::spawn(move || converse(stream, &log).ok());
            }
        });
        Self { address, heard, stopped }
    }

    /// Everything so far, in order.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which then looks.
        TcpStream::connect(self.address).ok();
    }
}

fn converse(mut stream: TcpStream, log: &Mutex<Vec<Heard>>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 16 * 1024]);
    loop {
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            if !bytes.is_empty() {
                log.lock().unwrap().push(Heard::Cut);
            }
            return Ok(());
        }
        bytes.extend_from_slice(&buffer[..length]);
        let reading = read(&bytes, Reader::Strict);
        bytes.drain(..reading.consumed);
        for message in reading.messages {
            let is_head = message.method == "HEAD";
            log.lock().unwrap().push(Heard::Message(message));
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n")?;
            if !is_head {
                stream.write_all(b"ok")?;
            }
        }
        if let Ending::Invalid(why) = reading.ending {
            log.lock().unwrap().push(Heard::Garbage(why, bytes));
            return Ok(());
        }
    }
}
