//! How long ago people were let in: by the second at first, later in spans that grow with the age.
//!
//! Most of a way is walked in minutes, and there a second matters. Whoever takes a quarter of an hour over a form comes at a time
//! that is not known to the second either, and a day is as long as a pass lives.
//!
//! **Invariants**: everybody is in one span, that of his age, until he is a day old; then he is in none.
//! **Cost**: an addition a span each second.
//! **Bound**: 653 spans, and a day of people by the second (340 KiB).

/// So long people are told apart by the second.
const BY_THE_SECOND: u32 = 600;

/// A later span is as long as this part of the age it begins at.
const PART: u32 = 10;

/// The longest life that a pass may be given.
const DAY: u32 = 86_400;

/// The spans, and who is in which.
#[derive(Debug)]
pub(super) struct Ages {
    /// Ages at which spans begin, and the age at which the last ends.
    bounds: Box<[u32]>,
    /// Seconds that each span is long.
    widths: Box<[f64]>,
    /// Who was given a pass, by span.
    people: Box<[f64]>,
    /// Who was given a pass in each second of the last day; the second's place is its remainder.
    granted: Box<[u32]>,
    second: u64,
}

impl Ages {
    /// Nobody was let in yet.
    pub(super) fn new() -> Self {
        let bounds = bounds();
        let widths: Box<[f64]> =
            bounds.iter().zip(bounds.iter().skip(1)).map(|(from, to)| f64::from(to - from)).collect();
        let people = widths.iter().map(|_| 0.0).collect();
        let granted = std::iter::repeat_n(0, DAY as usize).collect();
        Self { bounds, widths, people, granted, second: 0 }
    }

    /// Seconds that each span is long.
    pub(super) fn widths(&self) -> &[f64] {
        &self.widths
    }

    /// Who was given a pass, by span.
    pub(super) fn people(&self) -> &[f64] {
        &self.people
    }

    /// It is `second`, and `passed` more people were given a pass in it.
    pub(super) fn advance(&mut self, second: u64, passed: u32) {
        if second.saturating_sub(self.second) > u64::from(DAY) {
            self.granted.fill(0);
            self.people.fill(0.0);
            self.second = second;
        }
        while self.second < second {
            self.second += 1;
            self.grow_older();
        }
        if let Some(youngest) = self.people.first_mut() {
            *youngest += f64::from(passed);
        }
        let place = place(second, 0);
        if let Some(granted) = self.granted.get_mut(place) {
            *granted = granted.saturating_add(passed);
        }
    }

    /// Whoever has come to the end of his span goes into the next.
    fn grow_older(&mut self) {
        let came = |age: u32| self.granted.get(place(self.second, age)).copied().map_or(0.0, f64::from);
        for (position, people) in self.people.iter_mut().enumerate() {
            let from = self.bounds.get(position).filter(|_| position > 0).map_or(0.0, |age| came(*age));
            let to = self.bounds.get(position + 1).map_or(0.0, |age| came(*age));
            *people += from - to;
        }
        // Those of this second a day ago have gone; their place is that of those who come now.
        if let Some(granted) = self.granted.get_mut(place(self.second, 0)) {
            *granted = 0;
        }
    }
}

/// The span of everybody who is `seconds` old; [`None`] beyond a day.
pub(super) fn span(seconds: u64) -> Option<usize> {
    let seconds = u32::try_from(seconds).ok().filter(|seconds| *seconds < DAY)?;
    if seconds < BY_THE_SECOND {
        return usize::try_from(seconds).ok();
    }
    let later = later().take_while(|begin| *begin <= seconds).count();
    usize::try_from(BY_THE_SECOND).ok().map(|seconds| seconds + later - 1)
}

/// How many spans there are.
pub(super) fn spans() -> usize {
    bounds().len() - 1
}

fn bounds() -> Box<[u32]> {
    (0..BY_THE_SECOND).chain(later()).chain([DAY]).collect()
}

/// Ages at which the spans begin that are longer than a second.
fn later() -> impl Iterator<Item = u32> {
    std::iter::successors(Some(BY_THE_SECOND), |begin| Some(begin + begin / PART)).take_while(|begin| *begin < DAY)
}

/// Where those stand who were let in `age` seconds before `second`.
fn place(second: u64, age: u32) -> usize {
    let day = u64::from(DAY);
    usize::try_from((second + day - u64::from(age)) % day).unwrap_or_default()
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_in_the_span_of_his_age() {
        let mut ages = Ages::new();
        // Somebody each thousand seconds for a day and a little more, looked at every seven.
        let came: Vec<u64> = (0..92).map(|number| number * 1_000).collect();
        let mut next = came.iter().peekable();
        for second in (0..92_000).step_by(7) {
            let mut new = 0;
            while next.next_if(|came| **came <= second).is_some() {
                new += 1;
            }
            ages.advance(second, new);
            if second % 4_900 == 0 {
                let mut expected = vec![0.0; spans()];
                // Who came between two looks was seen at the second.
                let ages_then = came.iter().map(|came| came.div_ceil(7) * 7).filter(|seen| *seen <= second);
                ages_then.filter_map(|seen| span(second - seen)).for_each(|span| expected[span] += 1.0);
                assert_eq!(ages.people(), expected, "at {second}");
            }
        }
        ages.advance(1_000_000, 3);
        assert_eq!((ages.people()[0], ages.people().iter().sum::<f64>()), (3.0, 3.0), "a long pause");
    }

    #[test]
    fn spans_follow_each_other_and_grow() {
        assert_eq!(spans(), 653);
        assert_eq!((span(0), span(599), span(600), span(659)), (Some(0), Some(599), Some(600), Some(600)));
        assert_eq!((span(660), span(86_399), span(86_400), span(u64::MAX)), (Some(601), Some(652), None, None));
        let ages = Ages::new();
        assert!((ages.widths().iter().sum::<f64>() - f64::from(DAY)).abs() < 1e-9);
        let longest =
            ages.widths().iter().zip(&ages.bounds).all(|(width, begin)| *width <= f64::from((*begin).max(10)) / 9.9);
        assert!(longest, "a tenth of the age");
    }
}
