//! Waiting rooms: the page of somebody who waits, in a browser that keeps cookies or not, alone or shared.

use std::io::Read;

use crate::client::{Client, Response};
use crate::origin::Latch;
use crate::rooms::{ask, config, number, occupy, origin, said};
use crate::tools::curl;
use crate::weir::{Weir, eventually};

/// What a browser says of a click on a link.
pub(crate) const CLICK: &str =
    "accept: text/html,application/xhtml+xml,*/*;q=0.8\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: document\r\n";

/// What stands in `page` between `before` and the next quotation mark, as a browser reads it.
fn quoted(page: &str, before: &str) -> String {
    let rest = page.split(before).nth(1).unwrap_or_else(|| panic!("no {before} in {page}"));
    rest.split('"').next().unwrap().replace("&amp;", "&").replace("&#61;", "=").replace("&#x3d;", "=")
}

fn click(weir: &Weir, target: &str, fields: &str) -> Response {
    ask(weir, "GET", target, &format!("{CLICK}{fields}"))
}

/// Where the page leads by itself, without script.
fn refresh(page: &str) -> String {
    quoted(page, "<meta http-equiv=\"refresh\" content=\"").split_once(";url=").unwrap().1.to_owned()
}

/// The pair of a cookie that an answer sets.
fn cookie(answer: &Response) -> String {
    answer.field("set-cookie").unwrap_or_else(|| panic!("{answer:?}")).split(';').next().unwrap().to_owned()
}

#[test]
fn the_page_says_all_there_is_to_say_and_is_never_kept() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir = Weir::start(&config(origin.address, "pace = \"paused\""));
    for (languages, tag, heading) in
        [("en-GB,en", "en", "The line is paused"), ("id-ID,id;q=0.9,en;q=0.8", "id", "Antrean sedang dijeda")]
    {
        let answer = click(&weir, "/register", &format!("accept-language: {languages}\r\n"));
        let page = answer.text();
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(page.contains(&format!("<html lang=\"{tag}\">")) && page.contains(heading), "{page}");
        for (name, value) in [
            ("content-type", "text/html; charset=utf-8"),
            ("content-language", tag),
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
        ] {
            assert_eq!(answer.field(name), Some(value), "{answer:?}");
        }
        let varies = answer.field("vary").unwrap();
        assert!(
            ["accept", "accept-language", "cookie"].iter().all(|name| varies.split(", ").any(|found| found == *name))
        );
        assert!(answer.field("content-security-policy").unwrap().contains("default-src 'none'"), "{answer:?}");
        let seconds: u64 = answer.field("retry-after").unwrap().parse().unwrap();
        assert!((5..=15).contains(&seconds), "{answer:?}");
        let ticket = answer.field("weir-ticket").unwrap();
        assert_eq!(
            answer.field("set-cookie").unwrap(),
            format!("weir_ticket={ticket}; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax")
        );
    }
    // The other pages are told apart in the same way.
    let left = click(&weir, "/.weir/nothing", "");
    assert_eq!((left.status, left.field("content-type")), (404, Some("text/html; charset=utf-8")));
    assert_eq!(ask(&weir, "GET", "/.weir/nothing", "accept: */*\r\n").reason(), "no_route");
}

/// As a browser gets it, with all that the line can say.
#[test]
fn the_page_as_sent_is_four_kilobytes_at_most() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir =
        Weir::start(&config(origin.address, "quota = 1\ncloses = \"2099-01-01T00:00:00+07:00\"\npace = \"paused\""));
    let target = format!("/register?{}", "step=1&".repeat(20));
    let (mut sent, mut lengths) = (0, std::collections::HashSet::new());
    for language in ["id", "en"] {
        let fields = |codings: &str| format!("accept-language: {language}\r\naccept-encoding: {codings}\r\n");
        let plain = click(&weir, &target, &fields("br"));
        let ticket = plain.field("weir-ticket").unwrap();
        let place = quoted(&plain.text(), "data-status=\"");
        for page in [target.clone(), place] {
            let shown = format!("{}weir-ticket: {ticket}\r\n", fields("gzip, deflate, br"));
            let packed = click(&weir, &page, &shown);
            assert_eq!(packed.field("content-encoding"), Some("gzip"), "{packed:?}");
            assert!(packed.field("vary").unwrap().contains("accept-encoding"));
            assert!(packed.body.len() <= 4_096, "{} bytes", packed.body.len());
            let mut text = String::new();
            flate2::read::GzDecoder::new(&*packed.body).read_to_string(&mut text).unwrap();
            assert!(
                text.starts_with("<!doctype html>") && text.ends_with("</html>\n") && text.contains(ticket),
                "{text}"
            );
            let program = ask(&weir, "GET", &page, &format!("{shown}accept: application/json\r\n"));
            assert_eq!((program.field("content-encoding"), said(&program)["state"].as_str()), (None, Some("paused")));
            sent = sent.max(packed.body.len());
            lengths.insert(packed.body.len());
        }
        assert_eq!((plain.status, plain.field("content-encoding")), (503, None), "{plain:?}");
    }
    println!("at most {sent} bytes, {} lengths", lengths.len());
}

#[test]
fn a_page_is_the_same_from_one_load_to_the_next() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir = Weir::start(&config(origin.address, "pace = \"paused\""));
    click(&weir, "/", "");
    let first = click(&weir, "/register?step=1", "");
    let ticket = first.field("weir-ticket").unwrap();
    let own = format!("/register?step=1&weir_ticket={ticket}");
    assert_eq!(refresh(&first.text()), own);
    // Whether the cookie comes back or not, the address stays; nothing is set that is there already.
    for fields in [String::new(), format!("cookie: weir_ticket={ticket}\r\n")] {
        let again = click(&weir, &own, &fields);
        assert_eq!((again.status, refresh(&again.text())), (503, own.clone()), "{again:?}");
        assert_eq!(again.field("set-cookie").is_none(), !fields.is_empty(), "{again:?}");
        assert_eq!(again.field("weir-ticket"), Some(ticket));
    }
    let kept = click(&weir, "/register?step=1", &format!("cookie: weir_ticket={ticket}\r\n"));
    assert_eq!(refresh(&kept.text()), "/register?step=1", "who keeps cookies has a clean address");
    // What the page's script asks tells the way in when the turn has come, and the page's form leaves.
    let status = quoted(&first.text(), "data-status=\"");
    let place = ask(&weir, "GET", &status, "accept: application/json\r\n");
    assert_eq!((place.status, said(&place)["ticket_number"].as_u64()), (200, Some(2)), "{place:?}");
    assert!(status.contains("to=/register%3Fstep%3D1%26weir_ticket%3D"), "{status}");
    let leave = quoted(&first.text(), "<form method=\"post\" action=\"");
    let form = format!("weir_ticket={ticket}");
    let mut client = Client::connect(weir.http);
    let left = client
        .send(format!("POST {leave} HTTP/1.1\r\nhost: localhost\r\n{CLICK}cookie: weir_ticket={ticket}\r\ncontent-length: {}\r\n\r\n{form}", form.len()))
        .answer();
    assert_eq!(left.status, 200, "{left:?}");
    assert!(left.text().contains("Anda telah keluar") && left.text().contains("You have left"));
    assert!(left.field("set-cookie").unwrap().starts_with("weir_ticket=; Path=/; Max-Age=0"), "{left:?}");
    // The script is led by 404 to the page, and that gives a place like any other's.
    assert_eq!(ask(&weir, "GET", &status, "accept: application/json\r\n").status, 404);
    assert_eq!(number(&weir, &own, ""), 3);
}

#[test]
fn another_person_at_the_same_browser_has_a_place_of_his_own() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir = Weir::start(&config(origin.address, ""));
    let mut first = occupy(&weir);
    let one = click(&weir, "/register", "");
    let jar = format!("cookie: {}\r\n", cookie(&one));
    let anew = quoted(&one.text(), "<p><a href=\"/register?weir_new");
    assert_eq!(anew, "=1");
    // A second person, in a new tab of the same browser.
    let moved = click(&weir, "/register?weir_new=1", &jar);
    assert_eq!((moved.status, moved.field("set-cookie")), (303, None), "{moved:?}");
    let two = moved.field("location").unwrap().to_owned();
    let ticket = moved.field("weir-ticket").unwrap();
    assert_eq!(two, format!("/register?weir_ticket={ticket}"));
    let page = click(&weir, &two, &jar);
    assert_eq!((page.status, refresh(&page.text()), page.field("set-cookie")), (503, two.clone(), None), "{page:?}");
    let leave = quoted(&page.text(), "<form method=\"post\" action=\"");
    // Both keep what is theirs, however often they look; a program gets the ticket at once.
    for _ in 0..3 {
        assert_eq!(number(&weir, "/register", &jar), 2);
        assert_eq!(number(&weir, &two, &jar), 3);
    }
    let app = ask(&weir, "GET", "/register?weir_new", &jar);
    assert_eq!((app.status, said(&app)["ticket_number"].as_u64()), (503, Some(4)));
    // Who leaves takes nobody's place along.
    let left = ask(&weir, "POST", &leave, &format!("{jar}content-length: 0\r\n"));
    assert_eq!((left.status, left.field("set-cookie")), (204, None), "{left:?}");
    assert_eq!(number(&weir, "/register", &jar), 2);

    // The first comes in; the browser keeps his pass as well. The other is himself still.
    let other = click(&weir, "/register?weir_new=1", &jar).field("location").unwrap().to_owned();
    latch.let_pass(1);
    first.answer();
    let mut pass = String::new();
    eventually("the first comes in", || {
        let answer = click(&weir, "/register", &jar);
        pass = answer.field("weir-pass").unwrap_or_default().to_owned();
        answer.status == 200
    });
    let both = format!("cookie: {}; weir_pass={pass}\r\n", cookie(&one));
    let mut given = None;
    eventually("the other comes in", || {
        let answer = click(&weir, &other, &both);
        given = answer.field("weir-pass").map(ToOwned::to_owned);
        answer.status == 200
    });
    assert!(given.is_some_and(|given| given != pass), "he came in by his own place");
}

#[test]
fn a_form_is_sent_again_by_whoever_has_it() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir = Weir::start(&config(origin.address, "pace = \"2/s\""));
    let mut first = occupy(&weir);
    let post = |fields: &str| {
        let mut client = Client::connect(weir.http);
        client
            .send(format!("POST /form HTTP/1.1\r\nhost: localhost\r\n{CLICK}accept-language: en\r\n{fields}content-length: 3\r\n\r\na=b"))
            .answer()
    };
    let sent = post("");
    let page = sent.text();
    assert_eq!(sent.status, 503, "{sent:?}");
    assert!(!page.contains("weir_new"), "nobody gets a form by a link");
    let status = quoted(&page, "data-status=\"");
    assert!(!status.contains("to="), "{status}");
    // Without script the page is loaded anew where nothing is sent to the service.
    let again = refresh(&page);
    assert!(again.starts_with("/.weir/place?room=line&weir_ticket="), "{again}");
    latch.let_pass(1);
    first.answer();
    let turn = || click(&weir, &again, "accept-language: en\r\n");
    eventually("it is his turn", || turn().text().contains("<h1 data-slot=\"heading\">It is your turn</h1>"));
    let called = turn();
    assert_eq!((called.status, called.field("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(called.field("content-security-policy").is_some() && called.field("referrer-policy").is_some());
    assert_eq!(quoted(&called.text(), "data-enter=\""), "");
    // Without cookies the service would get it from a stranger, who waits again; with them, from him.
    assert!(called.text().contains("Allow cookies for this site"), "{called:?}");
    assert_eq!(cookie(&called), cookie(&sent), "from now on they may be kept");
    let kept = click(&weir, &again, &format!("accept-language: en\r\ncookie: {}\r\n", cookie(&sent)));
    assert!(kept.text().contains("Go back to your form and send it once more"), "{kept:?}");
    assert_eq!(kept.field("set-cookie"), None, "{kept:?}");
    let state = said(&ask(&weir, "GET", &status, "accept: application/json\r\n"));
    assert_eq!((state["state"].as_str(), state["send_again"].as_bool()), (Some("turn"), Some(true)));
    assert_eq!(origin.targets(), ["/busy"], "looking sends nothing");
    let served = post(&format!("cookie: {}\r\n", cookie(&sent)));
    assert_eq!(served.status, 200, "{served:?}");
    assert!(origin.seen().last().unwrap().ends_with("a=b"));
}

/// Nothing comes back but the page from which the form was sent.
#[test]
fn a_form_goes_through_without_cookies() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir = Weir::start(&config(origin.address, "pace = \"2/s\""));
    let mut first = occupy(&weir);
    let mut client = Client::connect(weir.http);
    let page = "accept-language: en\r\nreferer: http://localhost/form?step=1\r\n";
    client.send(format!("POST /send HTTP/1.1\r\nhost: localhost\r\n{CLICK}{page}content-length: 3\r\n\r\na=b"));
    let sent = client.answer();
    let again = refresh(&sent.text());
    assert!(
        again.starts_with("/.weir/place?room=line&weir_ticket=") && again.ends_with("&form=/form%3Fstep%3D1"),
        "{again}"
    );
    assert_eq!(quoted(&sent.text(), "<p><a href=\"/form?step=1&amp;weir_new"), "=1", "for who shares the computer");
    latch.let_pass(1);
    first.answer();
    let turn = || click(&weir, &again, "accept-language: en\r\n").text();
    eventually("it is his turn", || turn().contains("fill it in once more; then it goes through"));
    let form = refresh(&turn());
    assert_eq!(form, format!("/form?step=1&weir_ticket={}", sent.field("weir-ticket").unwrap()));
    assert_eq!(click(&weir, &form, "").status, 200);
    // He is held at the gate for longer than anybody who comes from outside: so he is inside.
    let mut busy = Client::connect(weir.http);
    busy.ask("GET", &form.replace("/form", "/busy"));
    weir.wait_for_load("u", 1, 0);
    let mut client = Client::connect(weir.http);
    client.send(format!(
        "POST /send HTTP/1.1\r\nhost: localhost\r\n{CLICK}referer: http://localhost{form}\r\ncontent-length: 3\r\n\r\na=b"
    ));
    weir.wait_for_load("u", 1, 1);
    std::thread::sleep(std::time::Duration::from_millis(600));
    latch.let_pass(1);
    assert_eq!((busy.answer().status, client.answer().status), (200, 200));
    let seen = origin.seen().into_iter().find(|request| request.starts_with("POST /send")).unwrap();
    assert!(seen.contains("referer: http://localhost/form?step=1\r\n"), "what is ours stays here: {seen}");
}

#[test]
fn a_destination_elsewhere_is_none() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir = Weir::start(&config(origin.address, "pace = \"2/s\""));
    let mut first = occupy(&weir);
    let ticket = crate::rooms::join(&weir, "");
    latch.let_pass(1);
    first.answer();
    let state = |to: &str| said(&ask(&weir, "GET", &format!("/.weir/place?weir_ticket={ticket}&to={to}"), ""));
    eventually("it is his turn", || state("/x")["enter"] == "/x");
    for to in ["//elsewhere.example", "https://elsewhere.example", "%2f%2felsewhere", "/%5celsewhere", "/%0d%0ax", "x"]
    {
        let state = state(to);
        assert!(state.get("enter").is_none() && state["send_again"] == true, "{to}: {state}");
    }
}

/// A journey with nothing but curl: no cookie, no header, no script; only what a page says to a person who reads its source.
#[test]
fn curl_alone_comes_in_by_what_the_page_says() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir = Weir::start(&config(origin.address, ""));
    let mut first = occupy(&weir);
    let base = format!("http://{}", weir.http);
    let get = |target: &str| {
        let url = format!("{base}{target}");
        curl(&["-H", "Accept: text/html", "-H", "Accept-Language: en", "-w", "\n%{http_code}", &url])
    };
    let mut page = get("/register?step=1");
    let mut looks = 0;
    let mut released = false;
    while page.ends_with("\n503") {
        looks += 1;
        assert!(looks < 20, "{page}");
        if looks > 1 && !released {
            assert!(page.contains("You are in line") && page.contains("Place 1"), "{page}");
            latch.let_pass(1);
            first.answer();
            released = true;
        }
        let content = quoted(&page, "<meta http-equiv=\"refresh\" content=\"");
        let (seconds, url) = content.split_once(";url=").unwrap();
        std::thread::sleep(std::time::Duration::from_secs(seconds.parse().unwrap()));
        page = get(url);
    }
    assert!(page.ends_with("\n200") && page.starts_with("GET /register?step=1 HTTP/1.1\r\n"), "{page}");
    assert!(released && origin.targets() == ["/busy", "/register?step=1"]);
}
