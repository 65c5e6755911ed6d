//! Passes: whoever was let in is recognised, goes before newcomers, and is not refused in the middle.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::client::{Client, Response};
use crate::origin::{Latch, Origin, field};
use crate::tools::curl;
use crate::weir::{Weir, eventually, one_route};

/// 32 bytes as an operator would write them.
const KEY: &str = "file:pass.key";

/// A service that echoes, and fails where it is told to.
fn origin() -> Origin {
    Origin::start(|exchange| {
        let status = exchange.target().strip_prefix("/enter/").and_then(|status| status.parse().ok()).unwrap_or(200);
        let head = exchange.head.clone();
        exchange.body()?;
        exchange.respond(status, "", head.as_bytes())
    })
}

/// `/enter/*` grants passes, `/*` does not; both lead to `u`.
fn config(origin: &Origin, concurrency: u32, pass: &str, queue: &str) -> String {
    format!(
        "[pass]\nkey = \"{KEY}\"\n{pass}\n{}\n[[route]]\nname = \"enter\"\npath = \"/enter/*\"\nupstream = \"u\"\n\
         grants_pass = true\n{queue}\n",
        one_route(origin.address, concurrency, queue)
    )
}

fn ask(weir: &Weir, target: &str, fields: &str) -> Response {
    let mut client = Client::connect(weir.http);
    client.send(format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n{fields}\r\n")).answer()
}

/// Lets somebody in, and answers his pass.
fn enter(weir: &Weir) -> String {
    let answer = ask(weir, "/enter/200", "");
    answer.field("weir-pass").unwrap_or_else(|| panic!("no pass: {answer:?}")).to_owned()
}

fn of_class(weir: &Weir, class: &str) -> u64 {
    weir.metrics().value(&format!("weir_class_requests_total{{class=\"{class}\",reason=\"admitted\"}}"))
}

#[test]
fn a_browser_keeps_its_pass_and_no_upstream_sees_it() {
    let origin = origin();
    let weir = Weir::start(&config(&origin, 8, "", ""));
    let jar = weir.scratch("jar").to_str().unwrap().to_owned();
    let certificate = weir.certificate().to_str().unwrap().to_owned();
    for (way, base) in [("--http1.1", format!("http://{}", weir.http)), ("--http2", format!("https://{}", weir.https))]
    {
        fs::remove_file(&jar).ok();
        let before = of_class(&weir, "in_progress");
        let as_browser = |more: &[&str], target: &str| {
            let url = format!("{base}{target}");
            curl(&[&["-i", way, "--cacert", &certificate, "-b", &jar, "-c", &jar], more, &[&url]].concat())
        };
        let entered = as_browser(&[], "/enter/200");
        let cookie = field(&entered, "set-cookie").unwrap().to_owned();
        let pass = field(&entered, "weir-pass").unwrap().to_owned();
        let secure = if base.starts_with("https") { "; Secure" } else { "" };
        assert_eq!(cookie, format!("weir_pass={pass}; Path=/; Max-Age=1800; HttpOnly; SameSite=Lax{secure}"));
        // He goes on: recognised, not given another, and what he shows of his own reaches the service.
        let next = as_browser(&["-H", "cookie: theme=dark; weir_pass=mine"], "/photo");
        assert!(field(&next, "set-cookie").is_none() && field(&next, "weir-pass").is_none(), "{next}");
        let again = as_browser(&[], "/enter/200");
        assert!(field(&again, "set-cookie").is_none(), "{again}");
        eventually("both are counted", || of_class(&weir, "in_progress") == before + 2);
    }
    for request in origin.seen() {
        let request = request.to_lowercase();
        assert!(!request.contains("weir_pass") && !request.contains("weir-pass"), "{request}");
    }
    assert!(origin.seen().iter().any(|request| field(request, "cookie") == Some("theme=dark")));
    assert_eq!(weir.metrics().value("weir_passes_total{event=\"granted\"}"), 2);
    assert!(weir.access_log().lines().all(|line| !line.contains("weir_pass")));
}

#[test]
fn only_success_on_a_route_that_grants_gives_a_pass() {
    let origin = Origin::start(|exchange| match exchange.target() {
        "/enter/forged" => exchange.respond(500, "weir-pass: 00\r\nset-cookie: weir_pass=00; Path=/\r\n", b""),
        "/other" => exchange.respond(200, "weir-pass: 00\r\nset-cookie: weir_pass=00\r\nset-cookie: a=b\r\n", b""),
        "/enter/302" => exchange.respond(302, "location: /\r\n", b""),
        "/enter/422" => exchange.respond(422, "", b""),
        _ => exchange.respond(200, "", b""),
    });
    let weir = Weir::start(&config(&origin, 8, "", ""));
    for (target, given) in
        [("/enter/302", true), ("/enter/422", false), ("/enter/forged", false), ("/other", false), ("/enter/1", true)]
    {
        let answer = ask(&weir, target, "");
        assert_eq!(answer.field("weir-pass").is_some(), given, "{answer:?}");
        let ours = answer.fields.iter().filter(|(name, value)| name == "set-cookie" && value.starts_with("weir_pass"));
        assert_eq!(ours.count(), usize::from(given), "{answer:?}");
        assert!(answer.fields.iter().all(|(name, value)| name != "weir-pass" || value.len() == 82), "{answer:?}");
    }
    assert_eq!(ask(&weir, "/other", "").field("set-cookie"), Some("a=b"));
}

#[test]
fn a_pass_by_header_counts_and_a_wrong_one_is_as_good_as_none() {
    let origin = origin();
    let weir = Weir::start(&config(&origin, 8, "life = \"2s\"", ""));
    let (pass, foreign) = (enter(&weir), enter(&Weir::start(&config(&origin, 8, "", ""))));
    let recognised = |weir: &Weir, fields: &str| {
        let [inside, outside] = ["in_progress", "new"].map(|class| of_class(weir, class));
        assert_eq!(ask(weir, "/step", fields).status, 200, "{fields}");
        let now = || ["in_progress", "new"].map(|class| of_class(weir, class));
        eventually("it is counted", || now() != [inside, outside]);
        now() == [inside + 1, outside]
    };
    assert!(recognised(&weir, &format!("weir-pass: {pass}\r\n")));
    assert!(recognised(&weir, &format!("cookie: weir_pass=old; weir_pass={pass}\r\n")));
    let mut forged = pass.clone().into_bytes();
    forged[20] ^= 1;
    let forged = String::from_utf8(forged).unwrap();
    for wrong in
        [&foreign, &forged, &pass.to_uppercase(), pass.split_at(72).0, "", &"0".repeat(74), &"\u{e9}".repeat(37)]
    {
        assert!(!recognised(&weir, &format!("weir-pass: {wrong}\r\n")), "{wrong}");
    }
    eventually("it expires", || !recognised(&weir, &format!("weir-pass: {pass}\r\n")));
}

#[test]
fn the_key_is_made_once_and_can_be_replaced() {
    let origin = origin();
    let mut weir = Weir::start(&config(&origin, 8, "", ""));
    let pass = enter(&weir);
    let path = weir.scratch("pass.key");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let first = fs::read(&path).unwrap();
    assert_eq!(first.len(), 32);
    // The next gateway has a key of its own and knows the old one.
    let directory = tempfile::tempdir().unwrap();
    let old = directory.path().join("old.key");
    fs::copy(&path, &old).unwrap();
    let next = Weir::start(&config(&origin, 8, &format!("old_keys = [\"file:{}\"]", old.display()), ""));
    assert_ne!(fs::read(next.scratch("pass.key")).unwrap(), first);
    let answer = ask(&next, "/enter/200", &format!("weir-pass: {pass}\r\n"));
    assert_eq!((answer.status, answer.field("weir-pass")), (200, None), "known: no other is given");
    assert!(ask(&weir, "/enter/200", &format!("weir-pass: {}\r\n", enter(&next))).field("weir-pass").is_some());
    // A key that others can read is refused at the start.
    drop(next);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    weir.signal(rustix::process::Signal::TERM);
    assert!(weir.exit(crate::weir::PATIENCE).is_some_and(|status| status.success()));
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["--config".as_ref(), weir.scratch("weir.toml").as_os_str()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains("chmod 600"));
}

#[test]
fn whoever_is_inside_goes_before_a_full_line_of_newcomers() {
    let latch = Latch::new();
    let latched = std::sync::Arc::clone(&latch);
    let origin = Origin::start(move |exchange| {
        if exchange.target() != "/enter/200" {
            exchange.work(|| latched.pass());
        }
        exchange.respond(200, "", b"")
    });
    let weir = Weir::start(&config(&origin, 1, "", "queue = { wait = \"1h\", length = 3 }"));
    let pass = enter(&weir);
    let mut first = Client::connect(weir.http);
    first.ask("GET", "/busy");
    weir.wait_for_load("u", 1, 0);
    let mut newcomers: Vec<Client> = (1..=3)
        .map(|number| {
            let mut client = Client::connect(weir.http);
            client.ask("GET", &format!("/new/{number}"));
            weir.wait_for_load("u", 1, number);
            client
        })
        .collect();
    let refused = ask(&weir, "/new/4", "");
    assert_eq!((refused.status, refused.reason().as_str()), (503, "queue_full"));
    let mut inside = Client::connect(weir.http);
    inside.send(format!("GET /inside HTTP/1.1\r\nhost: localhost\r\nweir-pass: {pass}\r\n\r\n"));
    weir.wait_for_load("u", 1, 4);
    for _ in 0..5 {
        let before = origin.requests();
        latch.let_pass(1);
        eventually("the next is served", || origin.requests() > before || before == 6);
    }
    assert_eq!(inside.answer().status, 200);
    assert_eq!(first.answer().status, 200);
    assert!(newcomers.iter_mut().all(|client| client.answer().status == 200));
    assert_eq!(origin.targets(), ["/enter/200", "/busy", "/inside", "/new/1", "/new/2", "/new/3"]);
}

#[test]
fn whoever_is_inside_waits_longer_than_a_newcomer() {
    let latch = Latch::new();
    let origin = Origin::start({
        let latch = std::sync::Arc::clone(&latch);
        move |exchange| {
            if exchange.target() != "/enter/200" {
                exchange.work(|| latch.pass());
            }
            exchange.respond(200, "", b"")
        }
    });
    let weir = Weir::start(&config(&origin, 1, "wait = \"20s\"", "queue = { wait = \"300ms\", length = 10 }"));
    let pass = enter(&weir);
    let mut first = Client::connect(weir.http);
    first.ask("GET", "/busy");
    weir.wait_for_load("u", 1, 0);
    let mut inside = Client::connect(weir.http);
    inside.send(format!("GET /inside HTTP/1.1\r\nhost: localhost\r\nweir-pass: {pass}\r\n\r\n"));
    weir.wait_for_load("u", 1, 1);
    let refused = ask(&weir, "/new", "");
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(!inside.has_something_within(Duration::from_secs(1)), "he waits");
    latch.let_pass(2);
    assert_eq!(inside.answer().status, 200);
    assert_eq!(first.answer().status, 200);
}

#[test]
fn a_trusted_proxy_says_whether_a_pass_is_for_tls_alone() {
    let origin = origin();
    let trusting = "[clients]\ntrusted_proxies = [\"127.0.0.1/32\"]\n";
    for (proxies, said, secure) in
        [("", "https", false), (trusting, "https", true), (trusting, "HTTPS, http", true), (trusting, "http", false)]
    {
        let weir = Weir::start(&format!("{proxies}{}", config(&origin, 8, "", "")));
        let answer = ask(&weir, "/enter/200", &format!("x-forwarded-proto: {said}\r\n"));
        assert_eq!(answer.field("set-cookie").unwrap().contains("; Secure"), secure, "{proxies}{said}");
    }
}

/// The entrance is quick, the next step does 40 a second; a crowd of 120 would wait for 3 s there if all were let in.
#[test]
fn newcomers_come_in_at_what_the_next_step_leaves() {
    let origin = Origin::start(|exchange| {
        if exchange.target().starts_with("/step") {
            exchange.work(|| std::thread::sleep(Duration::from_millis(50)));
        }
        exchange.respond(200, "", b"")
    });
    let address = origin.address;
    let weir = Weir::start(&format!(
        "[pass]\nkey = \"{KEY}\"\nwait = \"2s\"\n\
         [[upstream]]\nname = \"e\"\nservers = [\"{address}\"]\nconcurrency = 64\n\
         [[route]]\nname = \"enter\"\npath = \"/enter\"\nupstream = \"e\"\ngrants_pass = true\n{}",
        one_route(address, 2, "")
    ));
    let refused = AtomicUsize::new(0);
    let through = |weir: &Weir, client: &mut Client| {
        let entered = client.ask("GET", "/enter").answer();
        let Some(pass) = entered.field("weir-pass") else {
            assert_eq!(entered.status, 503, "{entered:?}");
            std::thread::sleep(Duration::from_millis(200));
            return;
        };
        let step = format!("GET /step HTTP/1.1\r\nhost: localhost\r\nweir-pass: {pass}\r\n\r\n");
        if client.send(step).answer().status != 200 {
            refused.fetch_add(1, Ordering::Relaxed);
            eprintln!(
                "{}",
                weir.metrics().0.lines().filter(|line| line.starts_with("weir_funnel")).collect::<String>()
            );
        }
    };
    // The quiet hour before: it is learned that whoever enters takes the step, and how long that takes.
    let mut early = Client::connect(weir.http);
    (0..20).for_each(|_| through(&weir, &mut early));
    assert!(weir.metrics().0.contains("\nweir_funnel_pace "));
    let end = Instant::now() + Duration::from_secs(5);
    std::thread::scope(|scope| {
        for _ in 0..120 {
            scope.spawn(|| {
                let mut client = Client::connect(weir.http);
                while Instant::now() < end {
                    through(&weir, &mut client);
                }
            });
        }
        eventually("the step binds", || weir.metrics().value("weir_funnel_binding{kind=\"upstream\",name=\"u\"}") == 1);
    });
    assert_eq!(refused.into_inner(), 0, "refused in the middle");
    // It was not left idle either: two at a time, 50 ms each, for five seconds, but for what a busy machine takes.
    let steps = of_class(&weir, "in_progress");
    assert!(steps > 120, "{steps} steps");
    assert_eq!(origin.most(), 2);
}
