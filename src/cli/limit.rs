//! `pelago limit`: shows or changes the limits of the running node.

use super::{attach, context::Context, output::Exit, text, value_parsers::lifetime};
use crate::{
    api::types::{Limits, LimitsChange},
    node::{InvalidRate, Rate},
};

/// The limits to change; without any, the current limits are printed. Limits are settings
/// (transfer.upload_limit and so on): changes are saved as with `pelago settings`.
#[derive(Debug, clap::Args)]
pub(super) struct LimitArgs {
    /// Bytes a second to send to all peers together: 50000, 400k, 1.5MB, 2MiB, or `off`
    #[arg(long, value_name = "RATE", value_parser = limit, allow_hyphen_values = true)]
    upload: Option<Limit>,

    /// Bytes a second to receive from all peers together
    #[arg(long, value_name = "RATE", value_parser = limit, allow_hyphen_values = true)]
    download: Option<Limit>,

    /// Bytes a second to send to each peer
    #[arg(long, value_name = "RATE", value_parser = limit, allow_hyphen_values = true)]
    upload_per_peer: Option<Limit>,

    /// Bytes a second to receive from each peer
    #[arg(long, value_name = "RATE", value_parser = limit, allow_hyphen_values = true)]
    download_per_peer: Option<Limit>,

    /// Change them for this time only, such as 30m, 2h or 1d, and not in the settings; a restart ends
    /// it
    #[arg(long = "for", value_name = "TIME", value_parser = lifetime)]
    time: Option<u64>,
}

/// Bytes a second; none stands for no limit.
#[derive(Clone, Copy, Debug)]
struct Limit(Option<u64>);

fn limit(text: &str) -> Result<Limit, String> {
    match text.parse::<Rate>() {
        Ok(rate) => Ok(Limit(Some(rate.bytes()))),
        Err(InvalidRate::Range(0)) => Ok(Limit(None)),
        Err(_) if text == "off" => Ok(Limit(None)),
        Err(error) => Err(format!("{error}, or off")),
    }
}

impl LimitArgs {
    fn change(&self) -> LimitsChange {
        let bytes = |limit: Option<Limit>| limit.map(|limit| limit.0);
        LimitsChange {
            upload: bytes(self.upload),
            download: bytes(self.download),
            upload_per_peer: bytes(self.upload_per_peer),
            download_per_peer: bytes(self.download_per_peer),
            for_seconds: self.time.map(|seconds| seconds as f64),
        }
    }
}

pub(super) async fn run(context: &Context, args: &LimitArgs) -> anyhow::Result<Exit> {
    let client = attach::require_running(context).await?;
    let change = args.change();
    let limits = if change == LimitsChange::default() {
        client.limits().await?
    } else {
        client.set_limits(&change).await?
    };
    context.output.result(&limits, || describe(&limits))?;
    Ok(Exit::Done)
}

fn describe(limits: &Limits) -> String {
    let shown = |limit: Option<u64>| match limit.map(Rate::new) {
        Some(Ok(rate)) => rate.to_string(),
        Some(Err(error)) => error.to_string(),
        None => "no limit".to_owned(),
    };
    let mut lines = vec![
        format!("upload             {}", shown(limits.upload)),
        format!("download           {}", shown(limits.download)),
        format!("upload per peer    {}", shown(limits.upload_per_peer)),
        format!("download per peer  {}", shown(limits.download_per_peer)),
    ];
    if let Some(until) = limits.until_unix_ms {
        lines.push(format!("for another {}", text::until(until)));
    }
    lines.join("\n")
}
