//! What is done for a request on its way, each part of it alone: no sockets, no tasks, and time that stands still.
//!
//! One list for two measures: `instructions` counts what the processor does for them, `operations` asks the clock.

use std::hint::black_box;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, DATE, HOST, SERVER, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use weir::admission::client::{ClientHash, ClientLimit};
use weir::admission::dispatch::Dispatcher;
use weir::admission::gate::Gate;
use weir::admission::permit::Permit;
use weir::admission::queue::Line;
use weir::admission::rate::Bucket;
use weir::admission::route::{Person, RouteAdmission, Verdict};
use weir::clock::{Clock, Tick};
use weir::config::plan::{Class, Plan, Queue, Rate, RateLimit, Secret};
use weir::proxy::headers::{self, Context as Fields, RequestId};
use weir::proxy::route::find;
use weir::proxy::target::Target;
use weir::waiting_room::order::Order;
use weir::waiting_room::ticket::{Keyring, LENGTH, Ticket, room_tag};

/// One operation, again and again.
pub(crate) type Operation = Box<dyn FnMut()>;

/// What is measured: its name, and what makes ready for it.
pub(crate) const ALL: [(&str, fn() -> Operation); 14] = [
    ("admit and give back", admit),
    ("wait and leave", leave),
    ("wait, leave behind 1000", leave_behind),
    ("wait and be granted", granted),
    ("refuse by predicted wait", refuse),
    ("charge a client", charge),
    ("sign a ticket", sign),
    ("verify a ticket", verify),
    ("refuse a forgery", forgery),
    ("places ahead", ahead),
    ("read the target", target),
    ("match a route", route),
    ("fields to the service", to_service),
    ("fields to the client", to_client),
];

const NEWCOMER: Person = Person::of(Class::New);

/// People in line, and in the room.
const CROWD: usize = 1_000;
const ROOM: u64 = 100_000;

/// As in `config.toml`.
const FIELDS_MAX: usize = 100;

/// A route with so many permits, a contract rate that never binds, and a line that is long enough.
pub(crate) fn gated(permits: u32, wait: Duration, length: usize) -> RouteAdmission {
    let rate = Rate { count: NonZeroU32::new(1_000_000_000).unwrap(), per: Duration::from_secs(1) };
    let bucket = Bucket::new(RateLimit { rate, burst: NonZeroU32::MAX });
    let line = Line::new(vec![Gate::new(permits, Some(bucket))], length);
    let dispatcher = Dispatcher::new(vec![vec![Arc::clone(&line)]], Clock::manual());
    RouteAdmission::new(dispatcher, line, Vec::new(), Queue { wait, length })
}

/// Asks to be let in.
pub(crate) fn decide(route: &RouteAdmission) -> Verdict {
    route.decide(black_box(NEWCOMER), Tick::ZERO, |_| None, 0.5)
}

fn admit() -> Operation {
    let route = gated(1_000, Duration::from_hours(1), CROWD);
    Box::new(move || drop(decide(&route)))
}

fn leave() -> Operation {
    let route = gated(1, Duration::from_hours(1), 2 * CROWD);
    let inside = decide(&route);
    Box::new(move || {
        black_box(&inside);
        drop(decide(&route));
    })
}

fn leave_behind() -> Operation {
    let route = gated(1, Duration::from_hours(1), 2 * CROWD);
    let crowd: Vec<_> = (0..CROWD).map(|_| decide(&route)).collect();
    Box::new(move || {
        black_box(&crowd);
        drop(decide(&route));
    })
}

/// Whoever is in line gets the permit of whoever leaves.
fn granted() -> Operation {
    let route = gated(1, Duration::from_hours(1), CROWD);
    let Verdict::Admit(first) = decide(&route) else { panic!("the first is let in") };
    let mut inside = Some(first);
    Box::new(move || {
        let mut context = Context::from_waker(Waker::noop());
        let Verdict::Queue(mut held) = decide(&route) else { panic!("the one permit is taken") };
        assert!(Pin::new(&mut held).poll(&mut context).is_pending());
        inside.take().iter_mut().for_each(Permit::spend);
        let Poll::Ready(Ok(permit)) = Pin::new(&mut held).poll(&mut context) else { panic!("it is his turn") };
        inside = Some(permit);
    })
}

fn refuse() -> Operation {
    let route = gated(0, Duration::from_nanos(1), 1);
    Box::new(move || drop(decide(&route)))
}

fn charge() -> Operation {
    let limit = ClientLimit::new(&plan().client_limits[0]);
    let mut number = 0;
    Box::new(move || {
        number = (number + 1) % ROOM;
        limit.charge(Tick::ZERO, ClientHash(number.wrapping_mul(0x9e37_79b9_7f4a_7c15))).ok();
    })
}

fn keyring() -> (Keyring, Ticket) {
    let ticket = Ticket {
        room: room_tag("opening"),
        generation: 1_586_600_000,
        number: ROOM,
        wave: 0,
        class: Class::New,
        identified: false,
        issued: Duration::from_secs(1_586_600_001),
    };
    (Keyring::new(&Secret([1; 32]), &[Secret([2; 32])]), ticket)
}

fn sign() -> Operation {
    let (ring, ticket) = keyring();
    Box::new(move || {
        black_box(ring.sign(black_box(&ticket)));
    })
}

fn verify() -> Operation {
    let (ring, ticket) = keyring();
    let text = ring.sign(&ticket);
    Box::new(move || assert!(black_box(ring.verify(black_box(text.as_ref()))).is_some()))
}

fn forgery() -> Operation {
    let (ring, _) = keyring();
    Box::new(move || assert!(black_box(ring.verify(black_box(&[b'A'; LENGTH]))).is_none()))
}

fn ahead() -> Operation {
    let order = Order::new(usize::try_from(2 * ROOM).unwrap(), 1_586_600_000);
    (0..ROOM).for_each(|_| assert!(order.issue().is_some()));
    let mut number = 0;
    Box::new(move || {
        number = (number + 7_919) % ROOM;
        black_box(order.ahead(number));
    })
}

/// Ten routes, and a limit for each client.
fn plan() -> Plan {
    let routes: String =
        (0..10).map(|at| format!("[[route]]\npath = \"/service/{at}/*\"\nupstream = \"u\"\n")).collect();
    let text = format!(
        "[[listener]]\naddress = \"127.0.0.1:1\"\n[[upstream]]\nname = \"u\"\nservers = [\"127.0.0.1:2\"]\n\
         [[client_limit]]\nname = \"each\"\nkey = \"address\"\nrate = \"5/s\"\nburst = 20\n{routes}"
    );
    weir::config::parse(&text, Path::new("weir.toml")).unwrap().plan
}

/// What a browser sends with a form, and what is answered.
fn head() -> Parts {
    let request = Request::post("/service/9/register?lang=id")
        .header(HOST, "daftar.example")
        .header(USER_AGENT, "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
        .header(ACCEPT, "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
        .header("accept-language", "id,en;q=0.5")
        .header("accept-encoding", "gzip, deflate, br, zstd")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(CONTENT_LENGTH, "321")
        .header("origin", "https://daftar.example")
        .header(COOKIE, "session=0123456789abcdef; weir_ticket=x")
        .header("idempotency-key", "8e03978e-40d5-43dd-bc93-6894a57f9324")
        .header("connection", "keep-alive")
        .header("te", "trailers");
    request.body(()).unwrap().into_parts().0
}

fn target() -> Operation {
    let head = head();
    Box::new(move || {
        black_box(Target::of(black_box(&head), FIELDS_MAX).unwrap());
    })
}

fn route() -> Operation {
    let (plan, target) = (plan(), Target::of(&head(), FIELDS_MAX).unwrap());
    Box::new(move || {
        black_box(find(black_box(&plan.routes), &Method::POST, &target));
    })
}

/// With the copy of the fields that it is done to.
fn to_service() -> Operation {
    let head = head();
    let id = RequestId::of(&head.headers, false, 7);
    let authority = "daftar.example".parse().ok();
    Box::new(move || {
        let mut fields = head.headers.clone();
        headers::check(&fields).unwrap();
        let context = Fields {
            peer: IpAddr::from([192, 0, 2, 1]),
            hops: &[],
            trusted: false,
            tls: true,
            certificate: None,
            version: head.version,
            authority: authority.as_ref(),
            id: &id,
            upgrade: false,
        };
        headers::for_upstream(&mut fields, &context, 0x1234);
        black_box(fields);
    })
}

fn to_client() -> Operation {
    let said = [
        (CONTENT_TYPE, "application/json"),
        (CONTENT_LENGTH, "26"),
        (DATE, "Sat, 11 Apr 2026 12:00:00 GMT"),
        (SERVER, "service/1.0"),
        (HeaderName::from_static("connection"), "keep-alive"),
        (HeaderName::from_static("cache-control"), "no-store"),
    ];
    let fields: HeaderMap = said.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect();
    let id = RequestId::of(&fields, false, 7);
    Box::new(move || {
        let mut fields = fields.clone();
        headers::for_client(&mut fields, &id);
        black_box(fields);
    })
}
