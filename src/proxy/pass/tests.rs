use proptest::prelude::*;

use http::header::COOKIE;

use super::*;

const NOON: Duration = Duration::from_secs(1_586_600_000);
const LIFE: Duration = Duration::from_mins(30);

fn secret(seed: u8) -> Secret {
    Secret([seed; 32])
}

fn passes(first: u8, old: &[u8]) -> Passes {
    let old: Vec<_> = old.iter().map(|seed| secret(*seed)).collect();
    let [granted, renewed] = [Counter::noop(), Counter::noop()];
    Passes { keys: keys(&secret(first), &old), life: LIFE, rooms: Box::default(), granted, renewed }
}

fn pass(session: u64) -> Pass {
    Pass { session, room: 5, admitted: NOON, expires: NOON + LIFE }
}

fn cookies(fields: &[&str]) -> HeaderMap {
    fields.iter().map(|field| (COOKIE, HeaderValue::from_str(field).unwrap())).collect()
}

#[test]
fn a_pass_is_good_for_its_life_and_no_longer() {
    let text = passes(1, &[]).sign(pass(42));
    assert_eq!(text.len(), 2 * (BODY + MAC));
    let verify = |passes: Passes, at: Duration| passes.verify(text.as_bytes(), at);
    assert_eq!(verify(passes(1, &[]), NOON), Some(pass(42)));
    assert_eq!(verify(passes(1, &[]), NOON + Duration::from_millis(1_799_999)), Some(pass(42)));
    assert_eq!(verify(passes(1, &[]), NOON + LIFE), None);
    assert_eq!(verify(passes(2, &[]), NOON), None, "another gateway's");
    assert_eq!(verify(passes(2, &[1]), NOON), Some(pass(42)), "the key was replaced");
    assert_eq!(verify(passes(2, &[3]), NOON), None, "and then forgotten");
}

#[test]
fn each_of_several_rooms_has_a_cookie_of_its_own() {
    let passes =
        Passes { rooms: [(5, "weir_pass_a".to_owned()), (6, "weir_pass_b".to_owned())].into(), ..passes(1, &[]) };
    let mut jar = Vec::new();
    for (room, name) in [(5, "weir_pass_a="), (6, "weir_pass_b="), (0, "weir_pass=")] {
        let mut response = Response::new(());
        passes.grant(&Bearer::without(Class::New), &mut response, NOON, (room, 7), false);
        let cookie = response.headers()[SET_COOKIE].to_str().unwrap().to_owned();
        assert!(cookie.starts_with(name), "{cookie}");
        jar.push(cookie.split(';').next().unwrap().to_owned());
    }
    let kept = cookies(&[&jar.join("; ")]);
    for room in [5, 6] {
        assert!(passes.bearer(Class::New, Some(room), &kept, |_| true, NOON).is_inside());
    }
    assert!(passes.bearer(Class::New, None, &kept, |_| true, NOON).is_inside());
    assert!(!passes.bearer(Class::New, Some(7), &kept, |_| true, NOON).is_inside());
}

/// The form on the wire: whoever changes it makes a new version.
#[test]
fn the_form_is_fixed() {
    let text = passes(1, &[]).sign(pass(42));
    assert!(text.starts_with("0200005e91984000005e919f48000000000000002a00000005"), "{text}");
    assert!(text.ends_with(MAC_ELSEWHERE), "{text}");
}

/// Computed by Python's hmac.
const MAC_ELSEWHERE: &str = "20df9357588e7711253a6a7cb35ceef7";

#[test]
fn it_travels_by_header_and_by_cookie() {
    let mut response = Response::new(());
    passes(1, &[]).grant(&Bearer::without(Class::New), &mut response, NOON, (5, 7), true);
    let cookie = response.headers()[SET_COOKIE].to_str().unwrap().to_owned();
    assert!(cookie.ends_with("; Path=/; Max-Age=1800; HttpOnly; SameSite=Lax; Secure"), "{cookie}");
    assert_eq!(response.headers()[CACHE_CONTROL], "private");
    let by_header: HeaderMap = [(WEIR_PASS, response.headers()[WEIR_PASS].clone())].into_iter().collect();
    assert_eq!(passes(1, &[]).good(&by_header, NOON).next(), Some(pass(7)));
    let ours = cookie.split(';').next().unwrap();
    // Several of the name: a stale one does not hide the good one.
    for fields in [
        vec![format!("a=b; {ours}")],
        vec![format!("{ours};c=d")],
        vec![format!("weir_pass=stale; {ours}")],
        vec!["weir_pass=".to_owned(), "x".to_owned(), ours.to_owned()],
    ] {
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        assert_eq!(passes(1, &[]).good(&cookies(&fields), NOON).next(), Some(pass(7)), "{fields:?}");
    }
    let others = ours.replace("weir_pass", "Weir_Pass");
    assert_eq!(passes(1, &[]).good(&cookies(&[&others]), NOON).next(), None, "case counts in names of cookies");
    let many = format!("{}{ours}", "weir_pass=x; ".repeat(TRIED));
    assert_eq!(passes(1, &[]).good(&cookies(&[&many]), NOON).next(), None, "nobody makes us try for ever");
    let mut insecure = Response::new(());
    passes(1, &[]).grant(&Bearer::without(Class::New), &mut insecure, NOON, (5, 7), false);
    assert!(!insecure.headers()[SET_COOKIE].to_str().unwrap().contains("Secure"));
}

#[test]
fn a_pass_makes_newcomers_and_nobody_else() {
    let passes = passes(1, &[]);
    let headers: HeaderMap = [(WEIR_PASS, HeaderValue::try_from(passes.sign(pass(7))).unwrap())].into_iter().collect();
    let later = NOON + Duration::from_secs(20);
    for class in [Class::New, Class::Returning, Class::InProgress] {
        let bearer = passes.bearer(class, None, &headers, |_| true, later);
        let inside = Some(Session { client: ClientHash(7), age: Duration::from_secs(20) });
        assert_eq!(bearer.person, Person { class: Class::InProgress, inside });
        assert!(!bearer.is_newcomer());
    }
    for class in [Class::Exempt, Class::Bulk] {
        assert_eq!(passes.bearer(class, None, &headers, |_| true, later).person, Person::of(class));
    }
    assert!(
        passes.bearer(Class::New, None, &headers, |_| true, NOON + LIFE).is_newcomer(),
        "expired is as good as none"
    );
    assert!(!passes.bearer(Class::New, Some(5), &headers, |_| true, later).is_newcomer());
    let elsewhere = passes.bearer(Class::New, Some(6), &headers, |_| true, later);
    assert!(!elsewhere.is_inside() && elsewhere.session().is_none(), "of another waiting room");
    let inside = Some(Session { client: ClientHash(7), age: Duration::from_secs(20) });
    assert_eq!(elsewhere.person, Person { class: Class::New, inside }, "but let in");
    assert!(!elsewhere.is_newcomer());
    assert_eq!(elsewhere.called(Class::Returning).person, Person { class: Class::Returning, inside });
    let own = passes.bearer(Class::New, Some(5), &headers, |_| true, later);
    assert_eq!(own.called(Class::Returning).person, Person::of(Class::Returning), "another person of the same browser");
    let mut response = Response::new(());
    passes.grant(&elsewhere, &mut response, later, (6, 8), false);
    let given = passes.verify(response.headers()[WEIR_PASS].as_bytes(), later);
    assert_eq!(given, Some(Pass { session: 8, room: 6, admitted: NOON, expires: later + LIFE }), "since he was let in");
}

#[test]
fn whoever_has_a_pass_keeps_it_and_it_is_renewed_in_its_second_half() {
    let passes = passes(1, &[]);
    let headers: HeaderMap = [(WEIR_PASS, HeaderValue::try_from(passes.sign(pass(7))).unwrap())].into_iter().collect();
    let given = |at: Duration| {
        let mut response = Response::new(());
        passes.grant(&passes.bearer(Class::New, None, &headers, |_| true, at), &mut response, at, (5, 9), false);
        let text = response.headers().get(WEIR_PASS).cloned()?;
        passes.verify(text.as_bytes(), at)
    };
    assert_eq!(given(NOON + LIFE / 2), None);
    let late = NOON + LIFE / 2 + Duration::from_secs(1);
    assert_eq!(given(late), Some(Pass { expires: late + LIFE, ..pass(7) }));
    let over = NOON + LIFE;
    assert_eq!(given(over), Some(Pass { session: 9, room: 5, admitted: over, expires: over + LIFE }));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, ..ProptestConfig::default() })]

    /// One to three bytes of a good pass are replaced, or it is cut or grows: none is good.
    #[test]
    fn no_changed_pass_is_good(
        changes in prop::collection::vec((0_usize..2 * (BODY + MAC), prop_oneof!["[0-9a-fA-F]", "\\PC"]), 1..4),
        cut in prop::option::of(0_usize..2 * (BODY + MAC)),
        more in "[0-9a-f]{0,2}",
    ) {
        let text = passes(1, &[2]).sign(pass(42));
        let mut changed: Vec<String> = text.chars().map(String::from).collect();
        for (position, character) in changes {
            changed[position] = character;
        }
        changed.truncate(cut.unwrap_or(usize::MAX));
        let changed = changed.concat() + &more;
        prop_assert_eq!(passes(1, &[2]).verify(changed.as_bytes(), NOON).is_some(), changed == text);
    }

    #[test]
    fn garbage_is_no_pass(text in "\\PC{0,90}|[0-9a-f]{82}") {
        prop_assert_eq!(passes(1, &[2]).verify(text.as_bytes(), NOON), None);
    }
}
