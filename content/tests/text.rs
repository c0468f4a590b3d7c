//! Hashes and links as people paste them, and bytes of descriptors. No input panics.

use pelago_content::{Descriptor, Hash, HashError, Link, LinkError};
use proptest::prelude::*;

const HASH: &str = "d3a73dbb60af7a6640fe82a8964e44b4cc2d3bf054803efd5ee4e8a721a79c8d";

fn any_hash() -> impl Strategy<Value = Hash> {
    any::<[u8; 32]>().prop_map(Hash::from_bytes)
}

/// Any Unicode, and texts like file names and addresses.
fn any_text() -> impl Strategy<Value = String> {
    let wild = prop::collection::vec(any::<char>(), 0..60).prop_map(String::from_iter);
    prop_oneof![
        wild,
        "[ -~]{0,60}",
        "/ip4/192.0.2.1/tcp/[0-9]{1,5}/p2p/[1-9A-Za-z]{52}"
    ]
}

fn any_link() -> impl Strategy<Value = Link> {
    let name = prop::option::of(any_text());
    let peers = prop::collection::vec(any_text(), 0..8);
    let facts = (
        any::<Option<u64>>(),
        any::<bool>(),
        any::<Option<[u8; 32]>>(),
    );
    let link = (any_hash(), name, facts, peers);
    link.prop_map(|(hash, name, (size, is_unlisted, group), peers)| Link {
        hash,
        name,
        size,
        is_unlisted,
        group,
        peers,
    })
}

fn parse(query: &str) -> Result<Link, LinkError> {
    format!("pelago:{HASH}?{query}").parse()
}

proptest! {
    #[test]
    fn hashes_round_trip(hash in any_hash()) {
        prop_assert_eq!(hash.to_string().parse(), Ok(hash));
        prop_assert_eq!(hash.to_string().to_uppercase().parse(), Ok(hash));
        prop_assert_eq!(Hash::from_bytes(*hash.as_bytes()), hash);
    }

    #[test]
    fn a_wrong_digit_is_named(
        hash in any_hash(), at in 0..64usize, digit in any::<char>(),
    ) {
        prop_assume!(!digit.is_ascii_hexdigit());
        let text: String =
            hash.to_string().chars().enumerate().map(|(i, c)| if i == at { digit } else { c }).collect();
        let error = HashError::Digit { position: at + 1, found: digit };
        prop_assert_eq!(text.parse::<Hash>(), Err(error));
    }

    #[test]
    fn links_round_trip(link in any_link()) {
        let text = link.to_string();
        let tame = |byte: u8| byte.is_ascii_alphanumeric() || b":/?=&%-._~".contains(&byte);
        prop_assert!(text.bytes().all(tame), "{text}");
        let mut read: Link = text.parse().unwrap();
        prop_assert_eq!(read.to_string(), text);
        // Addresses of unknown peers come first.
        let mut link = link;
        link.peers.sort();
        read.peers.sort();
        prop_assert_eq!(read, link);
    }

    /// Every link that is displayed can be parsed, also if it exceeds limits.
    #[test]
    fn any_link_shown_can_be_read(
        hash in any_hash(), name in "\\PC{0,1200}", peers in prop::collection::vec("\\PC{0,300}", 0..80),
    ) {
        let (size, is_unlisted) = (Some(u64::MAX), true);
        let group = Some([7; 32]);
        let link = Link { hash, name: Some(name), size, is_unlisted, group, peers };
        let text = link.to_string();
        prop_assert!(text.len() <= Link::MAX_LEN);
        let read: Link = text.parse().unwrap();
        prop_assert_eq!(read.hash, hash);
        prop_assert_eq!(read.size, link.size);
        prop_assert!(read.is_unlisted);
        prop_assert!(read.name.is_none() || read.name == link.name);
        prop_assert!(read.peers.iter().all(|peer| link.peers.contains(peer)));
        prop_assert_eq!(read.to_string(), text);
    }

    #[test]
    fn no_text_panics(text in any_text(), start in 0..200usize, end in 0..200usize, link in any_link()) {
        let _ = text.parse::<Hash>();
        let _ = text.parse::<Link>();
        let _ = format!("pelago:{text}").parse::<Link>();
        let _ = parse(&text);
        let _ = parse(&format!("name={text}&size={text}&peer={text}"));
        let shown = link.to_string();
        if let Some(part) = shown.get(start.min(end)..start.max(end)) {
            let _ = part.parse::<Link>();
        }
    }

    #[test]
    fn any_bytes_are_one_descriptor_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(descriptor) = Descriptor::from_bytes(&bytes) {
            prop_assert_eq!(&descriptor.to_bytes()[..], &bytes[..]);
        }
    }

    #[test]
    fn well_formed_descriptors_round_trip(
        kind in 0..2u8, size in 1..=1u64 << 50, root in any::<[u8; 32]>(),
    ) {
        let mut bytes = vec![kind];
        bytes.extend(size.to_be_bytes());
        bytes.extend(root);
        prop_assert_eq!(&Descriptor::from_bytes(&bytes).unwrap().to_bytes()[..], &bytes[..]);
    }
}

#[test]
fn a_link_reads_as_it_is_documented() {
    let link = Link {
        hash: HASH.parse().unwrap(),
        name: Some("Über & über 100%.txt".into()),
        size: Some(300_000),
        is_unlisted: false,
        group: None,
        peers: vec![
            "/ip4/192.0.2.1/tcp/8080".into(),
            "/ip6/2001:db8::1/udp/1/quic-v1".into(),
        ],
    };
    let text = format!(
        "pelago:{HASH}?name=%C3%9Cber%20%26%20%C3%BCber%20100%25.txt&size=300000\
         &peer=/ip4/192.0.2.1/tcp/8080&peer=/ip6/2001:db8::1/udp/1/quic-v1"
    );
    assert_eq!(link.to_string(), text);
    assert_eq!(text.parse(), Ok(link));
}

#[test]
fn a_link_says_that_its_content_is_unlisted() {
    let unlisted = parse("name=a&unlisted=1&size=3").unwrap();
    assert!(unlisted.is_unlisted);
    assert_eq!(
        unlisted.to_string(),
        format!("pelago:{HASH}?name=a&size=3&unlisted=1")
    );
    for (query, expected) in [
        ("", false),
        ("unlisted=0", false),
        ("unlisted", true),
        ("unlisted=yes", true),
        ("unlisted=0&unlisted=1&unlisted=0", true),
    ] {
        assert_eq!(parse(query).unwrap().is_unlisted, expected, "{query:?}");
    }
}

#[test]
fn a_link_is_read_leniently() {
    let bare: Link = format!("PELAGO:{}", HASH.to_uppercase()).parse().unwrap();
    assert_eq!(bare, Link::new(HASH.parse().unwrap()));
    assert_eq!(bare.to_string(), format!("pelago:{HASH}"));
    assert_eq!(parse("").unwrap(), bare);
    assert_eq!(
        parse("later=1&&x&name&=").unwrap().name,
        Some(String::new())
    );
    assert_eq!(parse("name=a+b=c").unwrap().name.unwrap(), "a+b=c");
    assert_eq!(parse("name=Größe").unwrap().name.unwrap(), "Größe");
}

#[test]
fn errors_in_a_link_are_reported() {
    assert_eq!(HASH.parse::<Link>(), Err(LinkError::Scheme));
    assert_eq!("pelägo".parse::<Link>(), Err(LinkError::Scheme));
    assert_eq!(
        "pelago:".parse::<Link>(),
        Err(HashError::Length { found: 0 }.into())
    );
    assert_eq!(parse("name=%4"), Err(LinkError::Escape { key: "name" }));
    assert_eq!(parse("peer=%zz"), Err(LinkError::Escape { key: "peer" }));
    assert_eq!(parse("name=%é1"), Err(LinkError::Escape { key: "name" }));
    assert_eq!(parse("name=%FF"), Err(LinkError::Utf8 { key: "name" }));
    assert_eq!(
        parse("size=1&size=1"),
        Err(LinkError::Repeated { key: "size" })
    );
    for size in ["", "+1", "-1", "1e3", "18446744073709551616"] {
        assert_eq!(
            parse(&format!("size={size}")),
            Err(LinkError::Size { found: size.into() })
        );
    }
    assert_eq!(
        "pelago:abc".parse::<Link>().unwrap_err().to_string(),
        "the link's hash is invalid: a hash has 64 hex digits, this has 3"
    );
}

#[test]
fn a_link_is_bounded() {
    let peers = |count: usize| vec!["peer=a"; count].join("&");
    assert_eq!(
        parse(&peers(Link::MAX_PEERS)).unwrap().peers.len(),
        Link::MAX_PEERS
    );
    assert_eq!(parse(&peers(Link::MAX_PEERS + 1)), Err(LinkError::Peers));
    let name = |length: usize| parse(&format!("name={}", "n".repeat(length)));
    assert!(name(Link::MAX_NAME_LEN).is_ok());
    let found = Link::MAX_NAME_LEN + 1;
    assert_eq!(name(found), Err(LinkError::Name { found }));
    let space = Link::MAX_LEN - format!("pelago:{HASH}?").len();
    assert!(parse(&"x".repeat(space)).is_ok());
    let found = Link::MAX_LEN + 1;
    assert_eq!(
        parse(&"x".repeat(space + 1)),
        Err(LinkError::Length { found })
    );
}
