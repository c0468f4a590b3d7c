//! The network: ports, whether peers reach the node, and which nodes it knows.

use pelago_behaviour::try_listen;

use super::{finding::Finding, node_report::NodeReport};
use crate::{
    api::types::{NatKind, ReachState},
    cli::{context::Context, node_settings, text::count},
    config::{Config, SetBy},
};

/// Checks a running node.
pub(super) fn of_node(node: &NodeReport) -> Vec<Finding> {
    vec![listening(node), reached(node), known(node), identity(node)]
}

/// Whether another node has the same identity.
fn identity(node: &NodeReport) -> Finding {
    match &node.health.identity_clash {
        None => Finding::ok("identity", "no other node with the same identity was seen"),
        Some(address) => Finding::problem(
            "identity",
            format!("another node has the same identity as this one; it was seen at {address}"),
            "a data folder is for one node: stop one of the two, move identity.key (or user.sealed, \
             if it has a user) out of its data folder, and start it again. It gets a new identity, \
             and keeps its shares",
        ),
    }
}

fn listening(node: &NodeReport) -> Finding {
    let listen = &node.status.listen;
    match listen.first() {
        Some(first) => {
            let addresses = count(listen.len() as u64, "address");
            Finding::ok(
                "ports",
                format!("the node listens on {addresses}, such as {first}"),
            )
        }
        None => Finding::problem(
            "ports",
            "the node listens on no address, so that no peer can connect to it",
            "check the network interfaces, then restart the node; see --port and --listen",
        ),
    }
}

/// What a person can do where routers stand between peers and a node.
const FORWARD: &str = "forward a port of the router to the port of the node (TCP and UDP), if peers \
                       should connect directly";

fn reached(node: &NodeReport) -> Finding {
    let (peers, inbound) = (node.health.peers, node.health.inbound_peers);
    let reach = &node.status.reach;
    let by = format!("others reach the node {}", reach.summary);
    match (reach.state, reach.nat) {
        (ReachState::Public, _) => return Finding::ok("reachable", by),
        (ReachState::Relayed, NatKind::Hard) => {
            let why =
                "the router gives each connection another port, so that direct ones mostly fail";
            return Finding::warning("reachable", format!("{by}: {why}"), FORWARD);
        }
        (ReachState::Relayed, _) => return Finding::ok("reachable", by),
        _ => {}
    }
    match (peers, inbound) {
        (0, _) => Finding::warning(
            "reachable",
            "unknown: the node is not connected to any peer",
            "name a node of the network: pelago start --bootstrap HOST:PORT",
        ),
        (peers, 0) => Finding::warning(
            "reachable",
            format!(
                "the node has connected to {}, but no peer has connected to it yet",
                count(peers, "peer")
            ),
            "if this persists, open or forward its port (TCP and UDP) in firewall and router",
        ),
        (peers, inbound) => Finding::ok(
            "reachable",
            format!(
                "{inbound} of {} connected to the node",
                count(peers, "peer")
            ),
        ),
    }
}

fn known(node: &NodeReport) -> Finding {
    let health = &node.health;
    let bootstrap = match health.bootstrap {
        0 => "no bootstrap node is set".to_owned(),
        all => {
            let connected = health.bootstrap_connected;
            format!("{connected} of {} connected", count(all, "bootstrap node"))
        }
    };
    let message = format!(
        "{bootstrap}, {} of the DHT known",
        count(health.dht_nodes, "node")
    );
    match health.dht_nodes {
        0 if health.bootstrap > 0 => Finding::problem(
            "discovery",
            message,
            "check whether they are running, and their addresses in network.bootstrap",
        ),
        0 => Finding::warning(
            "discovery",
            message,
            "name a node of the network with --bootstrap, to find nodes beyond the local network",
        ),
        _ => Finding::ok("discovery", message),
    }
}

/// Checks the network settings while no node runs.
pub(super) fn without_node(context: &Context) -> Vec<Finding> {
    let message = format!("no node is running on {}", context.data_folder.display());
    let start = context.command("start");
    let hint = format!("run `{start}`, so that its peers can be checked, too");
    vec![
        Finding::warning("node", message, hint),
        ports(&context.config),
    ]
}

/// Whether a node can listen on the addresses that are set.
fn ports(config: &Config) -> Finding {
    let settings = match node_settings::long_running(config, config.network.port, Vec::new()) {
        Ok(settings) => settings,
        Err(error) => {
            return Finding::problem("ports", error.to_string(), "correct it in the settings");
        }
    };
    let failed = |address| try_listen(address).err().map(|error| (address, error));
    let Some((address, error)) = settings.listen.iter().find_map(failed) else {
        let addresses = count(settings.listen.len() as u64, "address");
        return Finding::ok("ports", format!("a node can listen on {addresses}"));
    };
    let message = format!("{address} cannot be listened on: {error}");
    let is_default =
        config.network.listen.is_empty() && *config.set_by("network.port") == SetBy::Default;
    if is_default {
        let hint = "`pelago start` uses another; set network.port to choose one";
        Finding::warning("ports", message, hint)
    } else {
        let hint = "stop the program that uses it, or choose another with --port or --listen";
        Finding::problem("ports", message, hint)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::{
        api::types::{Health, Reach, Status, UnavailableShares},
        cli::doctor::finding::Severity,
        config::Layers,
    };

    fn node(health: Health) -> NodeReport {
        let status = Status {
            peer_id: "12D3".to_owned(),
            name: "x".to_owned(),
            network: "pelago".to_owned(),
            network_key: None,
            version: "0".to_owned(),
            listen: vec!["/ip4/127.0.0.1/tcp/1".to_owned()],
            api: None,
            gateway: None,
            shares: 0,
            downloads: 0,
            peers: health.peers,
            sent_bytes: 0,
            received_bytes: 0,
            uptime_seconds: 1.0,
            reach: Reach::default(),
        };
        NodeReport {
            status,
            health,
            unavailable: UnavailableShares::default(),
            settings: Vec::new(),
        }
    }

    #[test]
    fn a_node_is_reachable_once_a_peer_has_connected_to_it() {
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
    fn a_node_that_relays_reach_is_told_what_its_router_does() {
        let found = |state, nat| {
            let mut node = node(Health::default());
            node.status.reach = Reach {
                state,
                nat,
                summary: "somehow".to_owned(),
                ..Reach::default()
            };
            reached(&node)
        };
        assert_eq!(found(ReachState::Public, NatKind::None).state, Severity::Ok);
        assert_eq!(
            found(ReachState::Relayed, NatKind::Easy).state,
            Severity::Ok
        );
        let hard = found(ReachState::Relayed, NatKind::Hard);
        assert_eq!(hard.state, Severity::Warning);
        assert!(hard.message.contains("somehow: the router"), "{hard:?}");
    }

    #[test]
    fn an_empty_dht_is_a_problem_only_with_bootstrap_nodes() {
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
    fn a_taken_port_is_a_problem_if_a_person_chose_it() {
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
