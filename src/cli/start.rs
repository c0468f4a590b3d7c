//! `pelago start`: runs a node until it is stopped.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use axum::Extension;
use libp2p::Multiaddr;
use serde::Serialize;
use tokio::sync::mpsc;

use super::{
    attach,
    context::Context,
    ending::{Ended, Ending},
    global::FlagSetting,
    handover::{self, Handover, Ports},
    headings::{NETWORK, SERVERS, SHARING},
    keys::Keys,
    local::{self, NodeFiles},
    network, node_settings, on_done,
    output::Exit,
    paths,
    signals::Signals,
    supervisor::{self, Phase},
    text::quoted,
    ui,
    value_parsers::peer_address,
};
use crate::{
    api::{
        Gateway, GatewaySettings, GatewayUrls, LocalApi, LocalApiServer, Transition, Users,
        locked_router, page_address, router, serve_metrics,
    },
    config::{Config, SetBy},
    node::{Node, Settings},
    store::{DataFolder, Printable, SealedUser, shown},
};

/// The duties that this file starts.
const API: &str = "api";
const GATEWAY: &str = "gateway";

/// How to run the node. The settings apply where a flag is left out.
#[derive(Debug, clap::Args)]
pub(super) struct StartArgs {
    /// TCP and UDP port to listen on; 0: any free port [default: 8080, or a free port]
    #[arg(short, long, help_heading = NETWORK)]
    port: Option<u16>,

    /// Folder to watch: each file in it becomes a share [default: ./shared]
    #[arg(short, long, value_name = "DIR", help_heading = SHARING)]
    dir: Vec<String>,

    /// Group with which to share what is in the watched folders: a name or an id [default: everyone]
    #[arg(long, value_name = "GROUP", help_heading = SHARING)]
    group: Option<String>,

    /// Any node that you know, by which to join the network: host:port or a multiaddr
    #[arg(short, long, value_name = "ADDR", value_parser = peer_address, help_heading = NETWORK)]
    bootstrap: Vec<String>,

    /// Name of this node, which other people see [default: the host name]
    #[arg(short, long)]
    name: Option<String>,

    /// Whether to find nodes on the local network, and be found there [default: true]
    #[arg(
        long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true",
        value_parser = clap::builder::BoolishValueParser::new(), help_heading = NETWORK,
    )]
    discovery: Option<bool>,

    /// Address to listen on, instead of all interfaces
    #[arg(long, value_name = "MULTIADDR", help_heading = NETWORK)]
    listen: Vec<Multiaddr>,

    /// Address of the local API, or `off` [default: any free port on loopback]
    #[arg(long, value_name = "ADDR|off", value_parser = api, help_heading = SERVERS)]
    api: Option<Address>,

    /// Address at which browsers and players read content, or `off` [default: any free port on
    /// loopback]
    #[arg(long, value_name = "ADDR|off", value_parser = api, help_heading = SERVERS)]
    gateway: Option<Address>,

    /// Open the page in a browser, as `pelago ui` does
    #[arg(long)]
    open: bool,
}

/// The address of a server, or none.
#[derive(Clone, Copy, Debug)]
enum Address {
    Off,
    At(SocketAddr),
}

fn api(text: &str) -> Result<Address, &'static str> {
    match text {
        "off" => Ok(Address::Off),
        _ => text
            .parse()
            .map(Address::At)
            .map_err(|_| "expected IP:PORT or off"),
    }
}

impl StartArgs {
    /// The settings that the flags set.
    pub(super) fn settings(&self) -> Vec<FlagSetting> {
        let mut settings = Vec::new();
        let mut set = |flag, section, key, value: toml::Value| {
            settings.push(FlagSetting {
                flag,
                section,
                key,
                value,
            });
        };
        if let Some(port) = self.port {
            set("--port", "network", "port", i64::from(port).into());
        }
        if !self.dir.is_empty() {
            set("--dir", "storage", "share_folders", self.dir.clone().into());
        }
        if let Some(group) = &self.group {
            set("--group", "storage", "share_group", group.clone().into());
        }
        if !self.bootstrap.is_empty() {
            set(
                "--bootstrap",
                "network",
                "bootstrap",
                self.bootstrap.clone().into(),
            );
        }
        if let Some(name) = &self.name {
            set("--name", "network", "node_name", name.clone().into());
        }
        if let Some(discovery) = self.discovery {
            set("--discovery", "network", "mdns", discovery.into());
        }
        if !self.listen.is_empty() {
            let listen: Vec<_> = self.listen.iter().map(ToString::to_string).collect();
            set("--listen", "network", "listen", listen.into());
        }
        let servers = [
            ("--api", "api", self.api),
            ("--gateway", "gateway", self.gateway),
        ];
        for (flag, section, server) in servers {
            match server {
                Some(Address::Off) => set(flag, section, "enabled", false.into()),
                Some(Address::At(address)) => {
                    set(flag, section, "enabled", true.into());
                    set(flag, section, "listen", address.to_string().into());
                }
                None => {}
            }
        }
        settings
    }
}

/// What programs read once the node is ready.
#[derive(Serialize)]
struct Ready<'a> {
    event: &'a str,
    peer_id: String,
    listen: Vec<String>,
    api: Option<String>,
    gateway: Option<String>,
}

/// Runs the node until a signal ends it. When its user logs in or out, the process executes itself
/// again.
pub(super) async fn run(context: &Context, args: &StartArgs) -> anyhow::Result<Exit> {
    let mut signals = Signals::listen()?;
    let received = handover::received().context("stdin cannot be read")?;
    let folder = &context.data_folder;
    // The page of the run before is open already.
    let opens_page = args.open && received.is_none();
    let (folder, keys, ports) = match received {
        Some(Handover { transition, ports }) => {
            let folder = local::inherited(folder)?;
            let keys = Keys::handed_over(context, &folder, &transition)?;
            (folder, keys, ports)
        }
        None => {
            let folder = local::lock(folder)?;
            let keys = Keys::unattended(context, &folder)?;
            (folder, keys, Ports::default())
        }
    };
    let (sender, mut transitions) = mpsc::channel(1);
    let users = keys.users(&folder, Some(sender));
    let phase = Run {
        context,
        folder: &folder,
        users,
        ports,
        opens_page,
    };
    let next = match &keys {
        Keys::Locked(user) => phase.locked(user, &mut transitions, &mut signals).await?,
        keys => phase.node(keys, &mut transitions, &mut signals).await?,
    };
    let Some(next) = next else {
        signals.exit_on_next();
        return Ok(Exit::Done);
    };
    // Returns only if it fails.
    let error = handover::execute(&next, &folder);
    Err(error).context("the node cannot restart itself: start it again with `pelago start`")
}

/// One run of this process: what its phases share.
struct Run<'a> {
    context: &'a Context,
    folder: &'a DataFolder,
    users: Users,
    /// The ports of the run before.
    ports: Ports,
    /// Whether to open the page once the node is ready.
    opens_page: bool,
}

impl Run<'_> {
    /// The phase in which the user is logged out: the local API answers status and login, and
    /// nothing else listens. Returns the next phase; none after a signal.
    async fn locked(
        self,
        user: &SealedUser,
        transitions: &mut mpsc::Receiver<Transition>,
        signals: &mut Signals,
    ) -> anyhow::Result<Option<Handover>> {
        let name = user.name().as_str();
        let Some(api) = self.open_api().await? else {
            bail!(
                "the user {name:?} is logged out, and a login cannot reach this node: start it \
                 without `--api off`, or set user.passphrase_file"
            );
        };
        let address = api.address();
        let document = Locked {
            event: "locked",
            user: name,
            api: address.to_string(),
        };
        let command = self.context.command("login");
        let text = || format!("the user {name} is logged out: log in with `{command}`");
        // The node also runs if its stdout is closed.
        let _ = self.context.output.result(&document, text);
        let (ending, ended) = Ending::new();
        let api = api.server(locked_router(self.users));
        let api = tokio::spawn(async move {
            api.run(ended.clone().wait()).await;
            drop(ended);
        });
        supervisor::notify(Phase::Ready);
        open_page(self.context, self.opens_page);
        let next = next(transitions, signals).await;
        ending.end().await;
        api.abort();
        // Dropping it removes the file of the API.
        let _ = api.await;
        let ports = Ports {
            api: address.port(),
            ..self.ports
        };
        Ok(next_run(next, ports))
    }

    /// The phase in which the network runs. Returns the next phase; none after a signal.
    async fn node(
        self,
        keys: &Keys,
        transitions: &mut mpsc::Receiver<Transition>,
        signals: &mut Signals,
    ) -> anyhow::Result<Option<Handover>> {
        let context = self.context;
        let files = NodeFiles::new(self.folder, keys)?;
        let shared = share_folders(context, &files)?;
        let (node, listen) = start_node(context, &files, &shared, &self.ports.listen).await?;
        let api = self.open_api().await?;
        serve_metrics_of(context, &node).await?;
        let gateway = open_gateway(context, self.folder.path()).await?;
        let links = gateway.as_ref().map(|gateway| gateway.urls().clone());
        let address = api.as_ref().map(LocalApi::address);
        if context.chosen_download_folder()?.is_none() {
            context.output.note(format_args!(
                "you have no folder for downloads: those that name none go to {} \
                 (storage.download_folder sets another one)",
                shown(context.download_folder()?)
            ));
        }
        advise(context, &shared, address);
        // The node also runs if its stdout is closed.
        let _ = announce(context, &node, address, links.as_ref()).await;
        let app = context.app(&node, self.users);
        app.follow_schedule();
        on_done::run(&node, &context.config.transfer.on_done);
        let router = match links {
            Some(links) => router(app).layer(Extension(links)),
            None => router(app),
        };
        let (ending, ended) = Ending::new();
        serve(&node, api.map(|api| api.server(router)), ended, gateway);
        supervisor::notify(Phase::Ready);
        open_page(context, self.opens_page && address.is_some());
        let next = next(transitions, signals).await;
        match &next {
            // The call is answered first.
            Some(_) => ending.end().await,
            None => context
                .output
                .note("stopping; press Ctrl-C again to exit immediately"),
        }
        let bound = node.addresses().await.unwrap_or_default();
        let ports = Ports {
            api: address.map_or(0, |address| address.port()),
            listen: node_settings::ports(&listen, &bound),
        };
        let ending = async {
            // The server of the API removes its file when it ends.
            node.duties().end(GATEWAY).await;
            node.duties().end(API).await;
            attach::end(&node).await;
        };
        tokio::select! {
            () = ending => {}
            () = signals.next() => process::exit(1),
        }
        Ok(next_run(next, ports))
    }

    /// Opens the API, at the port of the run before; none if it is off.
    async fn open_api(&self) -> anyhow::Result<Option<LocalApi>> {
        let api = &self.context.config.api;
        if !api.enabled {
            return Ok(None);
        }
        let folder = self.folder.path();
        if api.listen.port() == 0 && self.ports.api != 0 {
            let again = SocketAddr::new(api.listen.ip(), self.ports.api);
            if let Ok(opened) = LocalApi::open(folder, again).await {
                return Ok(Some(opened.with_origins(api.allowed_origins.clone())));
            }
        }
        let opened = LocalApi::open(folder, api.listen).await?;
        Ok(Some(opened.with_origins(api.allowed_origins.clone())))
    }
}

/// Opens the page, if that `is_wanted`. The node runs in any case.
fn open_page(context: &Context, is_wanted: bool) {
    if !is_wanted {
        return;
    }
    let context = context.clone();
    tokio::spawn(async move {
        let opened = async {
            let client = attach::require_running(&context).await?;
            ui::open_page(&client).await
        };
        if let Err(error) = opened.await {
            let ui = context.command("ui --no-open");
            let text = format_args!("the page cannot be opened ({error:#}): `{ui}` prints its URL");
            context.output.note(text);
        }
    });
}

/// What programs read once the API of a node whose user is logged out answers.
#[derive(Serialize)]
struct Locked<'a> {
    event: &'a str,
    user: &'a str,
    api: String,
}

/// What the next run of this process begins with; none if it has none.
fn next_run(next: Option<Transition>, ports: Ports) -> Option<Handover> {
    let transition = next.filter(|next| !matches!(next, Transition::Stop))?;
    Some(Handover { transition, ports })
}

/// Waits for the end of a phase: what a call asked for, or none after a signal.
async fn next(
    transitions: &mut mpsc::Receiver<Transition>,
    signals: &mut Signals,
) -> Option<Transition> {
    let signal = async {
        signals.next().await;
        supervisor::notify(Phase::Stopping);
    };
    tokio::select! {
        () = signal => None,
        // Without a sender, only a signal ends the phase.
        Some(next) = transitions.recv() => {
            if let Transition::Stop = next {
                supervisor::notify(Phase::Stopping);
            }
            Some(next)
        }
    }
}

/// Serves the metrics, if they have an address.
async fn serve_metrics_of(context: &Context, node: &Node) -> anyhow::Result<()> {
    let Some(listen) = context.config.api.metrics else {
        return Ok(());
    };
    let (address, serving) = serve_metrics(node.clone(), listen)
        .await
        .with_context(|| format!("the metrics cannot be served at {listen}"))?;
    context
        .output
        .note(format_args!("metrics at http://{address}/metrics"));
    let server = Arc::new(serving);
    node.duties().run("metrics", move || {
        let server = Arc::clone(&server);
        async move {
            server.run().await;
            Ok(())
        }
    });
    Ok(())
}

/// Starts the servers of the API, until it has `ended`, and of the gateway.
fn serve(node: &Node, api: Option<LocalApiServer>, ended: Ended, gateway: Option<Gateway>) {
    if let Some(api) = api {
        let api = Arc::new(api);
        node.duties().run(API, move || {
            let (api, ended) = (Arc::clone(&api), ended.clone());
            async move {
                api.run(ended.wait()).await;
                Ok(())
            }
        });
    }
    if let Some(gateway) = gateway {
        let (gateway, served) = (Arc::new(gateway), node.clone());
        node.duties().run(GATEWAY, move || {
            let (gateway, node) = (Arc::clone(&gateway), served.clone());
            async move {
                gateway.serve(node).await;
                Ok(())
            }
        });
    }
}

/// The folders to share. Missing ones are created, unless files in them are shared: then their disk
/// may be missing, and a folder in its place would be in its way.
fn share_folders(context: &Context, files: &NodeFiles) -> anyhow::Result<Vec<PathBuf>> {
    let folders = context.config.storage.share_folders.iter();
    let make = |folder: &PathBuf| {
        if folder.is_file() {
            bail!(
                "the folder {} cannot be shared: it is a file; share it with `pelago share {}`, or \
                 name a folder with --dir",
                shown(folder),
                quoted(&folder.to_string_lossy())
            );
        }
        if !folder.is_dir() {
            if let Ok(absolute) = paths::absolute(folder)
                && files.shares_below(Path::new(&absolute))?
            {
                return Ok(absolute.into());
            }
            fs::create_dir_all(folder)
                .with_context(|| format!("the folder {} cannot be created", folder.display()))?;
            context
                .output
                .note(format_args!("created the folder {}", folder.display()));
        }
        // Without symbolic links, so that a folder has a single path.
        fs::canonicalize(folder)
            .with_context(|| format!("the folder {} cannot be used", folder.display()))
    };
    folders.map(make).collect()
}

/// Starts the node: on the `ports` of the run before, or on a free port if the default one is taken.
/// Returns the addresses that it was given, too.
async fn start_node(
    context: &Context,
    files: &NodeFiles,
    folders: &[PathBuf],
    ports: &[u16],
) -> anyhow::Result<(Node, Vec<Multiaddr>)> {
    let config = &context.config;
    let download_folder = Some(context.download_folder()?);
    let network_keys = network::keys(context)?;
    let settings = |port| {
        let settings = node_settings::long_running(config, port, folders.to_vec())?;
        anyhow::Ok(Settings {
            download_folder: download_folder.clone(),
            network_keys: network_keys.clone(),
            ..settings
        })
    };
    let port = config.network.port;
    let wanted = settings(port)?;
    // A port that a person chose, maybe just now, counts more than the one before.
    let chosen = node_settings::ports(&wanted.listen, &[]);
    let ports: Vec<_> = match is_free_choice(config) {
        true => ports.to_vec(),
        false => chosen
            .iter()
            .zip(ports)
            .map(|(chosen, before)| if *chosen == 0 { *before } else { *chosen })
            .collect(),
    };
    if let Some(listen) = node_settings::with_ports(&wanted.listen, &ports) {
        let again = Settings {
            listen: listen.clone(),
            ..wanted.clone()
        };
        match files.start(again).await {
            // Another program has taken one of them.
            Err(error) if error.is_address_in_use() => {}
            result => return Ok((result?, listen)),
        }
    }
    let listen = wanted.listen.clone();
    match files.start(wanted).await {
        Err(error) if error.is_address_in_use() && is_free_choice(config) => {
            let free = node_settings::free_port();
            let settings = settings(free)?;
            let listen = settings.listen.clone();
            let node = files.start(settings).await?;
            let text = format_args!("port {port} is taken: listening on port {free} instead");
            context.output.note(text);
            Ok((node, listen))
        }
        result => Ok((result?, listen)),
    }
}

/// Whether the port is the default, which no one chose.
fn is_free_choice(config: &Config) -> bool {
    config.network.listen.is_empty() && *config.set_by("network.port") == SetBy::Default
}

/// Opens the gateway; none if it is off.
async fn open_gateway(context: &Context, folder: &Path) -> anyhow::Result<Option<Gateway>> {
    let config = &context.config;
    if !config.gateway.enabled {
        return Ok(None);
    }
    let settings = GatewaySettings {
        listen: config.gateway.listen,
        timeout: Duration::from_secs(config.transfer.timeout_seconds),
        read_ahead: node_settings::READ_AHEAD,
    };
    Ok(Some(Gateway::open(folder, settings).await?))
}

async fn announce(
    context: &Context,
    node: &Node,
    api: Option<SocketAddr>,
    links: Option<&GatewayUrls>,
) -> anyhow::Result<()> {
    let mut listen: Vec<_> = node
        .addresses()
        .await?
        .iter()
        .map(Multiaddr::to_string)
        .collect();
    listen.sort();
    let text = || {
        let lines = listen
            .iter()
            .map(|address| format!("listening on {}\n", Printable(address)));
        lines.chain(["ready".to_owned()]).collect::<String>()
    };
    let ready = Ready {
        event: "ready",
        peer_id: node.peer_id().to_string(),
        listen: listen.clone(),
        api: api.map(|address| address.to_string()),
        gateway: links.map(GatewayUrls::origin),
    };
    context.output.result(&ready, text)
}

/// Says what people need next: the page, and how to share.
fn advise(context: &Context, folders: &[PathBuf], api: Option<SocketAddr>) {
    let share = context.command("share PATH");
    let output = &context.output;
    if let Some(api) = api {
        let (page, ui) = (page_address(api), context.command("ui"));
        output.note(format_args!("the page: `{ui}` opens it, at http://{page}"));
    }
    match folders.first() {
        Some(folder) => output.note(format_args!(
            "to share: put files into {}, or run `{share}`",
            shown(folder)
        )),
        None => output.note(format_args!("to share: run `{share}`")),
    }
}
