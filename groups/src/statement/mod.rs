//! Statements: what one author signs.
//!
//! A statement is a [`Body`] in CBOR, and the signature of its author over that. It is valid by its
//! form and signature alone, whatever else is known. Its bytes have one form (RFC 8949, section
//! 4.2.1: the shortest), so equal statements have equal ids.

mod body;

use std::{fmt, sync::Arc};

use pelago_content::Hash;
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};
use sha2::{Digest, Sha256};

pub use self::body::{
    Body, Entry, Founding, InviteMode, Leave, MAX_MESSAGE, MAX_NODES, MAX_NUMBER, MintedInvite,
    NodeConsent, Ownership, Request, Slot, UserProfile,
};
use crate::{
    group_id::GroupId,
    keys::{SIGNATURE_LEN, Secret, UserKey, verifies},
};

/// Separates signatures of statements from everything else that users sign. Fixed by the protocol.
const DOMAIN: &[u8] = b"pelago/statement/1";

/// Bytes of the longest statement with its signature.
pub const MAX_STATEMENT: usize = (2 << 10) + 96;

/// What identifies a statement: SHA-256 over its body. Another signature over the same body is the
/// same statement.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatementId([u8; 32]);

impl StatementId {
    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for StatementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StatementId({:.8})", Hash::from_bytes(self.0))
    }
}

/// A valid statement. Clones share its bytes.
#[derive(Clone, Debug)]
pub struct Statement {
    body: Body,
    id: StatementId,
    /// Body and signature.
    bytes: Arc<[u8]>,
}

/// Why bytes are not a valid statement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidStatement {
    /// It is longer than its kind may be.
    #[error("a statement of {length} bytes exceeds the limit of {limit}")]
    Length {
        /// Its bytes.
        length: usize,
        /// How many it may have.
        limit: usize,
    },
    /// It is not the CBOR of a statement, or not in its shortest form.
    #[error("a statement is malformed: {0}")]
    Malformed(String),
    /// Its author did not sign it.
    #[error("a statement is not signed by its author")]
    Signature,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    #[serde(rename = "b")]
    body: ByteBuf,
    #[serde(rename = "s")]
    signature: ByteArray<SIGNATURE_LEN>,
}

impl Statement {
    /// Signs `body` with the secret of its author.
    ///
    /// # Panics
    /// The secret is not that of the author, or the body breaks a limit: a mistake of the caller.
    #[must_use]
    pub fn sign(body: Body, secret: &Secret<UserKey>) -> Self {
        assert_eq!(body.author(), secret.key(), "the author signs");
        let encoded = body.to_cbor();
        let is_valid = body.check().is_ok() && encoded.len() <= body.max_len();
        assert!(is_valid, "a valid statement: {body:?}");
        let signed = Signed {
            signature: ByteArray::new(secret.sign(&signed_message(&encoded))),
            body: ByteBuf::from(encoded),
        };
        let bytes = to_cbor(&signed);
        Self::from_parts(body, &signed, bytes)
    }

    /// What its author says of himself, if it says that.
    #[must_use]
    pub const fn profile(&self) -> Option<&UserProfile> {
        match &self.body {
            Body::User(profile) => Some(profile),
            _ => None,
        }
    }

    /// Decodes a statement from a peer, and verifies all of it.
    ///
    /// # Errors
    /// The bytes are not a valid statement of its author.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidStatement> {
        let (statement, signed) = decode(bytes)?;
        let (body, message) = (&statement.body, signed_message(&signed.body));
        let signature = signed.signature.into_array();
        if !verifies(body.author().as_bytes(), &message, &signature) || !body.is_consented() {
            return Err(InvalidStatement::Signature);
        }
        Ok(statement)
    }

    /// Decodes a statement that was valid when it was stored: all is checked but signatures.
    ///
    /// # Errors
    /// The bytes are not a valid statement.
    pub fn from_stored(bytes: &[u8]) -> Result<Self, InvalidStatement> {
        let (statement, _) = decode(bytes)?;
        Ok(statement)
    }

    /// A statement that says `body`; `bytes` are those of `signed`.
    fn from_parts(body: Body, signed: &Signed, bytes: Vec<u8>) -> Self {
        let id = StatementId(Sha256::digest(&signed.body).into());
        let bytes = bytes.into();
        Self { body, id, bytes }
    }

    /// What it says.
    #[must_use]
    pub const fn body(&self) -> &Body {
        &self.body
    }

    /// What identifies it.
    #[must_use]
    pub const fn id(&self) -> StatementId {
        self.id
    }

    /// Its bytes, for peers and the disk: at most [`MAX_STATEMENT`].
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Who signed it.
    #[must_use]
    pub const fn author(&self) -> UserKey {
        self.body.author()
    }

    /// The group that it belongs to; none for one of a user, which belongs to all groups of the user.
    #[must_use]
    pub fn group(&self) -> Option<GroupId> {
        self.body.group()
    }

    /// The slot that it fills.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        self.body.slot()
    }

    /// Whether it takes the place of `other`, which fills the same slot.
    #[must_use]
    pub fn supersedes(&self, other: &Self) -> bool {
        (self.body.rank(), self.id) > (other.body.rank(), other.id)
    }

    /// Whether its author signed this and `other`, which fills the same slot, in place of each other.
    #[must_use]
    pub fn contradicts(&self, other: &Self) -> bool {
        let (number, role_number, _) = self.body.rank();
        let (other_number, other_role_number, _) = other.body.rank();
        let is_numbered = !matches!(self.body, Body::Invite(_));
        let is_same_step = (number, role_number) == (other_number, other_role_number);
        is_numbered && is_same_step && self.id != other.id
    }
}

impl PartialEq for Statement {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Statement {}

fn signed_message(body: &[u8]) -> Vec<u8> {
    [DOMAIN, body].concat()
}

/// Decodes a statement, and checks all but signatures.
fn decode(bytes: &[u8]) -> Result<(Statement, Signed), InvalidStatement> {
    check_len(bytes.len(), MAX_STATEMENT)?;
    let malformed = |what: &dyn fmt::Display| InvalidStatement::Malformed(what.to_string());
    let signed: Signed = cbor4ii::serde::from_slice(bytes).map_err(|error| malformed(&error))?;
    let body: Body = cbor4ii::serde::from_slice(&signed.body).map_err(|error| malformed(&error))?;
    check_len(signed.body.len(), body.max_len())?;
    if body.to_cbor() != signed.body.as_slice() || to_cbor(&signed) != bytes {
        return Err(malformed(&"it is not in its shortest form"));
    }
    body.check().map_err(|what| malformed(&what))?;
    let statement = Statement::from_parts(body, &signed, bytes.to_vec());
    Ok((statement, signed))
}

const fn check_len(length: usize, limit: usize) -> Result<(), InvalidStatement> {
    if length > limit {
        return Err(InvalidStatement::Length { length, limit });
    }
    Ok(())
}

fn to_cbor(value: &impl Serialize) -> Vec<u8> {
    cbor4ii::serde::to_vec(Vec::new(), value).expect("memory takes every byte")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::keys::InviteKey;

    fn secret(seed: u8) -> Secret<UserKey> {
        Secret::from_seed([seed; 32])
    }

    fn entry(author: &Secret<UserKey>, number: u64) -> Entry {
        Entry {
            author: author.key(),
            group: GroupId::from_bytes([9; 32]),
            is_in: true,
            number,
            ownership: None,
            role_number: 0,
            user: secret(2).key(),
            via: Some(InviteKey::from_bytes([8; 32])),
        }
    }

    #[test]
    fn a_statement_arrives_as_it_was_signed_and_unsigned_changes_are_refused() {
        let author = secret(1);
        let statement = Statement::sign(Body::Entry(entry(&author, 1)), &author);
        let bytes = statement.as_bytes();
        assert!(bytes.len() <= 300, "{} bytes", bytes.len());
        let read = Statement::from_bytes(bytes).unwrap();
        assert_eq!((read.body(), read.id()), (statement.body(), statement.id()));
        assert_eq!(read.as_bytes(), bytes);
        for at in 0..bytes.len() {
            let mut changed = bytes.to_vec();
            changed[at] ^= 1;
            assert!(Statement::from_bytes(&changed).is_err(), "byte {at}");
        }
    }

    #[test]
    fn another_form_of_the_same_statement_is_refused() {
        let author = secret(1);
        let statement = Statement::sign(Body::Entry(entry(&author, 1)), &author);
        let Signed { body, .. } = cbor4ii::serde::from_slice(statement.as_bytes()).unwrap();
        // The number 1 in two bytes: valid CBOR, but not the shortest.
        let at = body.windows(2).position(|pair| pair == b"n\x01").unwrap();
        let mut longer = body.to_vec();
        longer.splice(at + 1..at + 2, [0x18, 1]);
        let signed = Signed {
            signature: ByteArray::new(author.sign(&signed_message(&longer))),
            body: ByteBuf::from(longer),
        };
        let read = Statement::from_bytes(&to_cbor(&signed));
        assert!(
            matches!(read, Err(InvalidStatement::Malformed(_))),
            "{read:?}"
        );
    }

    #[test]
    fn numbers_out_of_bounds_are_refused() {
        for number in [0, MAX_NUMBER + 1, u64::MAX] {
            assert!(Body::Entry(entry(&secret(1), number)).check().is_err());
        }
        assert!(Body::Entry(entry(&secret(1), MAX_NUMBER)).check().is_ok());
    }

    #[test]
    fn the_greater_number_wins_and_then_out_before_in() {
        let author = secret(1);
        let sign = |entry| Statement::sign(Body::Entry(entry), &author);
        let first = sign(entry(&author, 1));
        let second = sign(entry(&author, 2));
        let out = sign(Entry {
            is_in: false,
            ..entry(&author, 1)
        });
        assert!(second.supersedes(&first) && second.supersedes(&out));
        assert!(out.supersedes(&first) && !first.supersedes(&out));
        assert!(out.contradicts(&first) && !second.contradicts(&first));
        assert!(!first.supersedes(&first) && !first.contradicts(&first));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Statement::from_bytes(&bytes);
            let _ = Statement::from_stored(&bytes);
        }
    }
}
