//! How a user is printed.

use crate::{
    api::types::{UserState, UserStatus},
    cli::{context::Context, output::Exit},
};

/// Prints the user and the state.
pub(in crate::cli) fn report(context: &Context, status: &UserStatus) -> anyhow::Result<Exit> {
    context.output.result(status, || describe(status))?;
    Ok(Exit::Done)
}

fn describe(status: &UserStatus) -> String {
    let Some(user) = &status.user else {
        return "this node has no user".to_owned();
    };
    format!("{}\n  key  {}", line(status), user.key)
}

/// The user and the state in one line, for people.
pub(in crate::cli) fn line(status: &UserStatus) -> String {
    let Some(user) = &status.user else {
        return "none".to_owned();
    };
    let state = match status.state {
        UserState::Unlocked => "logged in",
        UserState::Locked | UserState::None => "logged out",
    };
    let unprotected = if user.has_passphrase {
        ""
    } else {
        ", without a passphrase"
    };
    format!("{} ({state}{unprotected})", user.name)
}
