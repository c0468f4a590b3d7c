//! Asks to join a group.

use std::time::Duration;

use pelago_groups::{GroupLink, JoinRequest, MAX_MESSAGE};
use tokio::time::timeout;

use super::JoinStatus;
use crate::{
    groups::{GroupError, Groups, OwnJoin},
    node::Node,
};

/// How long the first answers of members are waited for.
const FIRST_ANSWER: Duration = Duration::from_secs(15);

impl Node {
    /// Asks to join the group of a link, and returns how the request stands after members that are
    /// reached have answered. While it is pending, this node asks again every ten minutes and
    /// whenever it meets a member in the link.
    ///
    /// # Errors
    /// The node has no user or belongs to too many groups, or the message is too long.
    pub async fn group_join(
        &self,
        link: GroupLink,
        message: String,
    ) -> Result<JoinStatus, GroupError> {
        if message.len() > MAX_MESSAGE {
            return Err(GroupError::LongMessage {
                found: message.len(),
                limit: MAX_MESSAGE,
            });
        }
        let id = link.group;
        let begin = move |groups: &Groups| {
            let user = groups.identity()?.user();
            if groups.get(&id).is_none() {
                groups.make_space()?;
            }
            let profile = groups.profile().ok_or(GroupError::NoUser)?;
            groups.change(id, None, |group| {
                if group.roster().is_in(&user.key()) {
                    return Ok(());
                }
                let join = JoinRequest::new(user, profile, id, &link.invite, message);
                group.ask(OwnJoin {
                    join,
                    name: link.name,
                    peers: link.peers,
                    since: crate::store::unix_now(),
                    status: JoinStatus::Pending,
                });
                Ok::<_, GroupError>(())
            })
        };
        self.with_groups(begin).await?;
        let groups = &self.core.groups;
        // Without an answer in time, the task of this node continues to ask.
        let _ = timeout(FIRST_ANSWER, groups.ask_members(&self.core.network, id)).await;
        let own = groups.identity()?.user().key();
        let Some(group) = groups.get(&id) else {
            return Ok(JoinStatus::Pending);
        };
        if group.roster().is_in(&own) {
            return Ok(JoinStatus::Accepted);
        }
        Ok(group
            .own_join()
            .map_or(JoinStatus::Pending, |own| own.status))
    }
}
