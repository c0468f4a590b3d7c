//! Links that invite people to a group.

use std::collections::BTreeSet;

use pelago_groups::GroupLink;

use super::names::{member_name, short};
use crate::{
    api::{
        Client, QrCode,
        types::{GroupInvite, GroupMember, InviteMode, InviteRequest},
    },
    cli::{
        context::Context,
        link,
        output::{Exit, Printer},
        table::{Column, Table},
        text::until,
        value_parsers::lifetime,
    },
};

/// Whom to invite, and for how long.
#[derive(Debug, clap::Args)]
pub(super) struct InviteArgs {
    /// The group
    #[arg(value_name = "GROUP")]
    group: String,

    /// Accept people who have the link without asking, while this node runs; without it, an owner
    /// accepts each request
    #[arg(long)]
    auto: bool,

    /// How many people may come by the link [default: 1 with --auto, otherwise any number]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    uses: Option<u32>,

    /// How long the link is valid, such as 12h or 7d [default: 7d with --auto, otherwise until it is
    /// revoked]
    #[arg(long, value_name = "TIME", value_parser = lifetime)]
    expires: Option<u64>,

    /// Draw the link as a QR code, too
    #[arg(long)]
    qr: bool,
}

/// The group whose invites to list.
#[derive(Debug, clap::Args)]
pub(super) struct InvitesArgs {
    /// The group
    #[arg(value_name = "GROUP")]
    group: String,
}

/// The invite to revoke.
#[derive(Debug, clap::Args)]
pub(super) struct RevokeArgs {
    /// The group
    #[arg(value_name = "GROUP")]
    group: String,

    /// The invite, or at least 8 of its first digits
    #[arg(value_name = "INVITE")]
    invite: String,
}

pub(super) async fn invite(
    context: &Context,
    client: &Client,
    args: &InviteArgs,
) -> anyhow::Result<Exit> {
    let request = InviteRequest {
        auto: args.auto,
        uses: args.uses,
        expires_seconds: args.expires,
    };
    let invite = client.invite_to_group(&args.group, &request).await?;
    let output = &context.output;
    if args.qr {
        link::print_code(output, &QrCode::of_text(&invite.link)?)?;
    }
    output.result(&invite, || &invite.link)?;
    let uses = match invite.uses_left {
        None => "any number of people".to_owned(),
        Some(1) => "one person".to_owned(),
        Some(uses) => format!("{uses} people"),
    };
    let outcome = match invite.mode {
        InviteMode::Ask => "may ask to join by this link; an owner accepts each request",
        InviteMode::Auto => "may join by this link without asking: send it over a private channel",
    };
    let expiry = invite.expires_unix_ms.map(until);
    let expiry = expiry.map(|time| format!(", within {time}"));
    output.note(format_args!(
        "{uses} {outcome}{}",
        expiry.unwrap_or_default()
    ));
    let peers = invite.link.parse::<GroupLink>().map(|link| nodes(&link));
    match peers {
        Ok(0) | Err(_) => output.note("the link names no node, as this one is not reachable yet"),
        Ok(1) => output.note("the link names this node only: it has to run when people use it"),
        Ok(peers) => output.note(format_args!(
            "the link names {peers} nodes of members: one of them has to run when people use it"
        )),
    }
    Ok(Exit::Done)
}

pub(super) async fn list(
    context: &Context,
    client: &Client,
    args: &InvitesArgs,
) -> anyhow::Result<Exit> {
    let invites = client.group_invites(&args.group).await?;
    if invites.is_empty() {
        context.output.note("no owner has invited anyone by a link");
    }
    let members = client.group_members(&args.group).await.unwrap_or_default();
    let text = || describe(&invites, &members, Printer::width());
    context.output.result(&invites, text)?;
    Ok(Exit::Done)
}

pub(super) async fn revoke(
    context: &Context,
    client: &Client,
    args: &RevokeArgs,
) -> anyhow::Result<Exit> {
    let revoked = client
        .revoke_group_invite(&args.group, &args.invite)
        .await?;
    let text = || format!("revoked {}", revoked.invite);
    context.output.result(&revoked, text)?;
    Ok(Exit::Done)
}

/// How many nodes a link names.
fn nodes(link: &GroupLink) -> usize {
    let ids = link
        .peers
        .iter()
        .filter_map(|peer| peer.rsplit_once("/p2p/"));
    ids.map(|(_, id)| id).collect::<BTreeSet<_>>().len()
}

fn describe(invites: &[GroupInvite], members: &[GroupMember], width: Option<usize>) -> String {
    let columns = [
        Column::text("STATE"),
        Column::text("MODE"),
        Column::number("USES LEFT"),
        Column::text("EXPIRES"),
        Column::text("BY").drop_order(1),
        Column::text("INVITE").min_width(8),
    ];
    let row = |invite: &GroupInvite| {
        let mode = match invite.mode {
            InviteMode::Ask => "ask",
            InviteMode::Auto => "auto",
        };
        let uses = invite.uses_left.filter(|_| invite.open);
        let expires = invite.expires_unix_ms.filter(|_| invite.open).map(until);
        vec![
            if invite.open { "open" } else { "revoked" }.to_owned(),
            mode.to_owned(),
            uses.map(|uses| uses.to_string()).unwrap_or_default(),
            expires.map(|time| format!("in {time}")).unwrap_or_default(),
            members
                .iter()
                .find(|member| member.user == invite.by)
                .map_or_else(|| short(&invite.by).to_owned(), member_name),
            invite.invite.clone(),
        ]
    };
    Table::new(columns, invites.iter().map(row)).text(width)
}
