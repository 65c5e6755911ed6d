//! The list of all metrics, and their text for a scraper.
//!
//! Whoever counts registers at start and keeps the handle; the registry is looked at again only by a scrape.
//!
//! **Invariants**: one name has one type and one help text, one name and label set has one cell; registering again
//! gives the same cell. A registration that would break this, or that Prometheus would not take (a bad name, a counter
//! without `_total`), is logged as an error and given a handle that counts nothing: a mistake in a metric stops neither
//! the gateway nor the scrape.
//! **Cost**: memory is constant once everyone has registered; a scrape is one pass over all cells, no upkeep between.
//! Series that come and go are listed anew at each scrape by whoever knows them; all others live as long as the process.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Debug, Display, Formatter};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{Counter, Gauge, Histogram};

use super::cells::{CounterCell, GaugeCell, HistogramCell};
use super::text::{self, Reading};

/// Names and values of the labels of one series. Values come from the plan or a closed list, never from a peer.
pub type Labels<'a> = &'a [(&'static str, &'a str)];

/// All metrics of a process. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Registry(Arc<Mutex<Families>>);

impl Registry {
    /// A registry without metrics.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A number that only grows. `name` ends with `_total`.
    pub fn counter(&self, name: &'static str, help: &'static str, labels: Labels<'_>) -> Counter {
        match self.register(Kind::Counter, name, help, labels, Cell::Counter(Arc::default())) {
            Some(Cell::Counter(cell)) => Counter::from_arc(cell),
            _ => Counter::noop(),
        }
    }

    /// A number that goes up and down.
    pub fn gauge(&self, name: &'static str, help: &'static str, labels: Labels<'_>) -> Gauge {
        match self.register(Kind::Gauge, name, help, labels, Cell::Gauge(Arc::default())) {
            Some(Cell::Gauge(cell)) => Gauge::from_arc(cell),
            _ => Gauge::noop(),
        }
    }

    /// Durations in seconds (`name` ends with `_seconds`), in seven buckets a decade from 100 µs to 70 s.
    pub fn histogram(&self, name: &'static str, help: &'static str, labels: Labels<'_>) -> Histogram {
        match self.register(Kind::Histogram, name, help, labels, Cell::Histogram(Arc::default())) {
            Some(Cell::Histogram(cell)) => Histogram::from_arc(cell),
            _ => Histogram::noop(),
        }
    }

    /// A counter that is kept elsewhere and read by `observe` at every scrape, which must not block nor use the registry.
    pub fn observe_counter(
        &self,
        name: &'static str,
        help: &'static str,
        labels: Labels<'_>,
        observe: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        self.observe(Kind::Counter, name, help, labels, move || Some(Reading::Integer(observe())));
    }

    /// A gauge that is read by `observe` at every scrape, which must not block nor use the registry.
    pub fn observe_gauge(
        &self,
        name: &'static str,
        help: &'static str,
        labels: Labels<'_>,
        observe: impl Fn() -> f64 + Send + Sync + 'static,
    ) {
        self.observe(Kind::Gauge, name, help, labels, move || Some(Reading::Float(observe())));
    }

    /// Gauges whose label sets come and go: at every scrape `list` names each of them with its value; it must not block nor use
    /// the registry. Of a label set that is named twice, the first counts.
    pub fn list_gauges(
        &self,
        name: &'static str,
        help: &'static str,
        list: impl Fn(&mut Listing<'_, f64>) + Send + Sync + 'static,
    ) {
        self.list(Kind::Gauge, name, help, move |named| {
            list(&mut |labels, value| named(labels, Reading::Float(value)));
        });
    }

    /// Counters whose label sets come and go, as in [`Registry::list_gauges`].
    pub fn list_counters(
        &self,
        name: &'static str,
        help: &'static str,
        list: impl Fn(&mut Listing<'_, u64>) + Send + Sync + 'static,
    ) {
        self.list(Kind::Counter, name, help, move |named| {
            list(&mut |labels, value| named(labels, Reading::Integer(value)));
        });
    }

    fn list(
        &self,
        kind: Kind,
        name: &'static str,
        help: &'static str,
        list: impl Fn(&mut Listing<'_, Reading>) + Send + Sync + 'static,
    ) {
        let list: List = Box::new(list);
        self.family(kind, name, help, &[], |family| family.lists.push(list));
    }

    /// A value that may be missing at a scrape; its series is then left out.
    pub(super) fn observe(
        &self,
        kind: Kind,
        name: &'static str,
        help: &'static str,
        labels: Labels<'_>,
        observe: impl Fn() -> Option<Reading> + Send + Sync + 'static,
    ) {
        let observed = Cell::Observed(Arc::new(observe));
        if let Some(Cell::Counter(_) | Cell::Gauge(_)) = self.register(kind, name, help, labels, observed) {
            tracing::error!(metric = name, "registered as a handle before; the observer is not read");
        }
    }

    /// All metrics as Prometheus text 0.0.4, sorted by name and labels.
    #[must_use]
    pub fn render(&self) -> String {
        self.families().to_string()
    }

    fn register(
        &self,
        kind: Kind,
        name: &'static str,
        help: &'static str,
        labels: Labels<'_>,
        cell: Cell,
    ) -> Option<Cell> {
        self.family(kind, name, help, labels, |family| {
            family.series.entry(text::label_set(labels)).or_insert(cell).clone()
        })
    }

    /// What `change` makes of the family of `name`; nothing if it would not be sound.
    fn family<T>(
        &self,
        kind: Kind,
        name: &'static str,
        help: &'static str,
        labels: Labels<'_>,
        change: impl FnOnce(&mut Family) -> T,
    ) -> Option<T> {
        if !is_sound(kind, name, labels) {
            tracing::error!(metric = name, "not a name Prometheus takes; not exported");
            return None;
        }
        let mut families = self.families();
        let family = families.0.entry(name).or_insert_with(|| Family::new(kind, help));
        if family.kind != kind || family.help != help {
            tracing::error!(metric = name, "registered before with another type or help; not exported");
            return None;
        }
        Some(change(family))
    }

    /// A panic while the lock was held (in an observer) leaves the families whole, so its poison means nothing.
    fn families(&self) -> MutexGuard<'_, Families> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Type of a metric, as Prometheus has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// By name.
#[derive(Debug, Default)]
struct Families(BTreeMap<&'static str, Family>);

/// The series of one name.
struct Family {
    kind: Kind,
    help: &'static str,
    /// By label set, as it stands in the text.
    series: BTreeMap<String, Cell>,
    lists: Vec<List>,
}

/// Takes one series of a list: its labels and its value.
pub type Listing<'a, V> = dyn FnMut(Labels<'_>, V) + 'a;

type List = Box<dyn Fn(&mut Listing<'_, Reading>) + Send + Sync>;

impl Family {
    const fn new(kind: Kind, help: &'static str) -> Self {
        Self { kind, help, series: BTreeMap::new(), lists: Vec::new() }
    }

    /// All series by label set.
    fn read(&self) -> BTreeMap<Cow<'_, str>, Sample> {
        let kept = self.series.iter().filter_map(|(labels, cell)| Some((labels.as_str().into(), cell.read()?)));
        let mut samples: BTreeMap<_, _> = kept.collect();
        for list in &self.lists {
            list(&mut |labels, value| {
                samples.entry(text::label_set(labels).into()).or_insert(Sample::One(value));
            });
        }
        samples
    }
}

impl Debug for Family {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Family").field("kind", &self.kind).field("series", &self.series).finish_non_exhaustive()
    }
}

#[derive(Clone)]
enum Cell {
    Counter(Arc<CounterCell>),
    Gauge(Arc<GaugeCell>),
    Histogram(Arc<HistogramCell>),
    Observed(Arc<dyn Fn() -> Option<Reading> + Send + Sync>),
}

impl Debug for Cell {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter(_) => "Counter",
            Self::Gauge(_) => "Gauge",
            Self::Histogram(_) => "Histogram",
            Self::Observed(_) => "Observed",
        })
    }
}

impl Cell {
    fn read(&self) -> Option<Sample> {
        match self {
            Self::Counter(cell) => Some(Sample::One(Reading::Integer(cell.value()))),
            Self::Gauge(cell) => Some(Sample::One(Reading::Float(cell.value()))),
            Self::Histogram(cell) => Some(Sample::Many(Box::new(cell.snapshot()))),
            Self::Observed(observe) => observe().map(Sample::One),
        }
    }
}

enum Sample {
    Many(Box<super::cells::Snapshot>),
    One(Reading),
}

impl Display for Families {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (name, family) in &self.0 {
            let samples = family.read();
            if !samples.is_empty() {
                text::write_head(f, name, family.kind.as_str(), family.help)?;
            }
            for (labels, sample) in samples {
                match sample {
                    Sample::Many(snapshot) => text::write_histogram(f, name, &labels, &snapshot)?,
                    Sample::One(reading) => text::write_sample(f, name, &labels, reading)?,
                }
            }
        }
        Ok(())
    }
}

/// Names Prometheus takes; `_total` on counters and only there; `le` is the histogram's own.
fn is_sound(kind: Kind, name: &str, labels: Labels<'_>) -> bool {
    text::is_name(name)
        && name.ends_with("_total") == (kind == Kind::Counter)
        && labels.iter().all(|(label, _)| text::is_name(label) && *label != "le")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_sorted_escaped_and_complete() {
        let registry = Registry::new();
        registry.gauge("weir_queued", "Waiting \\ now\nor so.", &[]).set(1.5);
        registry.counter("weir_requests_total", "Requests.", &[("route", "b"), ("class", "new")]).increment(2);
        registry.counter("weir_requests_total", "Requests.", &[("route", "a\"\\\n"), ("class", "new")]).increment(1);
        registry.observe_counter("weir_dropped_total", "Dropped.", &[], || u64::MAX);
        registry.observe_gauge("weir_wait_seconds", "Wait.", &[], || f64::INFINITY);
        let expected = r#"# HELP weir_dropped_total Dropped.
# TYPE weir_dropped_total counter
weir_dropped_total 18446744073709551615
# HELP weir_queued Waiting \\ now\nor so.
# TYPE weir_queued gauge
weir_queued 1.5
# HELP weir_requests_total Requests.
# TYPE weir_requests_total counter
weir_requests_total{class="new",route="a\"\\\n"} 1
weir_requests_total{class="new",route="b"} 2
# HELP weir_wait_seconds Wait.
# TYPE weir_wait_seconds gauge
weir_wait_seconds +Inf
"#;
        assert_eq!(registry.render(), expected);
    }

    #[test]
    fn a_histogram_has_cumulative_buckets_sum_and_count() {
        let registry = Registry::new();
        let histogram = registry.histogram("weir_wait_seconds", "Wait.", &[("route", "a")]);
        for seconds in [0.000_1, 0.25, 100.0] {
            histogram.record(seconds);
        }
        let text = registry.render();
        for line in [
            r#"weir_wait_seconds_bucket{route="a",le="0.0001"} 1"#,
            r#"weir_wait_seconds_bucket{route="a",le="0.00015"} 1"#,
            r#"weir_wait_seconds_bucket{route="a",le="0.3"} 2"#,
            r#"weir_wait_seconds_bucket{route="a",le="70"} 2"#,
            r#"weir_wait_seconds_bucket{route="a",le="+Inf"} 3"#,
            r#"weir_wait_seconds_sum{route="a"} 100.2501"#,
            r#"weir_wait_seconds_count{route="a"} 3"#,
        ] {
            assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
        }
    }

    #[test]
    fn a_list_shows_what_there_is_at_the_moment() {
        let (registry, servers) = (Registry::new(), Arc::new(Mutex::new(vec!["b", "a"])));
        let listed = Arc::clone(&servers);
        registry.list_gauges("weir_b", "B.", move |series| {
            listed.lock().unwrap().iter().for_each(|server| series(&[("server", server)], 1.0));
        });
        assert!(registry.render().ends_with("weir_b{server=\"a\"} 1\nweir_b{server=\"b\"} 1\n"));
        servers.lock().unwrap().remove(0);
        assert!(registry.render().ends_with("# TYPE weir_b gauge\nweir_b{server=\"a\"} 1\n"));
        servers.lock().unwrap().clear();
        assert_eq!(registry.render(), "");
    }

    #[test]
    fn registering_again_gives_the_same_cell() {
        let registry = Registry::new();
        registry.counter("weir_a_total", "A.", &[("x", "1"), ("y", "2")]).increment(1);
        registry.clone().counter("weir_a_total", "A.", &[("y", "2"), ("x", "1")]).increment(1);
        assert!(registry.render().ends_with("weir_a_total{x=\"1\",y=\"2\"} 2\n"));
    }

    #[test]
    fn a_mistaken_registration_changes_nothing() {
        let registry = Registry::new();
        registry.counter("weir_a_total", "A.", &[]).increment(1);
        registry.gauge("weir_b", "B.", &[]).set(1.0);
        let before = registry.render();
        registry.counter("weir_a_total", "Another help.", &[]).increment(1);
        registry.histogram("weir_b", "B.", &[]).record(1.0);
        registry.observe_gauge("weir_b", "B.", &[], || 7.0);
        registry.gauge("weir_a_total", "A.", &[]).set(5.0);
        registry.counter("weir_c", "A counter without _total.", &[]).increment(1);
        registry.gauge("weir-d", "Not a name.", &[]).set(1.0);
        registry.gauge("weir_e", "Not a label.", &[("1", "")]).set(1.0);
        registry.histogram("weir_f_seconds", "A label of the histogram's own.", &[("le", "1")]).record(1.0);
        assert_eq!(registry.render(), before);
    }

    #[test]
    fn a_panicking_observer_does_not_end_the_registry() {
        let registry = Registry::new();
        let counter = registry.counter("weir_a_total", "A.", &[]);
        registry.observe_gauge("weir_b", "B.", &[], || panic!("observer"));
        let scraper = registry.clone();
        assert!(std::thread::spawn(move || scraper.render()).join().is_err());
        counter.increment(1);
        registry.counter("weir_c_total", "C.", &[]).increment(1);
    }
}
