//! Recomputes a published draw and says exactly what does not match.
//!
//! Each relation is checked between what the document states, so that one change is told as what it is and not as everything
//! that would have followed: secret → commitment, registrations → root, secret, root and terms → seed, seed → places.
//!
//! **Invariants**: no fault only if all of them hold for the very bytes of the document; nothing in it can make this panic or keep
//! more than it has lines.
//! **Cost**: two hashes and the reading of a line a registration; 4 bytes kept of each.
//! **Not here**: what the numbers are (the module above).

use std::io::{self, BufRead, Read as _};

use super::digest::{Digest, Secret, commitment};
use super::document::{Entry, Head, LINE_MAX};
use super::draw::{Terms, seed};
use super::receipt::{Drawn, Receipt};
use super::registration::{Roll, RollError};
use super::shuffle::places;

/// Faults that are kept; the rest are counted. If nothing matches, the first few say so as well.
pub const FAULTS_MAX: usize = 20;

/// One thing that does not match. Lines are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The first line cannot be read, so nothing else can be checked.
    #[error("line 1: not the head of a draw as weir writes it")]
    Head,
    /// A line cannot be read.
    #[error("line {0}: not a registration as weir writes it")]
    Line(u64),
    /// A number is not above all before it.
    #[error("line {line}: {error}")]
    Order {
        /// The line.
        line: u64,
        /// What is wrong with it.
        error: RollError,
    },
    /// The secret is not what was committed to.
    #[error("the secret is not that of the commitment: it would be {0}")]
    Commitment(Digest),
    /// There are other registrations than the root is of.
    #[error("the registrations have another root: {0}")]
    Root(Digest),
    /// The seed does not follow from what it is said to follow from.
    #[error("room, generation, wave, count, secret and root give another seed: {0}")]
    Seed(Digest),
    /// Not so many registrations.
    #[error("{found} registrations, where the head counts {stated}")]
    Count {
        /// By the head.
        stated: u32,
        /// In the document.
        found: u32,
    },
    /// Somebody has another place.
    #[error("line {line}: place {stated} was not drawn; it is {computed}")]
    Place {
        /// The line.
        line: u64,
        /// In the document.
        stated: u32,
        /// As it follows from the seed.
        computed: u32,
    },
    /// The receipt's number is not in the document.
    #[error("receipt: number {0} is not in this draw")]
    Missing(u64),
    /// The receipt says something else.
    #[error("receipt: its {0} is not that of this draw")]
    Receipt(&'static str),
    /// The receipt's path does not lead to its root.
    #[error("receipt: its path does not lead from the registration to the root")]
    Path,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finding {
    /// The lobby that the document says was drawn, if it says so.
    pub terms: Option<Terms>,
    /// Registrations in the document.
    pub count: u32,
    /// Place of the receipt's holder by the document, from 1.
    pub place: Option<u32>,
    /// What does not match, at most [`FAULTS_MAX`].
    pub faults: Vec<Fault>,
    /// And how much else does not.
    pub more: u64,
}

/// The entry that a receipt is of, and its index.
#[derive(Clone, Copy, Debug)]
struct Found {
    index: u32,
    entry: Entry,
}

/// Recomputes `document`, and compares it with `receipt` if there is one.
///
/// # Errors
/// Reading fails.
pub fn verify(mut document: impl BufRead, receipt: Option<&Receipt>) -> io::Result<Finding> {
    let mut finding = Finding::default();
    let mut line = Vec::new();
    read_line(&mut document, &mut line)?;
    let Some(head) = whole(&line).and_then(Head::read) else {
        finding.fault(Fault::Head);
        return Ok(finding);
    };
    finding.terms = Some(head.terms());
    finding.check(commitment(&Secret::new(head.secret.0)), head.commitment, Fault::Commitment);
    let (roll, stated, found) = entries(&mut document, receipt, &mut finding)?;
    finding.count = roll.count();
    if finding.count != head.count {
        finding.fault(Fault::Count { stated: head.count, found: finding.count });
    }
    finding.check(roll.close().root(), head.root, Fault::Root);
    finding.check(seed(&head.secret, &head.root, head.count, &head.terms()), head.seed, Fault::Seed);
    // Every place would be another one, and the count is told already.
    if finding.count == head.count {
        finding.compare_places(&places(&head.seed, head.count), &stated);
    }
    if let Some(receipt) = receipt {
        finding.place = found.map(|found| found.entry.place);
        finding.compare_receipt(receipt, &head, found);
    }
    Ok(finding)
}

/// The registrations of `document` behind its head: the roll, the place of each, and the one of `receipt`.
fn entries(
    document: &mut impl BufRead,
    receipt: Option<&Receipt>,
    finding: &mut Finding,
) -> io::Result<(Roll, Vec<u32>, Option<Found>)> {
    let (mut roll, mut stated, mut found) = (Roll::default(), Vec::new(), None);
    let (mut line, mut scratch, mut number) = (Vec::new(), Vec::new(), 1_u64);
    while read_line(document, &mut line)? {
        number = number.saturating_add(1);
        let Some(entry) = whole(&line).and_then(|line| Entry::read(line, &mut scratch)) else {
            finding.fault(Fault::Line(number));
            continue;
        };
        let index = roll.count();
        if let Err(error) = roll.enter(&entry.registration) {
            finding.fault(Fault::Order { line: number, error });
            continue;
        }
        stated.push(entry.place);
        if receipt.is_some_and(|receipt| receipt.number == entry.registration.number) {
            found = Some(Found { index, entry });
        }
    }
    Ok((roll, stated, found))
}

/// Reads the next line into `line`, at most [`LINE_MAX`] bytes of it; false at the end.
fn read_line(document: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    document.take(LINE_MAX).read_until(b'\n', line)?;
    Ok(!line.is_empty())
}

/// A line without its end; [`None`] if it has none, because it is too long or cut off.
fn whole(line: &[u8]) -> Option<&[u8]> {
    line.strip_suffix(b"\n")
}

impl Finding {
    /// Whether everything matches.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.faults.is_empty()
    }

    fn fault(&mut self, fault: Fault) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(fault);
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    fn check(&mut self, computed: Digest, stated: Digest, fault: impl FnOnce(Digest) -> Fault) {
        if computed != stated {
            self.fault(fault(computed));
        }
    }

    fn compare_places(&mut self, computed: &[u32], stated: &[u32]) {
        // Behind the head, and no line was passed over: then the count would differ.
        for ((line, computed), stated) in (2..).zip(computed).zip(stated) {
            let computed = computed.saturating_add(1);
            if computed != *stated {
                self.fault(Fault::Place { line, stated: *stated, computed });
            }
        }
    }

    fn compare_receipt(&mut self, receipt: &Receipt, head: &Head, found: Option<Found>) {
        let terms = Terms { room: receipt.room.clone(), generation: receipt.generation, wave: receipt.wave };
        for (same, what) in
            [(terms == head.terms(), "room, generation or wave"), (receipt.commitment == head.commitment, "commitment")]
        {
            self.same(same, what);
        }
        let Some(Found { index, entry }) = found else {
            self.fault(Fault::Missing(receipt.number));
            return;
        };
        self.same(receipt.issued == entry.registration.issued, "instant of issue");
        self.same(receipt.tag == entry.registration.tag, "tag");
        if let Some(Drawn { index: at, count, place, root, secret, path }) = &receipt.drawn {
            self.same(*at == index, "index");
            self.same(*count == head.count, "count");
            self.same(*place == entry.place, "place");
            self.same(*root == head.root, "root");
            self.same(*secret == head.secret, "secret");
            if path.root(receipt.registration().leaf(), *at, *count) != Some(*root) {
                self.fault(Fault::Path);
            }
        }
    }

    fn same(&mut self, same: bool, what: &'static str) {
        if !same {
            self.fault(Fault::Receipt(what));
        }
    }
}
