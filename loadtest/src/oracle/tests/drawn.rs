//! What is drawn of a run agrees with what is judged of it.

use super::broken::{SOMEBODY, but};
use super::model::World;
use super::*;
use crate::ledger::{Ending, Word, said};
use crate::report::series::Series;

fn series(world: &World) -> Series {
    let run = Run { scenario: &world.scenario, people: &world.people, declared: &world.declared };
    Series::of(&run, &world.ledgers, &[])
}

#[test]
fn work_is_good_if_its_person_heard_of_it_and_not_if_only_the_gateway_did() {
    let good = |world: &World| series(world).seconds.iter().map(|second| second.goodput).sum::<f64>();
    let unheard = but(|world| {
        let served = world.served(SOMEBODY, 0);
        assert!(served.heard);
        let id = served.id.expect("a number");
        let told = world.told(id.person, id.request);
        (told.ending, told.word, told.status) = (Ending::BrokenOff, Word::Nothing, 0);
    });
    let (all, less) = (good(&World::honest()), good(&unheard));
    assert!((all - less - 1.0).abs() < 1e-6, "{all} and {less}");
}

#[test]
fn every_upstream_is_drawn() {
    let world = but(|world| {
        for said in &mut world.ledgers.said {
            said.upstreams.insert("other".to_owned(), said::Upstream { limit: 9.0, ..said::Upstream::default() });
        }
    });
    let series = series(&world);
    let limits: Vec<_> = series.gateway.iter().map(|(name, looks)| (name.as_str(), looks[0].limit)).collect();
    assert_eq!(limits, [("join", 4.0), ("other", 9.0)]);
    assert_eq!(series.rooms.len(), world.ledgers.said.len());
}
