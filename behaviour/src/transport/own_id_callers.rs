//! Callers that have proven to have our own id.

use std::{collections::VecDeque, sync::Arc};

use libp2p::{Multiaddr, PeerId, core::ConnectedPoint};
use parking_lot::Mutex;

/// Callers with our own id to remember, at most; beyond that, the oldest are forgotten.
const MAX_OWN_ID_CALLERS: usize = 64;

/// Callers that have proven to have our own id, until their connections are reported as failed.
/// The dialer of such a connection hangs up as soon as it knows, often before the swarm could
/// report the id; the encryption layer always knows it.
#[derive(Clone, Default)]
pub struct OwnIdCallers(Arc<Mutex<VecDeque<Multiaddr>>>);

impl OwnIdCallers {
    pub(super) fn note(&self, local: &PeerId, peer: &PeerId, endpoint: &ConnectedPoint) {
        let ConnectedPoint::Listener { send_back_addr, .. } = endpoint else {
            return;
        };
        if local == peer {
            let mut seen = self.0.lock();
            if seen.len() >= MAX_OWN_ID_CALLERS {
                seen.pop_front();
            }
            seen.push_back(send_back_addr.clone());
        }
    }

    /// Whether the caller at `address`, whose connection has failed, had our id. Forgets it.
    #[must_use]
    pub fn take(&self, address: &Multiaddr) -> bool {
        let mut seen = self.0.lock();
        let at = seen.iter().position(|seen| seen == address);
        at.and_then(|at| seen.remove(at)).is_some()
    }
}
