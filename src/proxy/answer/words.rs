//! Every reason's status and words.

use http::StatusCode;

use crate::admission::verdict::Reason;

/// The status, and what it means to the person in front of the screen, in English and Indonesian.
pub(super) struct Words {
    pub(super) status: StatusCode,
    pub(super) english: &'static str,
    pub(super) indonesian: &'static str,
}

pub(super) const fn words(reason: Reason) -> Words {
    let (status, english, indonesian) = match reason {
        Reason::Admitted => (StatusCode::OK, "Admitted.", "Diterima."),
        Reason::BadRequest => (StatusCode::BAD_REQUEST, "The request is malformed.", "Permintaan tidak valid."),
        Reason::BodyBroken => (
            StatusCode::BAD_REQUEST,
            "The request did not arrive completely.",
            "Permintaan tidak diterima dengan lengkap.",
        ),
        Reason::BodyTooLarge => {
            (StatusCode::PAYLOAD_TOO_LARGE, "What was sent is too large.", "Data yang dikirim terlalu besar.")
        }
        Reason::BodyTimeout => {
            (StatusCode::REQUEST_TIMEOUT, "The request took too long to arrive.", "Permintaan terlalu lama tiba.")
        }
        // Nobody reads it; the status is the one access logs know for it.
        Reason::ClientLeft => (StatusCode::BAD_REQUEST, "The client left.", "Klien pergi."),
        Reason::ClientConcurrency => (
            StatusCode::TOO_MANY_REQUESTS,
            "Your earlier requests are still being worked on. Please wait for them before trying again.",
            "Permintaan Anda sebelumnya masih diproses. Mohon tunggu sebelum mencoba lagi.",
        ),
        Reason::ClientLimit => (
            StatusCode::TOO_MANY_REQUESTS,
            "Too many requests from you. Please wait before trying again.",
            "Terlalu banyak permintaan dari Anda. Mohon tunggu sebelum mencoba lagi.",
        ),
        Reason::ExpectationFailed => {
            (StatusCode::EXPECTATION_FAILED, "The expectation cannot be met.", "Harapan tidak dapat dipenuhi.")
        }
        // RFC 5842 §7.2 made the status; what it says is true of a circle of gateways as well.
        Reason::LoopDetected => {
            (StatusCode::LOOP_DETECTED, "The request goes in a circle.", "Permintaan berputar-putar.")
        }
        Reason::MethodNotAllowed => {
            (StatusCode::METHOD_NOT_ALLOWED, "This cannot be done here.", "Tindakan ini tidak tersedia di sini.")
        }
        Reason::NoRoute => (StatusCode::NOT_FOUND, "There is nothing here.", "Halaman tidak ditemukan."),
        Reason::HeadTooLarge => (
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "The request has too many fields.",
            "Permintaan memiliki terlalu banyak bidang.",
        ),
        Reason::NotImplemented => (StatusCode::NOT_IMPLEMENTED, "This is not supported.", "Ini tidak didukung."),
        Reason::Expired | Reason::Overloaded | Reason::QueueFull | Reason::WaitTooLong => (
            StatusCode::SERVICE_UNAVAILABLE,
            "Very many people are here right now. Nothing was lost: please come back at the time shown.",
            "Sangat banyak orang sedang mengakses. Tidak ada yang hilang: silakan kembali pada waktu yang ditunjukkan.",
        ),
        Reason::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong here.", "Terjadi kesalahan."),
        Reason::UpstreamBroken => (
            StatusCode::BAD_GATEWAY,
            "The service broke off. It may have received your request.",
            "Layanan terputus. Permintaan Anda mungkin sudah diterima.",
        ),
        Reason::UpstreamTimeout => (
            StatusCode::GATEWAY_TIMEOUT,
            "The service did not answer in time. It may have received your request.",
            "Layanan tidak menjawab tepat waktu. Permintaan Anda mungkin sudah diterima.",
        ),
        Reason::UpstreamUnreachable => (
            StatusCode::BAD_GATEWAY,
            "The service cannot be reached. Your request was not sent.",
            "Layanan tidak dapat dihubungi. Permintaan Anda belum dikirim.",
        ),
        Reason::UriTooLong => (StatusCode::URI_TOO_LONG, "The address is too long.", "Alamat terlalu panjang."),
        Reason::AlreadyDone => (
            StatusCode::CONFLICT,
            "You have registered already. There is nothing more to do.",
            "Anda sudah terdaftar. Tidak ada lagi yang perlu dilakukan.",
        ),
        Reason::AlreadySending => (
            StatusCode::CONFLICT,
            "Your registration is being worked on. Please wait for it.",
            "Pendaftaran Anda sedang diproses. Mohon tunggu.",
        ),
        Reason::NoPlace => {
            (StatusCode::NOT_FOUND, "There is no place under this ticket.", "Tidak ada antrean untuk tiket ini.")
        }
        Reason::RoomFull => (
            StatusCode::SERVICE_UNAVAILABLE,
            "Even the waiting room is full. Please come back later.",
            "Ruang tunggu pun penuh. Silakan kembali nanti.",
        ),
        // These are told with a place, by the waiting room's own page.
        Reason::Waiting => (StatusCode::SERVICE_UNAVAILABLE, "You are in line.", "Anda berada dalam antrean."),
        Reason::NotOpenYet => (StatusCode::SERVICE_UNAVAILABLE, "It has not opened yet.", "Belum dibuka."),
        Reason::Closed => (StatusCode::FORBIDDEN, "It is closed.", "Sudah ditutup."),
        Reason::QuotaSpent => (StatusCode::FORBIDDEN, "All places are taken.", "Semua tempat sudah terisi."),
        Reason::OutcomeUnknown => (
            StatusCode::CONFLICT,
            "The service failed while your request was there. It may have been received.",
            "Layanan gagal saat memproses permintaan Anda. Permintaan mungkin sudah diterima.",
        ),
    };
    Words { status, english, indonesian }
}
