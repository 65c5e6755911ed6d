//! The three ledgers of a run: what each person was told, what the services did, and what the gateway said of itself.
//!
//! People and services write records of a fixed length behind a header that names the kind and version; what the gateway says, which is
//! little, is JSON, a line each. A ledger is only ever appended to: what a killed process wrote is read up to its last whole record.
//!
//! **Invariants**: a record is joined with another by the number of the request, [`RequestId`], which the harness puts into each request and
//! services log; nothing of the gateway is believed for that. Times are microseconds from the common start of the run (negative instants do not exist).
//! **Cost**: 64 bytes a record; a million requests are 64 MB in each of two ledgers.
//! **Not here**: what follows from them (`oracle`).

pub mod folder;
pub mod rolls;
pub mod said;
pub mod served;
pub mod told;

mod file;
mod named;

pub use self::file::{Encoding, LedgerError, Reader, Writer};
pub use self::folder::Folder;
pub use self::named::Named;
pub use self::rolls::Rolls;
pub use self::said::{Resources, Said};
pub use self::served::{Effect, Sample, Served, key_hash};
pub use self::told::{Ending, Kind, Told, Word};

use std::fmt;
use std::str::FromStr;

/// The header with the number of a request: `loadtest-request: 17-3`.
pub const REQUEST: &str = "loadtest-request";

/// No time, no number: the field was not told.
pub const NONE: u32 = u32::MAX;

/// The number of a request: a person, and the how-many-eth of that person's requests, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId {
    /// Index into the population.
    pub person: u32,
    /// Counts the person's requests, of all tabs.
    pub request: u32,
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.person, self.request)
    }
}

impl FromStr for RequestId {
    type Err = NotARequest;

    fn from_str(text: &str) -> Result<Self, NotARequest> {
        let (person, request) = text.split_once('-').ok_or(NotARequest)?;
        let number = |digits: &str| digits.parse().map_err(|_| NotARequest);
        Ok(Self { person: number(person)?, request: number(request)? })
    }
}

/// Not the number of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the number of a request: wanted PERSON-REQUEST such as 17-3")]
pub struct NotARequest;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_requests_survive_the_wire() {
        let id = RequestId { person: 1_432_132, request: 30 };
        assert_eq!(id.to_string().parse(), Ok(id));
        for wrong in ["", "17", "17-", "-3", "17-3-1", "a-b", "4294967296-0"] {
            assert_eq!(wrong.parse::<RequestId>(), Err(NotARequest), "{wrong}");
        }
    }
}
