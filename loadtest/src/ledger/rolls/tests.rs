use super::*;

fn drawn(rng: &mut fastrand::Rng) -> Told {
    let id = RequestId { person: rng.u32(0..5), request: rng.u32(..) };
    let digits = rng.u32(1..=63);
    let sent = rng.u64(..1 << digits);
    let some = |rng: &mut fastrand::Rng| if rng.bool() { NONE } else { rng.u32(..) };
    let ahead = some(rng);
    Told {
        tab: rng.u8(..),
        ending: rng.choice(Ending::ALL).expect("some"),
        word: rng.choice(Word::ALL).expect("some"),
        shown: rng.bool(),
        status: rng.u16(..),
        intended: if rng.bool() { sent } else { rng.u64(..) },
        ended: if rng.bool() { sent } else { rng.u64(..) },
        retry_after: some(rng),
        place: if rng.bool() { place(ahead) } else { some(rng) },
        ahead,
        eta_p50: some(rng),
        eta_p90: some(rng),
        ..Told::sent(id, rng.u8(..), rng.choice(Kind::ALL).expect("some"), sent, sent)
    }
}

#[test]
fn what_is_put_in_comes_out() {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut all: Vec<Told> = (0..2_000).map(|_| drawn(&mut rng)).collect();
    all.push(Told { id: RequestId { person: u32::MAX, request: u32::MAX }, ..all[0] });
    let rolls: Rolls = all.clone().into();
    assert_eq!((rolls.len(), rolls.is_empty()), (2_001, false));
    for person in (0..6).chain([u32::MAX]) {
        let his: Vec<Told> = all.iter().copied().filter(|told| told.id.person == person).collect();
        assert_eq!(rolls.of(person).collect::<Vec<_>>(), his);
    }
    all.sort_by_key(|told| told.id.person);
    assert_eq!(rolls.iter().collect::<Vec<_>>(), all);
    assert!(rolls == all.iter().copied().collect() && rolls != all.into_iter().skip(1).collect());
}

#[test]
fn who_asks_again_costs_a_few_bytes() {
    let mut rolls = Rolls::new(1);
    for request in 0..10_000 {
        let sent = u64::from(request) * 200_000 + 7;
        let ahead = 50_000 - request * 4;
        let told = Told::sent(RequestId { person: 0, request }, 0, Kind::Submit, sent, sent);
        let (ending, word) = (Ending::Answered, Word::Place);
        let (retry_after, p50) = (60_000 - request, 3_000_000 - request / 5 * 1_000);
        let told = Told { ending, word, status: 503, retry_after, place: ahead + 1, ahead, eta_p50: p50, ..told };
        rolls.push(&Told { eta_p90: p50 + 60_000, ..told });
    }
    let bytes = rolls.bytes();
    assert!(bytes < 10 * 10_000, "{bytes}");
}

#[test]
fn what_is_put_in_at_once_or_behind_is_what_is_put_in_one_by_one() {
    let mut rng = fastrand::Rng::with_seed(2);
    let all: Vec<Told> = (0..2_000).map(|_| drawn(&mut rng)).collect();
    let mut at_once = Rolls::new(5);
    at_once.put(&all);
    assert!(at_once == all.iter().copied().collect());
    // Two and three people, each part numbered from nought.
    let part = |from: u32, until: u32| {
        let mut part = Rolls::new((until - from) as usize);
        let his = all.iter().filter(|told| (from..until).contains(&told.id.person));
        his.for_each(|told| part.push(&Told { id: RequestId { person: told.id.person - from, ..told.id }, ..*told }));
        part
    };
    let mut joined = part(0, 2);
    joined.append(part(2, 5));
    assert!(joined == at_once);
}
