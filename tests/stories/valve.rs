//! A path between two nodes that can be closed: it passes a number of bytes of the far node, and holds the
//! rest until it is opened.

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
    room: Arc<Room>,
}

struct Room {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Whether a connection has come.
    used: bool,
    /// Bytes that may still pass.
    left: u64,
    /// Bytes that have passed.
    passed: u64,
}

impl Valve {
    /// A way to the node at `target`, through which `bytes` may come.
    pub(crate) fn new(target: &str, bytes: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let room = Arc::new(Room {
            state: Mutex::new(State {
                used: false,
                left: bytes,
                passed: 0,
            }),
            changed: Condvar::new(),
        });
        let (target, shared) = (target.to_owned(), Arc::clone(&room));
        // It ends with the process of the test.
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                shared.state.lock().used = true;
                shared.changed.notify_all();
                // While the other end is gone, new connections are closed.
                let Ok(far) = TcpStream::connect(&target) else {
                    continue;
                };
                let (near2, far2) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                thread::spawn(move || pass(near2, far2, None));
                let room = Arc::clone(&shared);
                thread::spawn(move || pass(far, near, Some(&room)));
            }
        });
        Self { address, room }
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Waits until a connection has come, and all bytes that may pass have passed.
    pub(crate) fn is_shut(&self) {
        let mut state = self.room.state.lock();
        let is_open = |state: &mut State| !state.used || state.left > 0;
        let changed = &self.room.changed;
        changed.wait_while_for(&mut state, is_open, PATIENCE);
        assert!(!is_open(&mut state), "less came than may pass");
    }

    pub(crate) fn open(&self) {
        self.room.state.lock().left = u64::MAX;
        self.room.changed.notify_all();
    }

    /// Bytes of the far node that have passed so far.
    pub(crate) fn passed(&self) -> u64 {
        self.room.state.lock().passed
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, room: Option<&Room>) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let mut rest = &buffer[..read];
        while !rest.is_empty() {
            let now = room.map_or(rest.len(), |room| room.take(rest.len()));
            if to.write_all(&rest[..now]).is_err() {
                let _ = from.shutdown(Shutdown::Both);
                return;
            }
            rest = &rest[now..];
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

impl Room {
    /// Waits for room, and takes up to `wanted` bytes of it.
    fn take(&self, wanted: usize) -> usize {
        let mut state = self.state.lock();
        self.changed.wait_while(&mut state, |state| state.left == 0);
        let taken = u64::try_from(wanted).unwrap().min(state.left);
        state.left -= taken;
        state.passed += taken;
        self.changed.notify_all();
        usize::try_from(taken).unwrap()
    }
}
