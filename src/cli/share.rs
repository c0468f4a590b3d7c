//! `pelago share`: shares files and folders in place.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{
    attach::{self, NodeHandle, NodeState},
    context::Context,
    headings::{FOLDERS, SHARING},
    link, local,
    outcomes::Outcomes,
    output::{Exit, error_info},
    paths,
    progress::{Progress, Step, hashing},
    prompt,
    signals::Signals,
    text::{bytes, escape, quoted},
    uploads_view,
    value_parsers::lifetime,
    web_link,
};
use crate::{
    api::{
        Client,
        types::{ErrorInfo, ShareEvent, ShareRequest, Shared, WebLink, WebLinkRequest},
    },
    store::{DataFolder, Store},
};

/// The note about a file that may change after it was hashed.
const IN_DOUBT: &str =
    "a program has it open for writing: share it again when the program has closed it";

/// The question if some entries of a folder cannot be shared.
const SHARE_THE_REST: &str = "share the folder without these? [y/N] ";

/// What to share, and how.
#[derive(Debug, clap::Args)]
pub(super) struct ShareArgs {
    /// Files and folders to share. A folder is shared without what you unshared in it: share that
    /// again by its own path
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Name of the share, instead of the name on disk; for a single path
    #[arg(long)]
    name: Option<String>,

    /// Share only with peers that have the hash; do not list it
    #[arg(long, help_heading = SHARING)]
    unlisted: bool,

    /// Share only with the members of this group; repeatable. What the path is shared with already
    /// stays
    #[arg(
        long, value_name = "GROUP", conflicts_with_all = ["no_serve", "unlisted"],
        help_heading = SHARING,
    )]
    group: Vec<String>,

    /// With --group: share with everyone, too
    #[arg(long, requires = "group", help_heading = SHARING)]
    public: bool,

    /// Hash all files again, even those that look unchanged: a program that writes through a memory
    /// mapping may leave no other trace
    #[arg(long)]
    rehash: bool,

    /// Leave out entries of a folder that cannot be shared: unreadable ones, and names that are not
    /// UTF-8
    #[arg(long, help_heading = FOLDERS)]
    skip_unsupported: bool,

    /// Draw the link as a QR code, too
    #[arg(long)]
    qr: bool,

    /// Also make a link for people without Pelago: a browser on the same network downloads it, over
    /// plain HTTP. `unshare` withdraws it
    #[arg(long, conflicts_with = "no_serve", help_heading = SHARING)]
    web: bool,

    /// With --web: how long that link is valid, such as 30m, 2h or 1d [default: until `unshare`, or
    /// until the node ends]
    #[arg(
        long = "for", value_name = "TIME", value_parser = lifetime, requires = "web",
        help_heading = SHARING,
    )]
    lasts: Option<u64>,

    /// If no node is running, only record the share for the next `pelago start`
    #[arg(long, help_heading = SHARING)]
    no_serve: bool,
}

pub(super) async fn run(context: &Context, args: &ShareArgs) -> anyhow::Result<Exit> {
    if args.name.is_some() && args.paths.len() > 1 {
        let error = ErrorInfo::new(
            "usage",
            "--name is for a single path, but several paths are given",
        );
        context.output.failure(&error.into());
        return Ok(Exit::Usage);
    }
    match attach::find_or_lock(&context.data_folder).await? {
        NodeState::Running(client) => share_all(context, args, &client).await?.finish(),
        NodeState::Absent(folder) if args.no_serve => {
            record_all(context, args, &local::store(&folder)?).await
        }
        NodeState::Absent(folder) => serve(context, args, &folder).await,
    }
}

/// Shares with a node of this command, until a signal arrives.
async fn serve(context: &Context, args: &ShareArgs, folder: &DataFolder) -> anyhow::Result<Exit> {
    let mut signals = Signals::listen()?;
    let node = NodeHandle::serving(context, folder).await?;
    let shared = tokio::select! {
        outcomes = share_all(context, args, &node.client) => Some(outcomes?),
        () = signals.next() => None,
    };
    let exit = match &shared {
        Some(outcomes) => outcomes.finish()?,
        None => Exit::Failed,
    };
    if shared.is_some_and(|outcomes| outcomes.done() > 0) {
        context.output.note(format_args!(
            "sharing until Ctrl-C; afterwards, `{}` shares it again",
            context.command("start")
        ));
        uploads_view::live(&context.output, &node.client, &mut signals).await?;
    }
    node.stop(signals).await;
    Ok(exit)
}

async fn share_all<'a>(
    context: &'a Context,
    args: &ShareArgs,
    client: &Client,
) -> anyhow::Result<Outcomes<'a, Offered>> {
    let mut outcomes = Outcomes::new(&context.output);
    for path in &args.paths {
        let result = offer(context, args, client, path).await;
        add(&mut outcomes, context, args, path, result)?;
    }
    Ok(outcomes)
}

/// What is shared, with its link for browsers if it has one.
#[derive(Serialize)]
struct Offered {
    #[serde(flatten)]
    shared: Shared,
    #[serde(skip_serializing_if = "Option::is_none")]
    web: Option<WebLink>,
}

impl From<Shared> for Offered {
    fn from(shared: Shared) -> Self {
        Self { shared, web: None }
    }
}

/// Shares `path`, and makes a link for browsers if that is wanted.
async fn offer(
    context: &Context,
    args: &ShareArgs,
    client: &Client,
    path: &Path,
) -> anyhow::Result<Offered> {
    let shared = share_or_ask(context, args, client, path).await?;
    if !args.web {
        return Ok(shared.into());
    }
    let request = WebLinkRequest::Share {
        what: shared.hash.clone(),
        for_seconds: args.lasts,
    };
    let web = Some(client.add_web_link(&request).await?);
    Ok(Offered { shared, web })
}

/// Reports the outcome for `path`.
fn add(
    outcomes: &mut Outcomes<'_, Offered>,
    context: &Context,
    args: &ShareArgs,
    path: &Path,
    result: anyhow::Result<Offered>,
) -> anyhow::Result<()> {
    let result = result.map(|Offered { shared, web }| Offered {
        shared: shared.without_path(),
        web,
    });
    let offered = result.as_ref().ok();
    let web = offered.and_then(|offered| offered.web.clone());
    let drawn = offered.filter(|_| args.qr && web.is_none());
    let drawn = drawn.map(|offered| offered.shared.clone());
    outcomes.add(&path.to_string_lossy(), result, describe)?;
    if let Some(web) = &web {
        // A phone reads this one.
        web_link::draw(&context.output, web)?;
        let unshare = context.command(&format!("unshare {}", quoted(&web.name)));
        let until = format!("until `{unshare}` or the end of the node");
        context
            .output
            .note(web_link::exposure(web, "download it", &until));
    }
    drawn.map_or(Ok(()), |shared| link::draw(&context.output, &shared))
}

/// Shares `path`. If some entries cannot be shared, the person at the terminal decides whether to
/// share the others.
async fn share_or_ask(
    context: &Context,
    args: &ShareArgs,
    client: &Client,
    path: &Path,
) -> anyhow::Result<Shared> {
    let request = request(args, path)?;
    match share(context, client, path, &request).await {
        Err(refused) => {
            let request = without_unsupported(context, request, refused).await?;
            share(context, client, path, &request).await
        }
        shared => shared,
    }
}

/// The same request without the entries that cannot be shared, if they were the reason for the
/// refusal and the person at the terminal agrees.
async fn without_unsupported(
    context: &Context,
    request: ShareRequest,
    refused: anyhow::Error,
) -> anyhow::Result<ShareRequest> {
    let error = error_info(&refused);
    if error.code != "unsupported-entries" || !prompt::is_interactive(&context.output) {
        return Err(refused);
    }
    context.output.text(&error.message)?;
    if !prompt::confirm(SHARE_THE_REST).await? {
        return Err(refused);
    }
    Ok(ShareRequest {
        skip_unsupported: true,
        ..request
    })
}

async fn share(
    context: &Context,
    client: &Client,
    path: &Path,
    request: &ShareRequest,
) -> anyhow::Result<Shared> {
    let name = path.to_string_lossy();
    let mut progress = Progress::new(&context.output);
    let mut events = client.share(request).await?;
    while let Some(event) = events.next().await? {
        match event {
            ShareEvent::Hashing { hashed_bytes, size } => progress.show(&Step {
                name: &name,
                state: "hashing",
                done: hashed_bytes,
                size,
                ..Step::default()
            }),
            ShareEvent::Shared(shared) => return Ok(shared),
            ShareEvent::Error { error } => return Err(error.into()),
        }
    }
    let message = format!("the node ended before {name} was shared");
    Err(ErrorInfo::new("node-unreachable", message).into())
}

/// Records the shares for nodes that start later.
async fn record_all(context: &Context, args: &ShareArgs, store: &Store) -> anyhow::Result<Exit> {
    let mut outcomes = Outcomes::new(&context.output);
    for path in &args.paths {
        let result = record_or_ask(context, args, store, path)
            .await
            .map(Offered::from);
        add(&mut outcomes, context, args, path, result)?;
    }
    if outcomes.done() > 0 {
        let start = context.command("start");
        context
            .output
            .note(format_args!("recorded: `{start}` shares it"));
    }
    outcomes.finish()
}

async fn record_or_ask(
    context: &Context,
    args: &ShareArgs,
    store: &Store,
    path: &Path,
) -> anyhow::Result<Shared> {
    let request = request(args, path)?;
    match record(context, store, path, request.clone()) {
        Err(refused) => {
            let request = without_unsupported(context, request, refused).await?;
            record(context, store, path, request)
        }
        shared => shared,
    }
}

fn record(
    context: &Context,
    store: &Store,
    path: &Path,
    request: ShareRequest,
) -> anyhow::Result<Shared> {
    local::record(store, request, &hashing(&context.output, path))
}

fn request(args: &ShareArgs, path: &Path) -> anyhow::Result<ShareRequest> {
    Ok(ShareRequest {
        path: paths::absolute(path)?,
        name: args.name.clone(),
        unlisted: args.unlisted,
        groups: args.group.clone(),
        everyone: args.public.then_some(true),
        rehash: args.rehash,
        skip_unsupported: args.skip_unsupported,
    })
}

fn describe(Offered { shared, web }: &Offered) -> String {
    let (name, size) = (escape(&shared.name), bytes(shared.size));
    let (hash, link) = (&shared.hash, &shared.link);
    let mut text = format!("shared {name} ({size})\n  hash  {hash}\n  link  {link}");
    text += &web.as_ref().map(web_link::lines).unwrap_or_default();
    if let Some(before) = &shared.replaced {
        text += "\n  was   ";
        text += before;
        text += ": the content differs from what was listed, and is shared under its new hash";
    }
    for note in &shared.notes {
        text += "\n  note  ";
        text += note;
    }
    if shared.in_doubt {
        text += "\n  note  ";
        text += IN_DOUBT;
    }
    text
}
