//! A record as a line of JSON, in printable ASCII.

use std::io::{self, Write};
use std::net::IpAddr;
use std::time::Duration;

use http::Version;
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use super::record::{AccessRecord, Capped, HOST_MAX, LoggedPath, REQUEST_ID_MAX};
use crate::telemetry::calendar::Timestamp;

/// Fields in the order in which they stand in a line. Durations are seconds, exact to a microsecond.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(serialize_with = "as_text")]
    time: Timestamp,
    request_id: &'a Capped<REQUEST_ID_MAX>,
    client: IpAddr,
    tls: bool,
    http: &'static str,
    method: &'a str,
    host: Option<&'a Capped<HOST_MAX>>,
    path: &'a LoggedPath,
    route: Option<&'a str>,
    verdict: &'static str,
    reason: Option<&'static str>,
    status: u16,
    server: Option<&'a str>,
    waited_seconds: Option<f64>,
    upstream_seconds: Option<f64>,
    total_seconds: f64,
    bytes_in: u64,
    bytes_out: u64,
}

/// Appends `record` and a line feed to `out`.
pub(super) fn write(out: &mut Vec<u8>, record: &AccessRecord) -> io::Result<()> {
    let line = Line {
        time: Timestamp(record.at),
        request_id: &record.request_id,
        client: record.client,
        tls: record.tls,
        http: version(record.version),
        method: record.method.as_str(),
        host: record.host.as_ref(),
        path: &record.path,
        route: record.route.as_deref(),
        verdict: record.verdict,
        reason: record.reason,
        status: record.status,
        server: record.server.as_deref(),
        waited_seconds: record.waited.map(seconds),
        upstream_seconds: record.upstream.map(seconds),
        total_seconds: seconds(record.total),
        bytes_in: record.bytes_in,
        bytes_out: record.bytes_out,
    };
    line.serialize(&mut Serializer::with_formatter(&mut *out, Ascii))?;
    out.push(b'\n');
    Ok(())
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_11 => "1.1",
        Version::HTTP_2 => "2",
        _ => "other",
    }
}

fn seconds(span: Duration) -> f64 {
    span.as_micros() as f64 / 1e6
}

fn as_text<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

/// Escapes what is not printable ASCII: terminals act on C1 controls, and text direction marks make a line lie.
struct Ascii;

impl Formatter for Ascii {
    /// `fragment` is free of quotes, backslashes and C0 controls, which `serde_json` escapes itself.
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if fragment.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return writer.write_all(fragment.as_bytes());
        }
        for unit in fragment.encode_utf16() {
            match u8::try_from(unit) {
                Ok(byte @ b' '..=b'~') => writer.write_all(&[byte])?,
                _ => write!(writer, "\\u{unit:04x}")?,
            }
        }
        Ok(())
    }
}
