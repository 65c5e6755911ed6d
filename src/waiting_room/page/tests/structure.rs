//! Whether a page is well-formed: what a browser would have to guess at is an error here.

use super::*;

/// Elements without an end (WHATWG HTML §13.1.2).
const VOID: [&str; 5] = ["br", "input", "link", "meta", "!doctype"];

/// Tags of `page`: name, attributes as written; an end has a name that begins with a slash. Contents of script and style are skipped.
fn tags(page: &str) -> Vec<(String, String)> {
    let (mut tags, mut rest) = (Vec::new(), page);
    while let Some((_, after)) = rest.split_once('<') {
        let (mut quoted, mut end) = (false, after.len());
        for (at, character) in after.char_indices() {
            match character {
                '"' => quoted = !quoted,
                '>' if !quoted => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
        let (tag, after) = after.split_at(end);
        let (name, attributes) = tag.split_once([' ', '\n']).unwrap_or((tag, ""));
        tags.push((name.to_lowercase(), attributes.to_owned()));
        rest = match name {
            "script" | "style" => after.split_at(after.find(&format!("</{name}")).unwrap()).1,
            _ => after,
        };
    }
    tags
}

/// The value of an attribute.
fn attribute<'a>(attributes: &'a str, name: &str) -> Option<&'a str> {
    attributes.split_once(&format!("{name}=\"")).map(|(_, rest)| rest.split('"').next().unwrap())
}

#[test]
fn elements_end_in_the_order_in_which_they_began() {
    for language in Language::ALL {
        for state in states() {
            let page = Page::default().html(&view(state), language);
            let mut open: Vec<String> = Vec::new();
            for (name, _) in tags(text(&page)) {
                if let Some(ended) = name.strip_prefix('/') {
                    assert_eq!(open.pop().as_deref(), Some(ended), "{state:?}");
                } else if !VOID.contains(&name.as_str()) {
                    // A paragraph holds text, links and buttons only.
                    let block = ["p", "details", "form", "footer", "h1", "progress"].contains(&name.as_str());
                    assert!(!(block && open.last().is_some_and(|parent| parent == "p")), "{name} in p");
                    open.push(name);
                }
            }
            assert!(open.is_empty(), "{open:?}");
        }
    }
}

#[test]
fn a_page_has_what_readers_of_all_kinds_need() {
    for language in Language::ALL {
        for state in states() {
            let page = Page::default().html(&view(state), language);
            let (page, tags) = (text(&page), tags(text(&page)));
            let count = |name: &str| tags.iter().filter(|(tag, _)| tag == name).count();
            assert!(page.starts_with("<!doctype html>\n<html lang=\""));
            assert_eq!(
                (count("title"), count("h1"), count("main"), count("footer"), count("script"), count("style")),
                (1, 1, 1, 1, 1, 1)
            );
            assert_eq!(attribute(&tags[1].1, "lang"), Some(language.tag()));
            let live: Vec<_> = tags.iter().filter(|(_, attributes)| attributes.contains("aria-live")).collect();
            assert_eq!(live.len(), 1);
            assert!(live[0].1.contains("aria-live=\"polite\"") && live[0].1.contains("role=\"status\""));
            assert!(!page.contains("user-scalable") && !page.contains("maximum-scale"), "a person may enlarge it");
            // The place of an id is one place.
            let ids: Vec<_> = tags
                .iter()
                .filter_map(|(_, attributes)| attribute(attributes, " id").or_else(|| attribute(attributes, "id")))
                .collect();
            let unique: std::collections::HashSet<_> = ids.iter().collect();
            assert_eq!(ids.len(), unique.len());
            // The policy would block it.
            assert!(tags.iter().all(|(_, attributes)| !attributes.contains(" style=") && !attributes.contains(" on")));
        }
    }
}
