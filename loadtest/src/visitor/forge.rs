//! Tickets and passes that nobody gave: what an attacker shows.
//!
//! **Invariants**: nothing made here was signed by anybody; all of it has the form of what would be, so that only a signature tells them
//! apart.

use super::jar::Shown;

/// Digits of base64url (RFC 4648 §5), in which tickets are written.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Characters of a ticket.
const TICKET: usize = 52;

/// Characters of a pass, in hexadecimal: 25 bytes and a checksum of 16.
const PASS: usize = 82;

/// Characters of a ticket that say which room it is of,
const ROOM: std::ops::RangeInclusive<usize> = 3..=7;
/// its number,
const NUMBER: std::ops::RangeInclusive<usize> = 15..=21;
/// and when it was given.
const ISSUED: std::ops::RangeInclusive<usize> = 23..=29;

/// Something forged; out of `genuine`, a ticket that the attacker was given, if there is one.
#[must_use]
pub fn forged(genuine: Option<&str>, rng: &mut fastrand::Rng) -> Shown {
    match (rng.u8(0..5), genuine) {
        (0, _) => Shown { pass: Some(pass(rng).into()), ..Shown::default() },
        (1, Some(ticket)) => shown(changed(ticket, ROOM, rng)),
        // Number 0: the first in line.
        (2, Some(ticket)) => shown(overwritten(ticket, NUMBER)),
        (3, Some(ticket)) => shown(changed(ticket, ISSUED, rng)),
        _ => shown((0..TICKET).map(|_| digit(rng)).collect()),
    }
}

/// `ticket` by header and cookie: whichever is believed.
#[must_use]
pub fn shown(ticket: String) -> Shown {
    Shown { cookie: Some(format!("weir_ticket={ticket}").into()), ticket: Some(ticket.into()), pass: None }
}

fn changed(ticket: &str, which: std::ops::RangeInclusive<usize>, rng: &mut fastrand::Rng) -> String {
    let another = |rng: &mut fastrand::Rng, old: char| {
        let drawn = digit(rng);
        if drawn == old { if old == 'A' { 'B' } else { 'A' } } else { drawn }
    };
    let characters = ticket.chars().enumerate();
    characters.map(|(at, old)| if which.contains(&at) { another(rng, old) } else { old }).collect()
}

fn overwritten(ticket: &str, which: std::ops::RangeInclusive<usize>) -> String {
    let last = *which.end();
    let zero = ticket.chars().enumerate().map(|(at, old)| if which.contains(&at) { 'A' } else { old });
    let zero: String = zero.collect();
    // It was number 0 already: one more is as forged.
    if zero == ticket {
        zero.chars().enumerate().map(|(at, old)| if at == last { 'B' } else { old }).collect()
    } else {
        zero
    }
}

fn pass(rng: &mut fastrand::Rng) -> String {
    (0..PASS)
        .map(|at| {
            if at == 1 {
                '2'
            } else if at == 0 {
                '0'
            } else {
                rng.digit(16)
            }
        })
        .collect()
}

fn digit(rng: &mut fastrand::Rng) -> char {
    char::from(*rng.choice(DIGITS).unwrap_or(&b'A'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_forgery_is_the_ticket_it_was_made_of() {
        let rng = &mut fastrand::Rng::with_seed(7);
        let genuine: String = "A".repeat(TICKET);
        let mut kinds = [0, 0];
        for _ in 0..500 {
            let made = forged(Some(&genuine), rng);
            assert_ne!(made.ticket.as_deref(), Some(genuine.as_str()));
            assert!(made.is_something() && made.ticket.as_ref().is_none_or(|ticket| ticket.len() == TICKET));
            assert!(made.pass.as_ref().is_none_or(|pass| pass.len() == PASS && pass.starts_with("02")));
            kinds[usize::from(made.pass.is_some())] += 1;
        }
        assert!(kinds.iter().all(|count| *count > 50), "{kinds:?}");
        assert!((0..100).all(|_| forged(None, rng).is_something()));
    }
}
