//! Who owns a group, which its founder decides.

use serde::Serialize;

use super::names::{member_name, short, user_name};
use crate::{
    api::{
        Client,
        types::{DropOutcome, ErrorInfo, GroupMember},
    },
    cli::{context::Context, output::Exit},
};

/// Which owner to make or to drop.
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(super) struct OwnerArgs {
    #[command(subcommand)]
    command: OwnerCommand,
}

#[derive(Debug, clap::Subcommand)]
enum OwnerCommand {
    /// Make a member an owner, who admits and removes members
    Add(AddArgs),
    /// Drop an owner, who stays a member; what the owner decided stays, unless you undo it
    Drop(DropArgs),
}

/// The member to make an owner.
#[derive(Debug, clap::Args)]
struct AddArgs {
    /// The group
    #[arg(value_name = "GROUP")]
    group: String,

    /// The member
    #[arg(value_name = "MEMBER")]
    member: String,
}

/// The owner to drop.
#[derive(Debug, clap::Args)]
struct DropArgs {
    /// The group
    #[arg(value_name = "GROUP")]
    group: String,

    /// The owner
    #[arg(value_name = "MEMBER")]
    member: String,

    /// Undo what the owner decided about this user; repeatable
    #[arg(long, value_name = "USER", conflicts_with = "undo_all")]
    undo: Vec<String>,

    /// Undo all that only this owner decided
    #[arg(long)]
    undo_all: bool,

    /// Only show what only this owner decided
    #[arg(long, conflicts_with_all = ["undo", "undo_all"])]
    dry_run: bool,
}

/// A dropped owner, for programs.
#[derive(Serialize)]
struct Dropped {
    #[serde(flatten)]
    owner: GroupMember,
    /// What the owner decided and what stays.
    kept: Vec<DropOutcome>,
    /// What the owner decided and what was undone.
    undone: Vec<DropOutcome>,
}

pub(super) async fn run(
    context: &Context,
    client: &Client,
    args: &OwnerArgs,
) -> anyhow::Result<Exit> {
    match &args.command {
        OwnerCommand::Add(args) => {
            let owner = client.add_group_owner(&args.group, &args.member).await?;
            let text = || format!("{} is an owner", member_name(&owner));
            context.output.result(&owner, text)?;
            Ok(Exit::Done)
        }
        OwnerCommand::Drop(args) => drop_owner(context, client, args).await,
    }
}

async fn drop_owner(context: &Context, client: &Client, args: &DropArgs) -> anyhow::Result<Exit> {
    let outcomes = client
        .group_owner_outcomes(&args.group, &args.member)
        .await?;
    if args.dry_run {
        if outcomes.is_empty() {
            context.output.note("nothing depends on this owner alone");
        }
        let text = || {
            lines(&outcomes, |is_in| match is_in {
                true => "is a member by this owner alone",
                false => "is out by this owner alone",
            })
        };
        context.output.result(&outcomes, text)?;
        return Ok(Exit::Done);
    }
    let undo = selected(args, &outcomes)?;
    let owner = client
        .drop_group_owner(&args.group, &args.member, &undo)
        .await?;
    let (undone, kept) = outcomes
        .into_iter()
        .partition(|outcome| undo.contains(&outcome.user));
    let dropped = Dropped {
        owner,
        kept,
        undone,
    };
    let text = || {
        let name = member_name(&dropped.owner);
        let kept = lines(&dropped.kept, |is_in| match is_in {
            true => "stays a member",
            false => "stays out",
        });
        let undone = lines(&dropped.undone, |was_in| match was_in {
            true => "is not a member any more",
            false => "is a member again",
        });
        let parts = [format!("{name} is not an owner any more"), kept, undone];
        let parts = parts.into_iter().filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join("\n")
    };
    context.output.result(&dropped, text)?;
    Ok(Exit::Done)
}

/// The keys of the users about whom decisions are undone.
fn selected(args: &DropArgs, outcomes: &[DropOutcome]) -> Result<Vec<String>, ErrorInfo> {
    if args.undo_all {
        return Ok(outcomes
            .iter()
            .map(|outcome| outcome.user.clone())
            .collect());
    }
    let select = |wanted: &String| {
        let is_meant = |outcome: &&DropOutcome| {
            let is_key = wanted.len() >= 8 && outcome.user.starts_with(wanted.as_str());
            is_key || outcome.name.as_ref() == Some(wanted)
        };
        let mut found = outcomes.iter().filter(is_meant);
        match (found.next(), found.next()) {
            (Some(only), None) => Ok(only.user.clone()),
            (None, _) => {
                let message = format!("nothing about {wanted:?} depends on this owner alone");
                let hint = "`--dry-run` shows what does";
                Err(ErrorInfo::new("not-a-member", message).with_hint(hint))
            }
            (Some(_), Some(_)) => {
                let message = format!("several users are called {wanted:?}: use their keys");
                Err(ErrorInfo::new("ambiguous-name", message))
            }
        }
    };
    args.undo.iter().map(select).collect()
}

/// A line for each user, with what is true of one who is in, or who is out.
fn lines(outcomes: &[DropOutcome], what: impl Fn(bool) -> &'static str) -> String {
    let line = |outcome: &DropOutcome| {
        let name = user_name(outcome.name.as_deref(), &outcome.user);
        let (user, what) = (short(&outcome.user), what(outcome.is_member));
        format!("  {name} ({user}) {what}")
    };
    outcomes.iter().map(line).collect::<Vec<_>>().join("\n")
}
