//! The ledgers of a run, side by side.
//!
//! **Invariants**: records stand in the order of their requests, those of one request at the services in the order in which they began; what
//! belongs to nobody of the population stands behind everybody. What a service did counts as a stage's only at that stage's own service: a
//! needed service logs the same request for itself.
//! **Cost**: two sorts, and eight bytes a person.

use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;

use serde::de::DeserializeOwned;

use super::abreast;
use super::facts::{Run, micros};
use super::journey::{Journey, place};
use crate::ledger::{
    Effect, Encoding, Ending, Folder, Kind, LedgerError, Reader, RequestId, Resources, Rolls, Said, Sample, Served,
    Told, Word,
};
use crate::scenario::FaultKind;
use crate::scenario::fault::{GatewayFault, Side};

/// After a gateway was killed or paused, so long until it answers everybody again.
const GATEWAY_BACK: u64 = 5_000_000;

/// A gateway that is restarted drains for at most so long (weir's `drain_timeout`) before the new one starts.
const GATEWAY_DRAINS: u64 = 30_000_000;

/// After a service or the network was disturbed, connections are made anew within this.
const SETTLED: u64 = 2_000_000;

/// Parts of the people for each thread.
const PARTS: u32 = 4;

/// Everything that was written during a run.
#[derive(Clone, Debug, Default)]
pub struct Ledgers {
    /// What people were told, in any order.
    pub told: Rolls,
    /// What the services did, in any order.
    pub served: Vec<Served>,
    /// What there was capacity for.
    pub samples: Vec<Sample>,
    /// What the gateway said of itself, in order of time.
    pub said: Vec<Said>,
    /// What each process used.
    pub resources: Vec<Resources>,
}

impl Ledgers {
    /// Reads those of `folder`, in which so many `workers` played people. What the gateway said and the processes used may be missing: there was no
    /// gateway.
    ///
    /// # Errors
    /// A ledger that must be there cannot be read, or is none.
    pub fn read(folder: &Folder, workers: usize) -> Result<Self, LedgerError> {
        let mut told = Rolls::default();
        for worker in 0..workers {
            for record in Reader::<Told>::open(&folder.told(worker))? {
                told.push(&record?);
            }
        }
        let lines = |path: std::path::PathBuf| if path.exists() { Some(path) } else { None };
        Ok(Self {
            told,
            served: records(&folder.served())?,
            samples: records(&folder.samples())?,
            said: lines(folder.said()).map_or(Ok(Vec::new()), |path| json_lines(&path))?,
            resources: lines(folder.resources()).map_or(Ok(Vec::new()), |path| json_lines(&path))?,
        })
    }
}

fn records<R: Encoding>(path: &Path) -> Result<Vec<R>, LedgerError> {
    Reader::open(path)?.collect()
}

/// A last line that is not whole ends it: its writer was killed.
fn json_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, LedgerError> {
    let unreadable = |error| LedgerError::Unreadable { path: path.to_owned(), error };
    let mut input = BufReader::new(std::fs::File::open(path).map_err(unreadable)?);
    let (mut values, mut line) = (Vec::new(), String::new());
    while input.read_line(&mut line).map_err(unreadable)? > 0 {
        match serde_json::from_str(&line) {
            Ok(value) => values.push(value),
            Err(_) if !line.ends_with('\n') => break,
            Err(error) => return Err(unreadable(error.into())),
        }
        line.clear();
    }
    Ok(values)
}

/// Spans of time in which something was disturbed.
#[derive(Clone, Debug, Default)]
pub(super) struct Spans(Vec<(u64, u64)>);

impl Spans {
    /// Whether one of them touches `from..=until`.
    pub(super) fn touch(&self, from: u64, until: u64) -> bool {
        self.0.iter().any(|(begin, end)| *begin <= until && from <= *end)
    }
}

/// What befell whom, as spans in which it excuses something.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    pub(super) gateway: Spans,
    pub(super) network: Spans,
    /// Of each service.
    pub(super) services: Vec<Spans>,
}

impl Faults {
    fn of(run: &Run<'_>) -> Self {
        let mut faults = Self { services: vec![Spans::default(); run.scenario.services.len()], ..Self::default() };
        for fault in &run.scenario.faults {
            let (from, until) = (micros(fault.at), micros(fault.at + fault.lasts));
            match fault.kind {
                FaultKind::Service { service, .. } => {
                    if let Some(spans) = faults.services.get_mut(usize::from(service)) {
                        spans.0.push((from, until + SETTLED));
                    }
                }
                // A reload harms nobody: that is promised.
                FaultKind::Gateway(GatewayFault::Reload) => {}
                FaultKind::Gateway(GatewayFault::Kill | GatewayFault::Pause) => {
                    faults.gateway.0.push((from, until + GATEWAY_BACK));
                }
                FaultKind::Gateway(GatewayFault::Restart) => {
                    faults.gateway.0.push((from, until + GATEWAY_DRAINS + GATEWAY_BACK));
                }
                FaultKind::Network { side: Side::Clients | Side::Services, .. } => {
                    faults.network.0.push((from, until + SETTLED));
                }
            }
        }
        faults
    }

    /// Whether gateway or network were disturbed.
    pub(super) fn on_the_way(&self, from: u64, until: u64) -> bool {
        self.gateway.touch(from, until) || self.network.touch(from, until)
    }

    /// Whether anything on the way to `service`, or it itself, was.
    pub(super) fn up_to(&self, service: Option<u8>, from: u64, until: u64) -> bool {
        let at = service.and_then(|service| self.services.get(usize::from(service)));
        self.on_the_way(from, until) || at.is_some_and(|spans| spans.touch(from, until))
    }

    /// Whether anything at all was.
    pub(super) fn any(&self, from: u64, until: u64) -> bool {
        self.on_the_way(from, until) || self.services.iter().any(|spans| spans.touch(from, until))
    }
}

/// A run, ready to be looked through.
#[derive(Debug)]
pub(super) struct Evidence<'a> {
    pub(super) run: &'a Run<'a>,
    pub(super) faults: Faults,
    pub(super) told: Rolls,
    /// The same without visits at the entrance at which somebody was only told his place again: most of what is asked, and most judges have
    /// nothing to look for there.
    pub(super) brief: Rolls,
    pub(super) served: Vec<Served>,
    pub(super) samples: Vec<Sample>,
    pub(super) said: Vec<Said>,
    pub(super) resources: Vec<Resources>,
    /// Where the records of each person begin in `served`; one more than there are people.
    begins: Vec<u32>,
    /// How each person fared at the entrance.
    pub(super) journeys: Vec<Journey>,
}

/// One person's records.
#[derive(Clone, Debug)]
pub(super) struct Records<'e> {
    pub(super) person: u32,
    pub(super) told: Rc<Vec<Told>>,
    pub(super) served: &'e [Served],
}

impl<'a> Evidence<'a> {
    pub(super) fn new(run: &'a Run<'a>, ledgers: Ledgers) -> Self {
        let Ledgers { told, mut served, mut samples, said, resources } = ledgers;
        served.sort_unstable_by_key(|served| (person_of(served), served.id.map(|id| id.request), served.started));
        samples.sort_unstable_by_key(|sample| (sample.service, sample.at, sample.server));
        let begins = begins(run.people.len(), &served);
        let (faults, journeys) = (Faults::of(run), Vec::new());
        let mut evidence =
            Self { run, faults, told, brief: Rolls::default(), served, samples, said, resources, begins, journeys };
        let (mut brief, mut journeys) = (Rolls::default(), Vec::with_capacity(run.people.len()));
        for (part, of) in abreast::each(&parts(evidence.population()), |part| evidence.sift(part.clone())) {
            brief.append(part);
            journeys.extend(of);
        }
        brief.extend(evidence.told.onwards(evidence.population()));
        (evidence.brief, evidence.journeys) = (brief, journeys);
        evidence
    }

    /// What says something of what `people` were told, as if the first of them were nought, and how they fared at the entrance.
    fn sift(&self, people: Range<u32>) -> (Rolls, Vec<Journey>) {
        let (first, mut brief, mut journeys) =
            (people.start, Rolls::new(people.len()), Vec::with_capacity(people.len()));
        for records in self.records(&self.told, people) {
            journeys.push(Journey::of(self, &records));
            for told in records.told.iter().filter(|told| !self.says_little(&records, told)) {
                brief.push(&Told { id: RequestId { person: told.id.person - first, ..told.id }, ..*told });
            }
        }
        (brief, journeys)
    }

    /// Everybody of the population, with his records.
    pub(super) fn people(&self) -> impl Iterator<Item = Records<'_>> {
        self.records(&self.told, 0..self.population())
    }

    /// Everybody of the population, without what is not in [`Evidence::brief`]: of whoever sent anything his first request is, and each that a service saw.
    pub(super) fn briefly(&self) -> impl Iterator<Item = Records<'_>> {
        self.records(&self.brief, 0..self.population())
    }

    fn records<'e>(&'e self, rolls: &'e Rolls, people: Range<u32>) -> impl Iterator<Item = Records<'e>> {
        let bounds = self.begins.iter().zip(self.begins.iter().skip(1)).skip(people.start as usize);
        let mut told = Rc::<Vec<Told>>::default();
        people.zip(bounds).map(move |(person, (from, until))| {
            // Where nobody holds those of the one before any more, in the same place.
            if Rc::get_mut(&mut told).is_none() {
                told = Rc::default();
            }
            if let Some(told) = Rc::get_mut(&mut told) {
                told.clear();
                told.extend(rolls.of(person));
                if !told.is_sorted_by_key(|told| told.id.request) {
                    told.sort_unstable_by_key(|told| told.id.request);
                }
            }
            let served = self.served.get(*from as usize..*until as usize).unwrap_or_default();
            Records { person, told: Rc::clone(&told), served }
        })
    }

    /// What people told who are nobody of the population.
    pub(super) fn told_by_strangers(&self) -> usize {
        self.told.onwards(self.population()).count()
    }

    /// How many people were to come.
    fn population(&self) -> u32 {
        u32::try_from(self.run.people.len()).unwrap_or(u32::MAX)
    }

    /// Whether `told` is only one more answer with a place at the entrance.
    fn says_little(&self, records: &Records<'_>, told: &Told) -> bool {
        told.word == Word::Place
            && told.ending == Ending::Answered
            && told.kind != Kind::Forged
            && told.stage == self.run.entrance()
            && place(told).is_some()
            && records.told.first().is_some_and(|first| first.id != told.id)
            && records.served_of(told.id.request).is_empty()
    }

    /// What was served to nobody of the population.
    pub(super) fn served_to_strangers(&self) -> &[Served] {
        let from = self.begins.last().copied().unwrap_or(0);
        self.served.get(from as usize..).unwrap_or_default()
    }

    /// Whether `served` is at the service of its stage, and not at one that this one needs.
    pub(super) fn is_own(&self, served: &Served) -> bool {
        self.run.service_of(served.stage) == Some(served.service)
    }

    /// Whether `served` changed something at the service of its stage.
    pub(super) fn is_effect(&self, served: &Served) -> bool {
        matches!(served.effect, Effect::First | Effect::Duplicate) && self.is_own(served)
    }

    /// The kind of person `person` is.
    pub(super) fn persona(&self, person: u32) -> Option<&crate::scenario::Persona> {
        let person = self.run.people.get(person as usize)?;
        self.run.scenario.personas.get(usize::from(person.persona))
    }

    /// Whether the gateway could know by `told` whose place is meant.
    pub(super) fn is_presented(&self, told: &Told) -> bool {
        let by_key = || self.persona(told.id.person).is_some_and(|persona| persona.keeps.key);
        told.shown || (self.run.declared.identity && by_key())
    }
}

impl<'e> Records<'e> {
    /// What the services did with request `number`.
    pub(super) fn served_of(&self, number: u32) -> &'e [Served] {
        let request = |served: &Served| served.id.map_or(u32::MAX, |id| id.request);
        let from = self.served.partition_point(|served| request(served) < number);
        let rest = self.served.get(from..).unwrap_or_default();
        let count = rest.iter().take_while(|served| request(served) == number).count();
        rest.get(..count).unwrap_or_default()
    }

    /// What was told of request `id`.
    pub(super) fn told_of(&self, id: RequestId) -> Option<&Told> {
        let found = self.told.binary_search_by_key(&id, |told| told.id).ok()?;
        self.told.get(found)
    }
}

/// Everybody, in parts that are looked at side by side: several a thread, for some people say more than others.
fn parts(population: u32) -> Vec<Range<u32>> {
    let threads = u32::try_from(abreast::threads()).unwrap_or(1);
    let size = population.div_ceil(threads.saturating_mul(PARTS)).max(1);
    (0..population.div_ceil(size)).map(|part| part * size..(part + 1).saturating_mul(size).min(population)).collect()
}

fn person_of(served: &Served) -> u32 {
    served.id.map_or(u32::MAX, |id| id.person)
}

fn begins(people: usize, served: &[Served]) -> Vec<u32> {
    let mut at = 0;
    let index = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    let mut begins = Vec::with_capacity(people + 1);
    for person in 0..=index(people) {
        at += served.iter().skip(at).take_while(|served| person_of(served) < person).count();
        begins.push(index(at));
    }
    begins
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_last_line_ends_a_file_and_a_torn_line_within_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = Folder::new(folder.path());
        std::fs::create_dir_all(folder.path()).expect("it is there");
        let whole = serde_json::to_string(&Said { at: 7, ..Said::default() }).expect("JSON");
        std::fs::write(folder.said(), format!("{whole}\n{whole}\n{{\"at\": 3")).expect("written");
        assert_eq!(json_lines::<Said>(&folder.said()).expect("two lines").len(), 2);
        std::fs::write(folder.said(), format!("{whole}\n{{\"at\"\n{whole}\n")).expect("written");
        assert!(json_lines::<Said>(&folder.said()).is_err());
    }

    #[test]
    fn spans_touch_at_their_ends() {
        let spans = Spans(vec![(10, 20)]);
        assert!(spans.touch(20, 30) && spans.touch(0, 10) && spans.touch(12, 13) && spans.touch(0, 99));
        assert!(!spans.touch(21, 30) && !spans.touch(0, 9));
    }
}
