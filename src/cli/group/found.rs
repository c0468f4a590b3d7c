//! Founding groups, and groups as a whole.

use super::names::{member_name, note_if_alike, role_word, short};
use crate::{
    api::{
        Client,
        types::{ErrorInfo, Group, GroupDetail, GroupMember, GroupRole, JoinStatus},
    },
    cli::{
        context::Context,
        output::{Exit, Printer},
        prompt,
        table::{Column, Table},
        text::{escape, quoted, since},
    },
};

/// What it means that the founder of a group leaves it.
const LEAVE_ROOT: &str = "you founded this group: without you, it has no new owners, and the present \
     ones cannot be dropped";

/// The question before that.
const LEAVE_ANYWAY: &str = "leave it? [y/N] ";

/// The group to found.
#[derive(Debug, clap::Args)]
pub(super) struct CreateArgs {
    /// Its name; it need not be unique
    #[arg(value_name = "NAME")]
    name: String,
}

/// The group to show.
#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// The group
    #[arg(value_name = "GROUP")]
    group: String,
}

/// The group to rename.
#[derive(Debug, clap::Args)]
pub(super) struct RenameArgs {
    /// The group
    #[arg(value_name = "GROUP")]
    group: String,

    /// Its new name
    #[arg(value_name = "NAME")]
    name: String,
}

/// The group to leave.
#[derive(Debug, clap::Args)]
pub(super) struct LeaveArgs {
    /// The group
    #[arg(value_name = "GROUP")]
    group: String,

    /// Leave a group that you founded without a question
    #[arg(long)]
    yes: bool,
}

pub(super) async fn create(
    context: &Context,
    client: &Client,
    args: &CreateArgs,
) -> anyhow::Result<Exit> {
    let group = client.create_group(&args.name).await?;
    let (name, id) = (escape(&group.name), &group.id);
    context
        .output
        .result(&group, || format!("founded {name}\n  id  {id}"))?;
    let detail = client.group(id).await?;
    let selector = match detail.alike {
        true => short(id).to_owned(),
        false => quoted(&group.name),
    };
    let invite = context.command(&format!("group invite {selector}"));
    context
        .output
        .note(format_args!("to invite people: `{invite}`"));
    note_if_alike(context, &detail);
    Ok(Exit::Done)
}

pub(super) async fn list(context: &Context, client: &Client) -> anyhow::Result<Exit> {
    let groups = client.groups().await?;
    let joins = client.joins().await?;
    let mut waiting = joins
        .iter()
        .filter(|join| join.status != JoinStatus::Accepted)
        .peekable();
    if groups.is_empty() && waiting.peek().is_none() {
        context.output.note(format_args!(
            "you are in no group: found one with `{}`, or join one with `{}`",
            context.command("group create NAME"),
            context.command("group join")
        ));
    }
    let text = || describe_all(&groups, Printer::width());
    context.output.result(&groups, text)?;
    // Programs read them from `group joins`.
    for join in waiting {
        context.output.note(super::join::describe(join));
    }
    Ok(Exit::Done)
}

pub(super) async fn show(
    context: &Context,
    client: &Client,
    args: &ShowArgs,
) -> anyhow::Result<Exit> {
    let group = client.group(&args.group).await?;
    let members = client
        .group_members(&group.group.id)
        .await
        .unwrap_or_default();
    let text = || describe(&group, &members);
    context.output.result(&group, text)?;
    Ok(Exit::Done)
}

pub(super) async fn rename(
    context: &Context,
    client: &Client,
    args: &RenameArgs,
) -> anyhow::Result<Exit> {
    let group = client.rename_group(&args.group, &args.name).await?;
    let text = || format!("renamed to {}", escape(&group.name));
    context.output.result(&group, text)?;
    Ok(Exit::Done)
}

pub(super) async fn leave(
    context: &Context,
    client: &Client,
    args: &LeaveArgs,
) -> anyhow::Result<Exit> {
    let output = &context.output;
    let group = client.group(&args.group).await?;
    let is_root = group.group.role == GroupRole::Root;
    if is_root && !args.yes {
        if !prompt::is_interactive(output) {
            let error = ErrorInfo::new("not-confirmed", LEAVE_ROOT);
            return Err(error.with_hint("confirm that with --yes").into());
        }
        output.note(LEAVE_ROOT);
        if !prompt::confirm(LEAVE_ANYWAY).await? {
            return Ok(Exit::Failed);
        }
    }
    let left = client.leave_group(&group.group.id).await?;
    let text = || format!("left {}", escape(&left.name));
    output.result(&left, text)?;
    if is_root {
        let back = format!("group add {} {}", short(&left.id), group.founded_by);
        let back = context.command(&back);
        output.note(format_args!("to take the group back: `{back}`"));
    }
    Ok(Exit::Done)
}

fn describe_all(groups: &[Group], width: Option<usize>) -> String {
    let columns = [
        Column::text("GROUP").min_width(16),
        Column::text("ROLE").drop_order(2),
        Column::number("MEMBERS").drop_order(1),
        Column::number("REQUESTS"),
        Column::text("ID").min_width(8),
    ];
    let row = |group: &Group| {
        vec![
            escape(&group.name),
            role_word(group.role).to_owned(),
            group.members.to_string(),
            group.pending_requests.to_string(),
            group.id.clone(),
        ]
    };
    Table::new(columns, groups.iter().map(row)).text(width)
}

fn describe(detail: &GroupDetail, members: &[GroupMember]) -> String {
    let group = &detail.group;
    let root = members
        .iter()
        .find(|member| member.user == detail.founded_by);
    let root = root.map_or_else(
        || detail.founded_by.clone(),
        |root| format!("{} ({})", member_name(root), detail.founded_by),
    );
    let mut lines = vec![
        format!("group     {}", escape(&group.name)),
        format!("id        {}", group.id),
        format!("role      {}", role_word(group.role)),
        format!("root      {root}"),
        format!(
            "members   {}, {} of them owners",
            group.members, group.owners
        ),
        format!(
            "nodes     {}, {} of them known to have this roster",
            detail.nodes, detail.confirmed
        ),
        format!("requests  {}", group.pending_requests),
    ];
    let heard = group.heard_from_owner_unix_ms;
    lines.extend(heard.map(|at| format!("owners    last heard from one {} ago", since(at))));
    let moved = group.moved.as_deref();
    lines.extend(moved.map(|moved| format!("moved     to the group {}", short(moved))));
    lines.join("\n")
}
