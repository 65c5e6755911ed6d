use super::*;

fn run(verdict: &str, goodput: f64, waste: f64) -> Past {
    let json = serde_json::json!({
        "fingerprint": crate::report::Fingerprint { scenario: "<day>".into(), ..Default::default() },
        "series": crate::report::series::Series::default(),
        "judgement": {"verdict": verdict, "figures": {"goodput": goodput, "wasted_work": waste, "recovery": null}},
    });
    serde_json::from_value(json).expect("a report")
}

fn runs(goodput: &[f64]) -> Vec<Past> {
    goodput.iter().map(|goodput| run("pass", *goodput, 0.0)).collect()
}

fn meaning(comparison: &Comparison, figure: Figure) -> Meaning {
    comparison.changes.iter().find(|change| change.figure == figure).expect("compared").meaning
}

#[test]
fn a_change_within_the_band_is_no_regression_and_one_beyond_is() {
    let before = || runs(&[0.95, 0.96, 0.94]);
    let noise = Comparison::of(before(), runs(&[0.93, 0.95, 0.94]), Vec::new());
    assert_eq!((meaning(&noise, Figure::Goodput), noise.is_regression()), (Meaning::Same, false));
    let worse = Comparison::of(before(), runs(&[0.70, 0.71, 0.69]), Vec::new());
    assert_eq!((meaning(&worse, Figure::Goodput), worse.is_regression()), (Meaning::Worse, true));
    assert!(
        worse.summary().contains("REGRESSION: goodput") && worse.summary().contains("WORSE"),
        "{}",
        worse.summary()
    );
    let better = Comparison::of(runs(&[0.70, 0.71, 0.69]), before(), Vec::new());
    assert_eq!((meaning(&better, Figure::Goodput), better.is_regression()), (Meaning::Better, false));
    let without = Comparison::of(before(), vec![run("pass", 0.95, f64::NAN)], Vec::new());
    assert_eq!((without.vanished.as_slice(), worse.vanished.len()), (&[Figure::WastedWork][..], 0));
    assert!(without.summary().contains("no value any more: wasted_work"), "{}", without.summary());
    // What nobody measured is not compared.
    assert!(worse.changes.iter().all(|change| change.figure != Figure::Recovery));
}

#[test]
fn without_runs_enough_nothing_is_concluded_until_noise_is_given() {
    let (one, other) = (|| runs(&[0.95]), || runs(&[0.5]));
    let bare = Comparison::of(one(), other(), Vec::new());
    assert_eq!((meaning(&bare, Figure::Goodput), bare.is_regression()), (Meaning::Unknown, false));
    let known = Comparison::of(one(), other(), runs(&[0.96, 0.94]));
    assert!(known.is_regression() && known.before.len() == 3);
}

#[test]
fn less_than_a_percent_is_no_change_however_little_runs_differ() {
    let little = Comparison::of(runs(&[0.950; 3]), runs(&[0.945; 3]), Vec::new());
    assert_eq!(meaning(&little, Figure::Goodput), Meaning::Same);
    let less = Comparison::of(runs(&[0.95; 3]), runs(&[0.93; 3]), Vec::new());
    assert_eq!(meaning(&less, Figure::Goodput), Meaning::Worse);
}

#[test]
fn a_worse_verdict_is_a_regression_and_an_invalid_run_says_nothing() {
    let broken = Comparison::of(runs(&[0.95]), vec![run("invariant", 0.95, 0.0)], Vec::new());
    assert!(broken.is_regression() && !broken.is_invalid() && broken.outcome().contains("verdict"));
    let invalid = Comparison::of(runs(&[0.95]), vec![run("invalid", 0.95, 0.0)], Vec::new());
    assert!(invalid.is_invalid() && invalid.outcome().starts_with("INVALID"));
    let page = page(&broken);
    assert!(page.contains("REGRESSION") && !page.contains("http:") && !page.contains("https:"));
}

#[test]
fn another_experiment_is_said_to_be_one() {
    let mut other = runs(&[0.95]);
    other[0].fingerprint.machine.cores = 64;
    let comparison = Comparison::of(runs(&[0.95]), other, Vec::new());
    assert_eq!(comparison.differences, ["cores: 0 and 64"]);
    assert!(!comparison.is_invalid(), "a machine is remarked");
    let mut other = runs(&[0.95]);
    other[0].fingerprint.scenario = "night".into();
    let comparison = Comparison::of(runs(&[0.95]), other, Vec::new());
    assert!(comparison.is_invalid() && comparison.outcome().contains("different scenarios"), "{comparison:?}");
}
