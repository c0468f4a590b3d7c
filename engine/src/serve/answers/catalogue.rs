//! Answers catalogue requests: pages of the shares that are listed for a peer.

use libp2p::PeerId;
use pelago_behaviour::catalogue::{self, CatalogueEntry};

use super::{Answers, JobKind, QueueFull, Requester};
use crate::{
    serve::catalogue_cursor::{CatalogueCursor, CatalogueWalk},
    store::Page,
};

impl Answers {
    /// A page of the shares that are listed for the requester. It is empty, and names no group, if
    /// the requester is not a member of the group that it names.
    pub(in crate::serve) async fn catalogue(
        &self,
        requester: Requester,
        request: catalogue::Request,
    ) -> Result<catalogue::Page, QueueFull> {
        let answers = self.clone();
        let page = move || (answers.catalogue_page(requester.peer, &request), 0);
        let page = self.work.run(requester, JobKind::LookUp, page).await?;
        Ok(page.unwrap_or_default())
    }

    fn catalogue_page(
        &self,
        peer: PeerId,
        request: &catalogue::Request,
    ) -> Option<catalogue::Page> {
        let cursor = match &request.cursor {
            Some(cursor) => Some(CatalogueCursor::from_bytes(cursor)?),
            None => None,
        };
        let scope = self.access.catalogue(&peer, request.group)?;
        let mut walk = CatalogueWalk::after(cursor);
        let words = words(&request.query);
        let after = cursor.map(CatalogueCursor::before_hash);
        let (after, limit) = (after.as_ref(), catalogue::MAX_ENTRIES);
        let page = self
            .store
            .catalogue_page(scope, &words, after, limit, |share| {
                let is_new = walk.is_new(share);
                is_new
                    && self.store.state_of(share).is_available()
                    && share.name.len() <= catalogue::MAX_NAME
                    && contains_all(&share.name, &words)
                    && self.access.lists(&peer, scope, share)
            });
        let Page { shares, next } = page.ok()?;
        let entries = shares.into_iter().map(|share| CatalogueEntry {
            hash: share.hash,
            name: share.name,
            kind: share.descriptor.kind(),
            size: share.totals.bytes,
        });
        Some(catalogue::Page {
            entries: entries.collect(),
            next: next.map(|_| walk.cursor().to_bytes()),
            group: request.group,
        })
    }
}

/// The words of a query, in lower case.
fn words(query: &str) -> Vec<String> {
    query
        .to_lowercase()
        .split_whitespace()
        .map(str::to_owned)
        .collect()
}

/// Whether `name` contains each of `words`, in any letter case.
fn contains_all(name: &str, words: &[String]) -> bool {
    let name = name.to_lowercase();
    words.iter().all(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_asks_for_all_its_words_in_any_case() {
        let query = words(" Sea  SHELL ");
        assert!(contains_all("shells of the sea.txt", &query));
        assert!(!contains_all("sea.txt", &query));
        assert!(contains_all("anything", &words("")));
    }
}
