//! What a page holds, and what it never does.

use serde_json::json;

use super::*;

/// The goal: what a slow telephone has to load.
const COMPRESSED_MAX: usize = 4 * 1024;

/// At its longest.
fn compressed(page: &Rendered) -> usize {
    (0..=u8::MAX).map(|chance| coding::gzip(page, chance).unwrap().len()).max().unwrap()
}

#[test]
fn every_page_is_small_and_asks_nobody_else() {
    let receipt = json!({ "number": 48_213, "path": vec!["6b86b273ff34fce19d6b804eff5a3f57"; 20] });
    for language in Language::ALL {
        for state in states() {
            let page = Page::default().rendered(&View { receipt: Some(&receipt), ..view(state) }, language);
            let size = compressed(&page);
            assert!(size <= COMPRESSED_MAX, "{size} {state:?}");
            assert_eq!(page.ready.len(), 2, "style and script were compressed before");
            for absent in ["http://", "https://", "src=", "@import", "url("] {
                assert!(!page.page.contains(absent), "{absent}");
            }
        }
    }
}

#[test]
fn no_value_becomes_markup() {
    const HOSTILE: &str = "</title></script><img src=x onerror=alert(1)>\"'&{{place}}";
    let receipt = json!({ "</code><script>": HOSTILE });
    // What a request could bring into a path: everything but white space and control characters.
    let path = "/register?\"'><script>alert(1)</script>&{{place}}";
    let local = Local::parse(path).unwrap();
    for language in Language::ALL {
        for mut state in states() {
            if let State::Turn { enter, .. } = &mut state {
                *enter = Enter::Follow(local);
            }
            let hostile = View {
                room: HOSTILE,
                ticket: Some(HOSTILE),
                again: local,
                status: local,
                anew: Some(local),
                leave: Some(local),
                receipt: Some(&receipt),
                request_id: HOSTILE,
                ..view(state)
            };
            let (page, clean) = (
                Page::default().html(&hostile, language),
                Page::default().html(&View { receipt: Some(&json!(1)), ..view(state) }, language),
            );
            let (page, clean) = (text(&page), text(&clean));
            assert!(
                !page.contains("<img") && !page.contains("alert(1)</script") && !page.contains("x onerror=alert(1)>")
            );
            // Not one tag and not one attribute more than with harmless values.
            for mark in ["<", ">", "\""] {
                assert_eq!(page.matches(mark).count(), clean.matches(mark).count(), "{mark} {state:?}");
            }
            assert!(
                page.contains(
                    "&lt;/title&gt;&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;&quot;&#39;&amp;{{place}}"
                )
            );
        }
    }
}

#[test]
fn a_link_stays_on_this_site() {
    for good in ["/", "/a", "/a//b", "/a?next=//b", "/.weir/place"] {
        assert_eq!(Local::parse(good).map(Local::as_str), Some(good));
    }
    for bad in [
        "",
        "a",
        "//evil",
        "/\\evil",
        "\\/evil",
        "/\t/evil",
        "/\n",
        "javascript:alert(1)",
        "https://evil/",
        " /a",
        "/ä",
        "?a",
    ] {
        assert_eq!(Local::parse(bad), None, "{bad}");
    }
}

#[test]
fn without_script_the_page_goes_on_at_the_told_time() {
    let again =
        "<noscript><meta http-equiv=\"refresh\" content=\"240;url=/.weir/place?weir_ticket=AQIDBAUGBwgJ\"></noscript>";
    let enter = "<noscript><meta http-equiv=\"refresh\" content=\"240;url=/register?step=1&amp;x=2\"></noscript>";
    for state in states() {
        let page = Page::default().html(&view(state), Language::Indonesian);
        let expected = if state.enter_path().is_some() { enter } else { again };
        assert!(text(&page).contains(expected), "{state:?}");
        let page = Page::default().html(&View { poll_after: None, ..view(state) }, Language::Indonesian);
        // Whose turn it is goes in at once, unless he was told when: then the service is full for the moment.
        // Who has to fill in a form again first reads why.
        let seconds = if matches!(state, State::Turn { enter: Enter::Reopen(_), .. }) { "12" } else { "3" };
        assert_eq!(text(&page).contains(&enter.replace("240", seconds)), state.enter_path().is_some(), "{state:?}");
        assert_eq!(text(&page).contains("http-equiv"), state.enter_path().is_some(), "{state:?}");
    }
}

#[test]
fn what_does_not_apply_is_not_there() {
    let page = |view: &View<'_>| text(&Page::default().html(view, Language::English)).to_owned();
    let bare = View { anew: None, leave: None, number: None, ticket: None, poll_after: None, ..view(State::Unclear) };
    for absent in
        ["<form", "target=\"_blank\"", "<progress", "class=\"go\"", "<details", "Ticket 4", "id=\"back\"", "Check now"]
    {
        assert!(!page(&bare).contains(absent), "{absent}");
    }
    let full = page(&view(State::Waiting(waiting())));
    for present in [
        "<form method=\"post\" action=\"/.weir/leave\">",
        "name=\"weir_ticket\" value=\"AQIDBAUGBwgJ\"",
        "href=\"/register?weir_new\"",
        "<progress max=\"100\" value=\"25\"",
        "Ticket 48,213<br>Reference 5f0c",
    ] {
        assert!(full.contains(present), "{present}");
    }
    assert!(page(&view(State::Turn { enter: Enter::SendAgain, kept: None })).contains("id=\"back\""));
    assert!(page(&view(State::Lobby { opens: OPENS, closes: None, drawn: true })).contains("data-left=\"3672\""));
}

#[test]
fn an_operator_can_replace_the_page() {
    let own = "<html lang=\"{{language}}\"><title>{{title}}</title><style>h1{color:red}</style><h1>{{heading}}</h1>{{message}}{{place}}{{ahead}}\
               {{wait}}{{notice}}{{schedule}}{{enter}}{{refresh_seconds}}{{refresh_url}}";
    let page = Page::new(Template::parse(own).unwrap());
    let body = page.html(&view(State::Waiting(waiting())), Language::English);
    assert!(text(&body).starts_with("<html lang=\"en\"><title>12,346 · You are in line · Pembukaan</title>"));
    let policy = page.content_security_policy().to_str().unwrap();
    assert!(policy.contains("script-src 'none'") && policy.contains("style-src 'sha256-"));
    assert_ne!(policy, Page::default().content_security_policy());
}
