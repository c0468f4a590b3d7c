//! A tun device: the packets that a system sends, and those that it receives.
#![allow(unsafe_code)]

use std::{io, os::fd::OwnedFd};

use rustix::{
    fs::{Mode, OFlags, open},
    ioctl::{IntegerSetter, Opcode, Setter, ioctl, opcode},
};

/// What is set, from `linux/if_tun.h`: IP packets, without a prefix of the protocol, with one for
/// segmentation.
const TUN: u16 = 1;
const NO_PROTOCOL: u16 = 0x1000;
const WITH_SEGMENTATION: u16 = 0x4000;

const SET_DEVICE: Opcode = opcode::write::<i32>(b'T', 202);
const SET_OFFLOAD: Opcode = opcode::write::<u32>(b'T', 208);

/// The system leaves checksums, and the segmentation of TCP and UDP, to this program.
const CHECKSUMS: usize = 1;
const SEGMENTATION_OF_TCP: usize = 2;
const SEGMENTATION_OF_UDP: usize = 0x20 | 0x40;

/// The longest name of a device in bytes, and the zero after it.
const NAME_BYTES: usize = 16;

/// `struct ifreq`.
#[repr(C)]
struct Request {
    name: [u8; NAME_BYTES],
    flags: u16,
    others: [u8; 22],
}

/// Creates a tun device. It exists until the file is closed, in any network namespace.
pub(crate) fn create(name: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let tun = open("/dev/net/tun", flags, Mode::empty())?;
    let mut request = Request {
        name: [0; NAME_BYTES],
        flags: TUN | NO_PROTOCOL | WITH_SEGMENTATION,
        others: [0; 22],
    };
    let name = name.as_bytes();
    if name.len() >= NAME_BYTES {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    request.name[..name.len()].copy_from_slice(name);
    // SAFETY: TUNSETIFF reads a `struct ifreq`, and writes one back.
    unsafe { ioctl(&tun, Setter::<SET_DEVICE, _>::new(request)) }?;
    let offload = |what| {
        // SAFETY: TUNSETOFFLOAD takes an integer.
        unsafe { ioctl(&tun, IntegerSetter::<SET_OFFLOAD>::new_usize(what)) }
    };
    let least = CHECKSUMS | SEGMENTATION_OF_TCP;
    // Before Linux 6.2 UDP has no segmentation here.
    offload(least | SEGMENTATION_OF_UDP).or_else(|_| offload(least))?;
    Ok(tun)
}
