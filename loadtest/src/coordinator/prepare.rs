//! Everything of a run that is decided before a process starts: folder, people, ports, certificate, configuration, plan.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use super::certificate;
use super::plan::{Entrance, Machine, Program, Proxied, RunPlan, authority};
use super::{Settings, parts};
use crate::ledger::Folder;
use crate::overload::server::Port;
use crate::population::Person;
use crate::scenario::fault::{FaultKind, Side};
use crate::scenario::template::{self, Values};
use crate::scenario::{Scenario, Service, ServiceIndex};

/// People one worker plays at ease: the sockets of one process, and a core to itself.
const PEOPLE_PER_WORKER: usize = 40_000;

/// A run that can be started.
#[derive(Debug)]
pub struct Prepared {
    /// The experiment, scaled.
    pub scenario: Scenario,
    /// Its plan; the start is set when it starts.
    pub plan: RunPlan,
    /// Its folder.
    pub folder: Folder,
    /// The gateway's configuration.
    pub configuration: Option<Configuration>,
    /// How many people come.
    pub people: usize,
}

/// The gateway's configuration, which is written again when servers are added.
#[derive(Clone, Debug)]
pub struct Configuration {
    folder: Folder,
    source: PathBuf,
    template: String,
    listener: SocketAddr,
    admin: SocketAddr,
    quota: Option<u64>,
    services: Vec<Listed>,
}

/// A service in a configuration.
#[derive(Clone, Debug)]
struct Listed {
    name: String,
    servers: Vec<SocketAddr>,
    count: usize,
}

/// Prepares a run as `settings` say.
///
/// # Errors
/// The scenario is wrong, the folder has a run already, or something cannot be written.
pub fn prepare(settings: &Settings) -> anyhow::Result<Prepared> {
    let scenario = parts::read(&settings.scenario, settings.time_scale)?;
    let seed = settings.seed.unwrap_or(scenario.seed);
    let folder = folder(&settings.folder, &settings.scenario)?;
    let (population, plan_hash) = parts::population(&scenario, seed);
    if population.is_empty() {
        bail!("nobody comes: the scenario's arrivals, at this time scale, are less than one person");
    }
    let door = settings.weir.is_some();
    let entrance = door.then(port).transpose()?.map(|address| Entrance { address, tls: scenario.gateway.tls });
    let admin = door.then(port).transpose()?;
    let services = addresses(&scenario)?;
    let proxied = proxied(&scenario, door, &services)?;
    let gateway = settings.weir.as_ref().map(|path| {
        let arguments = vec!["--config".to_owned(), folder.gateway().display().to_string()];
        Program { path: path.clone(), arguments }
    });
    let plan = RunPlan {
        name: scenario.name.clone(),
        scenario: settings.scenario.clone(),
        seed,
        time_scale: settings.time_scale,
        start_ns: 0,
        workers: settings.workers.unwrap_or_else(|| workers(&population)),
        entrance,
        admin,
        services,
        proxied,
        gateway,
        plan_hash,
        versions: versions(settings.weir.as_deref()),
        machine: Machine::here(settings.descriptors),
    };
    if plan.tls() {
        certificate::make(&state(&folder), &authority(&folder))?;
    }
    let configuration = entrance.zip(admin).map(|(entrance, admin)| {
        let configuration = Configuration::new(&scenario, &plan, &folder, entrance.address, admin)?;
        configuration.write().map(|()| configuration)
    });
    let configuration = configuration.transpose()?;
    Ok(Prepared { people: population.len(), scenario, plan, folder, configuration })
}

fn folder(path: &Path, scenario: &Path) -> anyhow::Result<Folder> {
    std::fs::create_dir_all(state(&Folder::new(path))).with_context(|| format!("cannot create {}", path.display()))?;
    // Paths in it are read by processes with other working directories.
    let folder = Folder::new(path.canonicalize().with_context(|| format!("cannot find {}", path.display()))?);
    if folder.run().exists() {
        bail!("{} has a run already: name another folder", path.display());
    }
    std::fs::copy(scenario, folder.scenario()).with_context(|| format!("cannot copy {}", scenario.display()))?;
    Ok(folder)
}

/// Of this program, and of the gateway if it says one.
fn versions(gateway: Option<&Path>) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::from([("loadtest".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]);
    let said = gateway.and_then(|path| Command::new(path).arg("--version").stdin(Stdio::null()).output().ok());
    if let Some(said) = said.filter(|said| said.status.success()) {
        let line = String::from_utf8_lossy(&said.stdout).lines().next().unwrap_or_default().trim().to_owned();
        versions.insert("gateway".to_owned(), line);
    }
    versions
}

fn workers(population: &[Person]) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, Into::into);
    population.len().div_ceil(PEOPLE_PER_WORKER).clamp(1, cores)
}

fn port() -> anyhow::Result<SocketAddr> {
    Ok(Port::reserve().context("no port is free")?.address)
}

fn addresses(scenario: &Scenario) -> anyhow::Result<Vec<Vec<SocketAddr>>> {
    let of = |service: &Service| (0..service.servers.saturating_add(service.reserve)).map(|_| port()).collect();
    scenario.services.iter().map(of).collect()
}

/// Addresses of the fault proxy on those sides on which something happens.
fn proxied(scenario: &Scenario, door: bool, services: &[Vec<SocketAddr>]) -> anyhow::Result<Option<Proxied>> {
    let happens = |wanted: Side| {
        scenario.faults.iter().any(|fault| matches!(fault.kind, FaultKind::Network { side, .. } if side == wanted))
    };
    let (clients, behind) = (happens(Side::Clients) && door, happens(Side::Services));
    if !clients && !behind {
        return Ok(None);
    }
    let entrance = clients.then(port).transpose()?;
    let instead = |servers: &Vec<SocketAddr>| servers.iter().map(|_| port()).collect();
    let services = if behind { services.iter().map(instead).collect::<Result<_, _>>()? } else { Vec::new() };
    Ok(Some(Proxied { entrance, services }))
}

/// For the gateway's keys, certificates and journals.
fn state(folder: &Folder) -> PathBuf {
    folder.path().join("state")
}

impl Configuration {
    fn new(
        scenario: &Scenario,
        plan: &RunPlan,
        folder: &Folder,
        listener: SocketAddr,
        admin: SocketAddr,
    ) -> anyhow::Result<Self> {
        let source = scenario.gateway.config.clone();
        let template = std::fs::read_to_string(&source).with_context(|| format!("cannot read {}", source.display()))?;
        let listed = scenario.services.iter().zip(plan.reached()).map(|(service, servers)| Listed {
            name: service.name.clone(),
            servers: servers.clone(),
            count: service.servers.into(),
        });
        let (services, folder, quota) = (listed.collect(), folder.clone(), scenario.quota);
        Ok(Self { folder, source, template, listener, admin, quota, services })
    }

    /// So many servers more of a service.
    pub fn add(&mut self, service: ServiceIndex, servers: u8) {
        if let Some(listed) = self.services.get_mut(usize::from(service)) {
            listed.count = (listed.count + usize::from(servers)).min(listed.servers.len());
        }
    }

    /// Writes it for the gateway.
    ///
    /// # Errors
    /// A placeholder stands for nothing, or it cannot be written.
    pub fn write(&self) -> anyhow::Result<()> {
        let servers = |listed: &Listed| listed.servers.iter().take(listed.count).copied().collect();
        let services: Vec<_> = self.services.iter().map(|listed| (listed.name.clone(), servers(listed))).collect();
        let values = Values {
            // People come by one of them; a template names that one.
            listener: self.listener,
            tls_listener: self.listener,
            admin: self.admin,
            state: &state(&self.folder),
            access: &self.folder.access(),
            quota: self.quota,
            services: &services,
        };
        let text = template::fill(&self.template, &values).with_context(|| format!("in {}", self.source.display()))?;
        let path = self.folder.gateway();
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}
