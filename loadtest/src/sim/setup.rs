//! The gateway's configuration for virtual time: the template filled in, and what belongs to a disk or a socket left out.
//!
//! **Invariants**: keys are those of the seed; a server's address is its number.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use weir::config::plan::{Key, PathPattern, Plan, Secret};
use weir::config::{self, Report};
use weir::proxy::gateway::GatewayError;
use weir::upstream::UpstreamError;

use crate::oracle::Declared;
use crate::scenario::template::{self, Unfilled, Values};
use crate::scenario::{Scenario, Stage, promised};

/// Servers of one service are told apart by their port: that of the first is this, and a hundred more a service.
const PORT: u16 = 10_000;
/// Ports of one service.
const SPAN: u16 = 300;

/// There is nothing to be run.
#[derive(Debug, thiserror::Error)]
pub enum Unbuilt {
    /// The template cannot be read.
    #[error("cannot read {0}: {1}")]
    Template(String, std::io::Error),
    /// The template cannot be filled in.
    #[error(transparent)]
    Unfilled(#[from] Unfilled),
    /// weir would not take the configuration.
    #[error("{0}")]
    Configuration(Report),
    /// The gateway cannot be built.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// Servers are added that the gateway would not take.
    #[error("the gateway does not take the servers that are added: {0}")]
    Servers(#[from] UpstreamError),
    /// What is seen of the day cannot be counted.
    #[error("nothing can be counted: {0}")]
    Counts(#[from] hdrhistogram::CreationError),
    /// No route takes a stage.
    #[error("no route of the gateway takes the stage {0}")]
    NoRoute(String),
    /// A route leads to none of the services.
    #[error("the upstream {0} has the name of no service")]
    NoService(String),
}

/// A gateway's configuration, to be had with other servers again.
#[derive(Clone, Debug)]
pub struct Configured {
    template: String,
    source: String,
    seed: u64,
}

/// The configuration at `path`, or the scenario's own template.
///
/// # Errors
/// It cannot be read.
pub fn configured(scenario: &Scenario, path: Option<&Path>, seed: u64) -> Result<Configured, Unbuilt> {
    let path = path.unwrap_or(&scenario.gateway.config);
    let source = path.display().to_string();
    let template = std::fs::read_to_string(path).map_err(|error| Unbuilt::Template(source.clone(), error))?;
    Ok(Configured { template, source, seed })
}

/// Address of a server.
pub(super) fn address(service: usize, server: u8) -> SocketAddr {
    let service = u16::try_from(service).unwrap_or_default();
    let port = PORT.saturating_add(service.saturating_mul(SPAN)).saturating_add(server.into());
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Number of the server at `port`.
pub(super) fn server(port: u16) -> u8 {
    u8::try_from(port.saturating_sub(PORT) % SPAN).unwrap_or_default()
}

impl Configured {
    /// As weir reads it, with so many servers of each service.
    pub(super) fn plan(&self, scenario: &Scenario, servers: &[u8]) -> Result<Plan, Unbuilt> {
        let text = self.text(scenario, servers)?;
        let mut plan = config::parse(&text, Path::new(&self.source)).map_err(Unbuilt::Configuration)?.plan;
        let mut rng = fastrand::Rng::with_seed(self.seed);
        for room in &mut plan.waiting_rooms {
            room.key = Key::New(secret(&mut rng));
            room.page = None;
        }
        if let Some(pass) = &mut plan.pass {
            pass.key = Key::New(secret(&mut rng));
        }
        // Probes go over sockets.
        plan.upstreams.iter_mut().for_each(|upstream| upstream.health = None);
        Ok(plan)
    }

    /// What it promises.
    ///
    /// # Errors
    /// It cannot be filled in, or weir would not take it.
    pub fn promises(&self, scenario: &Scenario) -> Result<Declared, Unbuilt> {
        Ok(promised::of(&self.plan(scenario, &initial(scenario))?, scenario))
    }

    pub(super) fn text(&self, scenario: &Scenario, servers: &[u8]) -> Result<String, Unbuilt> {
        let services: Vec<_> = scenario
            .services
            .iter()
            .zip(servers)
            .enumerate()
            .map(|(index, (service, count))| {
                (service.name.clone(), (0..*count).map(|server| address(index, server)).collect())
            })
            .collect();
        let listener = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let nowhere = std::env::temp_dir();
        let values = Values {
            listener,
            tls_listener: listener,
            admin: SocketAddr::from((Ipv4Addr::LOCALHOST, 2)),
            // Where it could be: weir's reader looks. Nothing is written there.
            state: &nowhere,
            access: &nowhere.join("access"),
            quota: scenario.quota,
            services: &services,
        };
        Ok(template::fill(&self.template, &values)?)
    }
}

/// Servers of each service that are there from the start.
pub(super) fn initial(scenario: &Scenario) -> Vec<u8> {
    scenario.services.iter().map(|service| service.servers).collect()
}

/// Position of the first route that takes `stage`.
pub(super) fn route(plan: &Plan, stage: &Stage) -> Result<usize, Unbuilt> {
    let path = stage.path.split('?').next().unwrap_or_default();
    let takes = |route: &config::plan::Route| match &route.path {
        PathPattern::Exact(exact) => exact == path,
        PathPattern::Prefix(prefix) => {
            path.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
    };
    plan.routes.iter().position(takes).ok_or_else(|| Unbuilt::NoRoute(stage.name.clone()))
}

fn secret(rng: &mut fastrand::Rng) -> Secret {
    let mut bytes = [0; 32];
    rng.fill(&mut bytes);
    Secret(bytes)
}
