//! A run as its folder tells it: what was planned, who was to come, and what the gateway was configured to promise.
//!
//! **Invariants**: the same as when it was made: the scenario's copy, the seed and the time scale say everything.
//! **Not here**: what happened (`ledger`), and what is to be said of it (`oracle`).

use anyhow::anyhow;

use super::parts;
use super::plan::RunPlan;
use super::product::Product;
use crate::ledger::Folder;
use crate::oracle::facts::micros;
use crate::oracle::{Declared, Person, Run};
use crate::population;
use crate::scenario::{Scenario, promised::promised};
use crate::visitor::leaves;

/// What was run.
#[derive(Clone, Debug)]
pub struct Facts {
    /// As it was run: times, counts and quota already divided by the time scale.
    pub scenario: Scenario,
    /// Everybody who was to come.
    pub people: Vec<Person>,
    /// What the gateway promises.
    pub declared: Declared,
    /// Processes that played people, each of which left a ledger.
    pub workers: usize,
}

impl Facts {
    /// As the oracle wants it.
    #[must_use]
    pub fn run(&self) -> Run<'_> {
        Run { scenario: &self.scenario, people: &self.people, declared: &self.declared }
    }
}

/// Reads the run in `folder`.
///
/// # Errors
/// A file of it is missing or cannot be read.
pub fn read(folder: &Folder) -> anyhow::Result<Facts> {
    let plan = RunPlan::read(folder)?;
    let scenario = parts::read_again(folder, &plan)?;
    let (people, _) = parts::population(&scenario, plan.seed);
    let declared = match plan.gateway {
        Some(_) if plan.product == Product::Weir => {
            promised(&folder.gateway(), &scenario).map_err(|report| anyhow!("{report}"))?
        }
        // Nobody promises anything.
        _ => Declared { identity: false, ..Declared::default() },
    };
    Ok(Facts { people: expected(&scenario, &people), scenario, declared, workers: plan.workers })
}

/// Those of a run that was simulated.
#[must_use]
pub fn simulated(scenario: Scenario, people: &[population::Person], declared: Declared) -> Facts {
    Facts { people: expected(&scenario, people), scenario, declared, workers: 1 }
}

fn expected(scenario: &Scenario, people: &[population::Person]) -> Vec<Person> {
    let expected = |person: &population::Person| {
        let persona = scenario.personas.get(usize::from(person.persona))?;
        let arrives = micros(person.arrives);
        let leaves = leaves(persona, arrives, &mut fastrand::Rng::with_seed(person.seed));
        Some(Person { persona: person.persona, arrives, leaves })
    };
    people.iter().filter_map(expected).collect()
}
