//! A TCP proxy between two nodes. It passes a given number of bytes from the far node, and holds
//! back the rest until it is opened.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
};

use parking_lot::{Condvar, Mutex};

use super::world::PATIENCE;

pub(crate) struct Valve {
    address: SocketAddr,
    flow: Arc<Flow>,
}

struct Flow {
    counts: Mutex<Counts>,
    changed: Condvar,
}

struct Counts {
    /// Whether there was a connection.
    used: bool,
    /// Bytes from the far node that may still pass.
    left: u64,
    /// Bytes from the far node that have passed.
    passed: u64,
}

impl Valve {
    /// A proxy to the node at `target`, which lets `bytes` of that node pass.
    pub(crate) fn new(target: &str, bytes: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let flow = Arc::new(Flow {
            counts: Mutex::new(Counts {
                used: false,
                left: bytes,
                passed: 0,
            }),
            changed: Condvar::new(),
        });
        let (target, shared) = (target.to_owned(), Arc::clone(&flow));
        // The thread ends with the process of the test.
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                shared.counts.lock().used = true;
                shared.changed.notify_all();
                // While the far node is down, the proxy closes new connections.
                let Ok(far) = TcpStream::connect(&target) else {
                    continue;
                };
                let (near2, far2) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                thread::spawn(move || pass(near2, far2, None));
                let flow = Arc::clone(&shared);
                thread::spawn(move || pass(far, near, Some(&flow)));
            }
        });
        Self { address, flow }
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Waits until there was a connection, and all bytes that may pass have passed.
    pub(crate) fn is_shut(&self) {
        let mut counts = self.flow.counts.lock();
        let is_open = |counts: &mut Counts| !counts.used || counts.left > 0;
        let changed = &self.flow.changed;
        changed.wait_while_for(&mut counts, is_open, PATIENCE);
        assert!(!is_open(&mut counts), "less came than may pass");
    }

    pub(crate) fn open(&self) {
        self.flow.counts.lock().left = u64::MAX;
        self.flow.changed.notify_all();
    }

    /// Bytes from the far node that have passed so far.
    pub(crate) fn passed(&self) -> u64 {
        self.flow.counts.lock().passed
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, flow: Option<&Flow>) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let mut rest = &buffer[..read];
        while !rest.is_empty() {
            let now = flow.map_or(rest.len(), |flow| flow.take(rest.len()));
            if to.write_all(&rest[..now]).is_err() {
                let _ = from.shutdown(Shutdown::Both);
                return;
            }
            rest = &rest[now..];
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

impl Flow {
    /// Waits until bytes may pass, and returns how many of `wanted` may now.
    fn take(&self, wanted: usize) -> usize {
        let mut counts = self.counts.lock();
        self.changed
            .wait_while(&mut counts, |counts| counts.left == 0);
        let taken = u64::try_from(wanted).unwrap().min(counts.left);
        counts.left -= taken;
        counts.passed += taken;
        self.changed.notify_all();
        usize::try_from(taken).unwrap()
    }
}
