//! The table of overload §2.3: laws of concurrency against a service that is overloaded tenfold and changes.
//!
//! `cargo bench --bench overload` prints it, in about a minute: goodput as a percentage of what the service could have done
//! at that moment, in the thirds before, during and after the change, mean of five seeds; the worst third of any run; and
//! the seconds until a whole second reached 95 %, at the start and after each change (median).

mod simulation;

use simulation::Simulation;
use simulation::report::Report;
use simulation::rivals::{Aimd, Failsafe, Fixed, Gradient, Gradient2, Law, Ours, Probing, Vegas};
use simulation::scenario::{self, CLIFF, KINK, REFERENCE, SLOW, Scenario, VARIANTS};
use simulation::service::Work;

const SEEDS: u64 = 5;

/// Makes a law from a seed.
type Contestant = (&'static str, fn(u64) -> Box<dyn Law>);

const CONTESTANTS: [Contestant; 11] = [
    ("told: fixed 64", |_| Box::new(Fixed(64))),
    ("told: fixed 40", |_| Box::new(Fixed(40))),
    ("fixed 200", |_| Box::new(Fixed(200))),
    ("Netflix AIMD", |_| Box::<Aimd>::default()),
    ("Netflix Vegas", |seed| Box::new(Vegas::new(seed))),
    ("Netflix Gradient2", |_| Box::<Gradient2>::default()),
    ("Envoy gradient p50", |seed| Box::new(Gradient::new(0.5, seed))),
    ("Envoy gradient p90", |seed| Box::new(Gradient::new(0.9, seed))),
    ("failsafe-go", |_| Box::<Failsafe>::default()),
    ("MongoDB probing", |_| Box::<Probing>::default()),
    OURS,
];

const OURS: Contestant = ("weir", |_| Box::<Ours>::default());

type Thirds = [(f64, f64); 3];

const AROUND_THE_CHANGE: Thirds = [(15.0, 45.0), (45.0, 75.0), (75.0, 105.0)];

fn main() {
    println!(
        "goodput in % of the possible in three thirds, worst third of a run, mean limit, time in service, seconds to 95 %"
    );
    for (service, shape) in [("USL 485/s at 64", REFERENCE), ("kink 400/s at 40", KINK), ("cliff 400/s at 40", CLIFF)] {
        println!("\n{service}, ten times overloaded; parallelism halves at 45 s and returns at 75 s");
        every(&scenario::parallelism_halves(shape), AROUND_THE_CHANGE);
    }
    println!("\nUSL, speed halves at 45 s and returns at 75 s");
    every(&scenario::speed_halves(REFERENCE), AROUND_THE_CHANGE);
    println!("\nUSL, no answer for 5 s from 45 s; thirds: before, first second after, the rest");
    every(&scenario::stall(REFERENCE), [(15.0, 45.0), (50.0, 51.0), (51.0, 80.0)]);
    println!("\nUSL, half the capacity comes, from 45 s ten times; thirds: first 3 s, the next 27, all of it");
    every(&scenario::step(REFERENCE), [(45.0, 48.0), (48.0, 75.0), (45.0, 75.0)]);
    println!("\nweir elsewhere");
    elsewhere();
}

/// Every contestant in one scenario.
fn every(scenario: &Scenario, thirds: Thirds) {
    for contestant in CONTESTANTS {
        row(contestant.0, contestant, scenario, thirds);
    }
}

fn elsewhere() {
    for (name, shape) in VARIANTS {
        row(&format!("{name}, halving"), OURS, &scenario::parallelism_halves(shape), AROUND_THE_CHANGE);
    }
    let by_minute = [(0.0, 60.0), (60.0, 120.0), (120.0, 180.0)];
    row("20/s at 8, by minute", OURS, &scenario::minutes(SLOW), by_minute);
    for (name, shape) in [("USL", REFERENCE), ("kink", KINK), ("cliff", CLIFF)] {
        for (work, of) in [("uniform", Work::Uniform), ("exponential", Work::Exponential)] {
            let scenario = Scenario { work: of, ..scenario::parallelism_halves(shape) };
            row(&format!("{name}, {work}, halving"), OURS, &scenario, AROUND_THE_CHANGE);
        }
        let later = [(15.0, 45.0), (55.0, 65.0), (65.0, 100.0)];
        row(&format!("{name}, speed halves"), OURS, &scenario::speed_halves(shape), AROUND_THE_CHANGE);
        row(&format!("{name}, stall"), OURS, &scenario::stall(shape), [(15.0, 45.0), (50.0, 51.0), (51.0, 80.0)]);
        row(&format!("{name}, refusal, cold"), OURS, &scenario::refusal(shape), later);
        let soon = [(15.0, 45.0), (55.0, 57.0), (57.0, 80.0)];
        row(&format!("{name}, fast failure"), OURS, &scenario::fast_failure(shape), soon);
        row(&format!("{name}, mix shift, new route"), OURS, &scenario::mix_shift(shape), AROUND_THE_CHANGE);
        row(&format!("{name}, mix shift, known"), OURS, &scenario::known_mix_shift(shape), AROUND_THE_CHANGE);
        let minutes = [(15.0, 400.0), (400.0, 800.0), (800.0, 1200.0)];
        row(&format!("{name}, 20 min at 3x"), OURS, &scenario::long(shape), minutes);
    }
}

fn row(name: &str, contestant: Contestant, scenario: &Scenario, thirds: Thirds) {
    let runs: Vec<Report> =
        (1..=SEEDS).map(|seed| Simulation::new(scenario, (contestant.1)(seed), seed).run()).collect();
    let mean = |of: &dyn Fn(&Report) -> f64| runs.iter().map(of).sum::<f64>() / runs.len() as f64;
    let shares = thirds.map(|(from, to)| 100.0 * mean(&|run| run.share(from, to)));
    let limits = thirds.map(|(from, to)| mean(&|run| run.mean_limit(from, to)));
    let worst =
        runs.iter().flat_map(|run| thirds.map(|(from, to)| 100.0 * run.share(from, to))).fold(f64::INFINITY, f64::min);
    let mut from = vec![0.0];
    from.extend(scenario.changes.iter().map(|(at, _)| *at));
    let recoveries: Vec<String> = from.iter().map(|at| recovery(&runs, *at, scenario)).collect();
    println!(
        "  {name:27} {:5.1} {:5.1} {:5.1}   worst {worst:5.1}   limit {:4.0} {:4.0} {:4.0}   p99 {:5.0} ms   recovery {}",
        shares[0],
        shares[1],
        shares[2],
        limits[0],
        limits[1],
        limits[2],
        1e3 * mean(&Report::service_p99),
        recoveries.join(" "),
    );
}

/// Median seconds from `at` to 95 %, within what lies before the next change.
fn recovery(runs: &[Report], at: f64, scenario: &Scenario) -> String {
    let end = scenario.changes.iter().map(|(next, _)| *next).find(|next| *next > at).unwrap_or(scenario.seconds);
    let mut all: Vec<f64> = runs.iter().map(|run| run.recovery(at, end, 0.95).unwrap_or(f64::INFINITY)).collect();
    all.sort_by(f64::total_cmp);
    match all.get(all.len() / 2) {
        Some(median) if median.is_finite() => format!("{median:.1}"),
        _ => "never".to_owned(),
    }
}
