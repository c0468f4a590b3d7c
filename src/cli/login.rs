//! `pelago login`: logs the user of the running node in.

use std::path::PathBuf;

use super::{attach, context::Context, output::Exit, passphrase, user::report};
use crate::api::types::{ErrorInfo, UserState};

/// How to log in.
#[derive(Debug, clap::Args)]
pub(super) struct LoginArgs {
    /// Read the passphrase from a file, instead of the terminal or the first line of stdin
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

pub(super) async fn run(context: &Context, args: &LoginArgs) -> anyhow::Result<Exit> {
    let client = attach::require_running(context).await?;
    let now = client.user().await?;
    let Some(user) = &now.user else {
        let error = ErrorInfo::new("no-user", "this node has no user");
        let hint = format!("make one with `{}`", context.command("user create NAME"));
        return Err(error.with_hint(hint).into());
    };
    let file = args.passphrase_file.as_deref();
    let passphrase = match (user.has_passphrase, now.state) {
        (false, UserState::Unlocked) => return report(context, &now),
        (false, _) => None,
        // One that is given has to be right, also if it is not needed.
        (true, UserState::Unlocked) => match passphrase::given(file).await? {
            None => return report(context, &now),
            given => given,
        },
        (true, _) => Some(passphrase::current(file, "passphrase: ").await?),
    };
    client
        .log_in(passphrase.map(|text| text.to_string()))
        .await?;
    let now = attach::wait_for_user(context, UserState::Unlocked).await?;
    report(context, &now)
}
