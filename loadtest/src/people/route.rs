//! Where people's requests go.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Weak};

use http::Request;
use http::uri::InvalidUri;

use super::request::Sheet;
use crate::coordinator::plan::RunPlan;
use crate::scenario::{PersonaIndex, Scenario, ServiceIndex, StageIndex};
use crate::visitor;
use crate::wire::form::Form;
use crate::wire::http2::Lane;

/// Connections that are forgotten when they have ended are looked for after so many new ones.
const SWEEP: usize = 1_024;

/// Whose connection: where to, and who shares it.
type Key = (SocketAddr, (PersonaIndex, u32, u32));

/// Where to, and over which shared connections.
#[derive(Debug)]
pub(super) struct Route {
    to: To,
    lanes: HashMap<Key, Weak<Lane>>,
    sweep: usize,
}

#[derive(Debug)]
enum To {
    Gateway(SocketAddr),
    /// Of each stage, the servers of its service.
    Services(Vec<Vec<SocketAddr>>),
}

/// The shared connections that somebody uses: one, or one a server.
#[derive(Debug, Default)]
pub(super) struct Lanes(Vec<Arc<Lane>>);

/// The stages as people meet them.
#[derive(Debug)]
pub(super) struct Sheets(Vec<Sheet>);

impl Route {
    /// As `plan` says.
    pub(super) fn new(scenario: &Scenario, plan: &RunPlan) -> Self {
        let servers = |service: ServiceIndex| {
            let servers = plan.reached().get(usize::from(service)).cloned().unwrap_or_default();
            // Those of the reserve do not listen yet.
            let first = scenario.services.get(usize::from(service)).map_or(0, |service| service.servers);
            servers.into_iter().take(first.into()).collect()
        };
        let to = match plan.door() {
            Some(door) => To::Gateway(door),
            None => To::Services(scenario.stages.iter().map(|stage| servers(stage.service)).collect()),
        };
        Self { to, lanes: HashMap::new(), sweep: SWEEP }
    }

    /// Whether there is a gateway, which gives tickets.
    pub(super) fn is_gateway(&self) -> bool {
        matches!(self.to, To::Gateway(_))
    }

    /// Where `person` sends `stage`.
    pub(super) fn address(&self, stage: StageIndex, person: u32) -> Option<SocketAddr> {
        match &self.to {
            To::Gateway(door) => Some(*door),
            To::Services(stages) => {
                let servers = stages.get(usize::from(stage))?;
                servers.get(person as usize % servers.len().max(1)).copied()
            }
        }
    }

    /// The connection of a group, which lives as long as somebody of it is there.
    pub(super) fn lane(
        &mut self,
        own: &mut Lanes,
        to: SocketAddr,
        from: Ipv4Addr,
        together: (PersonaIndex, u32, u32),
    ) -> Arc<Lane> {
        if let Some(lane) = own.0.iter().find(|lane| lane.to() == to) {
            return Arc::clone(lane);
        }
        let key = (to, together);
        let lane = self.lanes.get(&key).and_then(Weak::upgrade).unwrap_or_else(|| {
            let lane = Arc::new(Lane::new(to, from));
            self.lanes.insert(key, Arc::downgrade(&lane));
            lane
        });
        own.0.push(Arc::clone(&lane));
        if self.lanes.len() > self.sweep {
            self.lanes.retain(|_, lane| lane.strong_count() > 0);
            self.sweep = self.lanes.len() + SWEEP;
        }
        lane
    }
}

impl Sheets {
    /// Of all stages.
    pub(super) fn new(scenario: &Scenario) -> Result<Self, InvalidUri> {
        scenario.stages.iter().map(Sheet::new).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn request(
        &self,
        request: &visitor::Request,
        person: u32,
        seed: u64,
        rate: Option<u64>,
    ) -> Option<Request<Form>> {
        Some(self.0.get(usize::from(request.stage))?.request(request, person, seed, rate))
    }
}
