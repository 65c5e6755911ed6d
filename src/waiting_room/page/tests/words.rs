//! What is said, word for word where it matters.

use super::super::words::Words;
use super::*;

fn words(state: State<'_>, language: Language) -> Words {
    Words::new(&view(state), language)
}

fn in_line(ahead: u64, p50: u64, p90: u64) -> State<'static> {
    let wait = Some(Wait { p50: Duration::from_secs(p50), p90: Duration::from_secs(p90) });
    State::Waiting(Waiting { place: ahead + 1, ahead, wait, ..waiting() })
}

#[test]
fn numbers_have_their_plurals() {
    for (ahead, english, indonesian) in [
        (0, "You are next.", "Anda berikutnya."),
        (1, "1 person is ahead of you.", "1 orang di depan Anda."),
        (2, "2 people are ahead of you.", "2 orang di depan Anda."),
        (999, "999 people are ahead of you.", "999 orang di depan Anda."),
        (1_000, "1,000 people are ahead of you.", "1.000 orang di depan Anda."),
        (1_432_133, "1,432,133 people are ahead of you.", "1.432.133 orang di depan Anda."),
    ] {
        assert_eq!(words(in_line(ahead, 1, 1), Language::English).ahead, english);
        assert_eq!(words(in_line(ahead, 1, 1), Language::Indonesian).ahead, indonesian);
    }
}

#[test]
fn a_wait_is_told_with_how_sure_it_is() {
    for (p50, p90, english, indonesian) in [
        (20, 50, "Your turn comes in less than a minute.", "Giliran Anda kurang dari satu menit lagi."),
        (
            40,
            61,
            "Your turn comes in less than a minute. For 9 people in 10 it takes no longer than 2 minutes.",
            "Giliran Anda kurang dari satu menit lagi. Bagi 9 dari 10 orang tidak lebih dari 2 menit.",
        ),
        (
            60,
            60,
            "Your turn comes in about 1 minute. For 9 people in 10 it takes no longer than 1 minute.",
            "Giliran Anda kira-kira 1 menit lagi. Bagi 9 dari 10 orang tidak lebih dari 1 menit.",
        ),
        (
            3_600,
            7_260,
            "Your turn comes in about 60 minutes. For 9 people in 10 it takes no longer than 2 hours 15 minutes.",
            "Giliran Anda kira-kira 60 menit lagi. Bagi 9 dari 10 orang tidak lebih dari 2 jam 15 menit.",
        ),
        (
            75_600,
            176_400,
            "Your turn comes in about 21 hours. For 9 people in 10 it takes no longer than 2 days 1 hour.",
            "Giliran Anda kira-kira 21 jam lagi. Bagi 9 dari 10 orang tidak lebih dari 2 hari 1 jam.",
        ),
    ] {
        assert_eq!(words(in_line(5, p50, p90), Language::English).wait, english);
        assert_eq!(words(in_line(5, p50, p90), Language::Indonesian).wait, indonesian);
    }
}

#[test]
fn every_state_has_words_in_both_languages_and_they_differ() {
    for state in states() {
        let [indonesian, english] = Language::ALL.map(|language| words(state, language));
        for said in [&indonesian, &english] {
            assert!(
                !said.heading.is_empty() && said.message.ends_with('.') && said.title.ends_with("Pembukaan"),
                "{said:?}"
            );
        }
        assert_ne!(indonesian.heading, english.heading);
        assert_ne!(indonesian.message, english.message);
        assert_eq!(indonesian.schedule.is_empty(), english.schedule.is_empty());
    }
}

#[test]
fn what_becomes_of_a_place_is_told() {
    for (then, while_left, part) in [
        (AtClose::Serve, false, "still let in."),
        (AtClose::Serve, true, "still let in, as long as places are left."),
        (AtClose::Carry, true, "next opening"),
        (AtClose::End, true, "Places in line end"),
    ] {
        let state = State::Waiting(Waiting { closes: Some(Closes { at: OPENS, then, while_left }), ..waiting() });
        let said = words(state, Language::English).schedule;
        assert!(
            said.starts_with("Closes Saturday 11 April 2026, 19:00 WIB (UTC+7). ") && said.contains(part),
            "{said}"
        );
    }
    let said = words(State::Closed { next: Some(OPENS), place: KeptPlace::Carried }, Language::Indonesian);
    assert_eq!(
        said.message,
        "Pembukaan kali ini sudah selesai. Tempat Anda disimpan untuk pembukaan berikutnya tanpa mendaftar lagi."
    );
    assert_eq!(said.schedule, "Pembukaan berikutnya: Sabtu, 11 April 2026 pukul 19.00 WIB (UTC+7).");
}

#[test]
fn who_is_in_the_lobby_is_told_when_it_opens_and_closes() {
    let lobby = |closes| State::Lobby { opens: OPENS, closes, drawn: true };
    let said = words(lobby(None), Language::Indonesian);
    assert_eq!(said.schedule, "Dibuka Sabtu, 11 April 2026 pukul 19.00 WIB (UTC+7), 62 menit lagi.");
    assert!(said.message.contains("diundi"));
    for (language, told) in [
        (
            Language::Indonesian,
            " Ditutup Minggu, 12 April 2026 pukul 19.00 WIB (UTC+7). Yang sudah mengantre pada saat itu tetap dilayani selama \
             kuota masih tersedia.",
        ),
        (
            Language::English,
            " Closes Sunday 12 April 2026, 19:00 WIB (UTC+7). Whoever is in line by then is still let in, as long as places are left.",
        ),
    ] {
        let said = words(lobby(Some(CLOSES)), language).schedule;
        assert!(said.ends_with(told), "{said}");
    }
}

#[test]
fn every_jump_has_its_reason() {
    for jump in [Jump::ServiceSlower, Jump::ServiceFaster, Jump::Paused, Jump::Resumed, Jump::NoShows] {
        for language in Language::ALL {
            let said = words(State::Waiting(Waiting { jump: Some(jump), ..waiting() }), language);
            assert!(said.reason.ends_with('.'), "{jump:?}");
        }
    }
    let calm = words(
        State::Waiting(Waiting { jump: None, beyond_quota: false, closes: None, wait: None, ..waiting() }),
        Language::English,
    );
    assert!(calm.reason.is_empty() && calm.notice.is_empty() && calm.schedule.is_empty() && calm.wait.is_empty());
}

#[test]
fn the_bar_never_ends_before_the_turn() {
    let at = |waited, p50| {
        let (waited, p50) = (Duration::from_secs(waited), Duration::from_secs(p50));
        State::Waiting(Waiting { waited: Some(waited), wait: Some(Wait { p50, p90: p50 }), ..waiting() })
            .progress_percent()
    };
    assert_eq!(
        (at(0, 0), at(0, 10), at(10, 10), at(10_000, 0), at(u64::MAX, 1)),
        (Some(0), Some(0), Some(50), Some(99), Some(99))
    );
    assert_eq!(State::Paused(waiting()).progress_percent(), None);
}

#[test]
fn thousands_stand_apart() {
    for (number, english) in [
        (0, "0"),
        (7, "7"),
        (999, "999"),
        (1_000, "1,000"),
        (100_010, "100,010"),
        (1_432_133, "1,432,133"),
        (u64::MAX, "18,446,744,073,709,551,615"),
    ] {
        assert_eq!(Language::English.numeral(number), english);
        assert_eq!(Language::Indonesian.numeral(number), english.replace(',', "."));
    }
}
