//! The addresses of a record in one allocation.

use libp2p::Multiaddr;

use crate::dial::MAX_ADDRESS_BYTES;

/// Addresses kept with a record, at most: honest nodes have few, liars many.
pub(super) const MAX_ADDRESSES: usize = 8;

/// Bytes of all addresses of a record, at most: eight of usual length, or two through relays.
pub(super) const MAX_ADDRESS_BYTES_PER_RECORD: usize = 512;

/// Addresses, each after its length in one byte.
pub(super) struct PackedAddresses(Box<[u8]>);

impl PackedAddresses {
    /// Keeps those of `addresses` that begin with an IP address, are short, and fit the limits.
    pub(super) fn new(addresses: &[Multiaddr]) -> Self {
        let mut bytes = Vec::new();
        for address in addresses
            .iter()
            .filter(|a| is_literal(a))
            .take(MAX_ADDRESSES)
        {
            let address = address.as_ref();
            let Ok(length) = u8::try_from(address.len()) else {
                continue;
            };
            let fits = bytes.len() + 1 + address.len() <= MAX_ADDRESS_BYTES_PER_RECORD;
            if fits && address.len() <= MAX_ADDRESS_BYTES {
                bytes.push(length);
                bytes.extend_from_slice(address);
            }
        }
        Self(bytes.into_boxed_slice())
    }

    /// The addresses.
    pub(super) fn unpack(&self) -> Vec<Multiaddr> {
        let (mut addresses, mut rest) = (Vec::new(), &*self.0);
        while let Some((length, after)) = rest.split_first() {
            let Some((address, after)) = after.split_at_checked(usize::from(*length)) else {
                break;
            };
            addresses.extend(Multiaddr::try_from(address.to_vec()));
            rest = after;
        }
        addresses
    }

    /// How many bytes they take.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Whether the address begins with an IP address or, in tests, with one of this process.
fn is_literal(address: &Multiaddr) -> bool {
    crate::AddressScope::of(address).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<Multiaddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        for texts in [
            &[][..],
            &["/ip4/11.0.0.1/tcp/4001"],
            &[
                "/ip4/11.0.0.1/tcp/4001",
                "/ip6/2a00::1/udp/4001/quic-v1",
                "/memory/7",
            ],
        ] {
            let addresses = addresses(texts);
            assert_eq!(PackedAddresses::new(&addresses).unpack(), addresses);
        }
    }

    #[test]
    fn names_and_what_is_too_long_or_too_many_are_left_out() {
        let name = "/dns/example.org/tcp/4001";
        let at = "/ip4/11.0.0.1/tcp/4001";
        assert_eq!(
            PackedAddresses::new(&addresses(&[name, at])).unpack(),
            addresses(&[at])
        );
        let long = format!("{at}/unix/{}", "a".repeat(16_000));
        assert_eq!(PackedAddresses::new(&addresses(&[&long])).len(), 0);
        let many: Vec<_> = (1..100)
            .map(|port| format!("/ip4/11.0.0.1/tcp/{port}").parse().unwrap())
            .collect();
        assert_eq!(PackedAddresses::new(&many).unpack(), many[..MAX_ADDRESSES]);
        let wide: Vec<_> = (0..8)
            .map(|n| format!("{at}/unix/{n}{}", "a".repeat(190)).parse().unwrap())
            .collect();
        let packed = PackedAddresses::new(&wide);
        assert_eq!(packed.unpack().len(), 2);
        assert!(packed.len() <= MAX_ADDRESS_BYTES_PER_RECORD);
    }
}
