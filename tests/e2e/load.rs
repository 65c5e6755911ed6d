//! The load of people's own tools: everything is served, nothing is left behind.

use std::process::Output;

use crate::origin::Origin;
use crate::tools::run;
use crate::weir::{Weir, one_route};

fn setup() -> (Origin, Weir) {
    let origin = Origin::start(|exchange| exchange.respond(200, "", b"hello"));
    // Room and patience for everybody: what is not 2xx is a defect. On a busy machine the first permits are held long, by our
    // own doing, and the predictions are as long.
    let weir = Weir::start(&one_route(origin.address, 64, "queue = { wait = \"1h\", length = 20000 }"));
    (origin, weir)
}

fn text(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{text}");
    text
}

#[test]
fn wrk_is_served_without_error() {
    let (origin, weir) = setup();
    for base in [format!("http://{}", weir.http), format!("https://{}", weir.https)] {
        let said = text(&run("wrk", "wrk", &["-t2", "-c64", "-d3s", "--timeout", "30s", &format!("{base}/load")]));
        println!("{said}");
        assert!(!said.contains("Non-2xx") && !said.contains("Socket errors"), "{said}");
        weir.wait_for_rest();
    }
    assert!(origin.requests() > 100);
}

#[test]
fn h2load_is_served_without_error() {
    const REQUESTS: &str = "20000";
    let (origin, weir) = setup();
    for base in [format!("http://{}", weir.http), format!("https://{}", weir.https)] {
        let url = format!("{base}/load");
        let arguments = ["-n", REQUESTS, "-c", "100", "-m", "100", "-t", "2", &url];
        let said = text(&run("h2load", "nghttp2-client", &arguments));
        println!("{said}");
        for line in
            weir.metrics().0.lines().filter(|line| line.starts_with("weir_requests_total{") && !line.ends_with(" 0"))
        {
            println!("{line}");
        }
        assert!(said.contains(&format!("{REQUESTS} succeeded, 0 failed, 0 errored, 0 timeout")), "{said}");
        assert!(said.contains(&format!("status codes: {REQUESTS} 2xx, 0 3xx, 0 4xx, 0 5xx")), "{said}");
        weir.wait_for_rest();
    }
    assert_eq!(origin.requests(), 40_000);
    assert_eq!(weir.metrics().requests("all", "admitted"), 40_000);
}
