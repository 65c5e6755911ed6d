//! Bahasa Indonesia. Nouns have no plural after a number (CLDR plural rules for `id`: one category).

use std::fmt::{self, Display, Formatter};

use super::super::moment::{Civil, Moment};
use super::super::view::{AtClose, Closes, Enter, Jump, KeptPlace, State};
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

/// A duration in words.
struct Said(Span);

impl Display for Said {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let number = |number| grouped(number, b'.');
        match self.0 {
            Span::Moments => f.write_str("kurang dari satu menit"),
            Span::Minutes(minutes) => write!(f, "{} menit", number(minutes)),
            Span::Hours { hours, minutes: 0 } => write!(f, "{} jam", number(hours)),
            Span::Hours { hours, minutes } => write!(f, "{} jam {} menit", number(hours), number(minutes)),
            Span::Days { days, hours: 0 } => write!(f, "{} hari", number(days)),
            Span::Days { days, hours } => write!(f, "{} hari {} jam", number(days), number(hours)),
        }
    }
}

impl Phrases for Indonesian {
    fn labels(&self) -> &'static Labels {
        &LABELS
    }

    fn numeral(&self, number: u64) -> String {
        grouped(number, b'.').to_string()
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
            State::Sending => "Kiriman Anda sedang diproses",
            State::Done => "Anda sudah terdaftar",
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
            State::Turn { enter: Enter::Reopen(_), .. } => {
                "Peramban Anda tidak menyimpan cookie, sehingga kiriman dari halaman lama tidak dikenali. Buka formulir lewat tautan \
                 ini dan isi sekali lagi; kali ini akan diteruskan."
            }
            State::Turn { enter: Enter::AllowCookies, .. } => {
                "Peramban Anda tidak menyimpan cookie, sehingga kiriman Anda tidak akan dikenali. Izinkan cookie untuk situs ini dan \
                 muat ulang halaman ini; lalu kembalilah ke formulir Anda dan kirim sekali lagi."
            }
            State::Paused(_) => {
                "Saat ini belum ada yang dipersilakan masuk. Tempat Anda tetap disimpan; begitu antrean bergerak lagi, \
                 halaman ini ikut bergerak."
            }
            State::Closed { .. } => "Pembukaan kali ini sudah selesai.",
            State::Spent { .. } => "Semua kuota pada pembukaan kali ini sudah terisi.",
            State::Sending => {
                "Layanan sedang menanganinya. Jangan mengirim lagi: halaman ini memberi tahu bila sudah selesai."
            }
            State::Done => "Kiriman Anda sudah diterima. Tidak ada lagi yang perlu dilakukan.",
            State::Unclear => {
                "Layanan mengalami gangguan saat memproses kiriman Anda. Bisa jadi kiriman itu tetap diterima. Jangan \
                 mengirim lagi dulu: periksa apakah ada konfirmasi. Jika tidak ada, hubungi layanan dan sebutkan nomor \
                 referensi di bawah. Bagian yang disisihkan untuk Anda tetap disimpan."
            }
        }
    }

    fn place(&self, place: u64) -> String {
        format!("Urutan {}", grouped(place, b'.'))
    }

    fn title(&self, place: u64) -> String {
        grouped(place, b'.').to_string()
    }

    fn ahead(&self, ahead: u64) -> String {
        match ahead {
            0 => "Anda berikutnya.".to_owned(),
            _ => format!("{} orang di depan Anda.", grouped(ahead, b'.')),
        }
    }

    fn wait(&self, p50: Span, p90: Span) -> String {
        let (half, most) = (Said(p50), Said(p90));
        match (p50, p90) {
            (_, Span::Moments) => format!("Giliran Anda {most} lagi."),
            (Span::Moments, _) => format!("Giliran Anda {half} lagi. Bagi 9 dari 10 orang tidak lebih dari {most}."),
            _ => format!("Giliran Anda kira-kira {half} lagi. Bagi 9 dari 10 orang tidak lebih dari {most}."),
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
        format!("Giliran Anda disimpan selama {}.", Said(span))
    }

    fn opens(&self, opens: Moment, left: Span) -> String {
        format!("Dibuka {}, {} lagi.", self.moment(opens), Said(left))
    }

    fn closes(&self, Closes { at, then, while_left }: Closes) -> String {
        let then = match then {
            AtClose::Serve if while_left => {
                "Yang sudah mengantre pada saat itu tetap dilayani selama kuota masih tersedia."
            }
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
