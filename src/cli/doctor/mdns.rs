//! Whether nodes of the local network can be discovered: mDNS is on, and its sockets open.

use std::io;
#[cfg(unix)]
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use super::finding::Finding;
use crate::api::types::{OriginKind, Setting, SettingOrigin};

/// Whether this machine can receive mDNS from other nodes, if it is on.
pub(super) fn discovery(settings: &[Setting]) -> Finding {
    let set = settings
        .iter()
        .find(|setting| setting.name == "network.mdns");
    match set.filter(|set| set.value == false) {
        Some(set) => mdns_is_off(&set.origin),
        None => can_receive_mdns(),
    }
}

/// Names what switched mDNS off.
fn mdns_is_off(origin: &SettingOrigin) -> Finding {
    let set_by = origin.source.as_deref().unwrap_or("network.mdns");
    let hint = match origin.kind {
        OriginKind::Environment => {
            format!("unset the variable {set_by}, or run `pelago start --discovery`")
        }
        OriginKind::Flag => format!("restart the node without {set_by}"),
        _ => "set network.mdns = true there, or run `pelago start --discovery`".to_owned(),
    };
    let message =
        format!("discovery of nodes on the local network is off: {set_by} switched it off");
    Finding::warning("mdns", message, hint)
}

fn can_receive_mdns() -> Finding {
    match receive_mdns() {
        Ok(()) => Finding::ok("mdns", "nodes on the local network can be discovered"),
        Err(error) => Finding::problem(
            "mdns",
            format!("nodes on the local network cannot be discovered: {error}"),
            "check that a network interface has multicast and that UDP port 5353 is open, or set \
             network.mdns = false",
        ),
    }
}

/// Opens the sockets that mDNS uses, which programs share. One interface and one address family are
/// enough, as a network may have no other.
#[cfg(unix)]
fn receive_mdns() -> io::Result<()> {
    let families = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    let mut failure = None;
    for interface in multicast_interfaces() {
        for any in families {
            match receive_mdns_over(any, interface) {
                Ok(()) => return Ok(()),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
    }
    Err(failure.unwrap_or_else(|| io::Error::other("no network interface has multicast")))
}

/// The numbers of the interfaces that other machines may be reached by. 0 stands for the one that
/// the system chooses, which takes a default route.
#[cfg(unix)]
fn multicast_interfaces() -> Vec<u32> {
    const UP: u32 = 1;
    const LOOPBACK: u32 = 8;
    const MULTICAST: u32 = 0x1000;
    let Ok(interfaces) = std::fs::read_dir("/sys/class/net") else {
        return vec![0];
    };
    let read = |path| std::fs::read_to_string(path).ok();
    let number = |interface: std::fs::DirEntry| {
        let flags = read(interface.path().join("flags"))?;
        let flags = u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).ok()?;
        let is_usable = flags & (UP | LOOPBACK | MULTICAST) == UP | MULTICAST;
        let index = read(interface.path().join("ifindex")).filter(|_| is_usable)?;
        index.trim().parse().ok()
    };
    interfaces.flatten().filter_map(number).collect()
}

/// Opens the socket of one address family for an interface.
#[cfg(unix)]
fn receive_mdns_over(any: IpAddr, interface: u32) -> io::Result<()> {
    use rustix::net::{AddressFamily, SocketType, bind, socket, sockopt};

    /// The multicast addresses and the port of mDNS (RFC 6762).
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
    match any {
        #[cfg(target_os = "linux")]
        IpAddr::V4(_) => {
            let any = Ipv4Addr::UNSPECIFIED;
            sockopt::set_ip_add_membership_with_ifindex(&opened, &GROUP_V4, &any, interface)
                .map_err(io::Error::from)
        }
        #[cfg(not(target_os = "linux"))]
        IpAddr::V4(any) => UdpSocket::from(opened).join_multicast_v4(&GROUP_V4, &any),
        IpAddr::V6(_) => UdpSocket::from(opened).join_multicast_v6(&GROUP_V6, interface),
    }
}

/// Not tried on this system.
#[cfg(not(unix))]
fn receive_mdns() -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{Layers, LiveSettings, SetBy};

    #[test]
    fn what_switched_mdns_off_is_named() {
        let off = |set_by| {
            let mut layers = Layers::default();
            layers.set(set_by, "network", "mdns", false).unwrap();
            let settings = LiveSettings::new(layers, None, BTreeMap::new())
                .list()
                .into_iter();
            let settings: Vec<_> = settings.map(Into::into).collect();
            discovery(&settings)
        };
        let found = off(SetBy::Variable("PELAGO_NETWORK_MDNS".to_owned()));
        let hint = found.hint.unwrap();
        assert!(
            hint.starts_with("unset the variable PELAGO_NETWORK_MDNS"),
            "{hint}"
        );
        let file = SetBy::File {
            path: "/etc/pelago.toml".into(),
            line: 3,
        };
        let found = off(file);
        assert!(found.message.contains("/etc/pelago.toml"), "{found:?}");
        let hint = off(SetBy::Flag("--discovery")).hint.unwrap();
        assert_eq!(hint, "restart the node without --discovery");
    }
}
