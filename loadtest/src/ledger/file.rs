//! Records of one length in a file, behind a header.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

/// How a record stands in a file: always [`Encoding::LENGTH`] bytes, little-endian.
pub trait Encoding: Sized {
    /// First bytes of the file: the kind and its version.
    const NAME: &'static [u8; 8];
    /// Bytes a record.
    const LENGTH: usize;

    /// Appends exactly [`Encoding::LENGTH`] bytes to `out`.
    fn write(&self, out: &mut Vec<u8>);

    /// Reads a record; none if the bytes are not one.
    fn read(bytes: &[u8]) -> Option<Self>;
}

/// Why a ledger cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file cannot be read at all.
    #[error("cannot read the ledger {path}: {error}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It begins otherwise, or has a record that is none.
    #[error("{path} is not a ledger of this version: wanted `{wanted}`, record {record}")]
    Foreign {
        /// Which.
        path: PathBuf,
        /// Its header.
        wanted: String,
        /// Number of the record that is none; 0 is the header.
        record: u64,
    },
}

/// A ledger that is being written. Buffered: what counts is flushed by [`Writer::flush`].
#[derive(Debug)]
pub struct Writer<R> {
    out: BufWriter<File>,
    record: Vec<u8>,
    kind: PhantomData<R>,
}

impl<R: Encoding> Writer<R> {
    /// Begins the ledger at `path`, or goes on with it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().create(true).append(true).open(path)?;
        let begins = file.metadata()?.len() == 0;
        let mut out = BufWriter::new(file);
        if begins {
            out.write_all(R::NAME)?;
        }
        Ok(Self { out, record: Vec::with_capacity(R::LENGTH), kind: PhantomData })
    }

    /// Appends `record`.
    pub fn append(&mut self, record: &R) -> io::Result<()> {
        self.record.clear();
        record.write(&mut self.record);
        debug_assert_eq!(self.record.len(), R::LENGTH, "a record has one length");
        self.out.write_all(&self.record)
    }

    /// Hands everything to the system, so that it survives this process.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The records of a ledger in the order in which they were written. A last record that is not whole ends it.
#[derive(Debug)]
pub struct Reader<R> {
    input: BufReader<File>,
    path: PathBuf,
    record: Vec<u8>,
    number: u64,
    kind: PhantomData<R>,
}

impl<R: Encoding> Reader<R> {
    /// Opens the ledger at `path`.
    ///
    /// # Errors
    /// It cannot be read or is of another kind or version.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let unreadable = |error| LedgerError::Unreadable { path: path.to_owned(), error };
        let mut input = BufReader::new(File::open(path).map_err(unreadable)?);
        let mut name = [0; 8];
        input.read_exact(&mut name).map_err(unreadable)?;
        let reader = Self { input, path: path.to_owned(), record: vec![0; R::LENGTH], number: 0, kind: PhantomData };
        if name == *R::NAME { Ok(reader) } else { Err(reader.foreign()) }
    }

    fn foreign(&self) -> LedgerError {
        let wanted = String::from_utf8_lossy(R::NAME).into_owned();
        LedgerError::Foreign { path: self.path.clone(), wanted, record: self.number }
    }
}

impl<R: Encoding> Iterator for Reader<R> {
    type Item = Result<R, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.input.read_exact(&mut self.record) {
            Ok(()) => {
                self.number += 1;
                Some(R::read(&self.record).ok_or_else(|| self.foreign()))
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(error) => Some(Err(LedgerError::Unreadable { path: self.path.clone(), error })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Effect, Ending, Kind, RequestId, Sample, Served, Told, Word};

    fn told() -> Told {
        let id = RequestId { person: 7, request: 3 };
        Told {
            tab: 1,
            ending: Ending::Answered,
            word: Word::Place,
            shown: true,
            status: 503,
            ended: 1_500,
            retry_after: 2_000,
            place: 40_000,
            ahead: 12_345,
            eta_p50: 60_000,
            eta_p90: 90_000,
            ..Told::sent(id, 2, Kind::Poll, 1_000, 1_010)
        }
    }

    fn served(id: Option<RequestId>) -> Served {
        Served {
            id,
            service: 1,
            server: 2,
            effect: Effect::Duplicate,
            status: 201,
            heard: true,
            stage: 4,
            in_flight: 64,
            started: 2_000,
            done: 9_000,
            work: 1.25,
            key: 0xfeed,
        }
    }

    fn there_and_back<R: Encoding + PartialEq + std::fmt::Debug>(records: &[R]) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger");
        for record in records {
            // A new writer each: a ledger goes on where it was.
            let mut writer = Writer::open(&path).expect("a ledger");
            writer.append(record).and_then(|()| writer.flush()).expect("written");
        }
        let read: Vec<R> = Reader::open(&path).expect("a ledger").map(|record| record.expect("a record")).collect();
        assert_eq!(read, records);
        // Torn in the middle of the last record.
        let length = std::fs::metadata(&path).expect("it is there").len();
        File::options().write(true).open(&path).and_then(|file| file.set_len(length - 5)).expect("torn");
        assert_eq!(Reader::<R>::open(&path).expect("a ledger").count(), records.len() - 1);
    }

    #[test]
    fn records_are_read_as_they_were_written_up_to_the_last_whole_one() {
        there_and_back(&[told(), Told { place: 1, ..told() }]);
        there_and_back(&[served(None), served(Some(RequestId { person: 0, request: 0 }))]);
        there_and_back(&[Sample { at: 50_000, service: 1, server: 0, in_flight: 5, work: 1.5, capacity: 2.5 }]);
    }

    #[test]
    fn what_is_no_ledger_is_not_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger");
        drop(Writer::<Sample>::open(&path).expect("a ledger"));
        assert!(matches!(Reader::<Told>::open(&path), Err(LedgerError::Foreign { record: 0, .. })));
        std::fs::write(&path, [&Told::NAME[..], &[0xff; Told::LENGTH]].concat()).expect("written");
        let mut reader = Reader::<Told>::open(&path).expect("a header");
        assert!(matches!(reader.next(), Some(Err(LedgerError::Foreign { record: 1, .. }))));
        assert!(matches!(Reader::<Told>::open(&folder.path().join("none")), Err(LedgerError::Unreadable { .. })));
    }
}
