//! One plain TCP connection: one side sends zeros, the other counts them, as `iperf3` does.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
};

use crate::Failure;

const BUFFER_BYTES: usize = 256 << 10;

/// What it prints once it listens.
pub(crate) const LISTENING: &str = "listening";

/// Sends `bytes` to each caller.
pub(crate) fn serve(address: SocketAddr, bytes: u64) -> Result<(), Failure> {
    let listener = TcpListener::bind(address)?;
    println!("{LISTENING}");
    let buffer = vec![0; BUFFER_BYTES];
    for caller in listener.incoming() {
        let mut caller = caller?;
        let mut left = bytes;
        while left > 0 {
            let len = left.min(buffer.len() as u64);
            // A caller that was stopped early ends its connection.
            if caller.write_all(&buffer[..len as usize]).is_err() {
                break;
            }
            left -= len;
        }
    }
    Ok(())
}

/// Receives `bytes`.
pub(crate) fn fetch(address: SocketAddr, bytes: u64) -> Result<(), Failure> {
    let mut stream = TcpStream::connect(address)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut left = bytes;
    while left > 0 {
        let len = stream.read(&mut buffer)? as u64;
        if len == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        left = left.saturating_sub(len);
    }
    Ok(())
}
