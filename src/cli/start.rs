//! `pelago start`: a node that is there to stay.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use axum::Extension;
use libp2p::Multiaddr;
use serde::Serialize;

use super::{
    attach,
    context::Context,
    global::FlagSetting,
    local::{self, NodeFiles},
    node_settings,
    output::Exit,
    signals::Signals,
    supervisor::{self, Phase},
    value_parsers::peer_address,
};
use crate::{
    api::{Gateway, GatewaySettings, Links, Local, LocalServer, router, serve_metrics},
    config::{Config, SetBy},
    node::{Node, Settings},
    store::Printable,
};

/// The duties of this file.
const API: &str = "api";
const GATEWAY: &str = "gateway";

/// What to start with; flags left out are as the settings say.
#[derive(Debug, clap::Args)]
pub(super) struct StartArgs {
    /// TCP and UDP port to listen on; 0: any that is free [default: 8080, or a free one]
    #[arg(short, long)]
    port: Option<u16>,

    /// Folder whose files are shared, each on its own, while this runs [default: ./shared]
    #[arg(short, long, value_name = "DIR")]
    dir: Vec<String>,

    /// Node to enter the network by: host:port or a multiaddr
    #[arg(short, long, value_name = "ADDR", value_parser = peer_address)]
    bootstrap: Vec<String>,

    /// What others see this node called [default: the host's name]
    #[arg(short, long)]
    name: Option<String>,

    /// Whether to find nodes on the LAN, and be found [default: true]
    #[arg(
        long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true",
        value_parser = clap::builder::BoolishValueParser::new(),
    )]
    discovery: Option<bool>,

    /// Address to listen on, instead of every interface
    #[arg(long, value_name = "MULTIADDR")]
    listen: Vec<Multiaddr>,

    /// Where the local API listens, or `off` [default: any free port on loopback]
    #[arg(long, value_name = "ADDR|off", value_parser = api)]
    api: Option<Address>,

    /// Where browsers and players read content, or `off` [default: any free port on loopback]
    #[arg(long, value_name = "ADDR|off", value_parser = api)]
    gateway: Option<Address>,
}

/// Where something listens, if at all.
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
    /// The settings that the flags stand for.
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

/// What programs are told once the node can be used.
#[derive(Serialize)]
struct Ready<'a> {
    event: &'a str,
    peer_id: String,
    listen: Vec<String>,
    api: Option<String>,
    gateway: Option<String>,
}

pub(super) async fn run(context: &Context) -> anyhow::Result<Exit> {
    let mut signals = Signals::listen()?;
    let folder = local::lock(&context.data_folder)?;
    let shared = share_folders(context)?;
    let node = start_node(context, &NodeFiles::new(&folder)?, &shared).await?;
    let api = match &context.config.api {
        api if api.enabled => Some(Local::open(folder.path(), api.listen).await?),
        _ => None,
    };
    if let Some(listen) = context.config.api.metrics {
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
    }
    let gateway = open_gateway(context, folder.path()).await?;
    let links = gateway.as_ref().map(|gateway| gateway.links().clone());
    // Whoever started this may not read what it says: that is no reason to end.
    let address = api.as_ref().map(Local::address);
    let _ = announce(context, &node, address, links.as_ref()).await;
    advise(context, &shared);
    let router = match links {
        Some(links) => router(context.app(&node)).layer(Extension(links)),
        None => router(context.app(&node)),
    };
    serve(&node, api.map(|api| api.server(router)), gateway);
    supervisor::notify(Phase::Ready);
    signals.next().await;
    supervisor::notify(Phase::Stopping);
    context.output.note("ending; once more to end at once");
    signals.exit_on_next();
    // The file of the API goes with its server.
    node.duties().end(GATEWAY).await;
    node.duties().end(API).await;
    attach::end(&node).await;
    Ok(Exit::Done)
}

/// Begins to serve the API and the gateway.
fn serve(node: &Node, api: Option<LocalServer>, gateway: Option<Gateway>) {
    if let Some(api) = api {
        let api = Arc::new(api);
        node.duties().run(API, move || {
            let api = Arc::clone(&api);
            async move {
                api.run(std::future::pending()).await;
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

/// The folders to share, made where they are missing.
fn share_folders(context: &Context) -> anyhow::Result<Vec<PathBuf>> {
    let folders = context.config.storage.share_folders.iter();
    let make = |folder: &PathBuf| {
        if !folder.is_dir() {
            fs::create_dir_all(folder)
                .with_context(|| format!("the folder {} cannot be made", folder.display()))?;
            context
                .output
                .note(format_args!("made the folder {}", folder.display()));
        }
        // As it really is, so that one folder has one path whatever it is called.
        fs::canonicalize(folder)
            .with_context(|| format!("the folder {} cannot be used", folder.display()))
    };
    folders.map(make).collect()
}

/// Starts the node; where the default port is taken, on free ones.
async fn start_node(
    context: &Context,
    files: &NodeFiles,
    folders: &[PathBuf],
) -> anyhow::Result<Node> {
    let config = &context.config;
    let download_folder = Some(context.download_folder()?);
    let settings = |port| {
        let settings = node_settings::long_running(config, port, folders.to_vec())?;
        anyhow::Ok(Settings {
            download_folder: download_folder.clone(),
            ..settings
        })
    };
    let port = config.network.port;
    match files.start(settings(port)?).await {
        Err(error) if error.is_address_in_use() && is_free_choice(config) => {
            let free = node_settings::free_port();
            let node = files.start(settings(free)?).await?;
            let text = format_args!("port {port} is taken: listening on port {free} instead");
            context.output.note(text);
            Ok(node)
        }
        result => Ok(result?),
    }
}

/// Whether nobody chose the port.
fn is_free_choice(config: &Config) -> bool {
    config.network.listen.is_empty() && *config.set_by("network.port") == SetBy::Default
}

/// Where browsers and players read content, if they are to.
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
    links: Option<&Links>,
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
        gateway: links.map(Links::origin),
    };
    context.output.result(&ready, text)
}

/// Says what to do next, where nothing is shared yet.
fn advise(context: &Context, folders: &[PathBuf]) {
    let is_empty = |folder: &PathBuf| is_empty(folder);
    if let Some(folder) = folders.first().filter(|_| folders.iter().all(is_empty)) {
        context.output.note(format_args!(
            "nothing is shared from folders yet: put files into {}, or: pelago share PATH",
            folder.display()
        ));
    }
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}
