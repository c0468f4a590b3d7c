//! The user of this node, as groups know it: the keys of the user and of the node.

use libp2p::identity::Keypair;
use parking_lot::Mutex;
use pelago_groups::{
    Name, NodeConsent, NodeKey, NodeSecret, Secret, Statement, UserKey, acts, consent_message,
};
use zeroize::Zeroizing;

/// The user of this node.
pub struct Identity {
    /// The secret of the user.
    pub(super) user: Secret<UserKey>,
    /// What the user is called on this node.
    name: Mutex<Name>,
    node: NodeSecret,
    consent: NodeConsent,
}

impl Identity {
    /// The user `user` on the node of `keypair`; `None` if that key is not an Ed25519 key.
    #[must_use]
    pub fn new(user: Secret<UserKey>, name: Name, keypair: &Keypair) -> Option<Self> {
        let pair = keypair.clone().try_into_ed25519().ok()?;
        let seed = Zeroizing::new(<[u8; 32]>::try_from(pair.secret().as_ref()).ok()?);
        let consent = pair.sign(&consent_message(&user.key())).try_into().ok()?;
        let node = NodeSecret::from_seed(&seed);
        Some(Self {
            consent: NodeConsent {
                consent: serde_bytes::ByteArray::new(consent),
                node: node.key(),
            },
            user,
            name: Mutex::new(name),
            node,
        })
    }

    /// The secret of the user.
    #[must_use]
    pub const fn user(&self) -> &Secret<UserKey> {
        &self.user
    }

    /// The secret of the node.
    #[must_use]
    pub const fn node(&self) -> &NodeSecret {
        &self.node
    }

    /// Changes what the user is called on this node.
    pub(super) fn rename(&self, name: Name) {
        *self.name.lock() = name;
    }

    /// What the user states of himself from now on: his name and this node. `before` is what he
    /// stated last, as this node knows it; `is_renamed`: the name on this node takes the place of
    /// the one in `before`.
    pub(super) fn profile(&self, before: Option<&Statement>, is_renamed: bool) -> Statement {
        let stated = before.and_then(Statement::profile);
        let own_name = self.name.lock().clone();
        let is_here = |node: NodeKey| node == self.node.key();
        if let (Some(before), Some(stated)) = (before, stated)
            && stated.nodes.iter().any(|named| is_here(named.node))
            && (!is_renamed || stated.name == own_name)
        {
            return before.clone();
        }
        let name = match stated {
            Some(stated) if !is_renamed => stated.name.clone(),
            _ => own_name.clone(),
        };
        let nodes = vec![self.consent.clone()];
        acts::name_user(&self.user, name, nodes, before)
            // Only the user himself could use up his numbers.
            .or_else(|_| acts::name_user(&self.user, own_name, self.nodes(), None))
            .expect("the first number is valid")
    }

    fn nodes(&self) -> Vec<NodeConsent> {
        vec![self.consent.clone()]
    }
}
