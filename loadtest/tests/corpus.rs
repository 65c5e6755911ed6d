//! The corpus of the fuzz target `scenario`, and changes of it, through the same function (`fuzz/src`).

#![expect(clippy::unwrap_used, reason = "a test may panic, and its steps are functions")]
#![expect(clippy::disallowed_methods, reason = "a test that lasts for a second needs a clock")]

#[path = "../../fuzz/src/changes.rs"]
mod changes;
#[path = "../../fuzz/src/scenario.rs"]
#[expect(unreachable_pub, reason = "written for the fuzzer's crate")]
mod scenario;

use std::path::Path;
use std::time::{Duration, Instant};

/// For all changes.
const TIME: Duration = Duration::from_secs(1);

#[test]
fn nothing_in_the_corpus_or_near_it_breaks_the_reader() {
    let corpus = changes::corpus(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/scenario"));
    for data in &corpus {
        changes::check("scenario", scenario::scenario, data);
    }
    let mut rng = fastrand::Rng::with_seed(1);
    let began = Instant::now();
    while began.elapsed() < TIME {
        changes::check("scenario", scenario::scenario, &changes::changed(&mut rng, &corpus));
    }
}
