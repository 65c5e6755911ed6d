//! The pass of somebody who has been admitted: with it he is `in_progress` until it expires, and practically never meets a
//! refusal in the middle of registering.
//!
//! A pass verifies by itself, so it costs no memory and survives a restart: version, when its bearer was admitted, when it
//! expires, a session number, and an HMAC-SHA256 over them truncated to 128 bits (RFC 2104 §5, NIST SP 800-107 §5.3.3), in
//! lower-case hexadecimal.
//!
//! **Invariants**: nothing but a key makes a pass; comparison takes the same time whatever differs; there is no algorithm field to
//! confuse, and one spelling of each pass; expired, forged and foreign passes are as good as none — never an error, never
//! signed anew; a pass that is renewed stays the same person's.
//! **Cost**: one HMAC to issue (~1 µs) and one a key to verify, only for requests that carry one or routes that grant one;
//! at most [`TRIED`] for a request, however many it carries.
//! **Not here**: single use. A pass can be shared; what its bearers have at once is bounded by its session (`admission::route`).

use std::time::{Duration, SystemTime};

use aws_lc_rs::hmac;
use http::header::{CACHE_CONTROL, HeaderName, HeaderValue, SET_COOKIE};
use http::{HeaderMap, Response};
use metrics::Counter;

use crate::admission::client::ClientHash;
use crate::admission::route::{Person, Session};
use crate::config::plan::{self, Class, Secret};
use crate::proxy::cookies;
use crate::telemetry::Registry;

/// Header in which a pass travels, to and from clients that keep no cookies.
pub const WEIR_PASS: HeaderName = HeaderName::from_static(plan::Pass::HEADER);

const VERSION: u8 = 2;

/// Bytes of a moment: 48 bits of Unix seconds are enough for nine million years.
const MOMENT: usize = 6;

/// Version, admitted, expires, session, room.
const BODY: usize = 1 + 2 * MOMENT + 8 + 4;

/// Bytes of the HMAC that travel: half of it is the least that RFC 2104 allows, and 2^127 guesses are enough.
const MAC: usize = 16;

/// Of several cookies so many are looked at: there is one a waiting room, and a browser may send one a path or domain.
const TRIED: usize = 8;

/// Signs and verifies passes.
#[derive(Debug)]
pub struct Passes {
    /// The first signs, all verify.
    keys: Vec<hmac::Key>,
    life: Duration,
    /// The cookies of waiting rooms by their tags, where there are several: each keeps a pass of its own.
    rooms: Box<[(u32, String)]>,
    granted: Counter,
    renewed: Counter,
}

/// A verified pass. Moments are times since 1970, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// Whose it is: the same number as long as it lives, also when it is renewed.
    pub session: u64,
    /// The waiting room through which he came, by the tag of its tickets; 0 for none.
    pub room: u32,
    /// When he was let in.
    pub admitted: Duration,
    /// Until when it is good.
    pub expires: Duration,
}

/// Who asks, with his pass if he has one.
#[derive(Clone, Copy, Debug)]
pub struct Bearer {
    /// What admission needs.
    pub person: Person,
    pass: Option<Pass>,
}

impl Passes {
    /// Signs as `plan` says, for the waiting rooms of these tags and names; [`None`] while its key is missing (`runtime` creates it before).
    #[must_use]
    pub fn new<'n>(
        plan: &plan::Pass,
        rooms: impl Iterator<Item = (u32, &'n str)>,
        registry: &Registry,
    ) -> Option<Self> {
        let counter = |event| {
            let help = "Passes given to people who were admitted, and renewed.";
            registry.counter("weir_passes_total", help, &[("event", event)])
        };
        let [granted, renewed] = [counter("granted"), counter("renewed")];
        let rooms: Box<[_]> = rooms.map(|(tag, name)| (tag, format!("{}_{name}", cookies::PASS))).collect();
        // A browser needs no names to tell one pass from none.
        let rooms = if rooms.len() > 1 { rooms } else { Box::default() };
        Some(Self { keys: keys(plan.key.secret()?, &plan.old_keys), life: plan.life, rooms, granted, renewed })
    }

    /// Who asks with `headers` on a route of `class`, which leads into the waiting room `room`, if into any. A pass makes a newcomer one in
    /// progress, and leaves others what they are; one of another room leaves him a newcomer of this one, whom the funnel has let in. Passes that
    /// are not his, as `is_his` says, are none.
    #[must_use]
    pub fn bearer(
        &self,
        class: Class,
        room: Option<u32>,
        headers: &HeaderMap,
        is_his: impl Fn(&Pass) -> bool,
        now: Duration,
    ) -> Bearer {
        let counts = matches!(class, Class::InProgress | Class::Returning | Class::New);
        if !counts {
            return Bearer::without(class);
        }
        let inside = |pass: &Pass| Bearer::inside(pass.session, now.saturating_sub(pass.admitted));
        let mut elsewhere = None;
        for pass in self.good(headers, now).filter(is_his) {
            if room.is_none_or(|room| pass.room == room) {
                return Bearer { pass: Some(pass), ..inside(&pass) };
            }
            elsewhere.get_or_insert(pass);
        }
        elsewhere.map_or_else(|| Bearer::without(class), |pass| inside(&pass).of(class))
    }

    /// Gives `bearer` a pass with `response`, or renews the one he has when less than half of its life is left. A new one is of
    /// `session` and of the waiting room `room`, or 0; `secure` says that he came by TLS.
    pub fn grant<B>(
        &self,
        bearer: &Bearer,
        response: &mut Response<B>,
        now: Duration,
        (room, session): (u32, u64),
        secure: bool,
    ) {
        let expires = now.saturating_add(self.life);
        let pass = match bearer.pass {
            None => {
                self.granted.increment(1);
                // Whoever comes through a second room was let in at the first.
                let age = bearer.person.inside.map_or(Duration::ZERO, |inside| inside.age);
                Pass { session, room, admitted: now.saturating_sub(age), expires }
            }
            Some(pass) if pass.expires.saturating_sub(now) < self.life / 2 => {
                self.renewed.increment(1);
                Pass { expires, ..pass }
            }
            Some(_) => return,
        };
        let text = self.sign(pass);
        let secure = if secure { "; Secure" } else { "" };
        let life = self.life.as_secs();
        let of_room = self.rooms.iter().find(|(tag, _)| *tag == pass.room);
        let name = of_room.map_or(cookies::PASS, |(_, name)| name);
        let cookie = format!("{name}={text}; Path=/; Max-Age={life}; HttpOnly; SameSite=Lax{secure}");
        for (name, text) in [(WEIR_PASS, text), (SET_COOKIE, cookie)] {
            if let Ok(value) = HeaderValue::try_from(text) {
                response.headers_mut().append(name, value);
            }
        }
        // A cache between us and him must not hand his pass to others.
        response.headers_mut().append(CACHE_CONTROL, HeaderValue::from_static("private"));
    }

    /// Fields by which a browser forgets the passes that came with `headers`, of whatever room; `secure` says that he came by TLS.
    #[must_use]
    pub fn forgotten(headers: &HeaderMap, secure: bool) -> Vec<HeaderValue> {
        let secure = if secure { "; Secure" } else { "" };
        let names = cookies::pass_names(headers).take(TRIED);
        let field = |name| format!("{name}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax{secure}");
        names.filter_map(|name| HeaderValue::try_from(field(name)).ok()).collect()
    }

    fn sign(&self, pass: Pass) -> String {
        let moment = |moment: Duration| moment.as_secs().to_be_bytes().into_iter().skip(8 - MOMENT);
        let mut bytes = vec![VERSION];
        bytes.extend(moment(pass.admitted).chain(moment(pass.expires)).chain(pass.session.to_be_bytes()));
        bytes.extend(pass.room.to_be_bytes());
        if let Some(key) = self.keys.first() {
            let mac = hmac::sign(key, &bytes);
            bytes.extend(mac.as_ref().iter().take(MAC));
        }
        let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or_default();
        bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
    }

    /// The pass that `text` is, unless it is forged or was good until `now` or before.
    #[must_use]
    pub fn verify(&self, text: &[u8], now: Duration) -> Option<Pass> {
        let bytes = hexadecimal(text)?;
        let (body, mac) = bytes.split_at(BODY);
        let signed = |key: &hmac::Key| {
            let signed = hmac::sign(key, body);
            signed
                .as_ref()
                .get(..MAC)
                .is_some_and(|truncated| aws_lc_rs::constant_time::verify_slices_are_equal(truncated, mac).is_ok())
        };
        if !self.keys.iter().any(signed) {
            return None;
        }
        let (version, rest) = body.split_first()?;
        let (admitted, rest) = rest.split_at_checked(MOMENT)?;
        let (expires, rest) = rest.split_at_checked(MOMENT)?;
        let (session, room) = rest.split_first_chunk()?;
        let (session, room) = (u64::from_be_bytes(*session), u32::from_be_bytes(*room.first_chunk()?));
        let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let moment = |bytes| Duration::from_secs(number(bytes));
        let pass = Pass { session, room, admitted: moment(admitted), expires: moment(expires) };
        (*version == VERSION && now < pass.expires).then_some(pass)
    }

    /// The good passes that a request with `headers` carries.
    fn good(&self, headers: &HeaderMap, now: Duration) -> impl Iterator<Item = Pass> {
        let fields = headers.get_all(WEIR_PASS).iter().map(|value| value.as_bytes().trim_ascii());
        fields.chain(cookies::passes(headers)).take(TRIED).filter_map(move |text| self.verify(text, now))
    }
}

impl Bearer {
    /// Somebody without a pass.
    #[must_use]
    pub const fn without(class: Class) -> Self {
        Self { person: Person::of(class), pass: None }
    }

    /// Somebody who was let in `age` ago, whatever shows it.
    #[must_use]
    pub const fn inside(session: u64, age: Duration) -> Self {
        let inside = Some(Session { client: ClientHash(session), age });
        Self { person: Person { class: Class::InProgress, inside }, pass: None }
    }

    /// The same for admission, but as one of `class` who has no pass that counts here.
    #[must_use]
    pub const fn of(self, class: Class) -> Self {
        Self { person: Person { class, ..self.person }, pass: None }
    }

    /// The same, called to come in as one of `class`; whoever has a pass that counts here comes anew.
    #[must_use]
    pub const fn called(self, class: Class) -> Self {
        if self.pass.is_some() { Self::without(class) } else { self.of(class) }
    }

    /// The session of his pass.
    #[must_use]
    pub fn session(&self) -> Option<u64> {
        self.pass.map(|pass| pass.session)
    }

    /// Whether he has a good pass.
    #[must_use]
    pub const fn is_inside(&self) -> bool {
        self.pass.is_some()
    }

    /// Whether he comes into the funnel here, if he comes in: he has no pass of any room, and is not one who needs none.
    #[must_use]
    pub fn is_newcomer(&self) -> bool {
        self.person.inside.is_none() && matches!(self.person.class, Class::Returning | Class::New)
    }
}

/// Time since 1970, as the machine has it; passes outlive the process, so its own clock will not do.
#[must_use]
pub fn unix_time() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Whether a request with `headers` shows something in the place of a pass, be it good or not.
#[must_use]
pub fn is_shown(headers: &HeaderMap) -> bool {
    headers.contains_key(WEIR_PASS) || cookies::passes(headers).next().is_some()
}

fn keys(first: &Secret, old: &[Secret]) -> Vec<hmac::Key> {
    let key = |secret: &Secret| hmac::Key::new(hmac::HMAC_SHA256, &secret.0);
    std::iter::once(first).chain(old).map(key).collect()
}

/// The bytes of a pass in lower-case hexadecimal; [`None`] for any other length or character.
fn hexadecimal(text: &[u8]) -> Option<[u8; BODY + MAC]> {
    let mut bytes = [0; BODY + MAC];
    if text.len() != 2 * bytes.len() {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    for (byte, digits) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = digits else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
