//! A waiting room that says what the test tells it to, with the real pages, over plain HTTP/1.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use http::HeaderValue;
use weir::waiting_room::page::{
    AtClose, Closes, Enter, FetchHints, Format, Jump, KeptPlace, Language, Local, Moment, Page, State, View, Wait,
    Waiting, state_json,
};

/// A Saturday evening.
pub(crate) const OPENS: Moment = Moment { unix: Duration::from_hours(493_308), offset_minutes: 420 };

/// The day after, where a quota may be spent first.
const CLOSES: Closes = Closes {
    at: Moment { unix: Duration::from_hours(493_332), offset_minutes: 420 },
    then: AtClose::Serve,
    while_left: true,
};

/// A request that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    pub(crate) at: Instant,
    pub(crate) line: String,
    pub(crate) fields: String,
    pub(crate) body: String,
}

/// What is true now.
pub(crate) struct Scene {
    pub(crate) state: State<'static>,
    pub(crate) poll: Duration,
    /// Connections are closed without an answer.
    pub(crate) broken: bool,
    pub(crate) arrived: Vec<Arrived>,
}

pub(crate) struct Room {
    scene: Arc<Mutex<Scene>>,
    pub(crate) origin: String,
}

/// In line, with everything that can be said of it.
pub(crate) const fn waiting(ahead: u64) -> Waiting {
    Waiting {
        place: ahead + 1,
        ahead,
        wait: Some(Wait { p50: Duration::from_mins(12), p90: Duration::from_secs(1_070) }),
        waited: Some(Duration::from_mins(15)),
        jump: None,
        beyond_quota: false,
        closes: None,
    }
}

/// Every state, by name.
pub(crate) fn states() -> Vec<(&'static str, State<'static>)> {
    let full = Waiting {
        jump: Some(Jump::ServiceSlower),
        beyond_quota: true,
        closes: Some(Closes { at: OPENS, then: AtClose::Carry, while_left: true }),
        ..waiting(164_321)
    };
    let enter = Enter::Follow(Local::parse("/register?in").unwrap());
    vec![
        ("lobby", State::Lobby { opens: OPENS, closes: Some(CLOSES), drawn: true }),
        ("waiting", State::Waiting(waiting(12_345))),
        ("waiting-full", State::Waiting(full)),
        ("paused", State::Paused(Waiting { wait: None, ..waiting(12_345) })),
        ("turn", State::Turn { enter, kept: Some(Duration::from_mins(30)) }),
        ("turn-form", State::Turn { enter: Enter::SendAgain, kept: Some(Duration::from_mins(30)) }),
        ("closed", State::Closed { next: Some(OPENS), place: KeptPlace::Carried }),
        ("spent", State::Spent { next: Some(OPENS), place: KeptPlace::Ended }),
        ("turn-reopen", State::Turn { enter: Enter::Reopen(Local::parse("/form").unwrap()), kept: None }),
        ("turn-cookies", State::Turn { enter: Enter::AllowCookies, kept: None }),
        ("sending", State::Sending),
        ("done", State::Done),
        ("unclear", State::Unclear),
    ]
}

impl Room {
    pub(crate) fn open(state: State<'static>, poll: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let scene = Arc::new(Mutex::new(Scene { state, poll, broken: false, arrived: Vec::new() }));
        let shared = Arc::clone(&scene);
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let scene = Arc::clone(&shared);
                // A browser may open a connection ahead of need and leave it.
                std::thread::spawn(move || drop(serve(socket, &scene)));
            }
        });
        Self { scene, origin }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    pub(crate) fn scene(&self) -> MutexGuard<'_, Scene> {
        self.scene.lock().unwrap()
    }

    /// The requests for the state as JSON.
    pub(crate) fn polls(&self) -> Vec<Arrived> {
        let scene = self.scene();
        scene.arrived.iter().filter(|arrived| arrived.fields.contains("accept: application/json")).cloned().collect()
    }
}

fn field<'a>(fields: &'a str, name: &str) -> Option<&'a str> {
    fields.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn serve(socket: TcpStream, scene: &Mutex<Scene>) -> std::io::Result<()> {
    let mut reader = BufReader::new(socket.try_clone()?);
    let (mut line, mut fields) = (String::new(), String::new());
    reader.read_line(&mut line)?;
    loop {
        let mut next = String::new();
        if reader.read_line(&mut next)? <= 2 {
            break;
        }
        let (name, value) = next.split_once(':').unwrap_or((&next, ""));
        fields.extend([&name.to_lowercase(), ": ", value.trim(), "\n"]);
    }
    let mut body = vec![0; field(&fields, "content-length").map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8(body).unwrap();
    let arrived = Arrived { at: Instant::now(), line: line.trim().to_owned(), fields: fields.clone(), body };
    let (state, poll) = {
        let mut scene = scene.lock().unwrap();
        scene.arrived.push(arrived);
        if scene.broken {
            return Ok(());
        }
        (scene.state, scene.poll)
    };
    let called = |state: &State<'_>| matches!(state, State::Turn { .. });
    let mut state = state;
    if field(&fields, "prefer") == Some("wait=20") {
        for _ in 0..400 {
            if called(&state) {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
            state = scene.lock().unwrap().state;
        }
    }
    answer(socket, &line, &fields, &state, poll)
}

fn answer(mut socket: TcpStream, line: &str, fields: &str, state: &State<'_>, poll: Duration) -> std::io::Result<()> {
    let value = |name| field(fields, name).map(|value| HeaderValue::from_str(value).unwrap());
    let language = Language::negotiate(value("accept-language").as_ref(), Language::Indonesian);
    let (dest, mode) = (value("sec-fetch-dest"), value("sec-fetch-mode"));
    let hints = FetchHints { dest: dest.as_ref(), mode: mode.as_ref() };
    let view = view(state, poll);
    let page = Page::default();
    let called = matches!(state, State::Turn { .. });
    let path = line.split(' ').nth(1).unwrap_or_default();
    let html = "text/html; charset=utf-8";
    let (status, kind, body) = match path {
        "/form" => (200, html, "<!doctype html><title>Form</title><form method=post action=/register><input name=name><button>Send</button></form>".into()),
        "/.weir/leave" => (200, html, "<!doctype html><title>Left</title><h1>Left</h1>".into()),
        _ if path.starts_with("/register") && called => (200, html, "<!doctype html><title>In</title><h1>Inside</h1>".into()),
        _ if Format::negotiate(value("accept").as_ref(), hints) == Format::Json => {
            (200, "application/json", state_json(&view, language))
        }
        _ => (503, html, page.html(&view, language)),
    };
    let policy = page.content_security_policy().to_str().unwrap();
    write!(
        socket,
        "HTTP/1.1 {status} x\r\ncontent-type: {kind}\r\ncontent-security-policy: {policy}\r\ncache-control: no-store\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    )?;
    socket.write_all(&body)
}

fn view<'a>(state: &State<'a>, poll: Duration) -> View<'a> {
    let over =
        matches!(state, State::Closed { .. } | State::Spent { .. } | State::Done | State::Unclear | State::Turn { .. });
    View {
        room: "Pendaftaran Gelombang 4",
        state: *state,
        now: OPENS.unix.saturating_sub(Duration::from_secs(3_672)),
        poll_after: (!over).then_some(poll),
        ticket: Some("AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYn"),
        number: Some(48_213),
        again: Local::parse("/.weir/place?weir_ticket=AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYn").unwrap(),
        status: Local::parse("/.weir/place").unwrap(),
        anew: Local::parse("/register?weir_new"),
        leave: if over { None } else { Local::parse("/.weir/leave") },
        receipt: None,
        request_id: "5f0c9a72e1",
    }
}
