//! Asks to join a group.

use std::time::{Duration, UNIX_EPOCH};

use pelago_groups::{GroupLink, JoinRequest, MAX_MESSAGE};
use tokio::time::timeout;

use super::{JoinInfo, JoinStatus, select};
use crate::{
    groups::{GroupError, Groups, OwnJoin},
    node::Node,
    store::unix_now,
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
                let now = unix_now();
                // It takes the place of each earlier one, which members may hold.
                let before = group.own_join().map_or(0, |own| own.join.asked().number);
                let number = milliseconds().max(before.saturating_add(1));
                let invite = &link.invite;
                group.ask(OwnJoin {
                    join: JoinRequest::new(user, profile, id, invite, message, number),
                    name: link.name,
                    peers: link.peers,
                    since: now,
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

    /// Withdraws a request of the user of this node, or forgets one that was answered, and returns it as
    /// it was. `selector` is the group's id, at least 8 of its first digits, or its name in the link.
    /// Members that have the request drop it once they learn of this, and pass that on; what an owner
    /// decides before then has no effect here.
    ///
    /// # Errors
    /// The node has no user, the user is a member, or no request is meant.
    pub async fn group_join_withdraw(&self, selector: &str) -> Result<JoinInfo, GroupError> {
        let selector = selector.to_owned();
        let withdraw = move |groups: &Groups| {
            let user = groups.identity()?.user();
            let id = select::join(&groups.all(), &user.key(), &selector)?;
            groups.change(id, None, |group| {
                if group.roster().is_in(&user.key()) {
                    return Err(GroupError::AlreadyJoined(selector.clone()));
                }
                let own = group.own_join().cloned();
                let own = own.ok_or_else(|| GroupError::UnknownJoin(selector.clone()))?;
                let info = JoinInfo::of(group, &own);
                group.withdraw();
                if own.status.is_pending() {
                    group.ask(OwnJoin {
                        join: own.join.withdrawn(user),
                        since: unix_now(),
                        status: JoinStatus::Withdrawn,
                        ..own
                    });
                }
                Ok(info)
            })
        };
        let withdrawn = self.with_groups(withdraw).await?;
        let (groups, network) = (self.core.groups.clone(), self.core.network.clone());
        // Members that are reached now learn of it before this returns; the task of this node tells
        // the others.
        let _ = timeout(FIRST_ANSWER, groups.ask_members(&network, withdrawn.group)).await;
        Ok(withdrawn)
    }
}

/// The time of this machine, in milliseconds since 1970: one who has forgotten a request that was
/// withdrawn asks again under a greater number.
fn milliseconds() -> u64 {
    let since = UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
