//! What clients send, and what they should get. The fields are those that the named programs send of themselves.

use super::*;
use Format::{Html, Json};

const CHROME: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7";
const PLAIN: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
const CHROME_IMAGE: &str = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8";

/// Clients that send `Accept` and no hints.
const WITHOUT_HINTS: &[(&str, &str, Format)] = &[
    // Browsers asking for a page.
    ("Chrome 131", CHROME, Html),
    (
        "Chrome 79",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.9",
        Html,
    ),
    ("Chrome 60", "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,image/apng,*/*;q=0.8", Html),
    (
        "Android WebView 4.4 (Chromium 30)",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8",
        Html,
    ),
    (
        "Android browser 2.3",
        "application/xml,application/xhtml+xml,text/html;q=0.9,text/plain;q=0.8,image/png,*/*;q=0.5",
        Html,
    ),
    ("Android browser 4.0", PLAIN, Html),
    (
        "Firefox 132",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/png,image/svg+xml,*/*;q=0.8",
        Html,
    ),
    ("Firefox 92", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8", Html),
    ("Firefox 65", PLAIN, Html),
    ("Firefox 3", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Html),
    ("Safari 17, WKWebView", PLAIN, Html),
    ("Safari 4", "application/xml,application/xhtml+xml,text/html;q=0.9,text/plain;q=0.8,image/png,*/*;q=0.5", Html),
    ("Edge 18", "text/html, application/xhtml+xml, application/xml; q=0.9, */*; q=0.8", Html),
    ("Internet Explorer 11", "text/html, application/xhtml+xml, */*", Html),
    ("Internet Explorer 11, image/jxr", "text/html, application/xhtml+xml, image/jxr, */*", Html),
    (
        "Opera Mini",
        "text/html, application/xml;q=0.9, application/xhtml+xml, image/png, image/webp, image/jpeg, image/gif, image/x-xbitmap, */*;q=0.1",
        Html,
    ),
    (
        "Opera 12",
        "text/html, application/xml;q=0.9, application/xhtml+xml, image/png, image/jpeg, image/gif, image/x-xbitmap, */*;q=0.1",
        Html,
    ),
    (
        "UC Browser",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,image/apng,image/wxpic,image/sharpp,*/*;q=0.8",
        Html,
    ),
    ("Samsung Internet", CHROME, Html),
    (
        "Nokia S60",
        "application/vnd.wap.wmlscriptc, text/vnd.wap.wml, application/vnd.wap.xhtml+xml, application/xhtml+xml, text/html, multipart/mixed, */*",
        Html,
    ),
    (
        "BlackBerry 5",
        "application/vnd.rim.html,text/html,application/xhtml+xml,application/vnd.wap.xhtml+xml,text/vnd.sun.j2me.app-descriptor,image/*;q=0.5,*/*;q=0.3",
        Html,
    ),
    ("KaiOS", PLAIN, Html),
    ("lynx", "text/html, text/plain, text/sgml, text/css, application/xhtml+xml, */*;q=0.01", Html),
    ("w3m", "text/html, text/*;q=0.5, image/*, application/*, video/*", Html),
    ("dillo", "text/html,application/xhtml+xml,*/*;q=0.8", Html),
    (
        "Googlebot",
        "text/html,application/xhtml+xml,application/signed-exchange;v=b3,application/xml;q=0.9,*/*;q=0.8",
        Html,
    ),
    ("Googlebot smartphone", PLAIN, Html),
    ("YandexBot", "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8", Html),
    ("Scrapy", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Html),
    ("Turbo form", "text/vnd.turbo-stream.html, text/html, application/xhtml+xml", Html),
    ("Turbolinks", "text/html, application/xhtml+xml", Html),
    ("htmx 1", "text/html, */*", Html),
    ("jQuery dataType html", "text/html, */*; q=0.01", Html),
    ("PJAX", "text/html, */*; q=0.01", Html),
    ("java.net.HttpURLConnection, which asks for HTML", "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", Html),
    // Scripts and programs.
    ("axios", "application/json, text/plain, */*", Json),
    ("Angular HttpClient", "application/json, text/plain, */*", Json),
    ("fetch in any browser", "*/*", Json),
    ("curl", "*/*", Json),
    ("Wget", "*/*", Json),
    ("Wget 1.11", "*/*", Json),
    ("Python requests", "*/*", Json),
    ("Python httpx", "*/*", Json),
    ("aiohttp", "*/*", Json),
    ("node undici", "*/*", Json),
    ("got, ky json", "application/json", Json),
    ("jQuery getJSON", "application/json, text/javascript, */*; q=0.01", Json),
    ("jQuery $.ajax", "*/*", Json),
    (
        "jQuery script",
        "text/javascript, application/javascript, application/ecmascript, application/x-ecmascript, */*; q=0.01",
        Json,
    ),
    ("Prototype.js", "text/javascript, text/html, application/xml, text/xml, */*", Html),
    ("XHR without setting", "*/*", Json),
    ("Retrofit with Moshi", "application/json", Json),
    ("Ktor with ContentNegotiation", "application/json, */*", Json),
    ("Ktor", "application/json,*/*;q=0.9", Json),
    ("Spring RestTemplate for an object", "application/json, application/*+json", Json),
    ("Spring RestTemplate for a String", "text/plain, application/json, application/*+json, */*", Json),
    ("Feign", "*/*", Json),
    ("Volley on the platform's HTTP stack", "", Json),
    ("Alamofire responseDecodable", "*/*", Json),
    ("NSURLSession", "*/*", Json),
    ("React Native fetch, axios default", "application/json, text/plain, */*", Json),
    ("Flutter dio", "application/json", Json),
    (
        "Apollo GraphQL",
        "application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed",
        Json,
    ),
    ("JSON:API client", "application/vnd.api+json", Json),
    ("GitHub-style client", "application/vnd.github.v3+json", Json),
    ("problem-aware client", "application/problem+json, application/json;q=0.9", Json),
    ("Postman", "*/*", Json),
    ("HTTPie", "application/json, */*;q=0.5", Json),
    ("HTTPie without JSON", "*/*", Json),
    ("Insomnia", "*/*", Json),
    (".NET WebClient of an API explorer (Swagger UI)", "application/json", Json),
    ("Swagger UI, any", "*/*", Json),
    ("Inertia.js", "text/html, application/xhtml+xml", Html),
    ("Livewire", "text/html, application/xhtml+xml", Html),
    ("EventSource", "text/event-stream", Json),
    ("bingbot", "*/*", Json),
    ("facebookexternalhit", "*/*", Json),
    ("k6, vegeta, hey", "*/*", Json),
    // Parts of pages.
    ("Chrome image", CHROME_IMAGE, Json),
    ("Firefox image", "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5", Json),
    (
        "Safari image",
        "image/webp,image/avif,image/jxl,image/heic,image/heic-sequence,video/*;q=0.8,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5",
        Json,
    ),
    ("style sheet", "text/css,*/*;q=0.1", Json),
    ("script", "*/*", Json),
    ("font", "application/font-woff2;q=1.0,application/font-woff;q=0.9,*/*;q=0.8", Json),
    (
        "Firefox audio",
        "audio/webm,audio/ogg,audio/wav,audio/*;q=0.9,application/ogg;q=0.7,video/*;q=0.6,*/*;q=0.5",
        Json,
    ),
    (
        "Internet Explorer 8, which names no page",
        "image/gif, image/jpeg, image/pjpeg, application/x-ms-application, */*",
        Json,
    ),
    // By the letter of RFC 9110.
    ("equal, HTML first", "text/html, application/json", Html),
    ("equal, JSON first", "application/json, text/html", Json),
    ("HTML weighs more", "application/json;q=0.5, text/html;q=0.6", Html),
    ("JSON weighs more", "text/html;q=0.5, application/json;q=0.6", Json),
    ("HTML excluded", "text/html;q=0, */*", Json),
    ("HTML excluded, nothing else", "text/html;q=0", Json),
    ("JSON excluded", "application/json;q=0, */*", Html),
    ("the exact name outweighs the family", "text/*, text/html;q=0.1, application/json;q=0.5", Json),
    ("family", "text/*", Html),
    ("other family", "application/*", Json),
    ("capitals", "TEXT/HTML;Q=0.9", Html),
    ("parameters", "text/html;level=1;charset=utf-8, application/json;q=0.9", Html),
    ("nonsense weight", "text/html;q=x", Json),
    ("neither", "image/png", Json),
    ("plain text", "text/plain", Json),
    ("commas", ",,,", Json),
];

#[test]
fn real_clients_get_what_they_can_read() {
    let mut wrong = Vec::new();
    for (client, accept, expected) in WITHOUT_HINTS {
        let line = HeaderValue::from_str(accept).unwrap();
        let got = Format::negotiate([&line], FetchHints::default());
        if got != *expected {
            wrong.push(format!("{client}: {accept} -> {got:?}"));
        }
    }
    assert!(WITHOUT_HINTS.len() >= 60 && wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn clients_without_the_field_get_json() {
    // okhttp, Dart's http and HttpClient, Go's net/http, Java's HttpClient, PHP's streams: they send no Accept.
    let nothing: [&HeaderValue; 0] = [];
    assert_eq!(Format::negotiate(nothing, FetchHints::default()), Json);
    assert_eq!(Format::negotiate([&HeaderValue::from_bytes(b"\xfftext/html").unwrap()], FetchHints::default()), Json);
}

#[test]
fn several_lines_are_one_field() {
    let lines = [HeaderValue::from_static("application/json;q=0.2"), HeaderValue::from_static("text/html;q=0.3")];
    assert_eq!(Format::negotiate(&lines, FetchHints::default()), Html);
}

#[test]
fn the_hints_of_browsers_say_who_will_read_it() {
    for (what, accept, mode, dest, expected) in [
        ("a link", CHROME, "navigate", "document", Html),
        ("a form sent", CHROME, "navigate", "document", Html),
        ("a frame", PLAIN, "navigate", "iframe", Html),
        ("Safari opening a link from an app", "*/*", "navigate", "document", Html),
        ("an object", "*/*", "navigate", "object", Html),
        ("fetch", "*/*", "cors", "empty", Json),
        ("fetch of the same site", "*/*", "same-origin", "empty", Json),
        ("axios", "application/json, text/plain, */*", "cors", "empty", Json),
        ("fetch that asks for a page", "text/html", "cors", "empty", Html),
        ("a service worker that fetches a page anew", CHROME, "same-origin", "empty", Html),
        ("an image", CHROME_IMAGE, "no-cors", "image", Json),
        ("a style sheet", "text/css,*/*;q=0.1", "no-cors", "style", Json),
        ("a script", "*/*", "no-cors", "script", Json),
        ("an image that asks for a page", CHROME, "no-cors", "image", Json),
        ("a web socket", "*/*", "websocket", "websocket", Json),
        ("a hint that does not exist", CHROME, "teleport", "empty", Html),
    ] {
        let [accept, mode, dest] = [accept, mode, dest].map(|text| HeaderValue::from_str(text).unwrap());
        let hints = FetchHints { dest: Some(&dest), mode: Some(&mode) };
        assert_eq!(Format::negotiate([&accept], hints), expected, "{what}");
    }
    let (accept, dest) = (HeaderValue::from_static(CHROME), HeaderValue::from_static("image"));
    assert_eq!(Format::negotiate([&accept], FetchHints { dest: Some(&dest), mode: None }), Html);
}
