//! The journal's promises, each with the real thing where there is one.

mod disk;
mod faults;
mod frames;
mod kills;

use super::record::Record;

/// The `at`-th record of stream `number`: what is read back shows at once what is missing, twice there or out of place.
fn counted(number: u64, at: u32) -> Record {
    Record::State { number, state: 1, wave: 0, at }
}

/// What the records of [`counted`] say, in order.
fn counts(records: &[Record]) -> Vec<u32> {
    records
        .iter()
        .map(|record| match record {
            Record::State { at, .. } => *at,
            other => panic!("never appended: {other:?}"),
        })
        .collect()
}
