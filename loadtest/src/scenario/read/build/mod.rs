//! From what is written to the scenario: names resolved, times and sums compared.
//!
//! **Invariants**: every check runs whatever failed before it; a fault that only follows from another is not reported. What is returned
//! is a scenario only if no fault was recorded.

mod arrivals;
mod fault;

use std::collections::BTreeSet;
use std::time::Duration;

use weir::config::explain::{Faults, quoted};
use weir::config::names::Names;
use weir::config::reader::Written;
use weir::config::units::spell;

use super::value::LONGEST;
use super::{Beside, COLD, Draft, Service, persona, service};
use crate::scenario::{Fault, Gateway, Persona, Scenario, ServiceIndex, Stage, template};

/// Indexes of services, stages and personas are a byte; so many of each are far more than anybody can read of.
const MOST_TABLES: usize = 64;

/// The shares of the personas may miss 1 by this: three thirds written with three digits.
const SHARES: f64 = 0.001;

/// The names that tables refer to.
struct Known {
    services: Names,
    personas: Names,
    duration: Option<Duration>,
}

/// The scenario of `draft`, called `name`.
pub(super) fn build(draft: Draft, name: &str, beside: Beside<'_>, faults: &mut Faults<'_>) -> Scenario {
    let known = Known {
        services: Names::of("service", draft.services.iter().map(|one| one.name.as_ref()), faults),
        personas: Names::of("persona", draft.personas.iter().map(|one| one.name.as_ref()), faults),
        duration: draft.duration.as_ref().map(|duration| duration.value),
    };
    Names::of("stage", draft.stages.iter().map(|one| one.name.as_ref()), faults);
    check_counts(&draft, faults);
    check_unused(&draft, faults);
    let arrivals = draft.arrivals.iter().filter_map(|one| arrivals::source(one, &known, faults)).collect::<Vec<_>>();
    arrivals::check_people(&draft.arrivals, &arrivals, &known, faults);
    let events = draft.faults.iter().filter_map(|one| fault::event(one, &draft.services, &known, faults)).collect();
    let duration = known.duration.unwrap_or(LONGEST);
    let gateway = gateway(&draft, beside, faults);
    Scenario {
        name: name.to_owned(),
        shows: draft.shows,
        seed: draft.seed,
        duration,
        drain: draft.drain,
        measured_from: measured_from(draft.measured_from.as_ref(), known.duration, faults),
        quota: draft.quota,
        gateway,
        stages: stages(&draft.stages, &known.services, faults),
        services: services(draft.services, &known.services, faults),
        arrivals,
        personas: personas(draft.personas, faults),
        faults: in_order(events),
        thresholds: draft.thresholds,
    }
}

fn add(faults: &mut Faults<'_>, written: &std::ops::Range<usize>, message: String, label: &str) {
    faults.add(written, message, Some(label.to_owned()), None);
}

fn in_order(mut events: Vec<Fault>) -> Vec<Fault> {
    events.sort_by_key(|event| event.at);
    events
}

fn gateway(draft: &Draft, beside: Beside<'_>, faults: &mut Faults<'_>) -> Gateway {
    let (Beside::Checked(directory) | Beside::Trusted(directory)) = beside;
    let super::Gateway { config, span, tls } = &draft.gateway;
    let config = directory.join(config);
    if matches!(beside, Beside::Checked(_)) {
        let help =
            "[gateway] config = \"PATH\" is weir's configuration with placeholders such as {listener}".to_owned();
        let services = draft.services.iter().filter_map(|service| Some(service.name.as_ref()?.value.clone()));
        let wrong = match std::fs::read_to_string(&config) {
            Ok(template) => template::check(&template, *tls, draft.quota, services).err().map(|why| why.to_string()),
            Err(why) => Some(format!("it cannot be read: {why}")),
        };
        if let Some(why) = wrong {
            let message = format!("the gateway's configuration {}: {why}", config.display());
            faults.add(span, message, Some("looked at because of this".to_owned()), Some(help));
        }
    }
    Gateway { config, tls: *tls }
}

fn measured_from(written: Option<&Written<Duration>>, duration: Option<Duration>, faults: &mut Faults<'_>) -> Duration {
    let duration = duration.unwrap_or(LONGEST);
    let Some(from) = written else { return COLD.min(duration / 4) };
    if from.value >= duration {
        let message = format!("`measured_from` is not before the end of the arrivals, {}", spell(duration));
        add(faults, &from.span, message, "nothing would be measured");
    }
    from.value
}

fn check_counts(draft: &Draft, faults: &mut Faults<'_>) {
    let mut check = |kind: &str, spans: Vec<&std::ops::Range<usize>>| {
        if let Some(span) = spans.get(MOST_TABLES) {
            add(faults, span, format!("there are more than {MOST_TABLES} [[{kind}]]s"), "one too many");
        }
    };
    check("service", draft.services.iter().map(|one| &one.span).collect());
    check("stage", draft.stages.iter().map(|one| &one.span).collect());
    check("persona", draft.personas.iter().map(|one| &one.span).collect());
    check("arrivals", draft.arrivals.iter().map(|one| &one.span).collect());
}

/// What nothing refers to was meant to do something: a scenario is an experiment, and proves nothing with a part left out.
fn check_unused(draft: &Draft, faults: &mut Faults<'_>) {
    let stages = draft.stages.iter().filter_map(|stage| stage.service.as_ref());
    let needs = draft.services.iter().flat_map(|service| &service.needs);
    let used: BTreeSet<&str> = stages.chain(needs).map(|name| name.value.as_str()).collect();
    // A reference that could not be read may be to any of them.
    let complete = draft.stages.iter().all(|stage| stage.service.is_some());
    for name in draft.services.iter().filter_map(|service| service.name.as_ref()) {
        if complete && !used.contains(name.value.as_str()) {
            let message = format!("no stage and no other service uses the service {}", quoted(&name.value));
            add(faults, &name.span, message, "leave it out, or use it");
        }
    }
    let coming: BTreeSet<&str> =
        draft.arrivals.iter().flat_map(|source| &source.personas).map(|name| name.value.as_str()).collect();
    if draft.arrivals.iter().all(|source| !source.personas.is_empty()) {
        for name in draft.personas.iter().filter_map(|persona| persona.name.as_ref()) {
            if !coming.contains(name.value.as_str()) {
                let message = format!("no arrivals bring the persona {}", quoted(&name.value));
                add(faults, &name.span, message, "leave it out, or let somebody come");
            }
        }
    }
}

fn services(drafts: Vec<Service>, names: &Names, faults: &mut Faults<'_>) -> Vec<crate::scenario::Service> {
    let needs: Vec<Vec<(usize, &Written<String>)>> = drafts
        .iter()
        .map(|draft| draft.needs.iter().filter_map(|name| Some((names.resolve(name, faults)?, name))).collect())
        .collect();
    for (index, wants) in needs.iter().enumerate() {
        // The one written last closes the circle: that of the service that stands last in the file.
        for (needed, name) in wants.iter().filter(|(needed, _)| *needed <= index) {
            if reaches(&needs, *needed, index) {
                let message = format!("{} needs itself, by way of this", quoted(label(drafts.get(index))));
                add(faults, &name.span, message, "no request would ever be done");
            }
        }
    }
    let needs: Vec<Vec<ServiceIndex>> =
        needs.iter().map(|wants| wants.iter().filter_map(|(needed, _)| u8::try_from(*needed).ok()).collect()).collect();
    for draft in &drafts {
        let failing = service::failing(&draft.failures);
        if failing > 1.0 {
            let message = format!("the shares in [service.failures] sum to {:.1} %", failing * 100.0);
            add(faults, &draft.span, message, "more than all requests would fail");
        }
    }
    let built = |(draft, needs): (Service, Vec<ServiceIndex>)| crate::scenario::Service {
        name: draft.name.map(|name| name.value).unwrap_or_default(),
        curve: draft.curve,
        in_flight: draft.in_flight,
        servers: draft.servers,
        reserve: draft.reserve,
        needs,
        idempotent: draft.idempotent,
        failures: draft.failures,
        work_shape: draft.work_shape,
    };
    drafts.into_iter().zip(needs).map(built).collect()
}

fn label(service: Option<&Service>) -> &str {
    service.and_then(|service| service.name.as_ref()).map_or("", |name| &name.value)
}

/// Whether `goal` is `from` or among what it needs.
fn reaches(needs: &[Vec<(usize, &Written<String>)>], from: usize, goal: usize) -> bool {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(next) = open.pop() {
        if next == goal {
            return true;
        }
        if seen.insert(next) {
            open.extend(needs.get(next).into_iter().flatten().map(|(needed, _)| *needed));
        }
    }
    false
}

fn stages(drafts: &[super::Stage], services: &Names, faults: &mut Faults<'_>) -> Vec<Stage> {
    let mut paths = BTreeSet::new();
    for path in drafts.iter().filter_map(|draft| draft.path.as_ref()) {
        let bare = path.value.split('?').next().unwrap_or_default();
        if !paths.insert(bare.to_owned()) {
            let message = format!("two [[stage]]s have the path {}", quoted(bare));
            add(faults, &path.span, message, "a service knows the stage by its path");
        }
    }
    let mut entrances = drafts.iter().filter_map(|draft| draft.entrance.as_ref()).filter(|entrance| entrance.value);
    if let (Some(_), Some(second)) = (entrances.next(), entrances.next()) {
        let message = "there are two entrances".to_owned();
        add(faults, &second.span, message, "a place is won once and kept for the later stages");
    }
    if let Some(goes_on) = drafts.last().and_then(|last| last.goes_on.as_ref()) {
        let message = "`goes_on` of the last stage has no meaning".to_owned();
        add(faults, &goes_on.span, message, "there is nothing to go on to");
    }
    // Where none is said to be the entrance, people come in by the first.
    let said = drafts.iter().any(|draft| draft.entrance.is_some());
    drafts
        .iter()
        .enumerate()
        .map(|(index, draft)| Stage {
            name: draft.name.as_ref().map(|name| name.value.clone()).unwrap_or_default(),
            path: draft.path.as_ref().map(|path| path.value.clone()).unwrap_or_default(),
            service: draft.service.as_ref().and_then(|name| index_of(services, name, faults)).unwrap_or_default(),
            body: draft.body,
            entrance: draft.entrance.as_ref().map_or(index == 0 && !said, |entrance| entrance.value),
            goes_on: draft.goes_on.as_ref().map_or(1.0, |goes_on| goes_on.value),
        })
        .collect()
}

fn index_of(names: &Names, name: &Written<String>, faults: &mut Faults<'_>) -> Option<u8> {
    names.resolve(name, faults).and_then(|index| u8::try_from(index).ok())
}

fn personas(drafts: Vec<persona::Draft>, faults: &mut Faults<'_>) -> Vec<Persona> {
    if drafts.is_empty() {
        return vec![persona::only()];
    }
    let written = drafts.iter().filter(|draft| draft.share.is_some()).count();
    let one = drafts.len() == 1;
    if !one && written < drafts.len() {
        for draft in drafts.iter().filter(|draft| draft.share.is_none() && !draft.share_is_written) {
            let message = "[[persona]] has no `share`".to_owned();
            add(faults, &draft.span, message, "with several kinds of people each has a share");
        }
    } else if let Some(last) = drafts.iter().filter_map(|draft| draft.share.as_ref()).next_back() {
        let sum: f64 = drafts.iter().filter_map(|draft| draft.share.as_ref()).map(|share| share.value).sum();
        if (sum - 1.0).abs() > SHARES {
            let message = format!("the shares of the personas sum to {:.1} %, not 100 %", sum * 100.0);
            add(faults, &last.span, message, "the last of them");
        }
    }
    let share = |draft: &persona::Draft| draft.share.as_ref().map_or(1.0, |share| share.value);
    drafts.into_iter().map(|draft| Persona { share: share(&draft), ..draft.persona }).collect()
}
