//! Turns the settings of people into the settings of a node.

use std::{
    net::{Ipv4Addr, TcpListener, UdpSocket},
    path::PathBuf,
    time::Duration,
};

use libp2p::{Multiaddr, multiaddr::Protocol};

use crate::{
    api::types::ErrorInfo,
    config::Config,
    memory::Memory,
    node::{Mode, PeerAddress, Rates, Settings},
};

/// Attempts to find a port that is free for both TCP and UDP; most free ports are.
const PORT_TRIES: usize = 16;

/// How long a command runs before its node listens: most of a small download is done by then. Other
/// commands find the node after that.
const LISTEN_AFTER: Duration = Duration::from_millis(25);

/// Bytes that the gateway fetches ahead of each reader: half a minute of a film at 8 Mbit/s. All
/// readers together are bounded by [`Memory::read_ahead`].
pub(super) const READ_AHEAD: u64 = 32 << 20;

/// Settings of a node that runs until it is stopped: on `port` unless addresses are set, sharing
/// `folders`.
pub(super) fn long_running(
    config: &Config,
    port: u16,
    folders: Vec<PathBuf>,
) -> anyhow::Result<Settings> {
    let listen = match &config.network.listen[..] {
        [] => every_interface(port)?,
        addresses => addresses.to_vec(),
    };
    Ok(Settings {
        listen,
        share_folders: folders,
        share_group: Some(config.storage.share_group.clone()).filter(|group| !group.is_empty()),
        ..common(config, Mode::LongRunning)?
    })
}

/// Settings of a node that runs for one command: on the addresses that are set, with free ports,
/// which a long-running node does not need.
pub(super) fn one_shot(config: &Config) -> anyhow::Result<Settings> {
    Ok(Settings {
        listen: match &config.network.listen[..] {
            [] => every_interface(0)?,
            addresses => addresses.iter().map(with_free_port).collect(),
        },
        ..common(config, Mode::OneShot)?
    })
}

/// As [`one_shot`], for a command that needs no peer to reach it: unless addresses are set, it listens
/// a moment later.
pub(super) fn hasty(config: &Config) -> anyhow::Result<Settings> {
    let wanted = one_shot(config)?;
    Ok(Settings {
        // Otherwise an address that cannot be used is an error.
        listen_after: match config.network.listen[..] {
            [] => LISTEN_AFTER,
            _ => Duration::ZERO,
        },
        ..wanted
    })
}

fn common(config: &Config, mode: Mode) -> anyhow::Result<Settings> {
    let (network, transfer) = (&config.network, &config.transfer);
    let memory = Memory::of_this_process();
    let defaults = Settings::default();
    Ok(Settings {
        mode,
        network: network.name.clone(),
        name: node_name(&network.node_name),
        bootstrap: bootstrap(config)?,
        mdns: network.mdns,
        announce: network.announce,
        relay_service: network.relay_service,
        relay_use: network.relay_use,
        memory_budget: memory.connections(network.memory_budget()),
        rescan_interval: Duration::from_secs(config.storage.rescan_seconds),
        max_downloads: transfer.max_downloads,
        in_flight_bytes: memory.in_flight(defaults.in_flight_bytes),
        upload_slots: transfer.upload_slots,
        seed: transfer.seed,
        read_cache: config.gateway.cache(),
        read_ahead: memory.read_ahead(),
        limits: Rates {
            upload: transfer.upload_limit,
            download: transfer.download_limit,
            upload_per_peer: transfer.upload_limit_per_peer,
            download_per_peer: transfer.download_limit_per_peer,
        },
        ..defaults
    })
}

fn bootstrap(config: &Config) -> anyhow::Result<Vec<PeerAddress>> {
    let parse = |text: &String| {
        text.parse().map_err(|error: crate::node::InvalidAddress| {
            let set_by = config.set_by("network.bootstrap");
            let message = format!("{set_by}: network.bootstrap: {error}");
            ErrorInfo::new("config", message).into()
        })
    };
    config.network.bootstrap.iter().map(parse).collect()
}

/// The same address with a port that the system chooses.
fn with_free_port(address: &Multiaddr) -> Multiaddr {
    let free = |protocol| match protocol {
        Protocol::Tcp(_) => Protocol::Tcp(0),
        Protocol::Udp(_) => Protocol::Udp(0),
        other => other,
    };
    address.iter().map(free).collect()
}

/// The same addresses with other ports; none if there is not one port for each.
pub(super) fn with_ports(listen: &[Multiaddr], ports: &[u16]) -> Option<Vec<Multiaddr>> {
    if listen.is_empty() || listen.len() != ports.len() {
        return None;
    }
    let with_port = |(address, port): (&Multiaddr, &u16)| {
        let with_port = |protocol| match protocol {
            Protocol::Tcp(_) => Protocol::Tcp(*port),
            Protocol::Udp(_) => Protocol::Udp(*port),
            other => other,
        };
        address.iter().map(with_port).collect()
    };
    Some(listen.iter().zip(ports).map(with_port).collect())
}

/// The port that each address of `listen` got, of the addresses at which the node is `bound`; 0 if
/// it is unknown.
pub(super) fn ports(listen: &[Multiaddr], bound: &[Multiaddr]) -> Vec<u16> {
    let port = |wanted: &Multiaddr| {
        let (host, protocol) = first_two(wanted)?;
        let (Protocol::Tcp(port) | Protocol::Udp(port)) = protocol else {
            return None;
        };
        if port != 0 {
            return Some(port);
        }
        bound.iter().find_map(|address| match first_two(address)? {
            (at, Protocol::Tcp(port)) if is_at(&host, &at) && is_tcp(&protocol) => Some(port),
            (at, Protocol::Udp(port)) if is_at(&host, &at) && !is_tcp(&protocol) => Some(port),
            _ => None,
        })
    };
    listen
        .iter()
        .map(|wanted| port(wanted).unwrap_or(0))
        .collect()
}

fn first_two(address: &Multiaddr) -> Option<(Protocol<'_>, Protocol<'_>)> {
    let mut parts = address.iter();
    Some((parts.next()?, parts.next()?))
}

const fn is_tcp(protocol: &Protocol<'_>) -> bool {
    matches!(protocol, Protocol::Tcp(_))
}

/// Whether a socket at `host` listens at the address `at`.
fn is_at(host: &Protocol<'_>, at: &Protocol<'_>) -> bool {
    match (host, at) {
        (Protocol::Ip4(host), Protocol::Ip4(at)) => host.is_unspecified() || host == at,
        (Protocol::Ip6(host), Protocol::Ip6(at)) => host.is_unspecified() || host == at,
        _ => false,
    }
}

/// TCP and QUIC on IPv4, and on IPv6 where this host has it.
fn every_interface(port: u16) -> anyhow::Result<Vec<Multiaddr>> {
    let has_ipv6 = UdpSocket::bind("[::]:0").is_ok();
    let hosts = ["/ip4/0.0.0.0"]
        .into_iter()
        .chain(has_ipv6.then_some("/ip6/::"));
    let addresses = hosts.flat_map(|host| {
        [
            format!("{host}/tcp/{port}"),
            format!("{host}/udp/{port}/quic-v1"),
        ]
    });
    Ok(addresses
        .map(|address| address.parse())
        .collect::<Result<_, _>>()?)
}

/// A port that is currently free for TCP and UDP; 0, which stands for any two, if none is found.
pub(super) fn free_port() -> u16 {
    let any = Ipv4Addr::UNSPECIFIED;
    let free = || {
        let port = TcpListener::bind((any, 0)).ok()?.local_addr().ok()?.port();
        UdpSocket::bind((any, port)).is_ok().then_some(port)
    };
    (0..PORT_TRIES).find_map(|_| free()).unwrap_or(0)
}

/// The name that is set, or the host name.
fn node_name(chosen: &str) -> String {
    if !chosen.is_empty() {
        return chosen.to_owned();
    }
    #[cfg(unix)]
    let name = Some(
        rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned(),
    );
    #[cfg(not(unix))]
    let name = std::env::var("COMPUTERNAME").ok();
    name.filter(|name| !name.is_empty())
        .unwrap_or_else(|| "pelago".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Layers, SetBy};

    #[test]
    fn the_defaults_listen_on_all_interfaces_under_the_host_name() {
        let config = Layers::default().config();
        let settings = long_running(&config, 8080, Vec::new()).unwrap();
        let listen: Vec<_> = settings.listen.iter().map(ToString::to_string).collect();
        assert_eq!(
            listen[..2],
            ["/ip4/0.0.0.0/tcp/8080", "/ip4/0.0.0.0/udp/8080/quic-v1"]
        );
        assert!(!settings.name.is_empty());
        let settings = one_shot(&config).unwrap();
        assert_eq!(settings.mode, Mode::OneShot);
        assert_eq!(settings.listen[0].to_string(), "/ip4/0.0.0.0/tcp/0");
    }

    #[test]
    fn a_command_listens_where_a_node_would_but_on_free_ports() {
        let mut layers = Layers::default();
        let addresses = vec!["/ip4/127.0.0.1/tcp/8080", "/ip6/::1/udp/8080/quic-v1"];
        let set_by = SetBy::Flag("--listen");
        layers.set(set_by, "network", "listen", addresses).unwrap();
        let settings = one_shot(&layers.config()).unwrap();
        let listen: Vec<_> = settings.listen.iter().map(ToString::to_string).collect();
        assert_eq!(listen, ["/ip4/127.0.0.1/tcp/0", "/ip6/::1/udp/0/quic-v1"]);
    }

    #[test]
    fn a_restarted_node_takes_its_ports_again() {
        let parse = |texts: &[&str]| -> Vec<Multiaddr> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let listen = parse(&[
            "/ip4/0.0.0.0/tcp/0",
            "/ip4/127.0.0.1/udp/0/quic-v1",
            "/ip6/::/tcp/8080",
            "/ip6/::1/tcp/0",
        ]);
        let bound = parse(&[
            "/ip4/192.0.2.1/udp/9/quic-v1",
            "/ip4/127.0.0.1/udp/1/quic-v1",
            "/ip4/192.0.2.1/tcp/2",
        ]);
        let ports = ports(&listen, &bound);
        assert_eq!(ports, [2, 1, 8080, 0]);
        let again = parse(&[
            "/ip4/0.0.0.0/tcp/2",
            "/ip4/127.0.0.1/udp/1/quic-v1",
            "/ip6/::/tcp/8080",
            "/ip6/::1/tcp/0",
        ]);
        assert_eq!(with_ports(&listen, &ports), Some(again));
        assert_eq!(with_ports(&listen, &[]), None);
    }

    #[test]
    fn an_invalid_bootstrap_address_is_traced_to_what_set_it() {
        let mut layers = Layers::default();
        let set_by = SetBy::Variable("PELAGO_NETWORK_BOOTSTRAP".to_owned());
        layers
            .set(set_by, "network", "bootstrap", vec!["host"])
            .unwrap();
        let refused = one_shot(&layers.config()).unwrap_err().to_string();
        let expected =
            "PELAGO_NETWORK_BOOTSTRAP: network.bootstrap: \"host\" is not a valid peer address";
        assert!(refused.starts_with(expected), "{refused}");
    }
}
