//! Requests of others to join a group.

use super::names::{member_name, short, user_name};
use crate::{
    api::{Client, types::GroupRequest},
    cli::{
        context::Context,
        output::{Exit, Printer},
        table::{Column, Table},
        text::{escape, since},
    },
};

/// The group whose requests to list.
#[derive(Debug, clap::Args)]
pub(super) struct RequestsArgs {
    /// The group
    #[arg(value_name = "GROUP")]
    group: String,
}

/// The request to answer.
#[derive(Debug, clap::Args)]
pub(super) struct AnswerArgs {
    /// The group
    #[arg(value_name = "GROUP")]
    group: String,

    /// The user who asks
    #[arg(value_name = "USER")]
    user: String,
}

pub(super) async fn list(
    context: &Context,
    client: &Client,
    args: &RequestsArgs,
) -> anyhow::Result<Exit> {
    let requests = client.group_requests(&args.group).await?;
    if requests.is_empty() {
        context.output.note("no request waits for an owner");
    }
    let text = || describe(&requests, Printer::width());
    context.output.result(&requests, text)?;
    for request in requests.iter().filter(|request| request.alike) {
        let (name, user) = (escape(&request.name), short(&request.user));
        context.output.note(format_args!(
            "the name {name} of the user {user} looks like that of a member"
        ));
    }
    Ok(Exit::Done)
}

pub(super) async fn accept(
    context: &Context,
    client: &Client,
    args: &AnswerArgs,
) -> anyhow::Result<Exit> {
    let accepted = client.accept_group_request(&args.group, &args.user).await?;
    let text = || format!("accepted {}", member_name(&accepted));
    context.output.result(&accepted, text)?;
    Ok(Exit::Done)
}

pub(super) async fn reject(
    context: &Context,
    client: &Client,
    args: &AnswerArgs,
) -> anyhow::Result<Exit> {
    let rejected = client.reject_group_request(&args.group, &args.user).await?;
    let text = || {
        format!(
            "rejected {}",
            user_name(Some(&rejected.name), &rejected.user)
        )
    };
    context.output.result(&rejected, text)?;
    Ok(Exit::Done)
}

fn describe(requests: &[GroupRequest], width: Option<usize>) -> String {
    let columns = [
        Column::text("NAME").min_width(12),
        Column::text("RECEIVED").drop_order(1),
        Column::text("USER").min_width(8),
        Column::text("MESSAGE").min_width(16),
    ];
    let row = |request: &GroupRequest| {
        vec![
            escape(&request.name),
            format!("{} ago", since(request.received_unix_ms)),
            request.user.clone(),
            escape(&request.message),
        ]
    };
    Table::new(columns, requests.iter().map(row)).text(width)
}
