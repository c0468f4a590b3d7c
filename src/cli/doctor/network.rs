//! The network: ports, whether others reach us, and how nodes are found.

#[cfg(unix)]
use std::net::{Ipv4Addr, Ipv6Addr};
use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
};

use libp2p::{Multiaddr, multiaddr::Protocol};

use super::{finding::Finding, node_report::NodeReport};
use crate::{
    cli::{context::Context, node_settings, text::count},
    config::{Config, SetBy},
};

/// What a running node says.
pub(super) fn of_node(node: &NodeReport) -> Vec<Finding> {
    vec![listening(node), reached(node), known(node), identity(node)]
}

/// Whether another node uses the identity of this one.
fn identity(node: &NodeReport) -> Finding {
    match &node.health.identity_clash {
        None => Finding::ok("identity", "no other node with the same identity was seen"),
        Some(address) => Finding::problem(
            "identity",
            format!("another node has the same identity as this one; it was seen at {address}"),
            "a data folder is for one node: end one of the two, move identity.key out of its data folder, \
             and start it again. It gets an identity of its own, and keeps its shares",
        ),
    }
}

fn listening(node: &NodeReport) -> Finding {
    let listen = &node.status.listen;
    match listen.first() {
        Some(first) => {
            let places = count(listen.len() as u64, "place");
            Finding::ok(
                "ports",
                format!("the node listens in {places}, such as {first}"),
            )
        }
        None => Finding::problem(
            "ports",
            "the node listens nowhere, so that nobody can connect to it",
            "is there a network interface? then start it again, or see --port and --listen",
        ),
    }
}

fn reached(node: &NodeReport) -> Finding {
    let (peers, inbound) = (node.health.peers, node.health.inbound_peers);
    match (peers, inbound) {
        (0, _) => Finding::warning(
            "reachable",
            "the node is connected to nobody, who could tell",
            "name a node to enter the network by: pelago start --bootstrap HOST:PORT",
        ),
        (peers, 0) => Finding::warning(
            "reachable",
            format!(
                "the node has connected to {}, and nobody to it yet",
                count(peers, "peer")
            ),
            "if that stays so, open or forward its port (TCP and UDP) in firewall and router",
        ),
        (peers, inbound) => Finding::ok(
            "reachable",
            format!(
                "{inbound} of {} have connected by themselves",
                count(peers, "peer")
            ),
        ),
    }
}

fn known(node: &NodeReport) -> Finding {
    let health = &node.health;
    let entered = match health.bootstrap {
        0 => "no node to enter the network by is set".to_owned(),
        all => {
            let connected = health.bootstrap_connected;
            format!("{connected} of {} connected", count(all, "bootstrap node"))
        }
    };
    let message = format!(
        "{entered}, {} of the DHT known",
        count(health.dht_nodes, "node")
    );
    match health.dht_nodes {
        0 if health.bootstrap > 0 => Finding::problem(
            "discovery",
            message,
            "are their addresses right, and are they running? see network.bootstrap",
        ),
        0 => Finding::warning(
            "discovery",
            message,
            "beyond the local network, others are found by a node that both know: --bootstrap",
        ),
        _ => Finding::ok("discovery", message),
    }
}

/// What can be told where no node runs.
pub(super) fn without_node(context: &Context) -> Vec<Finding> {
    let message = format!("no node is running on {}", context.data_folder.display());
    let hint = "pelago start: then its peers can be looked at, too";
    vec![
        Finding::warning("node", message, hint),
        ports(&context.config),
    ]
}

/// Whether a node could listen where it would.
fn ports(config: &Config) -> Finding {
    let settings = match node_settings::long_running(config, config.network.port, Vec::new()) {
        Ok(settings) => settings,
        Err(error) => {
            return Finding::problem("ports", error.to_string(), "correct it in the settings");
        }
    };
    let taken = |address: &&Multiaddr| try_out(address).is_err();
    let Some(address) = settings.listen.iter().find(taken) else {
        let listen = count(settings.listen.len() as u64, "place");
        return Finding::ok("ports", format!("a node can listen in all {listen}"));
    };
    let why = try_out(address).err().map(|error| error.to_string());
    let message = format!(
        "{address} cannot be listened on: {}",
        why.unwrap_or_default()
    );
    let is_default =
        config.network.listen.is_empty() && *config.set_by("network.port") == SetBy::Default;
    if is_default {
        let hint = "`pelago start` takes another; to have always the same, set network.port";
        Finding::warning("ports", message, hint)
    } else {
        let hint = "end the program that has it, or choose another with --port or --listen";
        Finding::problem("ports", message, hint)
    }
}

/// Listens at `address` for a moment.
fn try_out(address: &Multiaddr) -> io::Result<()> {
    let mut host: Option<IpAddr> = None;
    for part in address {
        match (part, host) {
            (Protocol::Ip4(ip), _) => host = Some(ip.into()),
            (Protocol::Ip6(ip), _) => host = Some(ip.into()),
            (Protocol::Tcp(port), Some(ip)) => {
                return TcpListener::bind(SocketAddr::new(ip, port)).map(drop);
            }
            (Protocol::Udp(port), Some(ip)) => {
                return UdpSocket::bind(SocketAddr::new(ip, port)).map(drop);
            }
            _ => {}
        }
    }
    // Neither: the node itself says what it thinks of it.
    Ok(())
}

/// Whether others on the local network can be heard.
pub(super) fn mdns(config: &Config) -> Finding {
    if !config.network.mdns {
        let hint = "network.mdns = true, or `pelago start --discovery`";
        return Finding::warning("mdns", "finding nodes on the local network is off", hint);
    }
    match hear_mdns() {
        Ok(()) => Finding::ok("mdns", "nodes on the local network can be heard"),
        Err(error) => Finding::problem(
            "mdns",
            format!("nodes on the local network cannot be heard: {error}"),
            "is there a network interface with multicast, and UDP port 5353 open? or set network.mdns = false",
        ),
    }
}

/// Opens the sockets that mDNS takes, which programs share. One family is enough: a network may have no other.
#[cfg(unix)]
fn hear_mdns() -> io::Result<()> {
    hear_mdns_over(Ipv4Addr::UNSPECIFIED.into())
        .or_else(|error| hear_mdns_over(Ipv6Addr::UNSPECIFIED.into()).map_err(|_| error))
}

/// Opens the socket of one family.
#[cfg(unix)]
fn hear_mdns_over(any: IpAddr) -> io::Result<()> {
    use rustix::net::{AddressFamily, SocketType, bind, socket, sockopt};

    /// Where all that speak mDNS meet (RFC 6762).
    const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
    const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
    const PORT: u16 = 5353;

    let family = match any {
        IpAddr::V4(_) => AddressFamily::INET,
        IpAddr::V6(_) => AddressFamily::INET6,
    };
    let opened = socket(family, SocketType::DGRAM, None)?;
    sockopt::set_socket_reuseaddr(&opened, true)?;
    sockopt::set_socket_reuseport(&opened, true)?;
    bind(&opened, &SocketAddr::new(any, PORT))?;
    let opened = UdpSocket::from(opened);
    match any {
        IpAddr::V4(_) => opened.join_multicast_v4(&GROUP_V4, &Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => opened.join_multicast_v6(&GROUP_V6, 0),
    }
}

/// Not tried on this system.
#[cfg(not(unix))]
fn hear_mdns() -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::types::{Health, Status, UnavailableShares},
        cli::doctor::finding::Severity,
        config::Layers,
    };

    fn node(health: Health) -> NodeReport {
        let status = Status {
            peer_id: "12D3".to_owned(),
            name: "x".to_owned(),
            version: "0".to_owned(),
            listen: vec!["/ip4/127.0.0.1/tcp/1".to_owned()],
            api: None,
            gateway: None,
            shares: 0,
            downloads: 0,
            peers: health.peers,
            uptime_seconds: 1.0,
        };
        NodeReport {
            status,
            health,
            unavailable: UnavailableShares::default(),
        }
    }

    #[test]
    fn a_node_is_reachable_once_somebody_has_reached_it() {
        let state = |peers, inbound_peers| {
            let health = Health {
                peers,
                inbound_peers,
                ..Health::default()
            };
            reached(&node(health)).state
        };
        assert_eq!(state(0, 0), Severity::Warning);
        assert_eq!(state(2, 0), Severity::Warning);
        assert_eq!(state(2, 1), Severity::Ok);
    }

    #[test]
    fn to_know_nobody_is_a_problem_only_where_somebody_was_named() {
        let found = |bootstrap, dht_nodes| {
            let health = Health {
                bootstrap,
                dht_nodes,
                ..Health::default()
            };
            known(&node(health))
        };
        assert_eq!(found(0, 0).state, Severity::Warning);
        assert_eq!(found(2, 0).state, Severity::Problem);
        assert_eq!(found(2, 1).state, Severity::Ok);
        assert_eq!(
            found(2, 1).message,
            "0 of 2 bootstrap nodes connected, 1 node of the DHT known"
        );
    }

    #[test]
    fn a_port_that_is_taken_is_a_problem_where_it_was_chosen() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("/ip4/127.0.0.1/tcp/{}", taken.local_addr().unwrap().port());
        let mut layers = Layers::default();
        let listen = toml::Value::from(vec![address.clone()]);
        layers
            .set(SetBy::Flag("--listen"), "network", "listen", listen)
            .unwrap();
        let config = layers.config();
        let found = ports(&config);
        assert_eq!(found.state, Severity::Problem);
        assert!(found.message.starts_with(&address), "{found:?}");
        drop(taken);
        assert_eq!(ports(&config).state, Severity::Ok);
    }
}
