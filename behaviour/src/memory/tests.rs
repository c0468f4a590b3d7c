use std::task::{Context, Wake};

use libp2p::PeerId;

use super::*;

const MIB: u64 = 1 << 20;

fn memory(budget: u64, connections: u64) -> Memory {
    Memory::new(Bounds::new(budget, connections))
}

fn at(address: &str) -> Origin {
    Origin::new(PeerId::random(), &address.parse().unwrap())
}

fn fill(account: &Account, bytes: u64) {
    account.fill(bytes);
}

#[test]
fn connections_do_not_wait_while_there_is_enough() {
    let memory = memory(16 * MIB, 16);
    let account = Account::open(&memory, at("/ip4/8.8.8.8/tcp/1"));
    fill(&account, 11 * MIB);
    assert!(!memory.has_to_wait(account.held()));
}

#[test]
fn all_shares_fit_between_the_bound_and_the_budget() {
    let connections = 16;
    let memory = memory(16 * MIB, connections);
    let accounts: Vec<_> = (0..connections)
        .map(|_| Account::open(&memory, at("/memory/1")))
        .collect();
    fill(&accounts[0], 12 * MIB);
    for account in &accounts {
        while !memory.has_to_wait(account.held()) {
            fill(account, 1024);
        }
    }
    assert!(memory.total() <= 16 * MIB, "{}", memory.total());
}

#[test]
fn the_worst_is_the_largest_of_the_origin_that_holds_the_most() {
    let memory = memory(16 * MIB, 16);
    let [first, second] = [(); 2].map(|()| Account::open(&memory, at("/ip4/8.8.8.8/tcp/1")));
    let other = Account::open(&memory, at("/ip4/9.9.9.9/tcp/1"));
    fill(&first, 3 * MIB);
    fill(&second, 2 * MIB);
    fill(&other, 4 * MIB);
    assert!(first.is_worst());
    assert!(!second.is_worst() && !other.is_worst());
    drop(first);
    assert!(other.is_worst());
    assert_eq!(memory.total(), 6 * MIB);
}

#[test]
fn memory_is_no_longer_short_once_a_connection_closes() {
    let memory = memory(16 * MIB, 16);
    let [worst, small] = [(); 2].map(|()| Account::open(&memory, at("/memory/1")));
    fill(&worst, 12 * MIB);
    fill(&small, MIB);
    assert!(memory.has_to_wait(small.held()));
    assert!(
        !memory.has_to_wait(100),
        "those that hold little do not wait"
    );
    drop(worst);
    assert!(!memory.has_to_wait(small.held()));
}

/// Whether a task was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_connection_that_holds_its_most_is_read_again_once_it_holds_less() {
    let memory = memory(256 * MIB, 16);
    let [full, other] = [(); 2].map(|()| Account::open(&memory, at("/memory/1")));
    fill(&full, 56 * MIB);
    let woken = Arc::new(Woken::default());
    let waker = Arc::clone(&woken).into();
    let mut context = Context::from_waker(&waker);
    assert!(full.poll_may_read(&mut context).is_pending());
    assert!(other.poll_may_read(&mut context).is_ready());
    full.sent(1);
    assert!(woken.0.load(Ordering::Relaxed));
    assert!(full.poll_may_read(&mut context).is_ready());
}
