//! Waiting rooms: what is accepted, and the mistakes that people make.

use std::num::{NonZeroU32, NonZeroU64};
use std::path::Path;
use std::time::Duration;

use weir::config::plan::{Identity, Pace, Rate, WaitingRoomId, Wave};

use super::{LEAST, ROUTE, assert_well_told, least_with, parse};

/// `lines` in a waiting room that the route leads into.
fn room(lines: &str) -> String {
    let room = format!("[[waiting_room]]\nname = \"opening\"\nkey = \"file:room.key\"\n{lines}\n");
    least_with(ROUTE, &format!("waiting_room = \"opening\"\n{room}"))
}

#[test]
fn a_waiting_room() {
    let text = room(
        "identity = \"header:Idempotency-Key\"\nquota = 164000\npace = \"500/m\"\ncapacity = 5000\nstate = \"here\"",
    );
    let loaded = parse(&text).expect("right");
    assert_eq!(loaded.warnings, [""; 0]);
    let [room] = &loaded.plan.waiting_rooms[..] else { panic!("one was written") };
    let route = &loaded.plan.routes[0];
    assert_eq!((route.waiting_room, route.counts), (Some(WaitingRoomId(0)), true), "the only route counts");
    assert_eq!(room.identity, Some(Identity::Header("idempotency-key".parse().expect("a name"))));
    assert_eq!(room.waves, [Wave { opens: None, closes: None, quota: NonZeroU64::new(164_000) }]);
    let rate = Rate { count: NonZeroU32::new(500).expect("not zero"), per: Duration::from_mins(1) };
    assert_eq!((room.pace, room.capacity, &*room.state), (Pace::Fixed(rate), 8_192, Path::new("here")));
}

/// The only fault of `text` contains `said`.
fn assert_refused(text: &str, said: &str) {
    let report = parse(text).expect_err(text);
    assert_well_told(&report, text);
    let rendered = report.render(false);
    assert_eq!(report.faults().len(), 1, "one fault in\n{text}\n{rendered}");
    assert!(rendered.contains(said), "{said:?} in\n{text}\n{rendered}");
}

#[test]
fn mistakes() {
    let instant = |day: u32| format!("\"2026-04-{day}T19:00:00+07:00\"");
    let wave = |opens: u32, closes: u32| {
        format!("[[waiting_room.wave]]\nopens = {}\ncloses = {}\n", instant(opens), instant(closes))
    };
    for (lines, said) in [
        ("identity = \"address\"".to_owned(), "thousands of people"),
        ("pace = \"mesured\"".to_owned(), "did you mean \"measured\"?"),
        ("pace = 5".to_owned(), "a rate such as"),
        ("quota = 0".to_owned(), "from 1 to"),
        ("at_close = \"stay\"".to_owned(), "carry"),
        ("state = \"Cargo.toml\"".to_owned(), "`state` is not a directory"),
        ("page = \"no-such.html\"".to_owned(), "`page` cannot be read"),
        ("life = \"1s\"".to_owned(), "a duration from"),
        (format!("opens = {}\ncloses = {}", instant(12), instant(11)), "`closes` is not after `opens`"),
        (format!("quota = 5\n{}", wave(11, 12)), "leave one of them out"),
        (format!("{}{}", wave(11, 14), wave(13, 15)), "before the one above it has ended"),
        (format!("{}[[waiting_room.wave]]\nquota = 5", wave(11, 14)), "only the first wave may have no `opens`"),
    ] {
        assert_refused(&room(&lines), said);
    }
}

#[test]
fn a_quota_counts_something() {
    let second = "[[route]]\npath = \"/photo\"\nupstream = \"a\"\nwaiting_room = \"opening\"\n";
    assert_refused(&(room("quota = 5") + second), "none of the routes");
    let counted = parse(&(room("quota = 5") + second + "counts = true\n")).expect("right").plan;
    let counts: Vec<_> = counted.routes.iter().map(|route| (route.name.as_str(), route.counts)).collect();
    assert_eq!(counts, [("/photo", true), ("/*", false)]);
}

#[test]
fn only_newcomers_and_what_can_wait_wait() {
    let class = |class: &str| {
        room("quota = 5").replacen("waiting_room = ", &format!("class = \"{class}\"\nwaiting_room = "), 1)
    };
    for (nobody, help) in [("in_progress", "nobody of it waits"), ("exempt", "leave `class` out")] {
        assert_refused(&class(nobody), help);
    }
    for waits in ["new", "bulk"] {
        parse(&class(waits)).expect("right");
    }
}

#[test]
fn a_room_that_nobody_enters_is_a_warning() {
    let text = format!("{LEAST}[[waiting_room]]\nname = \"opening\"\nkey = \"file:room.key\"\n");
    let warnings = parse(&text).expect("only a warning").warnings;
    assert!(matches!(&warnings[..], [one] if one.contains("no route leads into")), "{warnings:?}");
}

/// A second room beside that of [`room`], with `lines`, and a route into it.
fn second(lines: &str) -> String {
    format!(
        "[[waiting_room]]\nname = \"other\"\nkey = \"file:other.key\"\n{lines}\n\
         [[route]]\npath = \"/other\"\nupstream = \"a\"\nwaiting_room = \"other\"\n"
    )
}

#[test]
fn two_rooms_need_two_directories() {
    let apart = parse(&(room("") + &second(""))).expect("by default they are apart").plan;
    assert_ne!(apart.waiting_rooms[0].state, apart.waiting_rooms[1].state);
    for (one, other) in [("state = \"here\"", "state = \"./here\""), ("", "state = \"opening.room\"")] {
        assert_refused(&(room(one) + &second(other)), "one directory");
    }
    // The same directory by another name.
    let place = tempfile::tempdir().expect("a directory");
    let (real, link) = (place.path().join("real"), place.path().join("link"));
    std::fs::create_dir(&real).expect("made");
    std::os::unix::fs::symlink(&real, &link).expect("made");
    let state = |path: &Path| format!("state = {:?}", path.display().to_string());
    assert_refused(&(room(&state(&real)) + &second(&state(&link))), "one directory");
}

/// The warnings of `text`.
fn warnings(text: &str) -> Vec<String> {
    parse(text).expect("only warnings").warnings
}

#[test]
fn what_will_disappoint_is_a_warning() {
    let post = "methods = [\"POST\"]\n";
    let line = |line: &str, room: String| room.replacen("waiting_room = ", &format!("{line}waiting_room = "), 1);
    for (text, said) in [
        (room("state = \"/dev/shm/room\""), "does not outlive"),
        (room("state = \"/tmp/no-such-room\""), "does not outlive"),
        (room("").replace("file:room.key", "file:src/room.key") + "state = \"src\"\n", "keep it elsewhere"),
        (line("queue = { length = 0 }\n", room("")), "is not measured"),
        (line(post, room("")), "Idempotency-Key"),
    ] {
        let found = warnings(&text);
        let of_rooms: Vec<_> = found.iter().filter(|one| !one.contains("for the upstream")).collect();
        assert!(matches!(&of_rooms[..], [one] if one.contains(said)), "{said:?} in\n{text}\n{found:?}");
    }
    for text in [
        room("state = \"tmp\""),
        room("").replace("file:room.key", "file:src/room.key") + "state = \"tests\"\n",
        line("queue = { length = 0 }\n", room("pace = \"5/s\"")).replace("[[route]]", "concurrency = 5\n[[route]]"),
        line(post, room("identity = \"header:Idempotency-Key\"")),
        line("methods = [\"GET\", \"POST\"]\n", room("")),
    ] {
        assert_eq!(warnings(&text), [""; 0], "{text}");
    }
}
