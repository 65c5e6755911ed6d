//! Waiting rooms with a quota: which requests hold a part of it, and what is said to those who sent them.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::client::Client;
use crate::rooms::{ask, said};
use crate::weir::{Weir, eventually};

/// A person whom the room knows by a field of his.
const WHO: &str = "who: one\r\ncontent-length: 0\r\n";

/// A room of ten places in front of `server`; every success is one of them.
fn config(server: SocketAddr) -> String {
    format!(
        "[pass]\nkey = \"file:pass.key\"\n\
         [[waiting_room]]\nname = \"line\"\nkey = \"file:room.key\"\nidentity = \"header:who\"\nquota = 10\n\
         [[upstream]]\nname = \"u\"\nservers = [\"{server}\"]\nconcurrency = 4\nconnect_timeout = \"30s\"\n\
         [[route]]\nname = \"all\"\npath = \"/*\"\nupstream = \"u\"\nwaiting_room = \"line\"\n"
    )
}

/// Where he stands whose fields are [`WHO`].
fn place(weir: &Weir) -> Value {
    said(&ask(weir, "GET", "/.weir/place", "who: one\r\n"))
}

/// A server that connections cannot reach, and that says nothing of it.
fn unreachable() -> (SocketAddr, Vec<Socket>) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    // The kernel answers no further connection.
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let mut keep = vec![socket];
    for _ in 0..2 {
        let filler = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        filler.set_nonblocking(true).unwrap();
        let _pending = filler.connect(&address.into());
        keep.push(filler);
    }
    (address, keep)
}

#[test]
fn what_was_never_sent_is_not_unknown_although_its_client_has_left() {
    let (address, _keep) = unreachable();
    let weir = Weir::start(&config(address));
    let mut client = Client::connect(weir.http);
    client.send(format!("POST /join HTTP/1.1\r\nhost: localhost\r\n{WHO}\r\n"));
    weir.wait_for_load("u", 1, 0);
    std::thread::sleep(Duration::from_millis(300));
    drop(client);
    weir.wait_for_rest();
    eventually("it is his turn again", || place(&weir)["state"] == "turn");
}
