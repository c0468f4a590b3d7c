//! The NAT lab: hosts, routers of all kinds and an Internet, which are network namespaces. It
//! requires root. Dropping its parts removes them.
//!
//! ```text
//!   host ── LAN ── router ──┐
//!                           ix      routes addresses that look public; nothing leaves it
//!   public host ────────────┘
//! ```
//!
//! | file | owns |
//! |---|---|
//! | `nat` | the kinds of routers, as rules of nftables |
//! | `lan` | routers, the networks behind them, and their hosts |
//! | `port_mapper` | the daemon with which hosts open ports of their router |
//! | `sockets` | plain UDP and TCP sockets on hosts |
//! | `kinds`, `pairs`, `changes` | tests that prove the lab without Pelago |
//! | `nodes` | stories of real nodes in the lab |
//!
//! Real nodes run on a host as elsewhere: `world.home("a").within(&host.namespace)`.

mod changes;
mod kinds;
mod lan;
mod nat;
mod nodes;
mod pairs;
mod port_mapper;
mod sockets;

use std::{
    cell::Cell,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use self::{
    lan::{Host, Lan, Subnet},
    nat::Nat,
};
use super::{
    namespaces::Namespace,
    system::{is_root, run},
};

/// What routers and the tests of the lab run.
const PROGRAMS: [&str; 5] = ["nft", "conntrack", "miniupnpd", "upnpc", "natpmpc"];

/// The networks of which lines have addresses: /16s that count as public for everyone.
const NETWORKS: [[u8; 2]; 3] = [[5, 1], [6, 2], [7, 3]];

/// Networks in which hosts have the addresses of homes, and of customers of an Internet provider
/// that has too few addresses.
const HOME: Subnet = Subnet {
    router: IpAddr::V4(Ipv4Addr::new(192, 168, 1, 1)),
    bits: 24,
};
const CARRIER: Subnet = Subnet {
    router: IpAddr::V4(Ipv4Addr::new(100, 64, 0, 1)),
    bits: 10,
};

/// A new Internet.
pub(crate) struct Lab {
    ix: Namespace,
    lines: Cell<u8>,
}

impl Lab {
    /// Prints why and returns `None` if that fails.
    pub(crate) fn new() -> Option<Self> {
        if !is_root("the NAT lab") {
            return None;
        }
        for program in PROGRAMS {
            if run(&format!("which {program}")).is_err() {
                eprintln!("skipped: the NAT lab takes {program}");
                return None;
            }
        }
        let lab = Namespace::new("ix").and_then(|ix| {
            // All that the system needs, without effect on it.
            ix.check_nft(&nat::rules(Nat::AddressRestricted))?;
            let lines = Cell::new(0);
            Ok(Self { ix, lines })
        });
        let lab = lab.inspect_err(|why| eprintln!("skipped: {why}")).ok()?;
        forward(&lab.ix);
        Some(lab)
    }

    /// A host behind a router of its own.
    pub(crate) fn host(&self, nat: Nat) -> Host {
        self.lan(nat).host()
    }

    /// A host with public addresses of both families and without a firewall.
    pub(crate) fn public(&self) -> Host {
        let namespace = Namespace::new("public").unwrap();
        let line = self.line(&namespace);
        let host = line.ipv6(1);
        namespace.ip(&format!("address add {host}/128 dev wan nodad"));
        Host::new(namespace, vec![line.ipv4().into(), host.into()], None)
    }

    /// A network behind a router.
    pub(crate) fn lan(&self, nat: Nat) -> Lan {
        match nat {
            Nat::CarrierGrade => self.carrier(Nat::PortRestricted).inner(Nat::PortRestricted),
            Nat::HardCarrierGrade => self.carrier(Nat::Symmetric).inner(Nat::PortRestricted),
            _ => {
                let router = Namespace::new("router").unwrap();
                let line = self.line(&router);
                let subnet = match nat {
                    Nat::Ipv6Firewall => line.subnet(),
                    _ => HOME,
                };
                Lan::new(router, nat, subnet, line.ipv4())
            }
        }
    }

    /// Gives a router another public IPv4 address.
    pub(crate) fn renumber(&self, lan: &Lan) {
        lan.reconnect(|router| self.line(router).ipv4());
    }

    /// The network of an Internet provider, for homes behind its router.
    pub(crate) fn carrier(&self, nat: Nat) -> Lan {
        let router = Namespace::new("carrier").unwrap();
        let wan = self.line(&router).ipv4();
        Lan::new(router, nat, CARRIER, wan)
    }

    /// Connects a host or router to the Internet, by its device `wan`.
    fn line(&self, namespace: &Namespace) -> Line {
        let number = self.lines.get() + 1;
        self.lines.set(number);
        let line = Line(number);
        let (ipv4, gateway, prefix) = (line.ipv4(), line.gateway(), line.ipv6(0));
        let device = format!("line{number}");
        self.ix.connect(&device, namespace, "wan").unwrap();
        self.ix.ip(&format!(
            "address add {gateway}/32 dev {device}\n\
             address add fe80::1/64 dev {device} nodad\n\
             link set {device} up\n\
             route add {ipv4}/32 dev {device}\n\
             route add {prefix}/48 via fe80::2 dev {device}\n"
        ));
        namespace.ip(&format!(
            "address add {ipv4}/32 dev wan\n\
             address add fe80::2/64 dev wan nodad\n\
             link set wan up\n\
             route add default via {gateway} dev wan onlink\n\
             route add default via fe80::1 dev wan\n"
        ));
        self.ix.wait_for(&device);
        line
    }
}

/// A connection to the Internet, by its number: an IPv4 address in a /24 of its own, and a /48 of
/// IPv6. Lines in turn are in each of [`NETWORKS`].
#[derive(Clone, Copy)]
struct Line(u8);

impl Line {
    fn ipv4(self) -> Ipv4Addr {
        let [a, b] = self.network();
        Ipv4Addr::new(a, b, self.0, 1)
    }

    /// The address of the router at the other end.
    fn gateway(self) -> Ipv4Addr {
        let [a, b] = self.network();
        Ipv4Addr::new(a, b, 0, 1)
    }

    fn ipv6(self, host: u16) -> Ipv6Addr {
        Ipv6Addr::new(0x2a0f, self.0.into(), 0, 0, 0, 0, 0, host)
    }

    /// The network that a router of IPv6 has for its hosts.
    fn subnet(self) -> Subnet {
        let router = Ipv6Addr::new(0x2a0f, self.0.into(), 0, 1, 0, 0, 0, 1);
        Subnet {
            router: router.into(),
            bits: 64,
        }
    }

    fn network(self) -> [u8; 2] {
        NETWORKS[usize::from(self.0) % NETWORKS.len()]
    }
}

/// Makes a namespace a router.
fn forward(namespace: &Namespace) {
    namespace.set("ipv4/ip_forward", "1");
    namespace.set("ipv6/conf/all/forwarding", "1");
}
