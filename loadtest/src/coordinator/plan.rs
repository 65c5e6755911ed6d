//! What all processes of a run agree on: `run.json`, written before any of them starts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::ledger::Folder;

/// A run as planned. Addresses are chosen, nothing has been started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunPlan {
    /// The scenario's name.
    pub name: String,
    /// The scenario's file as given; its copy is in the folder.
    pub scenario: PathBuf,
    /// Of every draw.
    pub seed: u64,
    /// The day is so many times as short.
    pub time_scale: f64,
    /// The common start: nanoseconds of `CLOCK_MONOTONIC`.
    pub start_ns: u64,
    /// Processes that play people.
    pub workers: usize,
    /// Where people go; none: straight to the services.
    pub entrance: Option<Entrance>,
    /// The gateway's admin address, if there is a gateway.
    pub admin: Option<SocketAddr>,
    /// Of each service, each of its servers with those of the reserve.
    pub services: Vec<Vec<SocketAddr>>,
    /// Addresses that the fault proxy takes instead, if it is in the way.
    pub proxied: Option<Proxied>,
    /// The gateway's program and arguments.
    pub gateway: Option<Program>,
    /// Fingerprint of the people.
    pub plan_hash: String,
    /// Of the programs, by name.
    #[serde(default)]
    pub versions: BTreeMap<String, String>,
    /// Where it was run.
    pub machine: Machine,
}

/// The gateway's door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entrance {
    /// Where the gateway listens; people come here unless the fault proxy is in the way.
    pub address: SocketAddr,
    /// Whether they speak TLS.
    pub tls: bool,
}

/// Where the fault proxy listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proxied {
    /// In front of the gateway.
    pub entrance: Option<SocketAddr>,
    /// In front of each server; empty: of none.
    pub services: Vec<Vec<SocketAddr>>,
}

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Where it is.
    pub path: PathBuf,
    /// With what it is started.
    pub arguments: Vec<String>,
}

/// The machine of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Name and release of the kernel.
    pub kernel: String,
    /// The processor's model.
    pub processor: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Memory, in bytes.
    pub memory: u64,
    /// Descriptors a process may have.
    pub descriptors: usize,
}

impl RunPlan {
    /// Where people knock: the fault proxy if it is in the way, else the gateway.
    #[must_use]
    pub fn door(&self) -> Option<SocketAddr> {
        let proxied = self.proxied.as_ref().and_then(|proxied| proxied.entrance);
        proxied.or_else(|| self.entrance.map(|entrance| entrance.address))
    }

    /// Where the servers of each service are reached: at the fault proxy if it is in the way.
    #[must_use]
    pub fn reached(&self) -> &[Vec<SocketAddr>] {
        let proxied = self.proxied.as_ref().map(|proxied| &proxied.services).filter(|services| !services.is_empty());
        proxied.unwrap_or(&self.services)
    }

    /// Whether people speak TLS.
    #[must_use]
    pub fn tls(&self) -> bool {
        self.entrance.is_some_and(|entrance| entrance.tls)
    }

    /// Reads the plan of the run in `folder`.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub fn read(folder: &Folder) -> anyhow::Result<Self> {
        let path = folder.run();
        let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is no plan of a run", path.display()))
    }

    /// Writes it into `folder`.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, folder: &Folder) -> anyhow::Result<()> {
        let path = folder.run();
        let text = serde_json::to_vec_pretty(self)?;
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// The authority whose certificates people believe.
#[must_use]
pub fn authority(folder: &Folder) -> PathBuf {
    folder.path().join("ca.pem")
}

impl Machine {
    /// This one, which lets a process have so many `descriptors`.
    #[must_use]
    pub fn here(descriptors: usize) -> Self {
        let text = |path: &str| std::fs::read_to_string(Path::new(path)).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.map(|line| line.trim_start_matches([' ', '\t', ':']).to_owned()).unwrap_or_default()
        };
        let kibibytes = field(&text("/proc/meminfo"), "MemTotal");
        let memory = kibibytes.split(' ').next().and_then(|number| number.parse::<u64>().ok()).unwrap_or_default();
        Self {
            kernel: format!("{} {}", text("/proc/sys/kernel/ostype").trim(), text("/proc/sys/kernel/osrelease").trim()),
            processor: field(&text("/proc/cpuinfo"), "model name"),
            cores: std::thread::available_parallelism().map_or(0, Into::into),
            memory: memory * 1024,
            descriptors,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read_as_it_was_written_and_leads_people_to_the_proxy() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = Folder::new(folder.path());
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let mut plan = RunPlan {
            name: "smoke".into(),
            scenario: "smoke.toml".into(),
            seed: 7,
            time_scale: 2.5,
            start_ns: 9,
            workers: 2,
            entrance: Some(Entrance { address: at(1), tls: true }),
            admin: Some(at(2)),
            services: vec![vec![at(3), at(4)], vec![at(5)]],
            proxied: None,
            gateway: Some(Program { path: "weir".into(), arguments: vec!["--config".into()] }),
            plan_hash: "00".into(),
            versions: BTreeMap::from([("weir".into(), "weir 0.1.0".into())]),
            machine: Machine::here(20_000),
        };
        assert!(plan.machine.cores > 0 && plan.machine.memory > 1 << 20, "{:?}", plan.machine);
        std::fs::create_dir_all(folder.path()).expect("a folder");
        plan.write(&folder).expect("written");
        assert_eq!(RunPlan::read(&folder).expect("read"), plan);
        assert_eq!((plan.door(), plan.tls()), (Some(at(1)), true));
        plan.proxied = Some(Proxied { entrance: Some(at(6)), services: vec![vec![at(7)]] });
        assert_eq!((plan.door(), plan.reached()), (Some(at(6)), &[vec![at(7)]][..]));
        plan.proxied = Some(Proxied { entrance: None, services: Vec::new() });
        assert_eq!((plan.door(), plan.reached()), (Some(at(1)), &plan.services[..]));
    }
}
