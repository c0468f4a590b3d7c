//! `pelago start`: runs a node until it is stopped.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use axum::Extension;
use libp2p::Multiaddr;
use serde::Serialize;

use super::{
    attach,
    context::Context,
    global::FlagSetting,
    headings::{NETWORK, SERVERS, SHARING},
    local::{self, NodeFiles},
    node_settings,
    output::Exit,
    paths,
    signals::Signals,
    supervisor::{self, Phase},
    text::quoted,
    value_parsers::peer_address,
};
use crate::{
    api::{Gateway, GatewaySettings, GatewayUrls, LocalApi, LocalApiServer, router, serve_metrics},
    config::{Config, SetBy},
    node::{Node, Settings},
    store::{Printable, shown},
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

pub(super) async fn run(context: &Context) -> anyhow::Result<Exit> {
    let mut signals = Signals::listen()?;
    let folder = local::lock(&context.data_folder)?;
    let files = NodeFiles::new(&folder)?;
    let shared = share_folders(context, &files)?;
    let node = start_node(context, &files, &shared).await?;
    let api = match &context.config.api {
        api if api.enabled => Some(LocalApi::open(folder.path(), api.listen).await?),
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
    let links = gateway.as_ref().map(|gateway| gateway.urls().clone());
    // The node also runs if its stdout is closed.
    let address = api.as_ref().map(LocalApi::address);
    let _ = announce(context, &node, address, links.as_ref()).await;
    advise(context, &files, &shared)?;
    let router = match links {
        Some(links) => router(context.app(&node)).layer(Extension(links)),
        None => router(context.app(&node)),
    };
    serve(&node, api.map(|api| api.server(router)), gateway);
    supervisor::notify(Phase::Ready);
    signals.next().await;
    supervisor::notify(Phase::Stopping);
    context
        .output
        .note("stopping; press Ctrl-C again to exit immediately");
    signals.exit_on_next();
    // The server of the API removes its file when it ends.
    node.duties().end(GATEWAY).await;
    node.duties().end(API).await;
    attach::end(&node).await;
    Ok(Exit::Done)
}

/// Starts the servers of the API and the gateway.
fn serve(node: &Node, api: Option<LocalApiServer>, gateway: Option<Gateway>) {
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

/// Starts the node; on a free port if the default one is taken.
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

/// Suggests what to do if the folders are empty.
fn advise(context: &Context, files: &NodeFiles, folders: &[PathBuf]) -> anyhow::Result<()> {
    for folder in folders {
        // An empty folder with shares is the mount point of a missing disk.
        if !is_empty(folder) || files.shares_below(folder)? {
            return Ok(());
        }
    }
    if let Some(folder) = folders.first() {
        context.output.note(format_args!(
            "no watched folder has files yet: put files into {}, or run `pelago share PATH`",
            folder.display()
        ));
    }
    Ok(())
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}
