//! Why somebody is still waiting, for whoever answers the telephone: facts, and one sentence in English and Indonesian.

use std::time::Duration;

use serde_json::{Value, json};

use super::survey::{estimate, instant, state};
use crate::waiting_room::order::State;
use crate::waiting_room::room::operator::Explanation;
use crate::waiting_room::room::{Room, Stand};

const SECONDS_A_MINUTE: u64 = 60;
const MINUTES_AN_HOUR: u64 = 60;

/// A duration of fewer is told in the smaller unit.
const FEW: u64 = 120;

/// A sentence in English, and in Indonesian.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sentence(String, String);

/// What is known of somebody.
pub(super) fn document(room: &Room, known: &Explanation) -> Value {
    let waits = known.state == State::Waiting;
    let Sentence(english, indonesian) = sentence(room, known);
    let (returned, counted) = known.returned;
    json!({
        "room": &**room.name(),
        "number": known.number,
        "position": known.position,
        "wave": known.wave,
        "state": state(known.state),
        "stand": word(&known.stand),
        "place": known.line.map(|(ahead, _)| ahead.saturating_add(1)),
        "ahead": known.line.map(|(ahead, _)| ahead),
        "estimate": known.line.and_then(|(_, line)| line.as_ref().map(estimate)),
        "joined": known.ticket.map(|(issued, _)| instant(issued)),
        "ticket_expired": known.ticket.map(|(_, expired)| expired),
        "returned": returned,
        "counted": counted,
        "next_visit": known.at.filter(|_| waits).map(instant),
        "last_seen": known.at.filter(|_| !waits).map(instant),
        "called": known.called.map(instant),
        "late": known.late,
        "waits_for": { "en": english, "id": indonesian },
    })
}

const fn word(stand: &Stand) -> &'static str {
    match stand {
        Stand::Lobby { .. } => "lobby",
        Stand::Waiting { .. } => "waiting",
        Stand::Called => "called",
        Stand::Taken => "taken",
        Stand::Inside => "inside",
        Stand::Sending => "sending",
        Stand::Unclear => "unclear",
        Stand::Done => "done",
        Stand::Over { .. } => "over",
        Stand::Unknown => "unknown",
    }
}

fn sentence(room: &Room, known: &Explanation) -> Sentence {
    let called = matches!(known.stand, Stand::Called | Stand::Taken);
    match known.stand {
        _ if called && !known.healthy => told(
            "For the disk of the journal, which refuses to be written: until it takes records again nobody is let in.",
            "Menunggu disk jurnal yang menolak ditulisi: sampai jurnal bisa ditulis lagi tidak ada yang dipersilakan masuk.",
        ),
        Stand::Lobby { wave, opens } => {
            let opens = room.opening(wave).map_or_else(|| instant(opens), |moment| moment.to_string());
            Sentence(
                format!("For the opening at {opens}, when the order of all who are registered is drawn by lot."),
                format!("Menunggu pembukaan pada {opens}; saat itu urutan semua yang terdaftar diundi."),
            )
        }
        Stand::Waiting { .. } => in_line(known),
        Stand::Called if known.late => told(
            "For the holder, who was called long ago and has not come: the place is kept, and the next request is let in through the lane of the late.",
            "Menunggu pemegang nomor, yang sudah lama dipanggil dan belum datang: tempatnya tetap ada, dan permintaan berikutnya masuk lewat jalur terlambat.",
        ),
        Stand::Called => told(
            "For the holder: the turn has come, and the next request is let in as soon as the service has room.",
            "Menunggu pemegang nomor: gilirannya sudah tiba, dan permintaan berikutnya masuk begitu layanan punya tempat.",
        ),
        Stand::Taken => told(
            "For somebody before to fail or leave: the turn has come, but all that is left of the quota is held by people who have not finished.",
            "Menunggu ada yang gagal atau pergi: gilirannya sudah tiba, tetapi sisa kuota sedang dipegang orang yang belum selesai.",
        ),
        Stand::Inside => told(
            "For nothing: the holder was let in and may use the service.",
            "Tidak menunggu apa pun: pemegang nomor sudah masuk dan boleh memakai layanan.",
        ),
        Stand::Sending => told(
            "For the answer of the service to a request that counts.",
            "Menunggu jawaban layanan atas permintaan yang dihitung.",
        ),
        Stand::Unclear => told(
            "For an operator: the service had the request and nobody knows what became of it; ask the service, then say so under `unclear`.",
            "Menunggu operator: permintaannya sampai di layanan dan hasilnya tidak diketahui; tanyakan ke layanan, lalu nyatakan lewat `unclear`.",
        ),
        Stand::Done => {
            told("For nothing: the request has succeeded.", "Tidak menunggu apa pun: permintaannya sudah berhasil.")
        }
        Stand::Over { next, spent, carried } => over(next, spent, carried),
        Stand::Unknown => told(
            "For nothing: the holder has left, or the place has ended unused; whoever comes again gets a new one.",
            "Tidak menunggu apa pun: pemegang nomor sudah pergi, atau tempatnya berakhir tanpa dipakai; yang datang lagi mendapat nomor baru.",
        ),
    }
}

/// Of somebody in line.
fn in_line(known: &Explanation) -> Sentence {
    let (ahead, line) = known.line.unwrap_or_default();
    let (beyond, paused) = match known.stand {
        Stand::Waiting { beyond, paused, .. } => (beyond, paused),
        _ => (false, false),
    };
    let mut sentence = if ahead == 1 {
        told("For 1 person before", "Menunggu 1 orang di depannya")
    } else {
        Sentence(format!("For {ahead} people before"), format!("Menunggu {ahead} orang di depannya"))
    };
    if paused {
        sentence.add(", and for an operator: calling is paused", ", dan menunggu operator: pemanggilan sedang dijeda");
    } else if let Some(line) = line {
        let [half, most] = [span(line.p50), span(line.p90)];
        sentence.add(
            &format!(", probably {}, rarely more than {}", half.0, most.0),
            &format!(", kira-kira {}, jarang lebih dari {}", half.1, most.1),
        );
    }
    if beyond {
        sentence.add(
            "; nothing of the quota will be left if all of them succeed",
            "; kuota akan habis bila semuanya berhasil",
        );
    }
    if !known.returned.0 {
        sentence.add(
            "; the holder has not come back since joining",
            "; pemegang nomor belum pernah kembali sejak mendaftar",
        );
    }
    sentence.add(".", ".");
    sentence
}

/// Of a wave that has ended.
fn over(next: Option<Duration>, spent: bool, carried: bool) -> Sentence {
    let mut sentence = match (carried, next) {
        (true, Some(next)) => Sentence(
            format!("For the next opening at {}, where this place counts", instant(next)),
            format!("Menunggu pembukaan berikutnya pada {}, tempat nomor ini tetap berlaku", instant(next)),
        ),
        (true, None) => told(
            "For the next opening, where this place counts",
            "Menunggu pembukaan berikutnya, tempat nomor ini tetap berlaku",
        ),
        (false, Some(next)) => Sentence(
            format!("For nothing: the place has ended; the next opening is at {}", instant(next)),
            format!("Tidak menunggu apa pun: tempatnya sudah berakhir; pembukaan berikutnya pada {}", instant(next)),
        ),
        (false, None) => told("For nothing: the place has ended", "Tidak menunggu apa pun: tempatnya sudah berakhir"),
    };
    if spent {
        sentence.add("; the quota of its wave is spent", "; kuota gelombangnya sudah habis");
    }
    sentence.add(".", ".");
    sentence
}

impl Sentence {
    fn add(&mut self, english: &str, indonesian: &str) {
        self.0.push_str(english);
        self.1.push_str(indonesian);
    }
}

fn told(english: &str, indonesian: &str) -> Sentence {
    Sentence(english.to_owned(), indonesian.to_owned())
}

/// A duration in words: rounded up, in the unit in which it is some.
fn span(span: Duration) -> Sentence {
    let seconds = span.as_secs().max(1);
    let (count, english, indonesian) = if seconds < FEW {
        (seconds, "second", "detik")
    } else if seconds.div_ceil(SECONDS_A_MINUTE) < FEW {
        (seconds.div_ceil(SECONDS_A_MINUTE), "minute", "menit")
    } else {
        (seconds.div_ceil(SECONDS_A_MINUTE * MINUTES_AN_HOUR), "hour", "jam")
    };
    let plural = if count == 1 { "" } else { "s" };
    Sentence(format!("{count} {english}{plural}"), format!("{count} {indonesian}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        for (seconds, wanted) in [
            (0, "1 second"),
            (119, "119 seconds"),
            (120, "2 minutes"),
            (7_140, "119 minutes"),
            (7_141, "2 hours"),
            (76_000, "22 hours"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)).0, wanted);
        }
    }

    #[test]
    fn whoever_is_in_line_waits_for_people_and_for_what_else_there_is() {
        use crate::waiting_room::eta::Estimate;
        let estimate = Some(Estimate { p50: Duration::from_secs(90), p90: Duration::from_mins(3), reason: None });
        let known = |ahead, beyond, paused, returned| Explanation {
            number: 7,
            position: 7,
            wave: 0,
            state: State::Waiting,
            stand: Stand::Waiting { ahead, estimate, beyond, closes: None, paused },
            line: Some((ahead, estimate)),
            ticket: None,
            returned: (returned, returned),
            at: None,
            called: None,
            late: false,
            healthy: true,
        };
        let plain = in_line(&known(5, false, false, true));
        assert_eq!(plain.0, "For 5 people before, probably 90 seconds, rarely more than 3 minutes.");
        assert_eq!(plain.1, "Menunggu 5 orang di depannya, kira-kira 90 detik, jarang lebih dari 3 menit.");
        let all = in_line(&known(1, true, true, false));
        assert_eq!(
            all.0,
            "For 1 person before, and for an operator: calling is paused; nothing of the quota will be left if all of them \
             succeed; the holder has not come back since joining."
        );
    }
}
