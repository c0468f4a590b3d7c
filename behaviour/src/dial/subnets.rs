//! The networks of this machine. Pure.

use std::net::IpAddr;

use if_watch::IpNet;

/// Networks to keep, at most: a machine with many containers has a few dozen.
const MAX_SUBNETS: usize = 256;

/// Shortest prefix of a subnet, in bits: wider ones do not locate an address.
const MIN_PREFIX: u8 = 8;

/// The subnets of our own interfaces.
#[derive(Clone, Debug, Default)]
pub struct Subnets(Vec<IpNet>);

impl Subnets {
    /// Adds the address of an interface, with the prefix of its network.
    pub fn add(&mut self, net: IpNet) {
        let ip = net.addr();
        let is_elsewhere = !ip.is_loopback() && !ip.is_unspecified() && !ip.is_multicast();
        let is_useful = is_elsewhere && net.prefix_len() >= MIN_PREFIX;
        if is_useful && self.0.len() < MAX_SUBNETS && !self.0.contains(&net) {
            self.0.push(net);
        }
    }

    /// Removes the address of an interface.
    pub fn remove(&mut self, net: &IpNet) {
        self.0.retain(|known| known != net);
    }

    /// Whether one of them contains the address.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(&ip))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets_come_and_go_with_the_addresses_of_interfaces() {
        let mut subnets = Subnets::default();
        for net in [
            "10.1.2.3/24",
            "fd00::3/64",
            "127.0.0.1/8",
            "0.0.0.0/0",
            "::1/128",
        ] {
            subnets.add(net.parse().unwrap());
        }
        let contains = |subnets: &Subnets, ip: &str| subnets.contains(ip.parse().unwrap());
        for (ip, expected) in [
            ("10.1.2.250", true),
            ("10.1.3.1", false),
            ("fd00::99", true),
            ("fd00:0:0:1::99", false),
            ("127.0.0.1", false),
            ("8.8.8.8", false),
        ] {
            assert_eq!(contains(&subnets, ip), expected, "{ip}");
        }
        subnets.remove(&"10.1.2.3/24".parse().unwrap());
        assert!(!contains(&subnets, "10.1.2.250"));
    }
}
