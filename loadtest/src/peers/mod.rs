//! The same people at the same services, through one gateway after the other: weir, and whatever of nginx, `HAProxy` and Envoy is installed.
//!
//! Each of the others stands there twice: as an *expert* sets it, who was told the service's capacity and knee, and as one sets it with care who
//! was not (*plausible*). weir is told nothing, and stands there twice too: as the scenario has it, and with nothing but its *line*, as the
//! others have no waiting room. The texts are in `loadtest/scenarios/peers`; what a run made of them is in its folder.
//!
//! **Invariants**: who was asked for and is not installed is named, not left out. In a round everybody meets the same people (one seed); the rounds
//! begin with another gateway each, so that none has the machine always at the same time. Only weir, as the scenario has it, is judged: what the oracle says of another is for
//! information, but an invalid run is one whoever stood there.
//! **Cost**: the time of a run for each.
//! **Not here**: how a run is made (`coordinator`) and what its figures mean (`oracle`).

pub mod find;
pub mod report;

use std::path::PathBuf;
use std::str::FromStr;

use serde::Serialize;

use self::find::{Found, find};
use self::report::{Column, Line, Outcome};
use crate::coordinator::product::{Front, Product};
use crate::coordinator::{self, Ended, Settings, Shown, parts, prepare, recall};
use crate::figure::Figure;
use crate::oracle::{self, Finding, Invariant, Ledgers};
use crate::scenario::Scenario;
use crate::scenario::persona::Protocol;

/// Who may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A gateway.
    Gateway(Product),
    /// Nothing: people go straight to the services.
    Nothing,
}

/// How a gateway is set, if not as the scenario says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Setting {
    /// By who knows the service's capacity and knee exactly.
    Expert,
    /// With care, by who does not.
    Plausible,
    /// weir without a waiting room.
    Line,
}

/// One who takes part.
#[derive(Clone, Debug, PartialEq)]
pub struct Contestant {
    /// How the table calls it.
    pub name: String,
    /// Its version; empty of nothing.
    pub version: String,
    /// What is started; none: nothing.
    pub front: Option<Front>,
}

/// The scenario cannot be played to every gateway.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// The others are configured for cleartext.
    #[error("its people come under TLS, and the configurations of the peers have no certificate")]
    Tls,
    /// The others are configured for HTTP/1.1.
    #[error("the persona {0:?} speaks HTTP/2, and the configurations of the peers HTTP/1.1")]
    Http2(String),
}

impl Asked {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 5] = [
        Self::Gateway(Product::Weir),
        Self::Gateway(Product::Nginx),
        Self::Gateway(Product::Haproxy),
        Self::Gateway(Product::Envoy),
        Self::Nothing,
    ];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gateway(product) => product.name(),
            Self::Nothing => "none",
        }
    }
}

impl FromStr for Asked {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|asked| asked.name() == text);
        found.ok_or_else(|| "there are weir, nginx, haproxy, envoy and none".to_owned())
    }
}

/// The configuration of `product` as `setting` has it, with words in braces; none: there is no such setting of it.
#[must_use]
pub const fn template(product: Product, setting: Setting) -> Option<&'static str> {
    Some(match (product, setting) {
        (Product::Weir, Setting::Line) => include_str!("../../scenarios/peers/weir.line.conf"),
        (Product::Nginx, Setting::Expert) => include_str!("../../scenarios/peers/nginx.expert.conf"),
        (Product::Nginx, Setting::Plausible) => include_str!("../../scenarios/peers/nginx.plausible.conf"),
        (Product::Haproxy, Setting::Expert) => include_str!("../../scenarios/peers/haproxy.expert.conf"),
        (Product::Haproxy, Setting::Plausible) => include_str!("../../scenarios/peers/haproxy.plausible.conf"),
        (Product::Envoy, Setting::Expert) => include_str!("../../scenarios/peers/envoy.expert.conf"),
        (Product::Envoy, Setting::Plausible) => include_str!("../../scenarios/peers/envoy.plausible.conf"),
        (Product::Weir, Setting::Expert | Setting::Plausible) | (_, Setting::Line) => return None,
    })
}

/// Those of `asked` that are there, and the names of those that are not. weir's program is `weir`; the others are looked for in `folders`.
#[must_use]
pub fn contestants(asked: &[Asked], weir: &std::path::Path, folders: &[PathBuf]) -> (Vec<Contestant>, Vec<String>) {
    let (mut there, mut missing) = (Vec::new(), Vec::new());
    for asked in asked {
        let Asked::Gateway(product) = *asked else {
            there.push(Contestant { name: "none".into(), version: String::new(), front: None });
            continue;
        };
        let found = if product == Product::Weir { Found::at(product, weir) } else { find(product, folders) };
        let Some(Found { program, version }) = found else {
            missing.push(product.name().to_owned());
            continue;
        };
        let settings: &[_] = match product {
            Product::Weir => &[None, Some(Setting::Line)],
            _ => &[Some(Setting::Expert), Some(Setting::Plausible)],
        };
        for setting in settings {
            let template = setting.and_then(|setting| template(product, setting)).map(str::to_owned);
            let name = match setting {
                None => product.name().to_owned(),
                Some(Setting::Expert) => format!("{} (expert)", product.name()),
                Some(Setting::Plausible) => format!("{} (plausible)", product.name()),
                Some(Setting::Line) => format!("{} (line only)", product.name()),
            };
            let front = Front { product, program: program.clone(), template };
            there.push(Contestant { name, version: version.clone(), front: Some(front) });
        }
    }
    (there, missing)
}

/// Whether `scenario` can be played to every gateway.
///
/// # Errors
/// [`Unfit`].
pub fn fits(scenario: &Scenario) -> Result<(), Unfit> {
    if scenario.gateway.tls {
        return Err(Unfit::Tls);
    }
    let other = scenario.personas.iter().find(|persona| persona.protocol != Protocol::Http1);
    other.map_or(Ok(()), |persona| Err(Unfit::Http2(persona.name.clone())))
}

/// Who begins round `round`, and who follows.
#[must_use]
pub fn order(round: usize, contestants: usize) -> Vec<usize> {
    (0..contestants).map(|turn| (turn + round) % contestants).collect()
}

/// Makes the run of `settings` and says what came of it. A gateway that cannot be started, or ends, is an outcome too.
///
/// # Errors
/// It was interrupted, or its folder cannot be read.
pub async fn meet(settings: &Settings, interrupted: impl Future<Output = std::io::Result<()>>) -> anyhow::Result<Line> {
    let prepared = prepare::prepare(settings)?;
    let stopped = std::cell::Cell::new(false);
    let interrupted = async {
        let signalled = interrupted.await;
        stopped.set(true);
        signalled
    };
    match coordinator::run(settings, prepared, interrupted).await {
        Ok(ended) => line(&ended, settings.gateway.as_ref().map(|front| front.product)),
        Err(error) if stopped.get() => Err(error),
        Err(error) => Ok(Line::failed(format!("{error:#}"))),
    }
}

fn line(ended: &Ended, product: Option<Product>) -> anyhow::Result<Line> {
    if let Shown::Died(why) = &ended.shown {
        return Ok(Line::failed(why.clone()));
    }
    let report = crate::report::make(&ended.folder)?;
    report.write(&ended.folder)?;
    let judgement = &report.judgement;
    let facts = recall::read(&ended.folder)?;
    let ledgers = Ledgers::read(&ended.folder, facts.workers)?;
    let (registered, requests) = (ended.progress.registered as f64, ledgers.told.len() as f64);
    let coming = oracle::coming(&facts.run(), ledgers);
    let values = Column::ALL.map(|column| match (column, column.figure()) {
        (_, Some(figure)) => judgement.value(figure),
        (Column::Registered, None) => registered,
        (Column::Overtaken, None) => coming.overtaken,
        (Column::LaterP99, None) => coming.later_p99,
        (_, None) => judgement.value(Figure::GatewayCpu) * requests / registered,
    });
    Ok(Line { outcome: Outcome::Judged(judgement.verdict), remarks: remarks(judgement, product), values })
}

/// How long a request may be held, and in which order, only weir's configuration says: of the others neither is remarked.
fn remarks(judgement: &oracle::Judgement, product: Option<Product>) -> Vec<String> {
    let promised = |finding: &&Finding| {
        product == Some(Product::Weir) || !matches!(finding.invariant, Invariant::Silence | Invariant::Order)
    };
    let broken = judgement
        .broken()
        .filter(promised)
        .map(|finding| format!("{} {} times", finding.invariant.name(), finding.count));
    let missed = judgement.thresholds.iter().filter(|checked| checked.is_missed()).map(|checked| {
        let figure = checked.threshold.figure;
        format!("{} {}", figure.name(), oracle::table::written(figure, checked.value))
    });
    judgement.doubts.iter().map(ToString::to_string).chain(broken).chain(missed).collect()
}

/// The scenario of `settings`, if it fits.
///
/// # Errors
/// It is wrong, or [`Unfit`].
pub fn read(settings: &Settings) -> anyhow::Result<Scenario> {
    let scenario = parts::read(&settings.scenario, settings.time_scale)?;
    fits(&scenario)?;
    Ok(scenario)
}

#[cfg(test)]
mod tests;
