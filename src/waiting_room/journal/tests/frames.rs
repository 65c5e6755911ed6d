use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::super::frame::{Frame, decode, encode};
use super::super::replay::{Damage, Extent, HEADER, Header, replay};
use super::super::{LotSecret, NUMBERS, Record, STATES};

const WHOSE: Header = Header { room: 0x0102_0304, generation: 1_775_908_800 };

fn record() -> impl Strategy<Value = Record> {
    let number = || prop_oneof![0..NUMBERS, Just(0), Just(NUMBERS - 1)];
    prop_oneof![
        number().prop_map(|issued_until| Record::Lease { issued_until }),
        number().prop_map(|position| Record::Serving { position }),
        number().prop_map(|number| Record::Returned { number }),
        (number(), number(), any::<[u8; 8]>()).prop_map(|(number, issued, tag)| Record::Registered {
            number,
            issued,
            tag
        }),
        (any::<u64>(), number()).prop_map(|(hash, number)| Record::Identity { hash, number }),
        (number(), 0..STATES, any::<u8>(), any::<u32>()).prop_map(|(number, state, wave, at)| Record::State {
            number,
            state,
            wave,
            at
        }),
        (any::<u8>(), any::<[u8; 32]>()).prop_map(|(wave, secret)| Record::Secret { wave, secret: LotSecret(secret) }),
        (any::<u8>(), number(), any::<u32>(), any::<u64>(), any::<[u8; 32]>())
            .prop_map(|(wave, first, count, opens, root)| Record::Draw { wave, first, count, opens, root }),
        (any::<u16>(), 0..NUMBERS).prop_map(|(code, first)| Record::Wave { code, first }),
        (any::<u8>(), number(), number(), number()).prop_map(|(wave, first, fresh, end)| Record::Roll {
            wave,
            first,
            fresh,
            end
        }),
        (number(), number()).prop_map(|(from, until)| Record::Fresh { from, until }),
        (number(), number()).prop_map(|(from, until)| Record::Skipped { from, until }),
        any::<bool>().prop_map(Record::Paused),
        (any::<u8>(), any::<u64>()).prop_map(|(wave, count)| Record::Taken { wave, count }),
        (0..NUMBERS, proptest::option::of(0..NUMBERS)).prop_map(|(front, ordered)| Record::Recovery { front, ordered }),
        (0..NUMBERS, any::<u32>(), 0..NUMBERS).prop_map(|(number, generation, old)| Record::Recovered {
            number,
            generation,
            old
        }),
    ]
}

/// A journal as it stands in a file.
#[derive(Clone, Debug)]
struct Written {
    bytes: Vec<u8>,
    /// Each record with where its frame begins and ends.
    records: Vec<(Record, usize, usize)>,
    /// What is before was on the disk: the header from its beginning, and all that a mark covers.
    durable: usize,
}

impl Written {
    /// `marked` says behind which records there was a sync.
    fn new(records: &[(Record, bool)]) -> Self {
        let mut written = Self { bytes: WHOSE.encode().to_vec(), records: Vec::new(), durable: HEADER };
        for (record, marked) in records {
            let start = written.bytes.len();
            encode(&mut written.bytes, start as u64, &Frame::Record(*record));
            written.records.push((*record, start, written.bytes.len()));
            if *marked {
                written.durable = written.bytes.len();
                encode(&mut written.bytes, written.durable as u64, &Frame::Mark { durable: written.durable as u64 });
            }
        }
        written
    }

    /// The records that end at or before `offset`.
    fn until(&self, offset: usize) -> Vec<Record> {
        self.records.iter().filter(|(_, _, end)| *end <= offset).map(|(record, ..)| *record).collect()
    }
}

fn written() -> impl Strategy<Value = Written> {
    vec((record(), prop::bool::weighted(0.2)), 1..40).prop_map(|records| Written::new(&records))
}

fn read(bytes: &[u8]) -> (Vec<Record>, Result<Extent, Damage>) {
    let mut records = Vec::new();
    let extent = replay(bytes, |record| records.push(record));
    (records, extent)
}

proptest! {
    #[test]
    fn a_record_is_read_as_it_was_written(record in record(), offset in any::<u64>()) {
        let mut bytes = Vec::new();
        encode(&mut bytes, offset, &Frame::Record(record));
        prop_assert_eq!(bytes.len() as u64, record.encoded_len());
        prop_assert_eq!(decode(&bytes, offset), Some((Frame::Record(record), bytes.len())));
        prop_assert_eq!(decode(&bytes, offset.wrapping_add(8)), None, "a frame belongs to its place");
    }

    #[test]
    fn a_prefix_gives_a_prefix(written in written(), cut in any::<Index>()) {
        let cut = HEADER + cut.index(written.bytes.len() + 1 - HEADER);
        let (records, extent) = read(&written.bytes[..cut]);
        let extent = extent.unwrap();
        prop_assert_eq!(&records, &written.until(cut));
        prop_assert_eq!(extent.header, WHOSE);
        prop_assert_eq!(extent.records, records.len() as u64);
        prop_assert_eq!(extent.end + extent.torn, cut as u64);
        prop_assert_eq!(read(&written.bytes[..usize::try_from(extent.end).unwrap()]).1.unwrap().torn, 0);
    }

    #[test]
    fn a_flipped_bit_is_found_or_cut_off(written in written(), at in any::<Index>(), bit in 0..8_u32) {
        let at = at.index(written.bytes.len());
        let mut bytes = written.bytes.clone();
        bytes[at] ^= 1 << bit;
        let (records, extent) = read(&bytes);
        // Nothing of what stands at or behind the damage is read.
        prop_assert_eq!(&records, &if at < HEADER { Vec::new() } else { written.until(at) });
        match extent {
            Err(Damage::Corrupt(offset)) => prop_assert!(offset <= at as u64 && at < written.durable),
            Err(Damage::Foreign | Damage::Version(_)) => prop_assert!(at < HEADER),
            Err(Damage::Io(error)) => panic!("{error}"),
            Ok(extent) => {
                prop_assert!(at >= written.durable, "was on the disk once, and is passed over");
                prop_assert!(extent.end <= at as u64);
            }
        }
    }

    #[test]
    fn what_is_missing_or_twice_there_is_found(written in written(), at in any::<Index>(), twice in any::<bool>()) {
        let (_, start, end) = written.records[at.index(written.records.len())];
        let mut bytes = written.bytes.clone();
        let frame = bytes[start..end].to_vec();
        if twice {
            bytes.splice(end..end, frame);
        } else {
            bytes.drain(start..end);
        }
        let (records, _) = read(&bytes);
        prop_assert_eq!(records, written.until(if twice { end } else { start }));
    }

    #[test]
    fn no_input_panics(noise in vec(any::<u8>(), 0..4000), with_header in any::<bool>()) {
        let mut bytes = if with_header { WHOSE.encode().to_vec() } else { Vec::new() };
        bytes.extend(noise);
        let (records, extent) = read(&bytes);
        prop_assert_eq!(records, []);
        prop_assert_eq!(extent.is_ok(), with_header);
    }
}

#[test]
fn bytes_that_a_kind_does_not_use_are_zero() {
    let mut bytes = Vec::new();
    encode(&mut bytes, 0, &Frame::Record(Record::Lease { issued_until: 7 }));
    let sum = |bytes: &[u8]| {
        let mut sum = super::super::checksum::Checksum::NEW.with([0; 8]);
        let mut zeroed = bytes.to_vec();
        zeroed[..4].fill(0);
        for word in zeroed.as_chunks().0 {
            sum = sum.with(*word);
        }
        sum.value()
    };
    assert_eq!(bytes[..4], sum(&bytes).to_le_bytes(), "the test computes what the frame has");
    // The state's bits, the wave, the padding.
    for (at, bit) in [(4, 0x20), (5, 1), (12, 1), (15, 0x80)] {
        let mut other = bytes.clone();
        other[at] |= bit;
        let own = sum(&other).to_le_bytes();
        other[..4].copy_from_slice(&own);
        assert_eq!(decode(&other, 0), None, "byte {at}");
    }
}

#[test]
fn a_number_that_is_too_great_is_written_as_the_greatest() {
    let mut bytes = Vec::new();
    encode(&mut bytes, 0, &Frame::Record(Record::State { number: NUMBERS + 5, state: STATES + 1, wave: 0, at: 0 }));
    let greatest = Record::State { number: NUMBERS - 1, state: STATES - 1, wave: 0, at: 0 };
    assert_eq!(decode(&bytes, 0), Some((Frame::Record(greatest), 16)));
}

/// After a power cut, blocks that were not synced are there or not, in any order.
#[test]
fn a_hole_behind_the_last_mark_ends_the_journal_and_before_it_is_damage() {
    let records: Vec<_> = (0..20_000).map(|number| (Record::Returned { number }, number == 10_000)).collect();
    let written = Written::new(&records);
    for (number, found) in [(15_000, None), (5_000, Some(HEADER as u64 + 5_000 * 16))] {
        let (_, start, _) = written.records[number];
        let mut bytes = written.bytes.clone();
        bytes[start..start + 4096].fill(0);
        let (read, extent) = read(&bytes);
        assert_eq!(read, written.until(start));
        match (extent, found) {
            (Ok(extent), None) => assert_eq!(extent.end, start as u64),
            (Err(Damage::Corrupt(offset)), Some(found)) => assert_eq!(offset, found),
            (other, _) => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_mark_cannot_cover_what_is_behind_it() {
    let mut bytes = WHOSE.encode().to_vec();
    encode(&mut bytes, HEADER as u64, &Frame::Mark { durable: 1 << 40 });
    assert!(matches!(read(&bytes).1, Err(Damage::Corrupt(offset)) if offset == HEADER as u64));
}

#[test]
fn a_secret_is_not_shown() {
    let record = Record::Secret { wave: 0, secret: LotSecret([0xab; 32]) };
    let shown = format!("{record:?}");
    assert!(shown.contains("LotSecret(..)") && !shown.contains("171"), "{shown}");
}
