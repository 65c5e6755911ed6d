use allocation_counter::measure;

use super::*;

const ISSUED: Duration = Duration::from_millis(1_586_606_400_123);

/// How many forgeries each fuzzing test tries; the four together are 2 million, and 10^8 in `make long`.
fn forgeries() -> u32 {
    if std::env::var_os("WEIR_LONG").is_some() { 25_000_000 } else { 500_000 }
}

fn ring(current: u8, old: &[u8]) -> Keyring {
    let old: Vec<_> = old.iter().map(|seed| Secret([*seed; 32])).collect();
    Keyring::new(&Secret([current; 32]), &old)
}

fn ticket() -> Ticket {
    Ticket {
        room: room_tag("opening"),
        generation: 1_586_600_000,
        number: 1_432_132,
        wave: 3,
        class: Class::New,
        identified: true,
        issued: ISSUED,
    }
}

fn random(random: &mut fastrand::Rng) -> Ticket {
    Ticket {
        room: random.u32(..),
        generation: random.u32(..),
        number: random.u64(..NUMBERS),
        wave: random.u8(..),
        class: Class::ALL[random.usize(..Class::COUNT)],
        identified: random.bool(),
        issued: Duration::from_millis(random.u64(..NUMBERS)),
    }
}

fn bytes(text: TicketText) -> [u8; BYTES] {
    decode(text.as_ref()).unwrap()
}

#[test]
fn what_was_signed_is_what_verifies() {
    let ring = ring(1, &[]);
    let mut chance = fastrand::Rng::with_seed(1);
    for _ in 0..20_000 {
        let ticket = random(&mut chance);
        let text = ring.sign(&ticket);
        assert_eq!(ring.verify(text.as_ref()), Some(ticket));
        assert_eq!(ring.recognise(text.as_ref()), Some((ticket, Some(text))), "it need not be signed again");
        assert_eq!(text.to_string().len(), LENGTH);
    }
    for class in Class::ALL {
        for number in [0, 1, NUMBERS - 1] {
            let ticket = Ticket { class, number, identified: false, issued: Duration::ZERO, ..ticket() };
            assert_eq!(ring.verify(ring.sign(&ticket).as_ref()), Some(ticket));
        }
    }
}

/// The form on the wire: whoever changes it makes a new version. Computed by Python's hmac and base64.
#[test]
fn the_form_is_fixed() {
    assert_eq!(ring(1, &[]).sign(&ticket()).to_string(), ELSEWHERE);
    assert_eq!(room_tag("opening"), 0x2b3f_df05);
    assert_eq!(tag(ELSEWHERE.as_bytes()).unwrap().len(), TAG);
    assert_eq!(tag(ELSEWHERE.as_bytes()).unwrap(), bytes(ring(1, &[]).sign(&ticket()))[BODY..BODY + TAG]);
    assert_eq!(tag(b"short"), None);
}

const ELSEWHERE: &str = "AQsrP98FXpGYQAMAAAAV2kQBcWkcYnvmbghFzz7NFolIfIcF0O9A";

#[test]
fn every_changed_bit_and_character_is_refused() {
    let ring = ring(1, &[2]);
    let text = ring.sign(&ticket());
    let good = bytes(text);
    for bit in 0..8 * BYTES {
        let mut changed = good;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(ring.verify(encode(&changed).as_ref()), None, "bit {bit}");
    }
    for position in 0..LENGTH {
        for character in (0..=255).filter(|character| *character != text.0[position]) {
            let mut changed = text.0;
            changed[position] = character;
            assert_eq!(ring.verify(&changed), None, "character {position} became {character}");
        }
    }
    for length in 0..LENGTH {
        assert_eq!(ring.verify(&text.0[..length]), None, "cut to {length}");
        assert_eq!(ring.verify(&text.0[LENGTH - length..]), None, "only the last {length}");
    }
}

/// Other rooms and generations have other tags, so a ticket says of which it is and cannot be made to say otherwise.
#[test]
fn a_ticket_is_of_one_room_and_generation() {
    let ring = ring(1, &[]);
    let ours = bytes(ring.sign(&ticket()));
    let others = [
        Ticket { room: room_tag("another"), ..ticket() },
        Ticket { generation: 1_586_600_001, ..ticket() },
        Ticket { number: 0, ..ticket() },
        Ticket { wave: 4, ..ticket() },
        Ticket { class: Class::Returning, ..ticket() },
        Ticket { identified: false, ..ticket() },
        Ticket { issued: ISSUED + Duration::from_millis(1), ..ticket() },
    ];
    for other in others {
        assert_eq!(ring.verify(ring.sign(&other).as_ref()), Some(other));
        let mut grafted = bytes(ring.sign(&other));
        grafted[BODY..].copy_from_slice(&ours[BODY..]);
        assert_eq!(ring.verify(encode(&grafted).as_ref()), None, "{other:?}");
    }
    assert_ne!(room_tag("another"), room_tag("opening"));
}

#[test]
fn old_keys_verify_and_never_sign() {
    let old = ring(1, &[]).sign(&ticket());
    assert_eq!(ring(2, &[]).verify(old.as_ref()), None, "a foreign key");
    assert_eq!(ring(2, &[3, 1]).verify(old.as_ref()), Some(ticket()), "the key was replaced");
    assert_eq!(ring(2, &[3, 1]).recognise(old.as_ref()), Some((ticket(), None)), "to be signed by the new one");
    assert_eq!(ring(2, &[3]).verify(old.as_ref()), None, "and then forgotten");
    let new = ring(2, &[1]).sign(&ticket());
    assert_ne!(new, old);
    assert_eq!(new, ring(2, &[]).sign(&ticket()));
    assert_eq!(ring(1, &[]).verify(new.as_ref()), None);
}

/// A pass is an HMAC of its body alone, by what may be the same key.
#[test]
fn nothing_else_that_the_key_signed_is_a_ticket() {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &[1; 32]);
    let body = ticket().body();
    let mut forged = [0; BYTES];
    forged[..BODY].copy_from_slice(&body);
    forged[BODY..].copy_from_slice(&hmac::sign(&key, &body).as_ref()[..MAC]);
    assert_eq!(ring(1, &[]).verify(encode(&forged).as_ref()), None);
}

#[test]
fn a_ticket_has_one_spelling() {
    let ring = ring(1, &[]);
    // A number whose text has both characters that other alphabets of base64 spell otherwise.
    let spelled = |text: &TicketText| text.to_string().contains('-') && text.to_string().contains('_');
    let text = (0..10_000).map(|number| ring.sign(&Ticket { number, ..ticket() })).find(spelled).unwrap().to_string();
    assert!(ring.verify(text.as_bytes()).is_some());
    for other in [
        text.replace('-', "+"),
        text.replace('_', "/"),
        format!("{text}="),
        format!("{text}===="),
        format!("{text}A"),
        format!(" {text}"),
        format!("{text}\n"),
        text.to_lowercase(),
        text.replace('-', "%2D"),
        String::new(),
    ] {
        assert_eq!(ring.verify(other.as_bytes()), None, "{other:?}");
    }
    // Every text of the alphabet is the only spelling of its bytes.
    let mut chance = fastrand::Rng::with_seed(2);
    for _ in 0..10_000 {
        let text = [(); LENGTH].map(|()| ALPHABET[chance.usize(..64)]);
        assert_eq!(encode(&decode(&text).unwrap()).0, text);
    }
}

#[test]
fn unknown_versions_flags_and_classes_are_refused_although_signed() {
    let ring = ring(1, &[]);
    let signed = |body: [u8; BODY]| {
        let mut bytes = [0; BYTES];
        bytes[..BODY].copy_from_slice(&body);
        bytes[BODY..].copy_from_slice(&sign(&ring.current, &body).as_ref()[..MAC]);
        ring.verify(encode(&bytes).as_ref())
    };
    let body = ticket().body();
    assert_eq!(signed(body), Some(ticket()));
    for version in (0..=255).filter(|version| *version != VERSION) {
        assert_eq!(signed([&[version], &body[1..]].concat().try_into().unwrap()), None);
    }
    for flags in 0..=255_u8 {
        let known = flags & !(CLASS | IDENTIFIED) == 0 && usize::from(flags & CLASS) < Class::COUNT;
        assert_eq!(
            signed([&[VERSION, flags], &body[2..]].concat().try_into().unwrap()).is_some(),
            known,
            "{flags:08b}"
        );
    }
}

#[test]
fn a_ticket_is_not_in_debug_forms_and_costs_no_memory() {
    let ring = ring(1, &[2]);
    let text = ring.sign(&ticket());
    assert_eq!(format!("{text:?}"), "TicketText(…)");
    let info = measure(|| {
        for _ in 0..100 {
            assert!(ring.verify(ring.sign(&ticket()).as_ref()).is_some());
            assert!(ring.verify(&[b'A'; LENGTH]).is_none());
        }
    });
    assert_eq!(info.count_total, 0);
}

/// Changes a good text, `forgeries()` times; whatever differs from the original is refused.
fn fuzz(seed: u64, forge: fn(&mut fastrand::Rng, &mut [u8; LENGTH])) {
    let ring = ring(1, &[]);
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut text = ring.sign(&ticket());
    let mut accepted = 0;
    for round in 0..forgeries() {
        if round % 1_024 == 0 {
            text = ring.sign(&random(&mut chance));
            assert!(ring.verify(&text.0).is_some());
        }
        let mut forged = text.0;
        forge(&mut chance, &mut forged);
        accepted += u32::from(forged != text.0 && ring.verify(&forged).is_some());
    }
    assert_eq!(accepted, 0);
}

#[test]
fn fuzz_characters() {
    fuzz(3, |chance, text| {
        for _ in 0..chance.usize(1..=4) {
            text[chance.usize(..LENGTH)] = ALPHABET[chance.usize(..64)];
        }
    });
}

#[test]
fn fuzz_bits() {
    fuzz(4, |chance, text| {
        let mut bytes = decode(text).unwrap();
        for _ in 0..chance.usize(1..=3) {
            bytes[chance.usize(..BYTES)] ^= 1 << chance.u8(..8);
        }
        *text = encode(&bytes).0;
    });
}

/// A smaller number, an earlier time, another class: what somebody would want to change.
#[test]
fn fuzz_bodies() {
    fuzz(5, |chance, text| {
        let mut bytes = decode(text).unwrap();
        let other = random(chance).body();
        let [from, to] = [chance.usize(..BODY), chance.usize(..=BODY)];
        let range = from.min(to)..from.max(to).max(from + 1);
        bytes[range.clone()].copy_from_slice(&other[range]);
        *text = encode(&bytes).0;
    });
}

#[test]
fn fuzz_garbage() {
    fuzz(6, |chance, text| {
        let whole = chance.bool();
        let from = if whole { 0 } else { chance.usize(..LENGTH) };
        for character in &mut text[from..] {
            *character = if chance.u8(..64) == 0 { chance.u8(..) } else { ALPHABET[chance.usize(..64)] };
        }
    });
}
