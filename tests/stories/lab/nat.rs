//! The kinds of routers, as rules of nftables. Their device `wan` leads to the Internet, `lan` to
//! their hosts.
//!
//! Linux keeps the port of a flow where it can, and gives all flows of a socket the same one. But a
//! packet that arrives unasked and is not dropped is a flow as well, and a later flow to the same
//! peer gets another port. All routers therefore drop such packets, as routers in homes do.

/// What a router does to the packets that pass it. The letters are those of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Nat {
    /// H: keeps ports, and lets in the answers to what was sent.
    PortRestricted,
    /// M: like H, and [`LOCAL_PORT`] becomes [`MOVED_PORT`].
    PortMoved,
    /// F: lets in all UDP packets to a port from which a host has sent.
    FullCone,
    /// R: of these, lets in those of addresses to which that port has sent.
    AddressRestricted,
    /// S: like H, with another port for each flow.
    Symmetric,
    /// C: H behind the H of an Internet provider.
    CarrierGrade,
    /// C, hard: H behind the S of an Internet provider.
    HardCarrierGrade,
    /// Like H, and hosts reach each other at the address of the router.
    Hairpin,
    /// T: like H, and drops UDP.
    WithoutUdp,
    /// W: like H, and lets out TCP to the ports 80 and 443 only.
    WebOnly,
    /// 6: IPv6 without translation, and lets in the answers to what was sent.
    Ipv6Firewall,
    /// U: like H, and opens ports on request, by UPnP, NAT-PMP and PCP.
    PortMapper,
}

/// The port that routers of the kind M move, and the port that it becomes.
pub(crate) const LOCAL_PORT: u16 = 8080;
pub(crate) const MOVED_PORT: u16 = 52777;

/// For each kind, what is before the rules of all routers in these chains.
#[derive(Default)]
struct Chains {
    prerouting: &'static str,
    postrouting: String,
    forward: &'static str,
    /// Options of the rule that translates addresses.
    masquerade: &'static str,
}

/// Remembers the socket that sends from each port.
const REMEMBER: &str = "oifname wan meta l4proto udp \
     update @sockets { udp sport : ip saddr . udp sport }";

/// Passes packets on to these sockets.
const TO_SOCKETS: &str = "iifname wan dnat ip to udp dport map @sockets";

/// The same within the network. The router is the sender, so that the answer passes it too.
const TO_SOCKETS_OF_LAN: &str = "iifname lan fib daddr type local \
     ip daddr != 192.168.0.0/16 dnat ip to udp dport map @sockets";

const BY_ADDRESS: &str = "oifname wan meta l4proto udp update @asked { ip daddr . udp sport }
    iifname wan meta l4proto udp ct state new ip saddr . udp dport != @asked drop";

const WEB_ONLY: &str = "iifname lan ct state new tcp dport != { 80, 443 } drop
    iifname lan ct state new meta l4proto != tcp drop";

impl Chains {
    fn of(nat: Nat) -> Self {
        match nat {
            Nat::PortMoved => Self {
                postrouting: format!(
                    "oifname wan meta l4proto {{ tcp, udp }} th sport {LOCAL_PORT} \
                     masquerade to :{MOVED_PORT}"
                ),
                ..Self::default()
            },
            Nat::FullCone => Self {
                prerouting: TO_SOCKETS,
                postrouting: REMEMBER.to_owned(),
                ..Self::default()
            },
            Nat::AddressRestricted => Self {
                forward: BY_ADDRESS,
                ..Self::of(Nat::FullCone)
            },
            Nat::Symmetric => Self {
                masquerade: "random",
                ..Self::default()
            },
            Nat::Hairpin => Self {
                prerouting: TO_SOCKETS_OF_LAN,
                postrouting: format!("{REMEMBER}\n    oifname lan ct status dnat masquerade"),
                ..Self::default()
            },
            Nat::WithoutUdp => Self {
                forward: "meta l4proto udp drop",
                ..Self::default()
            },
            Nat::WebOnly => Self {
                forward: WEB_ONLY,
                ..Self::default()
            },
            Nat::PortMapper => Self {
                prerouting: "jump prerouting_miniupnpd",
                postrouting: "jump postrouting_miniupnpd".to_owned(),
                forward: "jump miniupnpd",
                ..Self::default()
            },
            Nat::PortRestricted | Nat::CarrierGrade | Nat::HardCarrierGrade | Nat::Ipv6Firewall => {
                Self::default()
            }
        }
    }
}

/// The rules of a router. The table and the chains for the port mapper have the names that
/// miniupnpd expects.
pub(crate) fn rules(nat: Nat) -> String {
    let Chains {
        prerouting,
        postrouting,
        forward,
        masquerade,
    } = Chains::of(nat);
    format!(
        "table inet filter {{
  map sockets {{
    type inet_service : ipv4_addr . inet_service
    flags dynamic, timeout
    timeout 5m
    size 1024
  }}
  set asked {{
    type ipv4_addr . inet_service
    flags dynamic, timeout
    timeout 5m
    size 1024
  }}
  chain miniupnpd {{
  }}
  chain prerouting_miniupnpd {{
  }}
  chain postrouting_miniupnpd {{
  }}
  chain prerouting {{
    type nat hook prerouting priority dstnat
    {prerouting}
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat
    {postrouting}
    oifname wan meta nfproto ipv4 masquerade {masquerade}
  }}
  chain input {{
    type filter hook input priority filter
    iifname wan ct state new,invalid drop
  }}
  chain forward {{
    type filter hook forward priority filter
    {forward}
    iifname wan ct status dnat accept
    iifname wan ct state new,invalid drop
  }}
}}
"
    )
}

/// Forgets what a router has remembered of its flows, besides the connections of the system.
pub(crate) const FORGET: &str = "flush map inet filter sockets
flush set inet filter asked
";

/// Closes the ports that the port mapper has opened.
pub(crate) const CLOSE: &str = "flush chain inet filter miniupnpd
flush chain inet filter prerouting_miniupnpd
flush chain inet filter postrouting_miniupnpd
";
