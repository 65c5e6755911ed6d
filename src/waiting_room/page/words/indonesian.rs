//! Bahasa Indonesia. Nouns have no plural after a number (CLDR plural rules for `id`: one category).

use super::super::moment::{Civil, Moment};
use super::super::view::{AtClose, Enter, Jump, KeptPlace, State};
use super::span::Span;
use super::{Labels, Phrases, grouped, named};

pub(super) struct Indonesian;

const LABELS: Labels = Labels {
    progress: "Bagian waktu tunggu yang sudah lewat",
    countdown: "Dibuka dalam",
    next_look: "Diperiksa lagi dalam",
    lost: "Sambungan sedang terputus. Tempat Anda tetap disimpan; halaman ini terus mencoba.",
    again: "Periksa sekarang (simpan tautan ini untuk kembali ke tempat Anda)",
    enter: "Masuk sekarang",
    back: "Kembali ke formulir",
    anew: "Orang lain di komputer ini (tab baru)",
    leave: "Keluar dari antrean",
    leave_warning: "Tempat Anda akan diberikan kepada orang berikutnya dan tidak dapat diminta kembali.",
    leave_button: "Ya, lepaskan tempat saya",
    number: "Tiket",
    reference: "Referensi",
    receipt: "Bukti undian",
};

const MONTHS: [&str; 12] = [
    "Januari",
    "Februari",
    "Maret",
    "April",
    "Mei",
    "Juni",
    "Juli",
    "Agustus",
    "September",
    "Oktober",
    "November",
    "Desember",
];

const WEEKDAYS: [&str; 7] = ["Minggu", "Senin", "Selasa", "Rabu", "Kamis", "Jumat", "Sabtu"];

fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}", grouped(number, '.'))
}

fn pair(first: String, second_number: u64, noun: &str) -> String {
    if second_number == 0 { first } else { format!("{first} {}", counted(second_number, noun)) }
}

impl Phrases for Indonesian {
    fn labels(&self) -> &'static Labels {
        &LABELS
    }

    fn numeral(&self, number: u64) -> String {
        grouped(number, '.').to_string()
    }

    fn span(&self, span: Span) -> String {
        match span {
            Span::Moments => "kurang dari satu menit".to_owned(),
            Span::Minutes(minutes) => counted(minutes, "menit"),
            Span::Hours { hours, minutes } => pair(counted(hours, "jam"), minutes, "menit"),
            Span::Days { days, hours } => pair(counted(days, "hari"), hours, "jam"),
        }
    }

    fn moment(&self, moment: Moment) -> String {
        let Civil { year, month, day, weekday, hour, minute } = moment.civil();
        let (weekday, month) = (named(WEEKDAYS, weekday), named(MONTHS, month.saturating_sub(1)));
        format!("{weekday}, {day} {month} {year} pukul {hour:02}.{minute:02} {}", moment.zone())
    }

    fn heading(&self, state: &State<'_>) -> &'static str {
        match state {
            State::Lobby { .. } => "Belum dibuka",
            State::Waiting(_) => "Anda dalam antrean",
            State::Turn { .. } => "Sekarang giliran Anda",
            State::Paused(_) => "Antrean sedang dijeda",
            State::Closed { .. } => "Sudah ditutup",
            State::Spent { .. } => "Kuota sudah habis",
            State::Unclear => "Belum pasti apakah data Anda diterima",
        }
    }

    fn message(&self, state: &State<'_>) -> &'static str {
        match state {
            State::Lobby { drawn: true, .. } => {
                "Anda sudah tercatat untuk pembukaan. Urutan diundi pada saat dibuka: semua yang sudah tercatat punya peluang \
                 yang sama, siapa pun yang datang lebih dulu. Halaman ini boleh ditutup dan dibuka lagi."
            }
            State::Lobby { drawn: false, .. } => {
                "Anda sudah punya tempat untuk pembukaan, sesuai urutan kedatangan. Halaman ini boleh ditutup dan dibuka lagi: \
                 tempat Anda tetap disimpan."
            }
            State::Waiting(_) => {
                "Anda tidak perlu melakukan apa pun: halaman ini diperbarui sendiri. Halaman ini boleh ditutup dan dibuka \
                 lagi: tempat Anda tetap disimpan."
            }
            State::Turn { enter: Enter::Follow(_), .. } => "Silakan masuk sekarang.",
            State::Turn { enter: Enter::SendAgain, .. } => {
                "Kembalilah ke formulir Anda dan kirim sekali lagi; kali ini akan diteruskan."
            }
            State::Paused(_) => {
                "Saat ini belum ada yang dipersilakan masuk. Tempat Anda tetap disimpan; begitu antrean bergerak lagi, \
                 halaman ini ikut bergerak."
            }
            State::Closed { .. } => "Pembukaan kali ini sudah selesai.",
            State::Spent { .. } => "Semua kuota pada pembukaan kali ini sudah terisi.",
            State::Unclear => {
                "Layanan mengalami gangguan saat memproses kiriman Anda. Bisa jadi kiriman itu tetap diterima. Jangan \
                 mengirim lagi dulu: periksa apakah ada konfirmasi. Jika tidak ada, hubungi layanan dan sebutkan nomor \
                 referensi di bawah. Bagian yang disisihkan untuk Anda tetap disimpan."
            }
        }
    }

    fn place(&self, place: u64) -> String {
        format!("Urutan {}", grouped(place, '.'))
    }

    fn title(&self, place: u64) -> String {
        grouped(place, '.').to_string()
    }

    fn ahead(&self, ahead: u64) -> String {
        match ahead {
            0 => "Anda berikutnya.".to_owned(),
            _ => format!("{} orang di depan Anda.", grouped(ahead, '.')),
        }
    }

    fn wait(&self, p50: Span, p90: Span) -> String {
        let most = match p90 {
            Span::Moments => return "Giliran Anda kurang dari satu menit lagi.".to_owned(),
            _ => format!("Bagi 9 dari 10 orang tidak lebih dari {}.", self.span(p90)),
        };
        match p50 {
            Span::Moments => format!("Giliran Anda kurang dari satu menit lagi. {most}"),
            _ => format!("Giliran Anda kira-kira {} lagi. {most}", self.span(p50)),
        }
    }

    fn jump(&self, jump: Jump) -> &'static str {
        match jump {
            Jump::ServiceSlower => "Waktu tunggu bertambah karena layanan melambat. Tempat Anda tidak berubah.",
            Jump::ServiceFaster => "Waktu tunggu berkurang karena layanan lebih cepat.",
            Jump::Paused => "Waktu tunggu bertambah karena antrean sempat dijeda. Tempat Anda tidak berubah.",
            Jump::Resumed => "Antrean bergerak lagi.",
            Jump::NoShows => "Waktu tunggu berkurang karena ada yang tidak datang di depan Anda.",
        }
    }

    fn beyond_quota(&self) -> &'static str {
        "Saat ini tempat Anda berada di luar sisa kuota: jika semua orang di depan Anda berhasil, kuota habis sebelum giliran \
         Anda. Anda boleh tetap menunggu, karena mungkin ada yang tidak jadi."
    }

    fn kept(&self, span: Span) -> String {
        format!("Giliran Anda disimpan selama {}.", self.span(span))
    }

    fn opens(&self, opens: Moment, left: Span) -> String {
        format!("Dibuka {}, {} lagi.", self.moment(opens), self.span(left))
    }

    fn closes(&self, at: Moment, then: AtClose) -> String {
        let then = match then {
            AtClose::Serve => "Semua yang sudah mengantre pada saat itu tetap dilayani.",
            AtClose::Carry => {
                "Jika giliran Anda belum tiba, tempat Anda berlaku pada pembukaan berikutnya tanpa mendaftar lagi."
            }
            AtClose::End => "Tempat dalam antrean berakhir pada saat itu.",
        };
        format!("Ditutup {}. {then}", self.moment(at))
    }

    fn next(&self, next: Moment) -> String {
        format!("Pembukaan berikutnya: {}.", self.moment(next))
    }

    fn kept_place(&self, place: KeptPlace) -> &'static str {
        match place {
            KeptPlace::None => "",
            KeptPlace::Carried => "Tempat Anda disimpan untuk pembukaan berikutnya tanpa mendaftar lagi.",
            KeptPlace::Ended => "Tempat Anda dalam antrean ikut berakhir.",
        }
    }
}
