//! `pelago user create`: creates the user of this node.

use super::{report::report, target::Target};
use crate::{
    api::types::{NewUser, UserState},
    cli::{context::Context, output::Exit, passphrase::NewPassphrase},
};

/// The new user. A running node restarts under a new key, logged in.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct CreateArgs {
    /// The name, which other people see
    #[arg(value_name = "USER_NAME")]
    name: String,

    #[command(flatten)]
    passphrase: NewPassphrase,
}

pub(super) async fn run(context: &Context, args: &CreateArgs) -> anyhow::Result<Exit> {
    let passphrase = args.passphrase.ask().await?;
    let target = Target::open(context).await?;
    let new = NewUser {
        name: args.name.clone(),
        passphrase: passphrase.map(|text| text.to_string()),
    };
    target.client.create_user(&new).await?;
    report(context, &target.status_once(UserState::Unlocked).await?)
}
