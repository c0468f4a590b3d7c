//! What people do with groups: found, invite, join, admit, remove, leave.
//!
//! A group is selected by its name, its id, or the first eight digits or more of its id; users
//! likewise. Each change is durable when its call returns, and on its way to connected members.

mod addresses;
mod change;
mod error;
mod joins;
mod meet;
mod select;
mod show;
#[cfg(test)]
mod tests;
mod types;

pub use types::{
    DropOutcome, GroupDetail, GroupInfo, InviteInfo, InviteOptions, JoinInfo, JoinStatus,
    MemberInfo, Removed, RequestInfo,
};

use std::sync::Arc;

pub(super) use meet::meet_members;

use super::{Node, blocking::blocking};
use crate::groups::{Group, GroupError, Groups};

impl Node {
    /// Runs `work` on the groups of this node, on a thread that may block.
    async fn with_groups<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Groups) -> Result<T, GroupError> + Send + 'static,
    ) -> Result<T, GroupError> {
        let groups = self.core.groups.clone();
        blocking(move || work(&groups)).await?
    }

    /// Changes the group that `selector` selects.
    async fn change_group<T: Send + 'static>(
        &self,
        selector: &str,
        act: impl FnOnce(&mut Group, &crate::groups::Identity) -> Result<T, GroupError> + Send + 'static,
    ) -> Result<T, GroupError> {
        let selector = selector.to_owned();
        let change = move |groups: &Groups| {
            let identity = groups.identity()?;
            let id = selected(groups, &selector)?.id();
            groups.change(id, None, |group| act(group, identity))
        };
        self.with_groups(change).await
    }
}

/// The group that `selector` selects among all that this node knows, and whether its user belongs to
/// it.
pub(super) fn known(groups: &Groups, selector: &str) -> Result<(Arc<Group>, bool), GroupError> {
    let own = groups.identity()?.user().key();
    let all = groups.all();
    let group = select::known(&all, &own, selector)?;
    Ok((Arc::clone(group), group.roster().is_in(&own)))
}

/// The group that `selector` selects among those of the user of this node.
pub(super) fn selected(groups: &Groups, selector: &str) -> Result<Arc<Group>, GroupError> {
    let own = groups.identity()?.user().key();
    select::group(&groups.all(), &own, selector).cloned()
}
