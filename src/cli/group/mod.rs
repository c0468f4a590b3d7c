//! `pelago group`: groups of people, who share files with each other alone.
//!
//! | file | owns |
//! |---|---|
//! | `found` | `create`, `list`, `show`, `rename`, `leave` |
//! | `members` | `members`, `add`, `remove` |
//! | `owner` | `owner add`, `owner drop` |
//! | `invite` | `invite`, `invites`, `revoke` |
//! | `join` | `join`, `joins`, `withdraw` |
//! | `names` | how users, roles and names of groups are printed |
//! | `requests` | `requests`, `accept`, `reject` |

mod found;
mod invite;
mod join;
mod members;
mod names;
mod owner;
mod requests;

use super::{attach, context::Context, output::Exit};

/// What to do with groups. GROUP is the name of a group, its id, or at least 8 of the first digits of
/// its id. MEMBER and USER are the name of a user, the user's key, or at least 8 of its first digits.
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(super) struct GroupArgs {
    #[command(subcommand)]
    command: GroupCommand,
}

impl GroupArgs {
    /// Whether it joins a group.
    pub(super) const fn is_join(&self) -> bool {
        matches!(self.command, GroupCommand::Join(_))
    }
}

#[derive(Debug, clap::Subcommand)]
enum GroupCommand {
    /// Found a group
    Create(found::CreateArgs),
    /// List your groups
    List,
    /// Show a group
    Show(found::ShowArgs),
    /// Rename a group that you founded
    Rename(found::RenameArgs),
    /// List the members of a group
    Members(members::MembersArgs),
    /// Make a link that invites people to a group
    Invite(invite::InviteArgs),
    /// List the invites to a group
    Invites(invite::InvitesArgs),
    /// Revoke an invite, so that its link is of no use any more
    Revoke(invite::RevokeArgs),
    /// Ask to join the group of a link
    Join(join::JoinArgs),
    /// List your requests to join groups, and what became of them
    Joins,
    /// Withdraw your request to join a group, or forget one that was answered
    Withdraw(join::WithdrawArgs),
    /// Admit a user by the key before the user asks; the user joins with any link
    Add(members::AddArgs),
    /// List the requests to join a group
    Requests(requests::RequestsArgs),
    /// Accept a request to join a group
    Accept(requests::AnswerArgs),
    /// Reject a request to join a group
    Reject(requests::AnswerArgs),
    /// Remove a member from a group
    Remove(members::RemoveArgs),
    /// Make a member of a group that you founded an owner, or drop an owner
    Owner(owner::OwnerArgs),
    /// Leave a group
    Leave(found::LeaveArgs),
}

pub(super) async fn run(context: &Context, args: &GroupArgs) -> anyhow::Result<Exit> {
    let command = &args.command;
    if let GroupCommand::Join(args) = command {
        return join::join(context, args).await;
    }
    let client = attach::require_running(context).await?;
    match command {
        GroupCommand::Create(args) => found::create(context, &client, args).await,
        GroupCommand::List => found::list(context, &client).await,
        GroupCommand::Show(args) => found::show(context, &client, args).await,
        GroupCommand::Rename(args) => found::rename(context, &client, args).await,
        GroupCommand::Members(args) => members::list(context, &client, args).await,
        GroupCommand::Invite(args) => invite::invite(context, &client, args).await,
        GroupCommand::Invites(args) => invite::list(context, &client, args).await,
        GroupCommand::Revoke(args) => invite::revoke(context, &client, args).await,
        GroupCommand::Join(_) => unreachable!("it is handled above"),
        GroupCommand::Joins => join::list(context, &client).await,
        GroupCommand::Withdraw(args) => join::withdraw(context, &client, args).await,
        GroupCommand::Add(args) => members::add(context, &client, args).await,
        GroupCommand::Requests(args) => requests::list(context, &client, args).await,
        GroupCommand::Accept(args) => requests::accept(context, &client, args).await,
        GroupCommand::Reject(args) => requests::reject(context, &client, args).await,
        GroupCommand::Remove(args) => members::remove(context, &client, args).await,
        GroupCommand::Owner(args) => owner::run(context, &client, args).await,
        GroupCommand::Leave(args) => found::leave(context, &client, args).await,
    }
}
