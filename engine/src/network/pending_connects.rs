//! The callers that wait for connections. Pure bookkeeping: the event loop dials and reports.

use std::{error::Error, io};

use libp2p::{
    Multiaddr, PeerId,
    swarm::{ConnectionId, DialError},
};
use pelago_behaviour::dial::Refusal;
use pelago_content::Printable;
use tokio::sync::oneshot;

use super::ConnectError;

type Reply = oneshot::Sender<Result<PeerId, ConnectError>>;

/// One caller of `Network::connect`.
struct Waiter {
    peer: Option<PeerId>,
    /// The dial made for this caller; `None` if it joined a running one.
    dial: Option<ConnectionId>,
    /// The dialed address of a peer whose id is not known.
    address: Option<Multiaddr>,
    reply: Reply,
}

/// The callers that wait for a connection. Their number is bounded: each call is made by one of a
/// bounded number of tasks.
#[derive(Default)]
pub(super) struct PendingConnects(Vec<Waiter>);

impl PendingConnects {
    pub(super) fn wait(&mut self, peer: Option<PeerId>, dial: Option<ConnectionId>, reply: Reply) {
        self.0.retain(|waiter| !waiter.reply.is_closed());
        self.0.push(Waiter {
            peer,
            dial,
            address: None,
            reply,
        });
    }

    /// Waits for the dial to `address`, which is the caller's own or another one's.
    pub(super) fn wait_at(&mut self, address: Multiaddr, dial: ConnectionId, reply: Reply) {
        self.wait(None, Some(dial), reply);
        if let Some(waiter) = self.0.last_mut() {
            waiter.address = Some(address);
        }
    }

    /// The running dial to `address`, if a caller waits for it.
    pub(super) fn dial_to(&self, address: &Multiaddr) -> Option<ConnectionId> {
        let is_same = |waiter: &&Waiter| waiter.address.as_ref() == Some(address);
        self.0.iter().find(is_same)?.dial
    }

    /// Replies to all callers that wait for this connection, by dial or by id.
    pub(super) fn established(&mut self, connection: ConnectionId, peer: PeerId) {
        let is_served =
            |waiter: &mut Waiter| waiter.dial == Some(connection) || waiter.peer == Some(peer);
        for waiter in self.0.extract_if(.., is_served) {
            let _ = waiter.reply.send(Ok(peer));
        }
    }

    /// Replies to the caller for which the dial was made, and to those who joined it.
    pub(super) fn failed(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        error: &ConnectError,
    ) {
        let is_served = |waiter: &mut Waiter| match waiter.dial {
            Some(dial) => dial == connection,
            None => waiter.peer.is_some() && waiter.peer == peer,
        };
        for waiter in self.0.extract_if(.., is_served) {
            let _ = waiter.reply.send(Err(error.clone()));
        }
    }
}

/// The error that a failed dial means for its caller.
pub(super) fn connect_error(error: &DialError) -> ConnectError {
    let text = match error {
        DialError::LocalPeerId { .. } => return ConnectError::Ourselves,
        DialError::NoAddresses => "no address of the peer is known".to_owned(),
        DialError::WrongPeerId { obtained, .. } => {
            format!("another node, {obtained}, answered at that address")
        }
        // The caller knows which address it was.
        DialError::Transport(tried) if tried.len() == 1 => root(&tried[0].1),
        DialError::Transport(tried) => {
            let tried = tried
                .iter()
                .map(|(address, error)| format!("{address}: {}", root(error)));
            tried.collect::<Vec<_>>().join("; ")
        }
        DialError::Denied { cause } => match cause.downcast_ref::<Refusal>() {
            Some(Refusal::Busy) => return ConnectError::Later,
            Some(refusal) => refusal.to_string(),
            None => error.to_string(),
        },
        other => other.to_string(),
    };
    // The text quotes addresses, and reasons that the other end gave.
    ConnectError::Failed(Printable(text).to_string())
}

/// The innermost reason: what the system reported, without the layers above.
fn root(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let text = innermost.to_string();
    // The layers above hide the error of the system, but not its text.
    let kinds = [io::ErrorKind::InvalidData, io::ErrorKind::UnexpectedEof];
    match kinds.into_iter().find(|kind| kind.to_string() == text) {
        // The other end, such as a web server, does not speak the protocol in which the parts of a
        // connection are negotiated.
        Some(io::ErrorKind::InvalidData) => {
            "it did not answer as a libp2p node: is this the address of a Pelago node?".to_owned()
        }
        Some(io::ErrorKind::UnexpectedEof) => "it ended the connection before it had answered: it \
                                               is not a Pelago node, or has too many connections"
            .to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(
        answer: &mut oneshot::Receiver<Result<PeerId, ConnectError>>,
    ) -> Option<Result<PeerId, ConnectError>> {
        answer.try_recv().ok()
    }

    #[test]
    fn a_failed_dial_ends_its_own_caller_and_those_that_joined_it() {
        let (peer, mut connects) = (PeerId::random(), PendingConnects::default());
        let ids = [1, 2].map(ConnectionId::new_unchecked);
        let [mut first, mut joined, mut other] = [Some(ids[0]), None, Some(ids[1])].map(|dial| {
            let (reply, answer) = oneshot::channel();
            connects.wait(Some(peer), dial, reply);
            answer
        });
        connects.failed(ids[0], Some(peer), &ConnectError::Failed("refused".into()));
        assert!(matches!(outcome(&mut first), Some(Err(_))));
        assert!(matches!(outcome(&mut joined), Some(Err(_))));
        assert!(
            outcome(&mut other).is_none(),
            "its own dial is still under way"
        );
        connects.established(ids[1], peer);
        assert_eq!(outcome(&mut other).unwrap().unwrap(), peer);
    }

    #[test]
    fn an_address_is_dialled_once_for_all_callers() {
        let (peer, mut connects) = (PeerId::random(), PendingConnects::default());
        let address: Multiaddr = "/ip4/10.0.0.1/tcp/1".parse().unwrap();
        let dial = ConnectionId::new_unchecked(1);
        assert_eq!(connects.dial_to(&address), None);
        let [mut first, mut second] = [(); 2].map(|()| {
            let (reply, answer) = oneshot::channel();
            connects.wait_at(address.clone(), dial, reply);
            answer
        });
        assert_eq!(connects.dial_to(&address), Some(dial));
        connects.established(dial, peer);
        for answer in [&mut first, &mut second] {
            assert_eq!(outcome(answer).unwrap().unwrap(), peer);
        }
        assert_eq!(connects.dial_to(&address), None);
    }

    #[test]
    fn a_connection_from_the_other_side_serves_too() {
        let (peer, mut connects) = (PeerId::random(), PendingConnects::default());
        let (reply, mut answer) = oneshot::channel();
        connects.wait(Some(peer), Some(ConnectionId::new_unchecked(1)), reply);
        connects.established(ConnectionId::new_unchecked(9), peer);
        assert_eq!(outcome(&mut answer).unwrap().unwrap(), peer);
    }
}
