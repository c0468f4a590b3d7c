use super::*;

const CIRCUIT: &str = "/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN/p2p-circuit";

fn subnets() -> Subnets {
    let mut subnets = Subnets::default();
    for net in ["192.168.7.2/24", "2a01:db::2/64", "198.18.0.2/24"] {
        subnets.add(net.parse().unwrap());
    }
    subnets
}

fn namer(remote: &str) -> NamedBy {
    NamedBy::Peer(Namer::new(PeerId::random(), &remote.parse().unwrap()))
}

fn checked(by: &NamedBy, address: &str) -> Result<(), Refusal> {
    check(by, &address.parse().unwrap(), &subnets())
}

#[test]
fn the_scope_of_the_namer_bounds_the_scope_of_the_address() {
    // A row for each namer: loopback, another private network, one of our subnets, a global
    // address.
    let addresses = [
        "/ip4/127.0.0.1/tcp/4001",
        "/ip4/10.9.9.9/tcp/4001",
        "/ip4/192.168.7.9/tcp/4001",
        "/ip4/11.0.0.9/udp/4001/quic-v1",
    ];
    for (remote, allowed) in [
        ("/ip4/127.0.0.1/tcp/50000", [true, true, true, true]),
        ("/ip6/::1/tcp/50000", [true, true, true, true]),
        ("/dns/localhost/tcp/50000", [true, true, true, true]),
        ("/memory/7", [true, true, true, true]),
        ("/ip4/192.168.7.3/tcp/50000", [false, true, true, true]),
        ("/ip4/100.64.0.3/tcp/50000", [false, true, true, true]),
        ("/ip4/11.0.0.3/tcp/50000", [false, false, true, true]),
        ("/ip6/2a00::3/udp/5/quic-v1", [false, false, true, true]),
        // An address without a known location counts as global.
        ("/ip4/192.0.2.1/tcp/50000", [false, false, true, true]),
        ("/dns/example.org/tcp/50000", [false, false, true, true]),
    ] {
        let found = addresses.map(|address| checked(&namer(remote), address).is_ok());
        assert_eq!(found, allowed, "named by {remote}");
    }
    let relayed = format!("/ip4/192.168.7.3/tcp/4001{CIRCUIT}");
    assert_eq!(checked(&namer(&relayed), addresses[1]), Err(Refusal::Scope));
}

#[test]
fn ports_of_the_system_are_not_dialed_but_443_of_a_relay() {
    let global = namer("/ip4/11.0.0.3/tcp/50000");
    for (address, expected) in [
        ("/ip4/11.0.0.9/tcp/22".to_owned(), Err(Refusal::Port)),
        ("/ip4/11.0.0.9/tcp/0".to_owned(), Err(Refusal::Port)),
        (
            "/ip4/11.0.0.9/udp/53/quic-v1".to_owned(),
            Err(Refusal::Port),
        ),
        ("/ip4/11.0.0.9/tcp/443".to_owned(), Err(Refusal::Port)),
        ("/ip4/11.0.0.9/tcp/1023".to_owned(), Err(Refusal::Port)),
        ("/ip4/11.0.0.9/tcp/1024".to_owned(), Ok(())),
        (format!("/ip4/11.0.0.9/tcp/443{CIRCUIT}"), Ok(())),
        (
            format!("/ip4/192.168.7.9/tcp/443{CIRCUIT}"),
            Err(Refusal::Port),
        ),
        (format!("/ip4/11.0.0.9/tcp/80{CIRCUIT}"), Err(Refusal::Port)),
    ] {
        assert_eq!(checked(&global, &address), expected, "{address}");
    }
    let local = namer("/ip4/127.0.0.1/tcp/50000");
    assert_eq!(checked(&local, "/ip4/127.0.0.1/tcp/22"), Err(Refusal::Port));
}

#[test]
fn a_peer_names_ip_addresses_of_transports_that_there_are() {
    let local = namer("/ip4/127.0.0.1/tcp/50000");
    for address in [
        "/dns/example.org/tcp/4001",
        "/dnsaddr/example.org",
        "/ip4/11.0.0.9",
        "/ip4/11.0.0.9/udp/4001",
        "/ip4/11.0.0.9/tcp/4001/ws",
        "/ip4/11.0.0.9/tcp/4001/ip4/127.0.0.1/tcp/4001",
        "/ip4/11.0.0.9/tcp/4001/dns/example.org",
        "/unix/run",
        "/memory/7/tcp/4001",
    ] {
        assert_eq!(checked(&local, address), Err(Refusal::Form), "{address}");
    }
    let long = format!("/ip4/11.0.0.9/tcp/4001{}", "/ws".repeat(200));
    assert_eq!(checked(&local, &long), Err(Refusal::TooLong));
    assert_eq!(checked(&local, "/memory/7"), Ok(()));
    assert_eq!(
        checked(&namer("/ip4/11.0.0.3/tcp/1"), "/memory/7"),
        Err(Refusal::Scope)
    );
}

#[test]
fn addresses_that_no_node_has_are_dialed_in_our_own_subnets_only() {
    let local = namer("/ip4/127.0.0.1/tcp/50000");
    for (address, expected) in [
        ("/ip4/0.0.0.0/tcp/4001", Err(Refusal::Scope)),
        ("/ip4/224.0.0.1/tcp/4001", Err(Refusal::Scope)),
        ("/ip4/198.18.9.9/tcp/4001", Err(Refusal::Scope)),
        ("/ip4/198.18.0.9/tcp/4001", Ok(())),
        ("/ip6/fe80::9/tcp/4001", Err(Refusal::Scope)),
        ("/ip6/::ffff:127.0.0.1/tcp/4001", Ok(())),
    ] {
        assert_eq!(checked(&local, address), expected, "{address}");
    }
    let mapped = "/ip6/::ffff:127.0.0.1/tcp/4001";
    let global = namer("/ip4/11.0.0.3/tcp/1");
    assert_eq!(checked(&global, mapped), Err(Refusal::Scope));
}

#[test]
fn mdns_names_what_is_on_our_own_link() {
    for (address, expected) in [
        ("/ip4/192.168.7.9/tcp/4001", Ok(())),
        ("/ip4/10.9.9.9/tcp/4001", Ok(())),
        ("/ip4/169.254.3.4/tcp/4001", Ok(())),
        ("/ip6/2a01:db::9/tcp/4001", Ok(())),
        ("/ip4/11.0.0.9/tcp/4001", Err(Refusal::Scope)),
        ("/ip4/127.0.0.1/tcp/4001", Err(Refusal::Scope)),
        ("/ip4/192.168.7.9/tcp/22", Err(Refusal::Port)),
    ] {
        assert_eq!(
            checked(&NamedBy::LocalNetwork, address),
            expected,
            "{address}"
        );
    }
}

#[test]
fn a_peer_is_vouched_for_at_the_ip_address_of_its_connection() {
    let relayed = format!("/ip4/11.0.0.3/tcp/4001{CIRCUIT}");
    for (remote, address, expected) in [
        (
            "/ip4/11.0.0.3/tcp/50000",
            "/ip4/11.0.0.3/udp/4001/quic-v1",
            true,
        ),
        ("/ip4/11.0.0.3/tcp/50000", "/ip4/11.0.0.4/tcp/4001", false),
        ("/ip4/10.0.0.3/tcp/50000", "/ip4/11.0.0.3/tcp/4001", false),
        ("/ip4/127.0.0.1/tcp/50000", "/ip4/10.0.0.3/tcp/4001", false),
        ("/ip4/127.0.0.1/tcp/50000", "/ip4/127.0.0.1/tcp/4001", true),
        ("/dns/example.org/tcp/4001", "/ip4/11.0.0.3/tcp/4001", true),
        ("/memory/7", "/memory/8", true),
        (&relayed, "/ip4/11.0.0.3/tcp/4001", false),
    ] {
        let found = is_vouched(&remote.parse().unwrap(), &address.parse().unwrap());
        assert_eq!(found, expected, "{address} from {remote}");
    }
}

#[test]
fn a_person_names_what_they_like() {
    for address in [
        "/dns/example.org/tcp/80",
        "/ip4/127.0.0.1/tcp/22",
        "/ip4/10.9.9.9/tcp/1",
    ] {
        assert_eq!(checked(&NamedBy::User, address), Ok(()), "{address}");
    }
}
