//! Kademlia's handler of one connection, which refuses value records.
//!
//! The library closes the stream of a refused record only when something else wakes it, so that the
//! sender waits for its own time-out. This handler closes the stream as soon as the record arrives,
//! while the library is about to poll it anyway.

use std::task::{Context, Poll};

use libp2p::{
    kad,
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, NetworkBehaviour, SubstreamProtocol,
        handler::ConnectionEvent,
    },
};

use crate::providers::ProviderStore;

type Kademlia = <kad::Behaviour<ProviderStore> as NetworkBehaviour>::ConnectionHandler;
type Command = <Kademlia as ConnectionHandler>::FromBehaviour;
type Event = <Kademlia as ConnectionHandler>::ToBehaviour;
type Inbound = <Kademlia as ConnectionHandler>::InboundProtocol;
type Outbound = <Kademlia as ConnectionHandler>::OutboundProtocol;
type InboundInfo = <Kademlia as ConnectionHandler>::InboundOpenInfo;
type OutboundInfo = <Kademlia as ConnectionHandler>::OutboundOpenInfo;

/// The handler of one connection.
pub struct Handler(Kademlia);

impl Handler {
    pub(super) const fn new(kademlia: Kademlia) -> Self {
        Self(kademlia)
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Command;
    type ToBehaviour = Event;
    type InboundProtocol = Inbound;
    type OutboundProtocol = Outbound;
    type InboundOpenInfo = InboundInfo;
    type OutboundOpenInfo = OutboundInfo;

    fn listen_protocol(&self) -> SubstreamProtocol<Inbound, InboundInfo> {
        self.0.listen_protocol()
    }

    fn connection_keep_alive(&self) -> bool {
        self.0.connection_keep_alive()
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Outbound, OutboundInfo, Event>> {
        loop {
            match self.0.poll(context) {
                Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(Event::PutRecord {
                    request_id,
                    ..
                })) => self.0.on_behaviour_event(Command::Reset(request_id)),
                event => return event,
            }
        }
    }

    fn poll_close(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.0.poll_close(context)
    }

    fn on_behaviour_event(&mut self, command: Command) {
        self.0.on_behaviour_event(command);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Inbound, Outbound, InboundInfo, OutboundInfo>,
    ) {
        self.0.on_connection_event(event);
    }
}
