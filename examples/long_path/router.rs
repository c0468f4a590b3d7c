//! The router: carries packets from the tun device of one host to that of another, over a
//! [`Line`].
//!
//! One thread reads, keeps each packet until it arrives, and writes. Packets of a train that arrive
//! within a millisecond are written as one, as a network card would report them.

use std::{
    collections::VecDeque,
    net::Ipv4Addr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, read, write},
    process::setpriority_process,
};

use crate::{
    line::{Direction, Fate, Line},
    packet::Train,
};

/// How long the packets of a train may take to arrive if they are written together.
const TOGETHER: Duration = Duration::from_millis(1);

/// How often the router checks whether it has to stop.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Packets that are read from one device before others have their turn.
const READ_AT_A_TIME: usize = 32;

/// The largest packet, with its prefix.
const PACKET_BYTES: usize = 10 + 65_536;

/// How finely it is recorded what has arrived.
const SAMPLE: Duration = Duration::from_millis(5);

/// The router runs before the programs that it serves.
const PRIORITY: i32 = -15;

/// One end of the line.
pub(crate) struct Port {
    pub(crate) address: Ipv4Addr,
    pub(crate) tun: Arc<OwnedFd>,
    /// Whether this is the end to which the line is measured.
    pub(crate) is_sink: bool,
}

/// What arrived at the sink.
#[derive(Clone, Debug, Default)]
pub(crate) struct Carried {
    /// How many bytes had arrived in total, and when.
    samples: Vec<(Instant, u64)>,
    /// Bytes of packets, with their headers and all that was sent again.
    pub(crate) bytes: u64,
    pub(crate) packets: u64,
    pub(crate) lost: u64,
    pub(crate) refused: u64,
    /// How late the router was, at most.
    pub(crate) late: Duration,
}

impl Carried {
    fn arrived(&mut self, flight: &Flight, now: Instant) {
        self.bytes += flight.on_line;
        self.packets += flight.packets;
        self.late = self.late.max(now - flight.arrives);
        match self.samples.last_mut() {
            Some((at, total)) if now - *at < SAMPLE => *total = self.bytes,
            _ => self.samples.push((now, self.bytes)),
        }
    }

    /// The bytes a second that arrived from the first quarter of all bytes to the last.
    pub(crate) fn steady(&self) -> f64 {
        let at = |bytes| self.samples.iter().find(|(_, total)| *total >= bytes);
        let ends = (at(self.bytes / 4), at(self.bytes / 4 * 3));
        let (Some((begin, first)), Some((end, last))) = ends else {
            return 0.0;
        };
        (last - first) as f64 / (*end - *begin).max(SAMPLE).as_secs_f64()
    }
}

#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    carried: Mutex<Carried>,
}

/// A running router. Dropping it stops it.
pub(crate) struct Router {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Router {
    pub(crate) fn start(line: Line, ports: Vec<Port>, seed: u64) -> Self {
        let shared = Arc::new(Shared::default());
        let thread = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || Carrier::new(line, ports, seed, &shared).run())
        };
        Self {
            shared,
            thread: Some(thread),
        }
    }

    /// What has arrived since this was called before.
    pub(crate) fn take(&self) -> Carried {
        std::mem::take(&mut self.shared.carried.lock())
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A train on its way.
struct Flight {
    arrives: Instant,
    port: usize,
    packets: u64,
    /// The bytes of its packets, with a header each.
    on_line: u64,
    /// What is written.
    bytes: Vec<u8>,
}

/// One direction of the line, with what is on its way.
struct Way {
    direction: Direction,
    flights: VecDeque<Flight>,
}

/// What the thread owns.
struct Carrier<'a> {
    line: Line,
    ports: Vec<Port>,
    /// To the sink, and from it.
    ways: [Way; 2],
    shared: &'a Shared,
}

impl<'a> Carrier<'a> {
    fn new(line: Line, ports: Vec<Port>, seed: u64, shared: &'a Shared) -> Self {
        let now = Instant::now();
        let ways = [0, 1].map(|way| Way {
            direction: Direction::new(line, now, seed.wrapping_mul(2).wrapping_add(way)),
            flights: VecDeque::new(),
        });
        Self {
            line,
            ports,
            ways,
            shared,
        }
    }

    fn run(mut self) {
        // Of this thread. Without it, the figures say how late the router was.
        let _ = setpriority_process(None, PRIORITY);
        let tuns: Vec<_> = self
            .ports
            .iter()
            .map(|port| Arc::clone(&port.tun))
            .collect();
        let mut buffer = vec![0; PACKET_BYTES];
        while !self.shared.is_over.load(Ordering::Relaxed) {
            let next = self.deliver();
            let wait = next.map_or(LOOK_INTERVAL, |next| {
                next.saturating_duration_since(Instant::now())
                    .min(LOOK_INTERVAL)
            });
            let mut ready: Vec<_> = tuns
                .iter()
                .map(|tun| PollFd::new(tun, PollFlags::IN))
                .collect();
            let wait = Timespec {
                tv_sec: 0,
                tv_nsec: wait.subsec_nanos().into(),
            };
            // An interrupted wait has nothing ready.
            let _ = poll(&mut ready, Some(&wait));
            for (port, tun) in ready.iter().enumerate() {
                if !tun.revents().is_empty() {
                    self.read_from(port, tuns[port].as_fd(), &mut buffer);
                }
            }
        }
    }

    fn read_from(&mut self, port: usize, tun: BorrowedFd<'_>, buffer: &mut [u8]) {
        for _ in 0..READ_AT_A_TIME {
            match read(tun, &mut *buffer) {
                Ok(len) => self.send(port, &buffer[..len]),
                Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    /// Sends what was read from a port, packet by packet. Those that arrive after one another
    /// continue together.
    fn send(&mut self, from: usize, bytes: &[u8]) {
        let Some(train) = Train::parse(bytes) else {
            return;
        };
        let destination = train.destination();
        let mut ports = self.ports.iter();
        let Some(port) = ports.position(|port| port.address == destination) else {
            return;
        };
        let is_to_sink = self.ports[port].is_sink;
        if is_to_sink == self.ports[from].is_sink {
            return;
        }
        let way = &mut self.ways[usize::from(!is_to_sink)];
        let now = Instant::now();
        let (mut lost, mut refused) = (0, 0);
        let fates = (0..train.len()).map(|at| way.direction.send(train.bytes_of(at), now));
        let arrivals: Vec<_> = fates
            .map(|fate| {
                match fate {
                    Fate::Arrives(at) => return Some(at),
                    Fate::Lost => lost += 1,
                    Fate::Refused => refused += 1,
                }
                None
            })
            .collect();
        let most = TOGETHER.div_duration_f64(self.line.time_of(train.bytes_of(0))) as usize;
        let mut first = 0;
        for run in arrivals.chunk_by(|one, next| one.is_some() == next.is_some()) {
            for piece in run.chunks(most.max(1)) {
                let packets = first..first + piece.len();
                first = packets.end;
                if let Some(&Some(arrives)) = piece.last() {
                    way.flights.push_back(Flight {
                        arrives,
                        port,
                        packets: packets.len() as u64,
                        on_line: packets.clone().map(|at| train.bytes_of(at)).sum(),
                        bytes: train.cut(packets),
                    });
                }
            }
        }
        if is_to_sink && lost + refused > 0 {
            let mut carried = self.shared.carried.lock();
            carried.lost += lost;
            carried.refused += refused;
        }
    }

    /// Writes what has arrived. Returns when the next packet arrives.
    fn deliver(&mut self) -> Option<Instant> {
        let mut next = None;
        for (number, way) in self.ways.iter_mut().enumerate() {
            let mut carried = (number == 0).then(|| self.shared.carried.lock());
            loop {
                let now = Instant::now();
                let Some(flight) = way.flights.pop_front_if(|flight| flight.arrives <= now) else {
                    break;
                };
                // A system that takes no packet loses it, as everywhere.
                let _ = write(&self.ports[flight.port].tun, &flight.bytes);
                if let Some(carried) = &mut carried {
                    carried.arrived(&flight, now);
                }
            }
            let first = way.flights.front().map(|flight| flight.arrives);
            next = next.into_iter().chain(first).min();
        }
        next
    }
}
