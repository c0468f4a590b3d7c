//! What a tun device hands over at once: one packet, or several of one connection that share a
//! header, as the system passes them to network cards that segment. [`Train::cut`] writes some of
//! its packets again, as a train of their own. Pure.
//!
//! Checksums of TCP and UDP stay as the system left them: of the pseudo-header only, and trusted
//! by the receiving system.

use std::{net::Ipv4Addr, ops::Range};

/// The bytes before each packet: `struct virtio_net_hdr`, with numbers in the order of the machine.
const PREFIX: usize = 10;

/// Fields of the prefix.
const SEGMENTATION: usize = 1;
const SEGMENT_BYTES: Range<usize> = 4..6;

/// Values of the field for segmentation.
const UNSEGMENTED: u8 = 0;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// The offset of the flags in the header of TCP, and those that only the last or the first packet
/// of a train has.
const TCP_FLAGS: usize = 13;
const FIN_AND_PUSH: u8 = 0b1001;
const CONGESTION_REDUCED: u8 = 0b1000_0000;

/// Packets with one header.
pub(crate) struct Train<'a> {
    bytes: &'a [u8],
    /// The length of the headers of IP and of TCP or UDP.
    ip_header: usize,
    headers: usize,
    /// Bytes of data in each packet but the last.
    step: usize,
}

impl<'a> Train<'a> {
    /// Parses what was read from a tun device; `None` if it is not a packet of IPv4.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let packet = bytes.get(PREFIX..)?;
        let first = *packet.first()?;
        if first >> 4 != 4 || packet.len() < 20 {
            return None;
        }
        let ip_header = usize::from(first & 15) * 4;
        let mut train = Self {
            bytes,
            ip_header,
            headers: packet.len(),
            step: usize::MAX,
        };
        if bytes[SEGMENTATION] != UNSEGMENTED {
            let transport = match packet[9] {
                TCP => usize::from(packet.get(ip_header + 12)? >> 4) * 4,
                UDP => 8,
                _ => return None,
            };
            train.headers = ip_header + transport;
            let step = bytes[SEGMENT_BYTES].try_into().ok()?;
            train.step = u16::from_ne_bytes(step).into();
            if train.step == 0 || train.headers >= packet.len() {
                return None;
            }
        }
        Some(train)
    }

    fn packet(&self) -> &[u8] {
        &self.bytes[PREFIX..]
    }

    fn data(&self) -> &[u8] {
        &self.packet()[self.headers..]
    }

    pub(crate) fn destination(&self) -> Ipv4Addr {
        let [.., a, b, c, d] = self.packet()[..20] else {
            unreachable!("the packet has 20 bytes");
        };
        Ipv4Addr::new(a, b, c, d)
    }

    /// The number of packets.
    pub(crate) fn len(&self) -> usize {
        self.data().len().div_ceil(self.step).max(1)
    }

    /// The length of a packet in bytes, with all headers of IP.
    pub(crate) fn bytes_of(&self, at: usize) -> u64 {
        let data = self.data().len() - at.saturating_mul(self.step);
        (self.headers + data.min(self.step)) as u64
    }

    /// Some of the packets, to write to a tun device.
    pub(crate) fn cut(&self, packets: Range<usize>) -> Vec<u8> {
        if packets == (0..self.len()) {
            return self.bytes.to_vec();
        }
        let from = packets.start * self.step;
        let data = &self.data()[from..self.data().len().min(packets.end * self.step)];
        let headers = PREFIX + self.headers;
        let mut cut = Vec::with_capacity(headers + data.len());
        cut.extend_from_slice(&self.bytes[..headers]);
        cut.extend_from_slice(data);
        if packets.len() == 1 {
            cut[SEGMENTATION] = UNSEGMENTED;
            cut[SEGMENT_BYTES].fill(0);
        }
        let (ip, transport) = cut[PREFIX..].split_at_mut(self.ip_header);
        // Neither is longer than the packet that it is part of, which IP limits to 65,535 bytes.
        let transport_len = transport.len() as u16;
        let total = ip.len() as u16 + transport_len;
        ip[2..4].copy_from_slice(&total.to_be_bytes());
        let id = u16::from_be_bytes([ip[4], ip[5]]).wrapping_add(packets.start as u16);
        ip[4..6].copy_from_slice(&id.to_be_bytes());
        ip[10..12].fill(0);
        let checksum = !sum(ip, 0);
        ip[10..12].copy_from_slice(&checksum.to_be_bytes());
        let pseudo = sum(&ip[12..20], u32::from(ip[9]) + u32::from(transport_len));
        if ip[9] == TCP {
            let sequence =
                u32::from_be_bytes([transport[4], transport[5], transport[6], transport[7]]);
            let sequence = sequence.wrapping_add(from as u32);
            transport[4..8].copy_from_slice(&sequence.to_be_bytes());
            if packets.end != self.len() {
                transport[TCP_FLAGS] &= !FIN_AND_PUSH;
            }
            if packets.start != 0 {
                transport[TCP_FLAGS] &= !CONGESTION_REDUCED;
            }
            transport[16..18].copy_from_slice(&pseudo.to_be_bytes());
        } else {
            transport[4..6].copy_from_slice(&transport_len.to_be_bytes());
            transport[6..8].copy_from_slice(&pseudo.to_be_bytes());
        }
        cut
    }
}

/// The one's complement sum of 16-bit words, from `start` on. All headers of IP have whole words.
fn sum(bytes: &[u8], start: u32) -> u16 {
    let words = bytes.chunks_exact(2);
    let words = words.map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let mut sum = start + words.sum::<u32>();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
