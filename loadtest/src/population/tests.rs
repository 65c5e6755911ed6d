use std::collections::HashMap;

use super::*;
use crate::scenario::{read_copy, scaled};

/// A scenario of 20 s with these arrivals, personas and whatever else stands after them.
fn scenario(arrivals: &str) -> Scenario {
    let text = format!(
        "version = 1\nduration = \"20s\"\n[[service]]\nname = \"s\"\ncapacity = \"400/s\"\n\
         [[stage]]\nname = \"s\"\npath = \"/s\"\nservice = \"s\"\n{arrivals}\n"
    );
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("scenario.toml");
    std::fs::write(&path, text).expect("written");
    read_copy(&path, "drawn").unwrap_or_else(|report| panic!("{report}"))
}

fn counts(population: &Population, windows: usize, end: f64) -> Vec<f64> {
    let mut counts = vec![0.0; windows];
    for person in &population.people {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative and small")]
        let window = (person.arrives.as_secs_f64() / end * windows as f64) as usize;
        counts[window.min(windows - 1)] += 1.0;
    }
    counts
}

/// The integral of the curve from 0 to `at`, independently of how people are drawn.
fn expected(points: &[(f64, f64)], at: f64) -> f64 {
    // Steps of which whole numbers lie between the points.
    let width = 0.0025;
    #[expect(clippy::cast_possible_truncation, reason = "some thousands")]
    let steps = (at / width).round() as i32;
    (0..steps).map(|step| rate_at(points, (f64::from(step) + 0.5) * width) * width).sum()
}

fn rate_at(points: &[(f64, f64)], at: f64) -> f64 {
    let pair = points.windows(2).find(|pair| pair[0].0 <= at && at < pair[1].0);
    pair.map_or(0.0, |pair| pair[0].1 + (pair[1].1 - pair[0].1) * (at - pair[0].0) / (pair[1].0 - pair[0].0))
}

const POINTS: [(f64, f64); 6] = [(1.0, 0.0), (6.0, 4_000.0), (6.0, 500.0), (11.0, 500.0), (14.0, 2_000.0), (20.0, 0.0)];

fn curve() -> String {
    let points: Vec<_> = POINTS.iter().map(|(at, rate)| format!("[\"{at}s\", \"{rate}/s\"]")).collect();
    format!("[[arrivals]]\ncurve = [{}]", points.join(", "))
}

#[test]
fn a_person_is_small() {
    assert!(size_of::<Person>() <= 32, "{}", size_of::<Person>());
}

#[test]
fn one_seed_one_population() {
    let scenario = scenario(&curve());
    let (one, same, other) =
        (Population::draw(&scenario, 1), Population::draw(&scenario, 1), Population::draw(&scenario, 2));
    assert!(one == same && one != other);
    assert_eq!(one.fingerprint(), same.fingerprint());
    assert_ne!(one.fingerprint(), other.fingerprint());
    for change in [
        (|person: &mut Person| person.arrives += Duration::from_nanos(1)) as fn(&mut Person),
        |person| person.seed ^= 1,
        |person| person.address += 1,
        |person| person.persona += 1,
    ] {
        let mut changed = one.clone();
        changed.people.last_mut().map(change).expect("somebody came");
        assert_ne!(changed.fingerprint(), one.fingerprint());
    }
}

/// The number of each window is Poisson of its mean: neither too far from it, nor too near, over 40 seeds.
#[test]
fn poisson_arrivals_follow_the_curve() {
    let scenario = scenario(&curve());
    let windows = 80;
    let ends: Vec<f64> = (0..=windows).map(|end| expected(&POINTS, 20.0 * end as f64 / windows as f64)).collect();
    let means: Vec<f64> = ends.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!((ends[windows] - scenario.people()).abs() < 1.0, "{} {}", ends[windows], scenario.people());
    let (mut all, mut degrees) = (0.0, 0.0);
    for seed in 0..40 {
        let population = Population::draw(&scenario, seed);
        assert!(population.people.is_sorted_by_key(|person| person.arrives));
        let found = counts(&population, windows, 20.0);
        let (mut squares, mut judged) = (0.0, 0.0);
        for (found, mean) in found.iter().zip(&means) {
            if *mean < 5.0 {
                assert!((found - mean).abs() <= 5.0 * mean.sqrt() + 1.0, "{found} for {mean}");
            } else {
                squares += (found - mean).powi(2) / mean;
                judged += 1.0;
            }
        }
        // χ² has the mean of its degrees of freedom and twice that variance.
        assert!((squares - judged).abs() < 5.0 * (2.0 * judged).sqrt(), "seed {seed}: {squares} for {judged}");
        all += squares;
        degrees += judged;
    }
    assert!((all - degrees).abs() < 4.0 * (2.0_f64 * degrees).sqrt(), "{all} for {degrees}");
}

#[test]
fn uniform_arrivals_are_as_even_as_can_be() {
    let scenario = scenario(&(curve() + "\nprocess = \"uniform\""));
    let population = Population::draw(&scenario, 1);
    assert!((population.people.len() as f64 - scenario.people()).abs() <= 0.5);
    let mut until = 0.0;
    for (window, found) in counts(&population, 40, 20.0).into_iter().enumerate() {
        until += found;
        let mean = expected(&POINTS, 20.0 * (window + 1) as f64 / 40.0);
        assert!((until - mean).abs() <= 1.5, "window {window}: {until} for {mean}");
    }
}

#[test]
fn a_trace_is_replayed_to_the_person() {
    for process in ["poisson", "uniform"] {
        let rows = "[[arrivals]]\ntrace = [[\"2s\", 30], [\"4s\", 0], [\"5s\", 700], [\"10s\", 41]]";
        let population = Population::draw(&scenario(&format!("{rows}\nprocess = \"{process}\"")), 3);
        let found = counts(&population, 4, 20.0);
        assert_eq!(found[..2], [30.0, 700.0], "{process}");
        // The last row lasts until the end: half of its people come in each half of that.
        assert!((found[2] - 20.5).abs() < 2.0 * 41_f64.sqrt() && (found[2] + found[3] - 41.0).abs() < 0.5, "{found:?}");
        assert_eq!(population.people.len(), 771);
        assert!(population.people.is_sorted_by_key(|person| person.arrives));
        assert!(population.people.iter().all(|person| person.arrives.as_secs() >= 2 && person.arrives.as_secs() != 4));
    }
}

#[test]
fn sources_come_together_and_do_not_change_each_other() {
    let at_once = "[[arrivals]]\npeople = 500\nat = \"7s\"";
    let first = Population::draw(&scenario(&curve()), 9);
    let both = Population::draw(&scenario(&(curve() + "\n" + at_once)), 9);
    assert!(both.people.is_sorted_by_key(|person| person.arrives));
    let seven = Duration::from_secs(7);
    let instants = |population: &Population| -> Vec<(Duration, u64)> {
        population
            .people
            .iter()
            .filter(|person| person.arrives != seven)
            .map(|person| (person.arrives, person.seed))
            .collect()
    };
    assert_eq!(both.people.len(), first.people.len() + 500);
    assert_eq!(instants(&first), instants(&both));
}

#[test]
fn kinds_come_by_their_shares_and_from_their_addresses() {
    let personas = "[[persona]]\nlike = \"patient\"\nshare = 0.5\n\
                    [[persona]]\nlike = \"carrier_phone\"\nshare = 0.3\nsource = { shared = 500 }\n\
                    [[persona]]\nlike = \"office\"\nshare = 0.2\nsource = { office = 7 }\n\
                    [[arrivals]]\npersonas = [\"office\"]\npeople = 100\n\
                    [[arrivals]]\npersonas = [\"patient\", \"office\"]\npeople = 7000\n";
    let scenario = scenario(&(curve() + "\n" + personas));
    let population = Population::draw(&scenario, 4);
    let all = population.people.len() as f64 - 7_100.0;
    let of = |persona| population.people.iter().filter(move |person| person.persona == persona);
    let near = |found: usize, mean: f64| (found as f64 - mean).abs() < 4.0 * mean.sqrt();
    assert!(near(of(0).count(), 0.5 * all + 5_000.0) && near(of(1).count(), 0.3 * all));
    assert!(near(of(2).count(), 0.2 * all + 2_100.0));
    let mut people: HashMap<u32, u32> = HashMap::new();
    for person in &population.people {
        *people.entry(person.address).or_default() += 1;
    }
    assert_eq!(people.len(), usize::try_from(population.addresses).expect("few"));
    assert!(of(0).all(|person| people[&person.address] == 1), "an address of their own");
    for (persona, most) in [(1, 500), (2, 7)] {
        let together = of(persona).map(|person| people[&person.address]);
        let (least, found) = (together.clone().min().unwrap_or(0), together.max().unwrap_or(0));
        assert!(
            found <= most && least + 1 >= found && found * 10 > most * 9,
            "{least} to {found} of {most} behind one address"
        );
    }
    let ranges: Vec<_> =
        (0..3).map(|persona| (of(persona).map(|p| p.address).min(), of(persona).map(|p| p.address).max())).collect();
    assert!(ranges[0].1 < ranges[1].0 && ranges[1].1 < ranges[2].0, "{ranges:?}");
}

#[test]
fn a_shorter_day_has_fewer_people_at_the_same_rates() {
    let day = scenario(
        &(curve() + "\n[[arrivals]]\ntrace = [[\"0s\", 3], [\"10s\", 90]]\n[[arrivals]]\npeople = 41\nat = \"8s\"\n"),
    );
    let short = scaled(day.clone(), 4.0);
    assert_eq!((short.duration, short.drain), (Duration::from_secs(5), Duration::from_secs(30)));
    assert_eq!(short.measured_from, Duration::from_millis(2_500));
    assert!((short.people() - ((day.people() - 134.0) / 4.0 + 23.0 + 10.0)).abs() < 1e-6, "{}", short.people());
    let population = Population::draw(&short, 1);
    assert!(population.people.iter().all(|person| person.arrives <= short.duration));
    assert_eq!(population.people.iter().filter(|person| person.arrives == Duration::from_secs(2)).count(), 10);
    let Curve::Points(points) = &short.arrivals[0].curve else { panic!("a curve") };
    assert_eq!(points[1], (Duration::from_millis(1_500), 4_000.0));
    let text = curve() + "\n[[fault]]\nkind = \"gateway.pause\"\nat = \"8s\"\nlasts = \"2s\"\n";
    let fault = scaled(scenario(&text), 2.0).faults[0];
    assert_eq!((fault.at, fault.lasts), (Duration::from_secs(4), Duration::from_secs(1)));
    assert_eq!(scaled(Scenario { quota: Some(3), ..day.clone() }, 1_000.0).quota, Some(1));
    assert_eq!(scaled(day.clone(), 0.0), day);
}
