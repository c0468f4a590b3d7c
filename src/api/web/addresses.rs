//! The addresses at which other machines may reach a socket of this one.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Addresses that are named, at most: a machine with many containers has hundreds.
const MAX_ADDRESSES: usize = 6;

/// The addresses at which other machines may reach the socket that is bound to `bound`: its own, or
/// those of all interfaces, private IPv4 addresses first. Only loopback if there is no other.
pub(in crate::api) fn reachable_addresses(bound: SocketAddr) -> Vec<SocketAddr> {
    if !bound.ip().is_unspecified() {
        return vec![bound];
    }
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let ips = interfaces.into_iter().map(|interface| interface.ip());
    let mut ips = of_interest(ips, bound.ip());
    if ips.is_empty() {
        ips.push(match bound.ip() {
            IpAddr::V4(_) => IpAddr::from([127, 0, 0, 1]),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    ips.truncate(MAX_ADDRESSES);
    let port = bound.port();
    ips.into_iter()
        .map(|ip| SocketAddr::new(ip, port))
        .collect()
}

/// The origins at which other machines may reach a server that is bound to `bound`; none if it
/// listens on loopback only.
pub(in crate::api) fn origins_elsewhere(bound: SocketAddr) -> Vec<String> {
    let addresses = reachable_addresses(bound).into_iter();
    let elsewhere = addresses.filter(|address| !address.ip().is_loopback());
    elsewhere
        .map(|address| format!("http://{address}"))
        .collect()
}

fn of_interest(ips: impl Iterator<Item = IpAddr>, bound: IpAddr) -> Vec<IpAddr> {
    let is_heard = |ip: &IpAddr| ip.is_ipv4() || bound.is_ipv6();
    let mut ips: Vec<_> = ips
        .filter(|ip| is_heard(ip) && rank(ip) < NOWHERE)
        .collect();
    ips.sort_by_key(|ip| (rank(ip), *ip));
    ips.dedup();
    ips
}

const NOWHERE: u8 = 4;

/// The first ones are the ones that a phone in the same room reaches.
const fn rank(ip: &IpAddr) -> u8 {
    match ip {
        IpAddr::V4(ip) if ip.is_loopback() || ip.is_link_local() => NOWHERE,
        IpAddr::V4(ip) if ip.is_private() => 0,
        IpAddr::V4(_) => 1,
        // A link-local address needs the name of the interface, which URLs cannot hold.
        IpAddr::V6(ip) if ip.is_loopback() || ip.is_unicast_link_local() => NOWHERE,
        IpAddr::V6(ip) if ip.is_unique_local() => 2,
        IpAddr::V6(_) => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_the_room_come_first_and_those_of_this_machine_alone_not_at_all() {
        let all = [
            "2001:db8::1",
            "127.0.0.1",
            "fe80::1",
            "fd00::2",
            "192.0.2.1",
            "192.168.1.5",
            "169.254.1.1",
            "::1",
            "10.0.0.1",
        ];
        let chosen = |bound: &str| {
            let ips = all.iter().map(|ip| ip.parse().unwrap());
            let chosen = of_interest(ips, bound.parse().unwrap()).into_iter();
            chosen.map(|ip| ip.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(chosen("0.0.0.0"), ["10.0.0.1", "192.168.1.5", "192.0.2.1"]);
        assert_eq!(
            chosen("::"),
            [
                "10.0.0.1",
                "192.168.1.5",
                "192.0.2.1",
                "fd00::2",
                "2001:db8::1"
            ]
        );
        let bound = "127.0.0.1:7".parse().unwrap();
        assert_eq!(reachable_addresses(bound), [bound]);
        assert!(origins_elsewhere(bound).is_empty());
        let bound = "192.0.2.1:7".parse().unwrap();
        assert_eq!(origins_elsewhere(bound), ["http://192.0.2.1:7"]);
    }
}
