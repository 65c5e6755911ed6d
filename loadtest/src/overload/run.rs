//! One scenario, once: the service, weir and the crowd on real sockets, and everything they logged.
//!
//! **Invariants**: the service and the crowd live in this process and share one clock; weir is a process of its own and is
//! stopped whatever happens. Nothing is judged here.
//! **Cost**: 20,000 descriptors suffice: the crowd has 24 connections and the gateway one for each permit.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::sync::oneshot;

use super::gateway::{self, Said};
use super::people::{self, Person};
use super::room::{self, Asked, Serving};
use super::scenario::{Answers, Scenario};
use super::server::{self, Behaviour, Port};
use super::service::{Log, Service};
use super::timeline::{Timeline, span};
use super::visit::{self, Attempt};
use crate::clock::Clock;
use crate::demo::child::Program;

/// What to run with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// weir's program; none: the crowd goes straight to the service.
    pub weir: Option<PathBuf>,
    /// Value of the upstream's `concurrency`, as written in TOML.
    pub concurrency: String,
    /// Where its configuration and log go.
    pub folder: PathBuf,
    /// How often a run whose harness was late is made again.
    pub repeats: u32,
}

/// Everything that was logged.
#[derive(Clone, Debug)]
pub struct Run {
    /// What was run.
    pub scenario: Scenario,
    /// Who came.
    pub people: Vec<Person>,
    /// What they tried, in order of sending.
    pub attempts: Vec<Attempt>,
    /// What each server did.
    pub servers: Vec<Log>,
    /// What weir said of itself.
    pub said: Vec<Said>,
    /// What people were told of their places in a waiting room, in order of the answers.
    pub asked: Vec<Asked>,
    /// Whom weir said it had called there.
    pub serving: Vec<Serving>,
}

/// The emulated service while it runs.
struct Servers {
    services: Vec<Arc<Service>>,
    drivers: Vec<thread::JoinHandle<()>>,
    sockets: thread::JoinHandle<std::io::Result<()>>,
    stop: oneshot::Sender<()>,
}

/// Runs `scenario` once; blocks, outside of any runtime. `interrupted` ends it early.
pub fn run(
    scenario: &Scenario,
    seed: u64,
    setup: &Setup,
    interrupted: impl Future<Output = std::io::Result<()>>,
) -> anyhow::Result<Run> {
    let people = Arc::new(people::draw(&scenario.crowd, scenario.capacity(), seed));
    let ports = scenario.servers.iter().map(|_| Port::reserve()).collect::<std::io::Result<Vec<_>>>()?;
    let addresses: Vec<_> = ports.iter().map(|port| port.address).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut weir = match &setup.weir {
        Some(program) => Some(start(&runtime, program, scenario, &addresses, setup)?),
        None => None,
    };
    let early = weir.as_ref().map(|weir| visit::prepare(weir.entrance)).transpose()?;
    let clock = Clock::start();
    let servers = Servers::start(scenario, ports, clock, seed)?;
    let straight = *addresses.first().context("a service has a server")?;
    let ready = early.map_or_else(|| visit::prepare(straight), Ok)?;
    let (finished, crowd_ends) = oneshot::channel();
    let (crowd, who, end) = (scenario.crowd.clone(), Arc::clone(&people), span(scenario.lasts()));
    let crowd = thread::Builder::new().name("crowd".into()).spawn(move || {
        let logged = ready.run(crowd, &who, clock, end);
        // Nobody waits for it only when the run has been given up.
        finished.send(()).ok();
        logged
    })?;
    let (mut said, mut serving) = (Vec::new(), Vec::new());
    let room = weir.as_ref().map(|weir| weir.admin).filter(|_| scenario.crowd.waits.is_some());
    let watched = runtime.block_on(async {
        tokio::select! {
            _ = crowd_ends => Ok(()),
            error = watch(weir.as_mut(), clock, &mut said) => Err(error),
            error = watch_room(room, clock, &mut serving) => Err(error),
            _ = interrupted => Err(anyhow!("interrupted")),
        }
    });
    watched?;
    let (attempts, asked) = crowd.join().map_err(|_| anyhow!("the crowd panicked"))?;
    let servers = servers.stop()?;
    if let Some(weir) = weir {
        runtime.block_on(weir.program.stop())?;
    }
    let people = Arc::unwrap_or_clone(people);
    Ok(Run { scenario: scenario.clone(), people, attempts, servers, said, asked, serving })
}

struct Weir {
    program: Program,
    entrance: SocketAddr,
    admin: SocketAddr,
}

fn start(
    runtime: &tokio::runtime::Runtime,
    program: &std::path::Path,
    scenario: &Scenario,
    servers: &[SocketAddr],
    setup: &Setup,
) -> anyhow::Result<Weir> {
    let (entrance, admin) = (Port::reserve()?.address, Port::reserve()?.address);
    let text = gateway::config(scenario, entrance, admin, servers, &setup.concurrency);
    let arguments = ["--config".to_owned(), gateway::write(&text, &setup.folder)?.display().to_string()];
    runtime.block_on(async {
        let mut program = Program::start(program, &arguments, "weir", &setup.folder)?;
        program.ready(&format!("http://{admin}/readyz")).await?;
        Ok(Weir { program, entrance, admin })
    })
}

async fn watch(weir: Option<&mut Weir>, clock: Clock, said: &mut Vec<Said>) -> anyhow::Error {
    match weir {
        Some(Weir { program, admin, .. }) => tokio::select! {
            error = program.ended() => error,
            error = gateway::watch(*admin, clock, said) => error,
        },
        None => std::future::pending().await,
    }
}

async fn watch_room(admin: Option<SocketAddr>, clock: Clock, serving: &mut Vec<Serving>) -> anyhow::Error {
    match admin {
        Some(admin) => room::watch::watch(admin, clock, serving).await,
        None => std::future::pending().await,
    }
}

impl Servers {
    fn start(scenario: &Scenario, ports: Vec<Port>, clock: Clock, seed: u64) -> anyhow::Result<Self> {
        let (mut services, mut drivers, mut behaviours) = (Vec::new(), Vec::new(), Vec::new());
        for (index, (server, port)) in (0_u64..).zip(scenario.servers.iter().zip(ports)) {
            let timeline = Timeline::of(&scenario.faults, services.len());
            let closures: Vec<_> = timeline.closures().collect();
            let service = Arc::new(Service::new(server, timeline, clock, seed.wrapping_add(index + 1)));
            let driven = Arc::clone(&service);
            drivers.push(thread::Builder::new().name("driver".into()).spawn(move || driven.drive())?);
            let fails_after = match server.answers {
                Answers::Work => None,
                Answers::Fail { after } => Some(span(after)),
            };
            behaviours.push((Arc::new(port), Behaviour { service: Arc::clone(&service), fails_after }, closures));
            services.push(service);
        }
        let ((stop, stopped), (listening, listens)) = (oneshot::channel(), oneshot::channel());
        let sockets = thread::Builder::new().name("sockets".into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(serve(&behaviours, clock, listening, stopped))
        })?;
        // An error at the start is the thread's result, found in `stop`.
        listens.blocking_recv().ok();
        Ok(Self { services, drivers, sockets, stop })
    }

    fn stop(self) -> anyhow::Result<Vec<Log>> {
        let logs = self.services.iter().map(|service| service.stop()).collect();
        self.stop.send(()).ok();
        for driver in self.drivers {
            driver.join().map_err(|_| anyhow!("the service's driver panicked"))?;
        }
        self.sockets.join().map_err(|_| anyhow!("the service's sockets panicked"))??;
        Ok(logs)
    }
}

type Placed = (Arc<Port>, Behaviour, Vec<(Duration, Duration)>);

async fn serve(
    servers: &[Placed],
    clock: Clock,
    listening: oneshot::Sender<()>,
    stopped: oneshot::Receiver<()>,
) -> std::io::Result<()> {
    let mut all = tokio::task::JoinSet::new();
    for (port, behaviour, closures) in servers {
        all.spawn(server::serve(port.listen()?, Arc::clone(port), behaviour.clone(), clock, closures.clone()));
    }
    listening.send(()).ok();
    tokio::select! {
        _ = stopped => Ok(()),
        Some(ended) = all.join_next() => ended.unwrap_or_else(|error| Err(std::io::Error::other(error))),
    }
}
