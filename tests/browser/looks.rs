//! Every state in both languages, light and dark: what axe-core finds, and pictures to look at.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::devtools::Browser;
use crate::room::{Room, states};
use crate::{ENGLISH, INDONESIAN, SECOND};

/// `make tools` puts it there.
const AXE: &str = "target/axe/package/axe.min.js";

/// WCAG 2.2 up to AA, and what its authors advise besides.
const CHECKS: &str =
    "axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })
    .then(found => ({ passes: found.passes.length, wrong: found.violations.concat(found.incomplete).map(
        rule => rule.id + ': ' + rule.nodes.map(node => node.html + ' ' + node.failureSummary).join('; ')) }))";

fn pictures() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// RFC 4648 §4, of a sender that writes it right.
fn base64(text: &str) -> Vec<u8> {
    let sextet = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let (mut bytes, mut word, mut bits) = (Vec::new(), 0_u32, 0);
    for byte in text.bytes().filter(|byte| *byte != b'=') {
        word = word << 6 | u32::from(sextet(byte));
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(word >> bits & 0xff).unwrap());
        }
    }
    bytes
}

pub(crate) fn picture(browser: &mut Browser, name: &str) {
    let shot = browser.call("Page.captureScreenshot", &json!({ "format": "png" }));
    fs::write(pictures().join(name), base64(shot["data"].as_str().unwrap())).unwrap();
}

fn look(languages: &str, language: &str) {
    let axe = fs::read_to_string(AXE).expect("axe-core is missing: run `make tools`");
    let mut browser = Browser::start(languages);
    // The page of whoever is called goes in after a second; here it must stand still to be looked at.
    let still = "const set = setTimeout; window.setTimeout = (then, after) => after === 1000 ? 0 : set(then, after)";
    browser.call("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": still }));
    for scheme in ["light", "dark"] {
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        browser.call("Emulation.setEmulatedMedia", &media);
        for (name, state) in states() {
            let room = Room::open(state, 240 * SECOND);
            browser.open(&room.url("/.weir/place?weir_ticket=x"));
            picture(&mut browser, &format!("{name}-{language}-{scheme}.png"));
            let wide = browser.eval("document.documentElement.scrollWidth").as_u64().unwrap();
            assert!(wide <= 360, "{name} {language}: {wide} pixels wide");
            // Opened, so that what it hides is judged too.
            browser.eval("document.querySelectorAll('details').forEach(details => details.open = true)");
            browser.eval(&axe);
            let found = browser.eval(CHECKS);
            assert_eq!(found["wrong"], Value::Array(Vec::new()), "{name} {language} {scheme}");
            assert!(found["passes"].as_u64().unwrap() >= 15, "{found}");
        }
    }
    // WCAG 1.4.10: at four times the size nothing is cut off, and there is one direction to scroll.
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        &json!({ "width": 320, "height": 256, "deviceScaleFactor": 1, "mobile": false }),
    );
    for (name, state) in states() {
        let room = Room::open(state, 240 * SECOND);
        browser.open(&room.url("/.weir/place?weir_ticket=x"));
        let wide = browser.eval("document.documentElement.scrollWidth").as_u64().unwrap();
        assert!(wide <= 320, "{name} {language}: {wide} pixels wide");
    }
    assert_eq!(browser.faults(), Vec::<String>::new());
}

#[test]
fn every_state_is_accessible_in_indonesian() {
    look(INDONESIAN, "id");
}

#[test]
fn every_state_is_accessible_in_english() {
    look(ENGLISH, "en");
}
