//! Quantiles of times, with as many nines as there are values for.

use hdrhistogram::Histogram;

use super::Spectrum;
use crate::ledger::{Ending, Kind};
use crate::oracle::{Ledgers, Run};
use crate::scenario::persona::{Persona, Waits};

/// Longer is not told apart: a day, in microseconds.
const LONGEST: u64 = 86_400_000_000;

/// Significant digits: a percent is finer than a plot.
const DIGITS: u8 = 2;

/// Points a tenfold of 1 / (1 − quantile).
const POINTS: i32 = 20;

/// From the intended instant, from the sending, and how late the sending was. Answers to people who attack, and those that were
/// asked to be held, do not count, as in `answer_p99`.
pub(super) fn all(run: &Run<'_>, ledgers: &Ledgers) -> Vec<Spectrum> {
    let histogram = || Histogram::<u64>::new_with_max(LONGEST, DIGITS).ok();
    let (Some(mut intended), Some(mut sent), Some(mut lag)) = (histogram(), histogram(), histogram()) else {
        return Vec::new();
    };
    for told in &ledgers.told {
        lag.saturating_record(told.sent.saturating_sub(told.intended));
        let person = run.people.get(told.id.person as usize);
        let persona = person.and_then(|person| run.scenario.personas.get(usize::from(person.persona)));
        let held = |persona: &Persona| told.kind == Kind::Poll && matches!(persona.waits, Waits::Hold(_));
        let judged = persona.is_none_or(|persona| persona.attack.is_none() && !held(persona));
        if told.ending == Ending::Answered && judged {
            intended.saturating_record(told.ended.saturating_sub(told.intended));
            sent.saturating_record(told.ended.saturating_sub(told.sent));
        }
    }
    let named = [
        ("answer, from the intended instant", &intended),
        ("answer, from the sending", &sent),
        ("harness sent late", &lag),
    ];
    named.into_iter().map(|(name, histogram)| spectrum(name, histogram)).collect()
}

fn spectrum(name: &str, histogram: &Histogram<u64>) -> Spectrum {
    let count = histogram.len();
    let mut points = Vec::new();
    for step in 0.. {
        let nines = 10_f64.powf(f64::from(step) / f64::from(POINTS));
        // Beyond it, a quantile is one value's.
        if nines > count as f64 {
            break;
        }
        points.push((nines, histogram.value_at_quantile(1.0 - 1.0 / nines) as f64 / 1e6));
    }
    Spectrum { name: name.to_owned(), count, points }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{RequestId, Told};
    use crate::oracle::{Declared, Person};
    use crate::people::tests::{persona, scenario};
    use crate::scenario::persona::Attack;

    #[test]
    fn answers_to_attackers_are_in_no_spectrum_but_that_of_the_harness() {
        let scenario = scenario(vec![persona(), Persona { attack: Some(Attack::Forge), ..persona() }]);
        let people = [0, 1].map(|persona| Person { persona, arrives: 0, leaves: 9 });
        let told = [0, 1].map(|person| {
            let told = Told::sent(RequestId { person, request: 0 }, 0, Kind::Submit, 0, 0);
            Told { ending: Ending::Answered, ended: 1_000, ..told }
        });
        let run = Run { scenario: &scenario, people: &people, declared: &Declared::default() };
        let counts = all(&run, &Ledgers { told: told.into(), ..Ledgers::default() });
        assert_eq!(counts.iter().map(|spectrum| spectrum.count).collect::<Vec<_>>(), [1, 1, 2]);
    }

    #[test]
    fn a_spectrum_has_as_many_nines_as_values() {
        let mut histogram = Histogram::new_with_max(LONGEST, DIGITS).expect("constants");
        (1..=1_000).for_each(|value| histogram.saturating_record(value * 1_000));
        let spectrum = spectrum("a", &histogram);
        let (nines, most) = spectrum.points.last().copied().expect("a point");
        assert!((999.0..=1_000.1).contains(&nines) && (0.99..1.02).contains(&most), "{nines} {most}");
        let median = spectrum.points.iter().find(|(nines, _)| *nines >= 1.99).map(|(_, value)| *value);
        assert!(median.is_some_and(|median| (0.49..0.52).contains(&median)), "{median:?}");
    }
}
