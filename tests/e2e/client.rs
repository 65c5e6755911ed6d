//! A client that says exactly what it is told, over HTTP/1.1 or what is left of it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use crate::weir::PATIENCE;

/// A connection.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Response {
    /// Statuses that came before, such as 100.
    pub(crate) interim: Vec<u16>,
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Client {
    /// Connects.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).unwrap()
    }

    /// Connects, if somebody listens.
    pub(crate) fn try_connect(address: SocketAddr) -> io::Result<Self> {
        Self::over(TcpStream::connect_timeout(&address, PATIENCE)?)
    }

    /// A client on a connection that stands.
    pub(crate) fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends `bytes`.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.try_send(bytes).unwrap();
        self
    }

    /// Sends `bytes`, as far as they are taken.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())
    }

    /// Sends a request without body.
    pub(crate) fn ask(&mut self, method: &str, target: &str) -> &mut Self {
        self.send(format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\n\r\n"))
    }

    /// Reads an answer to anything but HEAD.
    pub(crate) fn answer(&mut self) -> Response {
        self.try_answer("GET").unwrap()
    }

    /// Reads an answer; an error if the connection ends or stands still before its end.
    pub(crate) fn try_answer(&mut self, method: &str) -> io::Result<Response> {
        let (mut interim, mut status, mut fields);
        interim = Vec::new();
        loop {
            (status, fields) = self.head()?;
            if status / 100 != 1 || status == 101 {
                break;
            }
            interim.push(status);
        }
        let field = |name: &str| fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
        let empty = method == "HEAD" || matches!(status, 101 | 204 | 304);
        let body = match (empty, field("transfer-encoding"), field("content-length")) {
            (true, ..) => Vec::new(),
            (_, Some(_), _) => self.chunks()?,
            (_, None, Some(length)) => {
                let length: u64 = length.parse().map_err(|_| io::ErrorKind::InvalidData)?;
                self.bytes(length)?
            }
            _ => {
                let mut body = Vec::new();
                self.stream.read_to_end(&mut body)?;
                body
            }
        };
        Ok(Response { interim, status, fields, body })
    }

    /// Reads the head of an answer.
    pub(crate) fn head(&mut self) -> io::Result<(u16, Vec<(String, String)>)> {
        let line = self.line()?;
        let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("not a status line: {line:?}")))?;
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok((status, fields))
    }

    /// Reads exactly `length` bytes.
    pub(crate) fn bytes(&mut self, length: u64) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        let read = Read::by_ref(&mut self.stream).take(length).read_to_end(&mut body)?;
        if read as u64 == length { Ok(body) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Whether the other side closes within `patience`, saying nothing more.
    pub(crate) fn is_closed_within(&mut self, patience: Duration) -> bool {
        self.stream.get_ref().set_read_timeout(Some(patience)).unwrap();
        let closed = match self.stream.fill_buf() {
            Ok(bytes) => bytes.is_empty(),
            Err(error) => !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
        };
        self.stream.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
        closed
    }

    /// Whether bytes, or the end, come within `patience`.
    pub(crate) fn has_something_within(&mut self, patience: Duration) -> bool {
        self.stream.get_ref().set_read_timeout(Some(patience)).unwrap();
        let silent = self.stream.fill_buf().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        self.stream.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
        !silent
    }

    /// Closes our sending side.
    pub(crate) fn finish(&mut self) {
        self.stream.get_ref().shutdown(Shutdown::Write).unwrap();
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let length = u64::from_str_radix(&line, 16).map_err(|_| io::Error::other(format!("no chunk: {line:?}")))?;
            body.extend(self.bytes(length)?);
            self.line()?;
            if length == 0 {
                return Ok(body);
            }
        }
    }
}

impl Response {
    /// The first field of this name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The last part of the problem's type: the reason.
    pub(crate) fn reason(&self) -> String {
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        problem["type"].as_str().and_then(|kind| kind.rsplit(':').next()).unwrap_or_default().to_owned()
    }
}

/// Asks once, on a connection of its own.
pub(crate) fn get(address: SocketAddr, target: &str) -> Response {
    try_get(address, target).unwrap()
}

/// The same, if it can be had.
pub(crate) fn try_get(address: SocketAddr, target: &str) -> io::Result<Response> {
    let mut client = Client::try_connect(address)?;
    client.try_send(format!("GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"))?;
    client.try_answer("GET")
}
