//! The pass of somebody who has been admitted: with it he is `in_progress` until it expires, and practically never meets a
//! refusal in the middle of registering.
//!
//! A pass is self-verified, so it costs no memory and survives a restart: version, key, expiry, a random session number, and an
//! HMAC-SHA256 over them, truncated to 128 bits (NIST SP 800-107 §5.3.3), in hexadecimal.
//!
//! **Invariants**: nothing but the key makes a pass; comparison is constant-time; there is no algorithm field to confuse; expired,
//! forged or foreign passes are as good as none — never an error, never signed anew.
//! **Cost**: one HMAC to issue and one to verify (~0.5 µs), only for requests that carry one or routes that grant one.
//! **Not here**: single use. A pass can be shared; client limits bound what its bearers can do with it.

use std::time::Duration;

use aws_lc_rs::hmac;
use http::header::{COOKIE, HeaderName, HeaderValue, SET_COOKIE};
use http::{HeaderMap, Response};

/// Header in which a pass travels, to and from clients that keep no cookies.
pub const WEIR_PASS: HeaderName = HeaderName::from_static("weir-pass");

/// Cookie in which it travels for browsers.
const COOKIE_NAME: &str = "weir_pass";

const VERSION: u8 = 1;

/// Version, expiry in Unix seconds (48 bits are enough for nine million years), session.
const BODY: usize = 1 + 6 + 8;

/// Bytes of the HMAC that travel.
const MAC: usize = 16;

/// What signs and verifies passes.
#[derive(Debug)]
pub struct PassKey {
    key: hmac::Key,
    life: Duration,
}

/// A verified pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// Whose it is: the same number as long as it lives.
    pub session: u64,
}

impl PassKey {
    /// Signs with `secret`, for `life`.
    #[must_use]
    pub fn new(secret: &[u8; 32], life: Duration) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, secret), life }
    }

    /// A pass of `session`, valid for its life from `now`, the time since 1970.
    #[must_use]
    pub fn issue(&self, session: u64, now: Duration) -> String {
        let expires = now.saturating_add(self.life).as_secs();
        let mut bytes = Vec::with_capacity(BODY + MAC);
        bytes.push(VERSION);
        bytes.extend(expires.to_be_bytes().iter().skip(2));
        bytes.extend(session.to_be_bytes());
        let mac = hmac::sign(&self.key, &bytes);
        bytes.extend(mac.as_ref().iter().take(MAC));
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The pass that `text` is, unless it is forged or has expired before `now`.
    #[must_use]
    pub fn verify(&self, text: &str, now: Duration) -> Option<Pass> {
        let bytes = hexadecimal(text)?;
        let (body, mac) = bytes.split_at(BODY);
        let signed = hmac::sign(&self.key, body);
        let truncated = signed.as_ref().get(..MAC)?;
        aws_lc_rs::constant_time::verify_slices_are_equal(truncated, mac).ok()?;
        let (version, rest) = body.split_first()?;
        let (expires, session) = rest.split_at_checked(6)?;
        let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let valid = *version == VERSION && now.as_secs() < number(expires);
        valid.then(|| Pass { session: number(session) })
    }

    /// The pass that a request with `headers` carries.
    #[must_use]
    pub fn find(&self, headers: &HeaderMap, now: Duration) -> Option<Pass> {
        let header = headers.get(WEIR_PASS).and_then(|value| value.to_str().ok());
        let cookies = headers.get_all(COOKIE).iter().filter_map(|field| field.to_str().ok());
        let cookie = cookies
            .flat_map(|field| field.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find_map(|(name, value)| (name == COOKIE_NAME).then_some(value));
        header.or(cookie).and_then(|text| self.verify(text, now))
    }

    /// Hands a pass of `session` to the client of `response`; `secure` where he came by TLS.
    pub fn hand_out<B>(&self, response: &mut Response<B>, session: u64, now: Duration, secure: bool) {
        let pass = self.issue(session, now);
        let secure = if secure { "; Secure" } else { "" };
        let cookie =
            format!("{COOKIE_NAME}={pass}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax{secure}", self.life.as_secs());
        for (name, text) in [(WEIR_PASS, pass), (SET_COOKIE, cookie)] {
            if let Ok(value) = HeaderValue::try_from(text) {
                response.headers_mut().append(name, value);
            }
        }
    }
}

/// The bytes of a pass in hexadecimal; [`None`] for any other length or character.
fn hexadecimal(text: &str) -> Option<[u8; BODY + MAC]> {
    let mut bytes = [0; BODY + MAC];
    if text.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|c| c.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOON: Duration = Duration::from_secs(1_586_600_000);

    fn key(seed: u8) -> PassKey {
        PassKey::new(&[seed; 32], Duration::from_mins(30))
    }

    #[test]
    fn a_pass_is_good_for_its_life_and_no_longer() {
        let pass = key(1).issue(42, NOON);
        assert_eq!(key(1).verify(&pass, NOON), Some(Pass { session: 42 }));
        assert_eq!(key(1).verify(&pass, NOON + Duration::from_secs(1_799)), Some(Pass { session: 42 }));
        assert_eq!(key(1).verify(&pass, NOON + Duration::from_secs(1_800)), None);
        assert_eq!(key(2).verify(&pass, NOON), None, "another gateway's");
    }

    #[test]
    fn it_travels_by_header_and_by_cookie() {
        let mut response = Response::new(());
        key(1).hand_out(&mut response, 7, NOON, true);
        let cookie = response.headers()[SET_COOKIE].to_str().unwrap().to_owned();
        assert!(cookie.contains("; HttpOnly; SameSite=Lax; Secure") && cookie.contains("Max-Age=1800"));
        let by_header: HeaderMap = [(WEIR_PASS, response.headers()[WEIR_PASS].clone())].into_iter().collect();
        assert_eq!(key(1).find(&by_header, NOON), Some(Pass { session: 7 }));
        let pair = format!("a=b; {}", cookie.split(';').next().unwrap());
        let by_cookie: HeaderMap = [(COOKIE, pair.parse().unwrap())].into_iter().collect();
        assert_eq!(key(1).find(&by_cookie, NOON), Some(Pass { session: 7 }));
        assert_eq!(key(1).find(&HeaderMap::new(), NOON), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

        #[test]
        fn no_changed_pass_is_good(position in 0_usize..2 * (BODY + MAC), digit in "[0-9a-f]") {
            let pass = key(1).issue(42, NOON);
            let mut changed = pass.clone();
            changed.replace_range(position..=position, &digit);
            prop_assert_eq!(key(1).verify(&changed, NOON).is_some(), changed == pass);
        }

        #[test]
        fn garbage_is_no_pass(text in "\\PC{0,80}|[0-9a-f]{62}") {
            prop_assert_eq!(key(1).verify(&text, NOON), None);
        }
    }
}
