//! `nginx` and `HAProxy` as Debian ships them, each with one way a lane to a service of its own.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Stdio};

use tempfile::TempDir;

use crate::tools::{command, run};
use crate::weir::{eventually, free_address};

/// A running gateway that others wrote.
pub(crate) struct Rival {
    child: Child,
    pub(crate) ways_in: Vec<SocketAddr>,
    _directory: TempDir,
}

impl Rival {
    /// `nginx` as a plain reverse proxy.
    pub(crate) fn nginx(origins: &[SocketAddr]) -> Self {
        let (directory, ways_in) = (tempfile::tempdir().unwrap(), ways(origins));
        let path = directory.path().display();
        let mut text = format!(
            "daemon off;\nmaster_process off;\npid {path}/pid;\nerror_log {path}/error crit;\n\
             events {{ worker_connections 4096; }}\nhttp {{\naccess_log off;\nclient_body_temp_path {path}/body;\n\
             proxy_temp_path {path}/proxy;\nfastcgi_temp_path {path}/fastcgi;\nuwsgi_temp_path {path}/uwsgi;\n\
             scgi_temp_path {path}/scgi;\nproxy_http_version 1.1;\nproxy_set_header Connection \"\";\n\
             proxy_next_upstream off;\n"
        );
        for (way, origin) in ways_in.iter().zip(origins) {
            writeln!(text, "server {{ listen {way}; location / {{ proxy_pass http://{origin}; }} }}").unwrap();
        }
        text.push_str("}\n");
        fs::write(directory.path().join("nginx.conf"), text).unwrap();
        let child = command("nginx", "nginx-light")
            .args(["-c", &format!("{path}/nginx.conf"), "-e", &format!("{path}/error")])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self::ready(child, ways_in, directory)
    }

    /// `HAProxy` as a plain reverse proxy.
    pub(crate) fn haproxy(origins: &[SocketAddr]) -> Self {
        let (directory, ways_in) = (tempfile::tempdir().unwrap(), ways(origins));
        let mut text = "defaults\n mode http\n timeout client 10s\n timeout server 10s\n timeout connect 10s\n \
                        timeout http-request 10s\n retries 0\n"
            .to_owned();
        for (lane, (way, origin)) in ways_in.iter().zip(origins).enumerate() {
            writeln!(text, "listen lane{lane}\n bind {way}\n server origin {origin}").unwrap();
        }
        let path = directory.path().join("haproxy.cfg");
        fs::write(&path, text).unwrap();
        let child = command("haproxy", "haproxy")
            .arg("-db")
            .arg("-f")
            .arg(path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self::ready(child, ways_in, directory)
    }

    fn ready(child: Child, ways_in: Vec<SocketAddr>, directory: TempDir) -> Self {
        for way in &ways_in {
            eventually("the other gateway listens", || TcpStream::connect(way).is_ok());
        }
        Self { child, ways_in, _directory: directory }
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn ways(origins: &[SocketAddr]) -> Vec<SocketAddr> {
    origins.iter().map(|_| free_address()).collect()
}

/// What the two call themselves.
pub(crate) fn versions() -> String {
    let first = |tool: &str, package: &str, flag: &str| {
        let output = run(tool, package, &[flag]);
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned()
    };
    format!("{}; {}", first("nginx", "nginx-light", "-v"), first("haproxy", "haproxy", "-v"))
}
