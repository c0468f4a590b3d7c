//! Routers, the networks behind them, and their hosts.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use parking_lot::Mutex;

use super::{
    HOME, forward,
    nat::{self, Nat},
    port_mapper::PortMapper,
};
use crate::namespaces::Namespace;

/// The addresses of a network: that of its router, and the bits that all have in common.
#[derive(Clone, Copy)]
pub(crate) struct Subnet {
    pub(crate) router: IpAddr,
    pub(crate) bits: u8,
}

impl Subnet {
    fn host(self, number: u8) -> IpAddr {
        match self.router {
            IpAddr::V4(router) => {
                let [a, b, c, _] = router.octets();
                Ipv4Addr::new(a, b, c, 10 + number).into()
            }
            IpAddr::V6(router) => {
                let mut segments = router.segments();
                segments[7] = 0x10 + u16::from(number);
                IpAddr::from(segments)
            }
        }
    }
}

/// A network behind a router. Clones are the same network.
#[derive(Clone)]
pub(crate) struct Lan(Arc<Router>);

struct Router {
    /// The daemon ends before the namespace is removed.
    port_mapper: Mutex<Option<PortMapper>>,
    namespace: Namespace,
    /// The network that its device `wan` is in, unless that is the Internet.
    outer: Option<Lan>,
    wan: Mutex<Ipv4Addr>,
    subnet: Subnet,
    hosts: AtomicU8,
}

impl Lan {
    /// Makes a namespace with the device `wan` a router.
    pub(crate) fn new(namespace: Namespace, nat: Nat, subnet: Subnet, wan: Ipv4Addr) -> Self {
        Self::within(None, namespace, nat, subnet, wan)
    }

    /// A home behind a router in this network.
    pub(crate) fn inner(&self, nat: Nat) -> Self {
        let router = Namespace::new("inner").unwrap();
        let IpAddr::V4(wan) = self.plug(&router, "wan") else {
            panic!("routers translate IPv4 only");
        };
        let outer = Some(self.clone());
        Self::within(outer, router, nat, HOME, wan)
    }

    fn within(
        outer: Option<Self>,
        namespace: Namespace,
        nat: Nat,
        subnet: Subnet,
        wan: Ipv4Addr,
    ) -> Self {
        forward(&namespace);
        let Subnet { router, bits } = subnet;
        namespace.ip(&format!(
            "link add lan type bridge\n\
             address add {router}/{bits} dev lan{}\n\
             link set lan up\n",
            nodad(router)
        ));
        namespace.nft(&nat::rules(nat));
        let port_mapper = (nat == Nat::PortMapper).then(|| PortMapper::start(&namespace));
        Self(Arc::new(Router {
            port_mapper: Mutex::new(port_mapper),
            namespace,
            outer,
            wan: Mutex::new(wan),
            subnet,
            hosts: AtomicU8::new(0),
        }))
    }

    /// A new host in this network.
    pub(crate) fn host(&self) -> Host {
        let namespace = Namespace::new("host").unwrap();
        let address = self.plug(&namespace, "lan");
        Host::new(namespace, vec![address], Some(self.clone()))
    }

    /// The address at which the Internet sees this network.
    pub(crate) fn wan(&self) -> Ipv4Addr {
        *self.outermost().0.wan.lock()
    }

    pub(crate) fn router(&self) -> IpAddr {
        self.0.subnet.router
    }

    /// Makes the routers between this network and the Internet forget all flows.
    pub(crate) fn forget(&self) {
        let Router {
            namespace, outer, ..
        } = &*self.0;
        let flushed = namespace.command("conntrack").arg("-F").output().unwrap();
        assert!(flushed.status.success(), "{flushed:?}");
        namespace.nft(nat::FORGET);
        outer.iter().for_each(Self::forget);
    }

    /// Connects the router to the Internet again, with `connect`, which returns its new address.
    pub(crate) fn reconnect(&self, connect: impl FnOnce(&Namespace) -> Ipv4Addr) {
        let Router { namespace, wan, .. } = &*self.outermost().0;
        namespace.ip("link delete wan");
        *wan.lock() = connect(namespace);
    }

    /// Ends the port mapper and starts it again, without the ports that it has opened.
    pub(crate) fn restart_port_mapper(&self) {
        let mut port_mapper = self.0.port_mapper.lock();
        drop(port_mapper.take());
        self.0.namespace.nft(nat::CLOSE);
        *port_mapper = Some(PortMapper::start(&self.0.namespace));
    }

    fn outermost(&self) -> &Self {
        self.0.outer.as_ref().map_or(self, Self::outermost)
    }

    /// Connects a host or router, by its new device `device`. Returns its address.
    fn plug(&self, namespace: &Namespace, device: &str) -> IpAddr {
        let number = 1 + self.0.hosts.fetch_add(1, Ordering::Relaxed);
        let Subnet { router, bits } = self.0.subnet;
        let address = self.0.subnet.host(number);
        let (switch, port) = (&self.0.namespace, format!("port{number}"));
        switch.connect(&port, namespace, device).unwrap();
        switch.ip(&format!("link set {port} master lan up\n"));
        namespace.ip(&format!(
            "address add {address}/{bits} dev {device}{}\n\
             link set {device} up\n\
             route add default via {router}\n",
            nodad(address)
        ));
        switch.wait_for(&port);
        address
    }
}

/// The option with which the system uses a new IPv6 address at once, without a search for
/// duplicates.
fn nodad(address: IpAddr) -> &'static str {
    if address.is_ipv6() { " nodad" } else { "" }
}

/// A host.
pub(crate) struct Host {
    pub(crate) namespace: Namespace,
    addresses: Vec<IpAddr>,
    lan: Option<Lan>,
}

impl Host {
    pub(crate) fn new(namespace: Namespace, addresses: Vec<IpAddr>, lan: Option<Lan>) -> Self {
        Self {
            namespace,
            addresses,
            lan,
        }
    }

    /// The network of a host that is behind a router.
    pub(crate) fn lan(&self) -> &Lan {
        self.lan.as_ref().unwrap()
    }

    /// Its first address: IPv4 if it has both families.
    pub(crate) fn at(&self, port: u16) -> SocketAddr {
        (self.addresses[0], port).into()
    }

    /// Its address of the family that `other` has.
    pub(crate) fn towards(&self, other: &Self, port: u16) -> SocketAddr {
        let is_ipv4 = other.addresses[0].is_ipv4();
        let own = self.addresses.iter();
        let address = own.copied().find(|own| own.is_ipv4() == is_ipv4);
        (address.unwrap(), port).into()
    }

    /// Unplugs it from its network, and connects it to another one.
    pub(crate) fn move_to(&mut self, lan: &Lan) {
        self.namespace.ip("link delete lan");
        self.addresses = vec![lan.plug(&self.namespace, "lan")];
        self.lan = Some(lan.clone());
    }
}
