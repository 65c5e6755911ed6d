//! Files that a configuration names.

use std::fs;
use std::path::Path;

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;
use weir::config::{self, Loaded, Report};

use super::{LISTENER, UPSTREAM, assert_well_told, least_but, least_with};

/// A directory with `cert.pem`, its `key.pem`, another key `other.pem`, an old `expired.pem` and `junk.pem`.
fn directory() -> TempDir {
    let directory = TempDir::new().expect("a directory");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate");
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let expired = params.self_signed(&key).expect("a certificate");
    let other = KeyPair::generate().expect("a key");
    write(&directory, "cert.pem", &certificate.pem());
    write(&directory, "expired.pem", &expired.pem());
    write(&directory, "key.pem", &key.serialize_pem());
    write(&directory, "other.pem", &other.serialize_pem());
    write(&directory, "junk.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    directory
}

fn write(directory: &TempDir, name: &str, text: &str) {
    fs::write(directory.path().join(name), text).expect("written");
}

fn load(directory: &TempDir, text: &str) -> Result<Loaded, Report> {
    write(directory, "weir.toml", text);
    config::load(&directory.path().join("weir.toml"))
}

fn tls(certificate: &str, key: &str) -> String {
    least_with(LISTENER, &format!("tls = {{ certificate = \"{certificate}\", key = \"{key}\" }}"))
}

#[test]
fn a_pair_that_belongs_together() {
    let directory = directory();
    let loaded = load(&directory, &tls("cert.pem", "key.pem")).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(loaded.plan.listeners[0].tls.as_ref().map(|tls| tls.certificates[0].pair.cert.len()), Some(1));
    assert!(!config::machine::warnings(&loaded.plan).iter().any(|warning| warning.contains("certificate")));
}

#[test]
fn a_certificate_that_has_expired_is_a_warning() {
    let directory = directory();
    let loaded = load(&directory, &tls("expired.pem", "key.pem")).unwrap_or_else(|report| panic!("{report}"));
    let warnings = config::machine::warnings(&loaded.plan);
    assert!(warnings.iter().any(|warning| warning.contains("has expired")), "{warnings:?}");
}

#[test]
fn pairs_that_do_not() {
    let directory = directory();
    let cases = [
        ("missing.pem", "key.pem", "`certificate` cannot be read"),
        ("cert.pem", "missing.pem", "`key` cannot be read"),
        ("cert.pem", "other.pem", "`key` does not belong to `certificate`"),
        ("cert.pem", "cert.pem", "`key` holds no private key"),
        ("key.pem", "key.pem", "`certificate` holds no certificate"),
        ("junk.pem", "key.pem", "`certificate` is not an X.509 v3 certificate"),
        (".", "key.pem", "not a file"),
        ("/dev/zero", "key.pem", "not a file"),
        ("", "key.pem", "the path of a PEM file"),
    ];
    for (certificate, key, said) in cases {
        let text = tls(certificate, key);
        let report = load(&directory, &text).expect_err(said);
        assert_well_told(&report, &text);
        assert_eq!((report.faults().len(), report.faults()[0].line()), (1, 3), "{report}");
        assert!(report.to_string().contains(said), "{said} in {report}");
        assert!(!report.to_string().contains("PRIVATE KEY"), "{report}");
    }
}

#[test]
fn a_table_that_lacks_its_key() {
    let directory = directory();
    let text = least_with(LISTENER, "[listener.tls]\ncertificate = \"cert.pem\"");
    let report = load(&directory, &text).expect_err("no key");
    assert_eq!((report.faults().len(), report.faults()[0].line()), (1, 3), "{report}");
    assert!(report.to_string().contains("[listener.tls] has no `key`"));
}

#[test]
fn trust_anchors() {
    let directory = directory();
    let https = least_but(5, "servers = [\"https://b\", \"https://[::1]:8443\"]\nca = \"cert.pem\"");
    let loaded = load(&directory, &https).unwrap_or_else(|report| panic!("{report}"));
    let upstream = &loaded.plan.upstreams[0];
    assert!(upstream.servers.iter().all(|server| server.tls));
    assert_eq!(upstream.servers[0].authority.as_str(), "b:443");
    assert_eq!(upstream.roots.as_ref().map(|roots| roots.len()), Some(1));

    let junk = least_but(5, "servers = [\"https://b\"]\nca = \"junk.pem\"");
    let report = load(&directory, &junk).expect_err("no anchor");
    assert_eq!((report.faults().len(), report.faults()[0].line()), (1, 6), "{report}");

    let unused =
        load(&directory, &least_with(UPSTREAM, "ca = \"cert.pem\"")).unwrap_or_else(|report| panic!("{report}"));
    assert!(unused.plan.upstreams[0].roots.is_none());
    assert!(unused.warnings[0].contains("`ca` is not used"), "{:?}", unused.warnings);
}

#[test]
fn paths_start_at_the_file() {
    let directory = directory();
    let loaded = load(&directory, &format!("{}[log]\naccess = \"file:access.log\"\n", super::LEAST));
    let loaded = loaded.unwrap_or_else(|report| panic!("{report}"));
    let expected = config::plan::AccessLog::File(directory.path().join("access.log"));
    assert_eq!(loaded.plan.log.access, expected);
    assert!(!directory.path().join("access.log").exists(), "nothing is created");
    assert!(config::parse(&tls("cert.pem", "key.pem"), Path::new("/weir.toml")).is_err());
}

/// Writes a certificate for `names` as `name.pem`, its key as `name.key`.
fn issue(directory: &TempDir, name: &str, names: &[&str]) {
    let key = KeyPair::generate().expect("a key");
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let certificate = CertificateParams::new(names).expect("names").self_signed(&key).expect("a certificate");
    write(directory, &format!("{name}.pem"), &certificate.pem());
    write(directory, &format!("{name}.key"), &key.serialize_pem());
}

/// A listener with these certificates, the first by default.
fn listener(names: &[&str], more: &str) -> String {
    let (first, others) = names.split_first().expect("one");
    let table = |header: &str, name: &str| format!("{header}\ncertificate = \"{name}.pem\"\nkey = \"{name}.key\"\n");
    let others: String = others.iter().map(|name| table("[[listener.certificate]]", name)).collect();
    least_with(LISTENER, &format!("{}{more}\n{others}", table("[listener.tls]", first)))
}

#[test]
fn names_and_times_are_those_of_the_certificates() {
    let directory = directory();
    issue(&directory, "one", &["A.example", "*.b.example", "192.0.2.1"]);
    issue(&directory, "two", &["c.example", "a.example"]);
    let loaded = load(&directory, &listener(&["one", "two"], "")).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    assert!(loaded.warnings[0].contains("for \"a.example\" a certificate above is presented"), "{:?}", loaded.warnings);
    let tls = loaded.plan.listeners[0].tls.as_ref().expect("written");
    assert_eq!(tls.certificates[0].names, ["a.example", "*.b.example"]);
    // The day that rcgen gives unless told: 4096-01-01T00:00:00Z, and 1975.
    assert_eq!(tls.certificates[0].valid, 157_766_400..=67_090_118_400, "seconds");
    for (host, covered) in [
        ("a.example", true),
        ("x.b.example", true),
        ("b.example", false),
        ("y.x.b.example", false),
        ("c.example", true),
        ("example", false),
    ] {
        assert_eq!(tls.covers(host), covered, "{host}");
    }
}

#[test]
fn certificates_that_nobody_could_get() {
    let directory = directory();
    issue(&directory, "one", &["a.example", "*.b.example"]);
    issue(&directory, "double", &["*.b.example", "a.example"]);
    issue(&directory, "nameless", &["192.0.2.1"]);
    for (name, said) in [("double", "it would never be presented"), ("nameless", "no client can ask for it")] {
        let text = listener(&["one", name], "");
        let report = load(&directory, &text).expect_err(said);
        assert_well_told(&report, &text);
        assert_eq!((report.faults().len(), report.faults()[0].line()), (1, 7), "{report}");
        assert!(report.to_string().contains(said), "{report}");
    }
}

#[test]
fn a_host_that_no_certificate_is_for_is_a_warning() {
    let directory = directory();
    issue(&directory, "one", &["a.example", "*.b.example"]);
    let route = |host: &str| format!("{}host = \"{host}\"\n", listener(&["one"], ""));
    for (host, covered) in [("a.example", true), ("x.b.example", true), ("c.example", false)] {
        let loaded = load(&directory, &route(host)).unwrap_or_else(|report| panic!("{report}"));
        assert_eq!(loaded.warnings.len(), usize::from(!covered), "{:?}", loaded.warnings);
        assert!(covered || loaded.warnings[0].contains("no certificate of a listener is for the host \"c.example\""));
    }
}

#[test]
fn certificates_of_clients_need_an_authority() {
    let directory = directory();
    issue(&directory, "one", &["a.example"]);
    for (more, said) in [
        ("client_certificates = \"required\"", "who may issue the certificates of clients is not written"),
        ("client_ca = \"cert.pem\"", "no meaning unless clients are asked"),
        ("client_certificates = \"off\"\nclient_ca = \"cert.pem\"", "no meaning unless clients are asked"),
        ("client_certificates = \"optional\"\nclient_ca = \"missing.pem\"", "`client_ca` cannot be read"),
        ("client_certificates = \"require\"\nclient_ca = \"cert.pem\"", "did you mean \"required\"?"),
        ("unknown_names = \"no\"", "`unknown_names` wants one of \"default\", \"refuse\""),
    ] {
        let text = listener(&["one"], more);
        let report = load(&directory, &text).expect_err(said);
        assert_well_told(&report, &text);
        assert_eq!(report.faults().len(), 1, "{report}");
        assert!(report.to_string().contains(said), "{said} in {report}");
    }
    let text = listener(&["one"], "client_certificates = \"optional\"\nclient_ca = \"cert.pem\"");
    load(&directory, &text).unwrap_or_else(|report| panic!("{report}"));
}
