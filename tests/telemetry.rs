//! What `promtool`, the tool Prometheus checks metrics with, says about ours.

use std::io::Write;
use std::process::{Command, Stdio};

use weir::telemetry::{Registry, process};

#[test]
fn promtool_has_nothing_to_say() {
    let registry = Registry::new();
    process::register(&registry);
    registry.counter("weir_requests_total", "Requests.", &[("route", "/a\"\\\n/ü"), ("reason", "ok")]).increment(3);
    registry.counter("weir_requests_total", "Requests.", &[("route", ""), ("reason", "ok")]).increment(1);
    registry.gauge("weir_in_flight", "Requests in flight \\ now.\nExactly.", &[("upstream", "a")]).set(-0.5);
    registry.histogram("weir_wait_seconds", "Time in the queue.", &[("route", "/a")]).record(0.25);
    registry.histogram("weir_upstream_seconds", "Time of the upstream.", &[]).record(1e9);
    registry.observe_counter("weir_access_log_dropped_total", "Records dropped.", &[], || u64::MAX);
    registry.observe_gauge("weir_predicted_wait_seconds", "Predicted wait.", &[], || f64::NAN);
    let text = registry.render();

    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool (package prometheus) must be installed for this test");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}\n{text}", String::from_utf8_lossy(&said));
}
