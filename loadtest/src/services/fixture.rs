//! Small scenarios for the tests of this module.

use std::path::PathBuf;
use std::time::Duration;

use crate::origin::curve::Curve;
use crate::scenario::fault::ServiceFault;
use crate::scenario::service::Failures;
use crate::scenario::{Fault, FaultKind, Gateway, Scenario, Service, Stage};

pub(crate) const fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// 400 a second at 40 in flight, so 100 ms a request alone; each has work 1.
pub(crate) fn service() -> Service {
    Service {
        name: "registration".into(),
        curve: Curve::kink(400.0, 40, 0.1),
        in_flight: 1_000,
        servers: 1,
        reserve: 0,
        needs: Vec::new(),
        idempotent: false,
        failures: Failures::default(),
        work_shape: 0,
    }
}

/// A stage `/sign-up` at the first of the services, and one `/check` at the second if there is one.
pub(crate) fn scenario(services: Vec<Service>) -> Scenario {
    let stage = |name: &str, service| Stage {
        name: name.into(),
        path: format!("/{name}"),
        service,
        body: 80,
        entrance: service == 0,
        goes_on: 1.0,
    };
    let stages = (0..).zip(["sign-up", "check"]).take(services.len()).map(|(index, name)| stage(name, index)).collect();
    Scenario {
        name: "small".into(),
        shows: "a test".into(),
        seed: 1,
        duration: at(10_000),
        drain: at(1_000),
        measured_from: at(0),
        gateway: Gateway { config: PathBuf::new(), tls: false },
        services,
        stages,
        quota: None,
        arrivals: Vec::new(),
        personas: Vec::new(),
        faults: Vec::new(),
        thresholds: Vec::new(),
    }
}

/// A fault of the first service; times in milliseconds.
pub(crate) fn fault(from: u64, lasts: u64, server: Option<u8>, kind: ServiceFault) -> Fault {
    Fault { at: at(from), lasts: at(lasts), kind: FaultKind::Service { service: 0, server, kind } }
}
