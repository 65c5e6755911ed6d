use proptest::prelude::*;

use super::*;

fn trusted() -> Vec<IpNet> {
    ["10.0.0.0/8", "fd00::/8"].iter().map(|net| net.parse().unwrap()).collect()
}

/// The chain of 10.0.0.1 that says `fields`.
fn chain(fields: &[(&'static str, &str)]) -> Chain {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, value.parse().unwrap());
    }
    Chain::of("10.0.0.1".parse().unwrap(), &headers, &trusted())
}

fn de_facto(fields: &[&str]) -> String {
    let fields: Vec<_> = fields.iter().map(|field| (X_FORWARDED_FOR, *field)).collect();
    chain(&fields).client.to_string()
}

fn standard(fields: &[&str]) -> String {
    let fields: Vec<_> = fields.iter().map(|field| ("forwarded", *field)).collect();
    chain(&fields).client.to_string()
}

#[test]
fn the_rightmost_untrusted_address_counts() {
    assert_eq!(de_facto(&["203.0.113.9"]), "203.0.113.9");
    assert_eq!(de_facto(&["1.1.1.1, 203.0.113.9, 10.0.0.7"]), "203.0.113.9");
    assert_eq!(de_facto(&["1.1.1.1", "203.0.113.9", "10.0.0.7"]), "203.0.113.9");
    assert_eq!(de_facto(&["[2001:db8::5]:4711"]), "2001:db8::5");
    assert_eq!(de_facto(&["2001:db8::5"]), "2001:db8::5");
    assert_eq!(de_facto(&["203.0.113.9:80"]), "203.0.113.9");
    assert_eq!(de_facto(&["::ffff:203.0.113.9"]), "203.0.113.9");
    assert_eq!(de_facto(&["[::ffff:203.0.113.9]:1"]), "203.0.113.9");
    assert_eq!(de_facto(&["1.1.1.1,::ffff:10.0.0.7"]), "1.1.1.1", "a trusted proxy, written as IPv6");
    assert_eq!(standard(&["for=203.0.113.9"]), "203.0.113.9");
    assert_eq!(standard(&["for=1.1.1.1, for=203.0.113.9;proto=https, For=10.0.0.7;by=10.0.0.1"]), "203.0.113.9");
    assert_eq!(standard(&["for=1.1.1.1", "for=203.0.113.9", "for=\"10.0.0.7\""]), "203.0.113.9");
    assert_eq!(standard(&["for=\"[2001:db8::5]:4711\""]), "2001:db8::5");
    assert_eq!(standard(&["FOR=\"[2001:DB8::5]\";host=\"a,b;c=d\""]), "2001:db8::5");
    assert_eq!(standard(&["for=203.0.113.9:80; proto=http"]), "203.0.113.9");
    assert_eq!(standard(&["for=\"203.0.113.9:_x-1\""]), "203.0.113.9");
    assert_eq!(standard(&["for=\"[::ffff:203.0.113.9]\""]), "203.0.113.9");
    assert_eq!(standard(&[",for=203.0.113.9,,;"]), "203.0.113.9", "empty elements are none");
}

#[test]
fn what_cannot_be_read_ends_the_chain_at_the_last_that_could() {
    for nobody in [
        "unknown",
        "_hidden",
        "",
        "203.0.113.9:",
        "203.0.113.9:99999",
        "203.0.113.9:+1",
        "203.0.113.9:1:2",
        "203.0.113.009",
        "[203.0.113.9]",
        "[2001:db8::1",
        "[2001:db8::1]443",
        "2001:db8::1]",
        "fe80::1%eth0",
        "0x7f.1",
        "3405803785",
        "203.0.113.9 203.0.113.8",
        "\"203.0.113.9",
        "a\\b",
    ] {
        assert_eq!(de_facto(&[&format!("1.1.1.1, {nobody}")]), "10.0.0.1", "{nobody}");
        assert_eq!(de_facto(&[&format!("1.1.1.1, {nobody}, 10.0.0.7")]), "10.0.0.7", "{nobody}");
        assert_eq!(de_facto(&[&format!("{nobody}, 203.0.113.9")]), "203.0.113.9", "{nobody}");
        assert_eq!(standard(&["for=1.1.1.1", &format!("for=\"{nobody}\"")]), "10.0.0.1", "{nobody}");
        assert_eq!(standard(&[&format!("for=\"{nobody}\""), "for=203.0.113.9"]), "203.0.113.9", "{nobody}");
    }
    for broken in [
        "for",
        "for=",
        "for =203.0.113.9",
        "for= 203.0.113.9",
        "for=203.0.113.9 203.0.113.8",
        "for=203.0.113.9;for=1.1.1.1",
        "for=\"203.0.113.9",
        "for=\"203.0.113.9\\\"",
        "for=\"203.0.113.9\"x",
        "proto=https",
        "=203.0.113.9",
        "f(or=203.0.113.9",
    ] {
        assert_eq!(standard(&["for=1.1.1.1", broken]), "10.0.0.1", "{broken}");
        assert_eq!(standard(&[broken, "for=203.0.113.9"]), "203.0.113.9", "{broken}");
    }
    // What a client makes long, or writes in no encoding, does not hide what his proxy appends to it.
    let long = format!("{}203.0.113.9", " ".repeat(10) + &"1.1.1.1,".repeat(FIELD_MAX / 8));
    assert_eq!(de_facto(&[&long]), "203.0.113.9");
    assert_eq!(de_facto(&[&"1".repeat(2 * FIELD_MAX)]), "10.0.0.1");
    let mut fields = HeaderMap::new();
    fields.append(X_FORWARDED_FOR, HeaderValue::from_bytes(b"\xff, 203.0.113.9").unwrap());
    assert_eq!(Chain::of("10.0.0.1".parse().unwrap(), &fields, &trusted()).client.to_string(), "203.0.113.9");
    assert_eq!(chain(&[(X_FORWARDED_FOR, &["10.0.0.2"; 100].join(","))]).hops.len(), HOPS_MAX);
    assert_eq!(chain(&[]), Chain::own("10.0.0.1".parse().unwrap()));
}

/// What a client writes in front of what its proxy appends.
#[test]
fn nothing_that_a_client_prepends_makes_another_of_him() {
    for lie in [
        "for=6.6.6.6",
        "for=6.6.6.6;by=\"",
        "for=\"6.6.6.6",
        "for=6.6.6.6;x=\"\\",
        "for=6.6.6.6,",
        "for=6.6.6.6;",
        "for=10.0.0.9;for=",
        "x=\"",
        "for=6.6.6.6;x=",
        "\"",
    ] {
        for truth in ["for=203.0.113.9", "for=\"203.0.113.9:80\";by=\"[fd00::1]\""] {
            let client = standard(&[&format!("{lie}, {truth}")]);
            assert!(["203.0.113.9", "10.0.0.1"].contains(&client.as_str()), "{lie}: {client}");
            assert_eq!(standard(&[lie, truth]), "203.0.113.9", "{lie}");
        }
    }
}

#[test]
fn fields_that_disagree_are_not_believed() {
    let both = |one: &str, other: &str| chain(&[(X_FORWARDED_FOR, one), ("forwarded", other)]);
    assert_eq!(both("203.0.113.9", "for=203.0.113.9;proto=https").client.to_string(), "203.0.113.9");
    for (one, other) in
        [("203.0.113.9", "for=6.6.6.6"), ("6.6.6.6", "for=203.0.113.9"), ("203.0.113.9", "x"), ("", "for=6.6.6.6")]
    {
        assert_eq!(both(one, other), Chain::own("10.0.0.1".parse().unwrap()), "{one} {other}");
    }
}

#[test]
fn the_chain_has_whom_it_believes_and_what_he_came_by() {
    let chain = chain(&[("forwarded", "for=6.6.6.6;proto=http, for=203.0.113.9;proto=https, for=10.0.0.7;proto=http")]);
    let hops: Vec<String> = chain.hops.iter().map(ToString::to_string).collect();
    assert_eq!((hops, chain.tls), (vec!["203.0.113.9".to_owned(), "10.0.0.7".to_owned()], Some(true)));
}

proptest! {
    #[test]
    fn whatever_a_client_prepends_he_is_himself_or_his_proxy(lie in "[ -~]{0,60}", quoted in any::<bool>()) {
        let truth = if quoted { "for=\"203.0.113.9:4711\"" } else { "for=203.0.113.9" };
        let client = standard(&[&format!("{lie}, {truth}")]);
        prop_assert!(["203.0.113.9", "10.0.0.1"].contains(&client.as_str()), "{}", client);
        prop_assert_eq!(standard(&[&lie, truth]), "203.0.113.9");
        let client = de_facto(&[&format!("{lie}, 203.0.113.9")]);
        prop_assert_eq!(client, "203.0.113.9");
    }

    #[test]
    fn an_address_is_read_as_it_is_written(bits in any::<u128>(), port in any::<u16>(), four in any::<u32>()) {
        let (six, four) = (Ipv6Addr::from(bits), Ipv4Addr::from(four));
        for text in [format!("{six}"), format!("[{six}]"), format!("[{six}]:{port}")] {
            prop_assert_eq!(address(&text), Some(IpAddr::V6(six).to_canonical()));
        }
        for text in [format!("{four}"), format!("{four}:{port}")] {
            prop_assert_eq!(address(&text), Some(IpAddr::V4(four)));
        }
    }
}
