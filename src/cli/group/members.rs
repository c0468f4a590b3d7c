//! Who is in a group.

use super::names::{member_name, role_word, short};
use crate::{
    api::{
        Client,
        types::{GroupMember, MembersRemoved},
    },
    cli::{
        context::Context,
        output::{Exit, Printer},
        table::{Column, Table},
        text::{count, quoted},
    },
};

/// The group whose members to list.
#[derive(Debug, clap::Args)]
pub(super) struct MembersArgs {
    /// The group
    #[arg(value_name = "GROUP")]
    group: String,
}

/// The user to admit.
#[derive(Debug, clap::Args)]
pub(super) struct AddArgs {
    /// The group
    #[arg(value_name = "GROUP")]
    group: String,

    /// The key of the user, 64 digits, which `pelago user show` prints
    #[arg(value_name = "USER")]
    user: String,
}

/// The member to remove.
#[derive(Debug, clap::Args)]
pub(super) struct RemoveArgs {
    /// The group
    #[arg(value_name = "GROUP")]
    group: String,

    /// The member
    #[arg(value_name = "MEMBER", required_unless_present = "invite")]
    member: Option<String>,

    /// Remove all members who came by this invite instead
    #[arg(long, value_name = "INVITE", conflicts_with = "member")]
    invite: Option<String>,
}

pub(super) async fn list(
    context: &Context,
    client: &Client,
    args: &MembersArgs,
) -> anyhow::Result<Exit> {
    let members = client.group_members(&args.group).await?;
    let text = || describe(&members, Printer::width());
    context.output.result(&members, text)?;
    if members.iter().any(|member| member.alike) {
        context
            .output
            .note("the names of some members look alike: tell them apart by their keys");
    }
    Ok(Exit::Done)
}

pub(super) async fn add(
    context: &Context,
    client: &Client,
    args: &AddArgs,
) -> anyhow::Result<Exit> {
    let added = client.add_group_member(&args.group, &args.user).await?;
    let text = || match added.you {
        true => "you are in the group again".to_owned(),
        false => format!("admitted {}", member_name(&added)),
    };
    context.output.result(&added, text)?;
    if !added.you {
        context.output.note(
            "the user joins with any link to the group; one who left is back at the next contact",
        );
    }
    Ok(Exit::Done)
}

pub(super) async fn remove(
    context: &Context,
    client: &Client,
    args: &RemoveArgs,
) -> anyhow::Result<Exit> {
    let group = &args.group;
    let removed = match (&args.invite, &args.member) {
        (Some(invite), _) => client.remove_group_members_by_invite(group, invite).await?,
        (None, member) => {
            let member = member.as_deref().unwrap_or_default();
            client.remove_group_member(group, member).await?
        }
    };
    let output = &context.output;
    output.result(&removed, || describe_removed(&removed))?;
    if removed.removed.is_empty() {
        output.note("no member came by this invite, which is revoked");
    }
    if !removed.open.is_empty() {
        let list = context.command(&format!("group invites {}", quoted(group)));
        let open = count(removed.open.len() as u64, "other invite");
        let is = if removed.open.len() == 1 { "is" } else { "are" };
        output.note(format_args!(
            "{open} {is} open, by which people can ask to join: `{list}`"
        ));
    }
    Ok(Exit::Done)
}

fn describe_removed(removed: &MembersRemoved) -> String {
    let members = removed.removed.iter();
    let members = members.map(|member| format!("removed {}", member_name(member)));
    let revoked = removed.revoked.iter();
    let revoked = revoked.map(|invite| format!("revoked the invite {}", short(invite)));
    members.chain(revoked).collect::<Vec<_>>().join("\n")
}

fn describe(members: &[GroupMember], width: Option<usize>) -> String {
    let columns = [
        Column::text("MEMBER").min_width(16),
        Column::text("ROLE"),
        Column::text("ONLINE").drop_order(1),
        Column::text("VIA").drop_order(2),
        Column::text("USER").min_width(8),
    ];
    let row = |member: &GroupMember| {
        let online = match (member.you, member.online) {
            (true, _) => "you",
            (false, true) => "yes",
            (false, false) => "no",
        };
        vec![
            member_name(member),
            role_word(member.role).to_owned(),
            online.to_owned(),
            member.via.as_deref().map_or("", short).to_owned(),
            member.user.clone(),
        ]
    };
    Table::new(columns, members.iter().map(row)).text(width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::GroupRole;

    #[test]
    fn names_of_members_are_escaped_and_keys_stand_in_for_unknown_ones() {
        let member = |name: Option<&str>, you, online| GroupMember {
            user: "ab".repeat(6),
            name: name.map(str::to_owned),
            role: GroupRole::Member,
            peers: Vec::new(),
            online,
            you,
            joined_by: "cd".repeat(6),
            via: Some("0123456789".to_owned()),
            alike: false,
        };
        let members = [
            member(Some("an\u{1b}[31ma"), true, true),
            member(None, false, false),
        ];
        assert_eq!(
            describe(&members, None),
            "MEMBER         ROLE    ONLINE  VIA       USER\n\
             an\\u{1b}[31ma  member  you     01234567  abababababab\n\
             abababab       member  no      01234567  abababababab"
        );
    }
}
