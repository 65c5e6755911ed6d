//! Templates, good and bad.

use super::*;

fn values() -> Values<'static> {
    Values { heading: "A & B".into(), place: "<7>".into(), room: "\"'".into(), ..Values::default() }
}

fn render(source: &str) -> String {
    Parser::default().parse(source).unwrap().render(&values()).page
}

fn error(source: &str) -> TemplateError {
    Parser::default().parse(source).unwrap_err()
}

#[test]
fn values_are_escaped_and_sections_stand_where_there_is_something() {
    assert_eq!(render("<p>{{heading}}{{ place }}</p>"), "<p>A &amp; B&lt;7&gt;</p>");
    assert_eq!(render("<p title=\"{{room}}\" lang='{{room}}'>"), "<p title=\"&quot;&#39;\" lang='&quot;&#39;'>");
    assert_eq!(render("a{{#wait}}{{#heading}}b{{/heading}}{{/wait}}c"), "ac");
    assert_eq!(render("a{{#heading}}b{{#wait}}c{{/wait}}d{{/heading}}e"), "abde");
    assert_eq!(render("{{! note\n{ }}\na{{!}}b"), "ab");
    assert_eq!(render("a < b, {single} }} {{heading}}"), "a < b, {single} }} A &amp; B");
    assert_eq!(
        render("<script>if(a<b){'<'}</script>{{heading}}<style>a{b:c}</style >"),
        "<script>if(a<b){'<'}</script>A &amp; B<style>a{b:c}</style >"
    );
    assert_eq!(render("<p {{#place}}class=\"x\"{{/place}}>"), "<p class=\"x\">");
    assert_eq!(render("<!-- a > b -- > c --->{{place}}"), "<!-- a > b -- > c --->&lt;7&gt;");
}

#[test]
fn a_mistake_names_its_line() {
    for (source, line, text) in [
        ("\n\n{{headign}}", 3, "line 3: `headign` is not a placeholder of the page; did you mean `heading`?"),
        ("\r\n\r\n{{xyz}}", 3, "line 3: `xyz` is not a placeholder of the page"),
        ("{{!\n\n}}\n{{#xyz}}", 4, "line 4: `xyz` is not a placeholder of the page"),
        ("\n{{heading}", 2, "line 2: `{{` is not followed by `}}`"),
        ("\n{{#wait}}\n", 2, "line 2: the section `{{#wait}}` has no `{{/wait}}`"),
        ("{{/wait}}", 1, "line 1: `{{/wait}}` ends no section that is open here"),
        ("{{#wait}}\n{{#place}}\n{{/wait}}", 3, "line 3: `{{/wait}}` ends no section that is open here"),
        (
            "{{#wait}}<a href=\"\n{{/wait}}",
            2,
            "line 2: the section `wait` ends in another place of the markup (tag, attribute, text) than it began",
        ),
    ] {
        assert_eq!(error(source).to_string(), text, "{source} {line}");
    }
}

#[test]
fn a_value_cannot_stand_where_escaping_does_not_hold_it() {
    for (source, place) in [
        ("<script>{{place}}</script>", "in a script"),
        ("<ScRiPt src=\"x\" async>\n{{#place}}{{/place}}</script>", "in a script"),
        ("<script>'</scr' + {{place}}</script>", "in a script"),
        ("<style>{{place}}</style>", "in a style"),
        ("<a href={{again}}>", "in an attribute without quotes"),
        ("<a href= x{{again}}>", "in an attribute without quotes"),
        ("<a {{again}}>", "in a tag outside of a quoted attribute"),
        ("<a title=\"x\" {{again}}>", "in a tag outside of a quoted attribute"),
        ("<{{again}}>", "in the name of a tag"),
        ("</h{{again}}>", "in the name of a tag"),
        ("<!-- {{again}} -->", "in a comment"),
        ("<!-- --x> {{again}} -->", "in a comment"),
    ] {
        let found = error(source);
        assert!(matches!(found, TemplateError::Unsafe { place: at, .. } if at == place), "{source}: {found}");
    }
}

#[test]
fn what_a_person_needs_cannot_be_left_out() {
    let whole: String = REQUIRED.iter().flat_map(|placeholder| ["{{", placeholder.as_str(), "}}\n"]).collect();
    assert!(Template::parse(&whole).is_ok());
    for placeholder in REQUIRED {
        let name = placeholder.as_str();
        // To ask whether there is a value is not to show it.
        let without = whole.replace(&format!("{{{{{name}}}}}"), &format!("{{{{#{name}}}}}{{{{/{name}}}}}"));
        let error = Template::parse(&without).unwrap_err();
        assert_eq!(error, TemplateError::Missing { name, reason: placeholder.meaning() });
        assert!(error.to_string().starts_with(&format!("`{{{{{name}}}}}` is missing: ")));
    }
    let large = "x".repeat(SIZE_MAX + 1);
    assert_eq!(Template::parse(&large).unwrap_err(), TemplateError::TooLarge { size: SIZE_MAX + 1 });
}

#[test]
fn the_built_in_template_uses_every_placeholder() {
    let template = Template::parse(BUILT_IN).unwrap();
    for placeholder in Placeholder::ALL {
        let stands = |piece: &Piece| matches!(piece, Piece::Value(value) if value == placeholder);
        assert!(template.pieces.iter().any(stands), "{}", placeholder.as_str());
        assert_eq!(Placeholder::parse(placeholder.as_str()), Some(*placeholder));
    }
    assert_eq!((template.inline(Raw::Script).count(), template.inline(Raw::Style).count()), (1, 1));
}

#[test]
fn whatever_is_read_ends_in_a_template_or_an_error() {
    let parts = [
        "{{",
        "}}",
        "{{place}}",
        "{{#wait}}",
        "{{/wait}}",
        "<",
        ">",
        "\"",
        "'",
        "=",
        "<script>",
        "</script>",
        "<!--",
        "-->",
        "\r",
        "é",
    ];
    let mut random = fastrand::Rng::with_seed(4);
    for _ in 0..20_000 {
        let source: String = (0..random.usize(0..12)).map(|_| parts[random.usize(0..parts.len())]).collect();
        if let Ok(template) = Parser::default().parse(&source) {
            assert!(!template.render(&values()).page.contains("<7>"), "{source}");
        }
    }
}
