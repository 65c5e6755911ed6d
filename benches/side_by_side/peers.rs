//! The proxies and their configurations.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::process::{PROXY, Process, command, is_on_path};

const PATIENCE: Duration = Duration::from_secs(10);

/// A running proxy.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) process: Process,
    pub(crate) ports: Ports,
}

/// Where it listens: HTTP/1.1, TLS, and HTTP/2 with prior knowledge.
#[derive(Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) plain: u16,
    pub(crate) tls: u16,
    pub(crate) http2: u16,
}

/// The proxies that are there, weir last.
pub(crate) fn start(directory: &Path, origin: u16) -> Vec<Peer> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    fs::write(directory.join("pair.pem"), format!("{certificate}{key}")).unwrap();
    fs::write(directory.join("cert.pem"), certificate).unwrap();
    fs::write(directory.join("key.pem"), key).unwrap();
    let mut peers = Vec::new();
    for (name, config, words) in [
        ("nginx", nginx as fn(&Path, u16, Ports) -> String, &["-c"] as &[&str]),
        ("haproxy", haproxy, &["-db", "-f"]),
        ("envoy", envoy, &["--concurrency", "1", "--disable-hot-restart", "--log-level", "off", "-c"]),
    ] {
        if is_on_path(name) {
            let ports = ports();
            let path = directory.join(format!("{name}.{}", if name == "envoy" { "yaml" } else { "conf" }));
            fs::write(&path, config(directory, origin, ports)).unwrap();
            let mut command = command(name, PROXY);
            command.args(words).arg(path);
            peers.push(Peer { name, process: Process::start(command), ports });
        }
    }
    for name in ["relay", "bare"] {
        let ports = ports();
        let words = [name, &ports.plain.to_string(), &origin.to_string()];
        peers.push(Peer { name, process: Process::own(&words, PROXY), ports });
    }
    let weir = ports();
    let path = directory.join("weir.toml");
    fs::write(&path, config(origin, weir)).unwrap();
    let mut command = command(env!("CARGO_BIN_EXE_weir"), PROXY);
    command.arg("--config").arg(path);
    peers.push(Peer { name: "weir", process: Process::start(command), ports: weir });
    for peer in &peers {
        await_port(peer.ports.plain);
    }
    peers
}

/// Ports at which nobody listens.
fn ports() -> Ports {
    Ports { plain: free_port(), tls: free_port(), http2: free_port() }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Waits until somebody listens at `port`.
pub(crate) fn await_port(port: u16) {
    let began = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        assert!(began.elapsed() < PATIENCE, "nobody listens at {port}");
        sleep(Duration::from_millis(20));
    }
}

fn nginx(directory: &Path, origin: u16, Ports { plain, tls, http2 }: Ports) -> String {
    let here = directory.display();
    let places = "location / { return 404; } location = /full { return 503; } \
        location ~ ^/(x|big|held)$ { proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_pass http://o; }";
    format!(
        "daemon off; master_process off; pid {here}/nginx.pid; error_log /dev/null;\n\
         events {{ worker_connections 16384; }}\n\
         http {{ access_log off; keepalive_requests 100000000; client_body_temp_path {here}/b; proxy_temp_path {here}/p;\n\
         fastcgi_temp_path {here}/f; uwsgi_temp_path {here}/u; scgi_temp_path {here}/s; proxy_read_timeout 600s;\n\
         upstream o {{ server 127.0.0.1:{origin}; keepalive 256; keepalive_requests 100000000; }}\n\
         server {{ listen 127.0.0.1:{plain} backlog=4096; {places} }}\n\
         server {{ listen 127.0.0.1:{http2} http2; {places} }}\n\
         server {{ listen 127.0.0.1:{tls} ssl; ssl_certificate {here}/cert.pem; ssl_certificate_key {here}/key.pem; {places} }}\n\
         }}\n"
    )
}

fn haproxy(directory: &Path, origin: u16, Ports { plain, tls, http2 }: Ports) -> String {
    let here = directory.display();
    format!(
        "global\n nbthread 1\n maxconn 8000\n\
         defaults\n mode http\n timeout client 600s\n timeout server 600s\n timeout connect 5s\n timeout queue 600s\n\
         frontend f\n bind 127.0.0.1:{plain}\n bind 127.0.0.1:{http2} proto h2\n bind 127.0.0.1:{tls} ssl crt {here}/pair.pem\n \
         http-request return status 503 if {{ path /full }}\n \
         http-request return status 404 unless {{ path /x /big /held }}\n use_backend held if {{ path /held }}\n \
         default_backend b\n\
         backend b\n http-reuse always\n server s 127.0.0.1:{origin} maxconn 256\n\
         backend held\n server s 127.0.0.1:{origin} maxconn 1\n"
    )
}

fn envoy(directory: &Path, origin: u16, Ports { plain, tls, http2 }: Ports) -> String {
    let here = directory.display();
    let listener = |port: u16, codec: &str, transport: &str| {
        format!(
            "  - address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}\n    filter_chains:\n    - filters:\n      \
             - name: envoy.filters.network.http_connection_manager\n        typed_config:\n          \"@type\": \
             type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager\n          \
             stat_prefix: s\n          codec_type: {codec}\n          route_config:\n            virtual_hosts:\n            \
             - name: o\n              domains: [\"*\"]\n              routes:\n              \
             - {{ match: {{ path: /full }}, direct_response: {{ status: 503 }} }}\n              \
             - {{ match: {{ safe_regex: {{ regex: \"/(x|big|held)\" }} }}, route: {{ cluster: o, timeout: 0s }} }}\n          \
             http_filters:\n          - name: envoy.filters.http.router\n            typed_config: {{ \"@type\": \
             type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }}\n{transport}"
        )
    };
    let secure = format!(
        "      transport_socket:\n        name: tls\n        typed_config:\n          \"@type\": \
         type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext\n          common_tls_context:\n            \
         tls_certificates:\n            - {{ certificate_chain: {{ filename: {here}/cert.pem }}, private_key: {{ filename: {here}/key.pem }} }}\n"
    );
    format!(
        "static_resources:\n  listeners:\n{}{}{}  clusters:\n  - name: o\n    connect_timeout: 5s\n    circuit_breakers: {{ thresholds: \
         [{{ max_connections: 16000, max_requests: 16000, max_pending_requests: 16000 }}] }}\n    load_assignment:\n      \
         cluster_name: o\n      endpoints:\n      - lb_endpoints:\n        - endpoint: {{ address: {{ socket_address: {{ address: \
         127.0.0.1, port_value: {origin} }} }} }}\n",
        listener(plain, "HTTP1", ""),
        listener(http2, "HTTP2", ""),
        listener(tls, "HTTP1", &secure),
    )
}

/// weir with a gate, a line and a limit for each client on every way, a gate that one request fills, and a room.
fn config(origin: u16, Ports { plain, tls, http2 }: Ports) -> String {
    let upstream = |name: &str, concurrency: usize| {
        format!(
            "[[upstream]]\nname = \"{name}\"\nservers = [\"127.0.0.1:{origin}\"]\nconcurrency = {concurrency}\nresponse_timeout = \"10m\"\n"
        )
    };
    let route = |path: &str, upstream: &str, rest: &str| {
        format!("[[route]]\npath = \"{path}\"\nupstream = \"{upstream}\"\nclient_limits = [\"each\"]\n{rest}\n")
    };
    [
        format!("[[listener]]\naddress = \"127.0.0.1:{plain}\"\n[[listener]]\naddress = \"127.0.0.1:{http2}\"\n"),
        format!("[[listener]]\naddress = \"127.0.0.1:{tls}\"\ntls = {{ certificate = \"cert.pem\", key = \"key.pem\" }}\n"),
        format!("[admin]\naddress = \"127.0.0.1:{}\"\n", free_port()),
        "[log]\naccess = \"off\"\n[runtime]\nworkers = 1\n[clients]\nidle_timeout = \"10m\"\n".to_owned(),
        "[[client_limit]]\nname = \"each\"\nkey = \"address\"\nrate = \"1000000/s\"\nburst = 1000000\ncapacity = 1024\n".to_owned(),
        "[pass]\nkey = \"file:pass.key\"\n".to_owned(),
        "[[waiting_room]]\nname = \"room\"\nkey = \"file:room.key\"\npace = \"1/s\"\n".to_owned(),
        upstream("open", 256),
        upstream("one", 1),
        upstream("few", 1),
        route("/x", "open", ""),
        route("/big", "open", ""),
        route("/full", "one", "queue = { wait = \"1ms\", length = 0 }"),
        route("/held", "few", "queue = { wait = \"10m\", length = 20000 }"),
        route("/room", "open", "waiting_room = \"room\"\ngrants_pass = true"),
    ]
    .concat()
}
