//! Arrivals built: their times in order and within the day, and people enough and not too many.

use std::time::Duration;

use weir::config::explain::Faults;
use weir::config::reader::Written;
use weir::config::units::spell;

use super::{Known, add, index_of};
use crate::scenario::read::arrivals::{Arrivals as Draft, Curve as Form, MOST_PEOPLE};
use crate::scenario::read::value::LONGEST;
use crate::scenario::{Arrivals, Curve, PersonaIndex};

/// The source of people that `draft` is; none if it has a fault.
pub(super) fn source(draft: &Draft, known: &Known, faults: &mut Faults<'_>) -> Option<Arrivals> {
    let personas: Vec<PersonaIndex> =
        draft.personas.iter().filter_map(|name| index_of(&known.personas, name, faults)).collect();
    let end = known.duration.unwrap_or(LONGEST);
    let mut late = |at: &Written<Duration>| {
        if at.value > end {
            let message = format!("{} is after the end of the arrivals, {}", spell(at.value), spell(end));
            add(faults, &at.span, message, "nobody would come so late");
        }
    };
    let curve = match draft.curve.as_ref()? {
        Form::People { people, at, over } => {
            late(&Written { value: at.value + over.unwrap_or_default(), span: at.span.clone() });
            let at = at.value;
            match over {
                None => Curve::AtOnce { at, people: people.value },
                Some(over) => {
                    let rate = people.value as f64 / over.as_secs_f64();
                    Curve::Points(vec![(at, rate), (at + *over, rate)])
                }
            }
        }
        Form::Points(points) => {
            points.value.iter().for_each(|point| late(&at_of(point)));
            check_order(&points.value, 2, faults);
            Curve::Points(points.value.iter().map(|point| point.value).collect())
        }
        Form::Trace(rows) => {
            rows.value.iter().for_each(|row| late(&at_of(row)));
            check_order(&rows.value, 1, faults);
            Curve::Trace(rows.value.iter().map(|row| row.value).collect())
        }
    };
    Some(Arrivals { curve, process: draft.process, personas })
}

fn at_of<V>(written: &Written<(Duration, V)>) -> Written<Duration> {
    Written { value: written.value.0, span: written.span.clone() }
}

/// Times ascend; up to `same` neighbours may have the same.
fn check_order<V>(points: &[Written<(Duration, V)>], same: usize, faults: &mut Faults<'_>) {
    let mut equal = 1;
    for pair in points.windows(2) {
        let [before, after] = pair else { continue };
        let (earlier, later) = (before.value.0, after.value.0);
        equal = if earlier == later { equal + 1 } else { 1 };
        if later < earlier {
            let message = format!("{} comes before {}", spell(later), spell(earlier));
            add(faults, &after.span, message, "times go forward");
        } else if equal == same + 1 {
            let message = format!("{} is there {} times", spell(later), equal);
            add(faults, &after.span, message, if same == 2 { "two make a step" } else { "once is enough" });
        }
    }
}

/// Somebody comes, and not more than there is memory for.
pub(super) fn check_people(drafts: &[Draft], built: &[Arrivals], known: &Known, faults: &mut Faults<'_>) {
    let Some(duration) = known.duration else { return };
    if built.len() < drafts.len() {
        return;
    }
    let mut sum = 0.0;
    for (draft, source) in drafts.iter().zip(built) {
        let people = source.curve.people(duration);
        sum += people;
        if people < 0.5 {
            add(faults, &draft.span, "nobody comes by these arrivals".to_owned(), "the rate is 0 all the time");
        } else if sum > MOST_PEOPLE as f64 {
            let message = format!("{sum:.0} people come, more than {MOST_PEOPLE}");
            add(faults, &draft.span, message, "with these");
            return;
        }
    }
}
