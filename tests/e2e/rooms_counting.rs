//! Waiting rooms with a quota: which requests hold a part of it, and what is said to those who sent them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::client::{Client, Response};
use crate::origin::{Latch, Origin};
use crate::rooms::{ask, said};
use crate::rooms_page::CLICK;
use crate::weir::{Weir, eventually};

/// A person whom the room knows by a field of his.
const WHO: &str = "who: one\r\ncontent-length: 0\r\n";

/// A room with `lines` and ten places in front of `server`: a success at `/join` is one of them.
fn config(server: SocketAddr, lines: &str) -> String {
    let route = |path: &str, more: &str| {
        format!("[[route]]\npath = \"{path}\"\nupstream = \"u\"\nwaiting_room = \"line\"\n{more}")
    };
    format!(
        "[pass]\nkey = \"file:pass.key\"\n\
         [[waiting_room]]\nname = \"line\"\nkey = \"file:room.key\"\nquota = 10\n{lines}\n\
         [[upstream]]\nname = \"u\"\nservers = [\"{server}\"]\nconcurrency = 4\nconnect_timeout = \"30s\"\n{}{}",
        route("/join", "counts = true\n"),
        route("/*", ""),
    )
}

/// The room knows people by a field.
const BY_FIELD: &str = "identity = \"header:who\"";

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
    let weir = Weir::start(&config(address, BY_FIELD));
    let mut client = Client::connect(weir.http);
    client.send(format!("POST /join HTTP/1.1\r\nhost: localhost\r\n{WHO}\r\n"));
    weir.wait_for_load("u", 1, 0);
    std::thread::sleep(Duration::from_millis(300));
    drop(client);
    weir.wait_for_rest();
    eventually("it is his turn again", || place(&weir)["state"] == "turn");
}

/// A service that works on `/join` until its latch lets go.
fn origin(latch: &Arc<Latch>) -> Origin {
    let latch = Arc::clone(latch);
    Origin::start(move |exchange| {
        exchange.body()?;
        if exchange.target() == "/join" {
            exchange.work(|| latch.pass());
        }
        exchange.respond(200, "", b"")
    })
}

#[test]
fn who_is_being_registered_and_who_has_been_are_told_so() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir = Weir::start(&config(origin.address, BY_FIELD));
    let mut client = Client::connect(weir.http);
    client.send(format!("POST /join HTTP/1.1\r\nhost: localhost\r\n{WHO}\r\n"));
    weir.wait_for_load("u", 1, 0);
    let working = place(&weir);
    assert_eq!((&working["state"], working.get("send_again")), (&"sending".into(), None), "a second tab: {working}");
    let twice = ask(&weir, "POST", "/join", WHO);
    assert_eq!((twice.status, twice.reason().as_str()), (409, "already_sending"), "{twice:?}");
    assert!(twice.field("retry-after").is_some() && twice.field("weir-ticket").is_some(), "{twice:?}");
    latch.let_pass(1);
    assert_eq!(client.answer().status, 200);
    let done = place(&weir);
    assert_eq!((&done["state"], done.get("send_again")), (&"done".into(), None), "{done}");
    assert_eq!(done.get("poll_after_seconds"), None, "nothing will change: {done}");
    for (languages, heading) in [("en", "You have registered"), ("id", "Anda sudah terdaftar")] {
        let fields = format!("{CLICK}accept-language: {languages}\r\nwho: one\r\n");
        let page = ask(&weir, "GET", "/.weir/place", &fields);
        assert_eq!((page.status, page.field("retry-after")), (200, None), "{page:?}");
        assert!(page.text().contains(heading) && !page.text().contains("/.weir/leave"), "{page:?}");
    }
    let again = ask(&weir, "POST", "/join", WHO);
    assert_eq!((again.status, again.reason().as_str()), (409, "already_done"), "{again:?}");
    assert_eq!((again.field("retry-after"), again.field("set-cookie")), (None, None), "{again:?}");
    assert_eq!(origin.requests(), 1);
}

/// Nobody waits and nothing tells the two apart but what they do.
#[test]
fn the_second_person_at_a_lent_computer_registers_too() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir = Weir::start(&config(origin.address, ""));
    latch.let_pass(9);
    let pass = |answer: &Response| answer.field("weir-pass").map(|pass| format!("cookie: weir_pass={pass}\r\n"));
    let form = |target: &str, jar: &str| {
        let answer = ask(&weir, "GET", target, &format!("{CLICK}{jar}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        pass(&answer)
    };
    let send = |jar: &str| {
        let page = "accept-language: en\r\nreferer: http://localhost/form?step=1\r\ncontent-length: 0\r\n";
        ask(&weir, "POST", "/join", &format!("{CLICK}{page}{jar}"))
    };
    let first = form("/form?step=1", "").unwrap();
    assert_eq!(send(&first).status, 200);
    assert_eq!(form("/form?step=1", &first), None, "the browser is taken for the first");
    let refused = send(&first);
    let page = refused.text();
    assert!(refused.status == 409 && page.contains("You have registered"), "{refused:?}");
    assert!(
        page.contains("<a href=\"/form?step=1&amp;weir_new&#61;1\"")
            || page.contains("<a href=\"/form?step=1&amp;weir_new=1\""),
        "{page}"
    );
    let second = form("/form?step=1&weir_new=1", &first).unwrap();
    assert_ne!(first, second);
    assert_eq!(send(&second).status, 200);
    assert_eq!(send(&second).status, 409, "each once");
    assert_eq!(weir.metrics().value("weir_room_quota_done{room=\"line\"}"), 2);
}
