//! Quantiles of times, with as many nines as there are values for.

use hdrhistogram::Histogram;

use super::Spectrum;
use crate::ledger::{Ending, Kind};
use crate::oracle::{Ledgers, Run};
use crate::scenario::persona::Waits;

/// Longer is not told apart: a day, in microseconds.
const LONGEST: u64 = 86_400_000_000;

/// Significant digits: a percent is finer than a plot.
const DIGITS: u8 = 2;

/// Points a tenfold of 1 / (1 − quantile).
const POINTS: i32 = 20;

/// From the intended instant, from the sending, and how late the sending was. Answers that were asked to be held do not count, as in `answer_p99`.
pub(super) fn all(run: &Run<'_>, ledgers: &Ledgers) -> Vec<Spectrum> {
    let histogram = || Histogram::<u64>::new_with_max(LONGEST, DIGITS).ok();
    let (Some(mut intended), Some(mut sent), Some(mut lag)) = (histogram(), histogram(), histogram()) else {
        return Vec::new();
    };
    let holds: Vec<bool> =
        run.scenario.personas.iter().map(|persona| matches!(persona.waits, Waits::Hold(_))).collect();
    for told in ledgers.told.iter() {
        lag.saturating_record(told.sent.saturating_sub(told.intended));
        let persona = run.people.get(told.id.person as usize).map_or(0, |person| usize::from(person.persona));
        let held = told.kind == Kind::Poll && holds.get(persona).copied().unwrap_or(false);
        if told.ending == Ending::Answered && !held {
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
