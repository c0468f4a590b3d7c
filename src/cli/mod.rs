//! The command line: what people and scripts type, and what they read.
//!
//! Owns arguments, output and exit codes. Prints, and never decides: every command calls the API of
//! the running node, or of a node that it starts itself (`attach` finds out which). Failures leave
//! as one message on stderr, or with `--json` as `{"error":{"code","message","hint"}}` on stdout.
//! The exit code is 0 for done, 1 for failed, and 2 for invalid arguments.
//!
//! | file | owns |
//! |---|---|
//! | `args` | all commands; the flags of each are in the file with its name (`move`: `reorder`) |
//! | `global`, `value_parsers`, `headings` | flags of all commands; values and headings that several share |
//! | `examples`, `pasted` | examples in the help; links that people paste |
//! | `selection` | which downloads a command changes |
//! | `downloads_table`, `watch` | downloads as a table, and as they change |
//! | `web_link` | links for browsers, which `share` and `receive` make |
//! | `uploads_view`, `frame` | uploads as a table and as they change; lines drawn in place |
//! | `context` | what all commands need: data folder, settings, output |
//! | `attach` | which node a command talks to |
//! | `local`, `node_settings` | stores and nodes opened in this process |
//! | `keys`, `passphrase` | the keys of a node in this process; passphrases of people and files |
//! | `on_done` | the command that a node runs for each download that is done |
//! | `handover`, `ending` | a node that executes itself again: what it passes on, how its API ends |
//! | `output`, `outcomes`, `progress`, `table`, `text`, `qr` | what is printed, and how |
//! | `paths`, `signals`, `logging`, `supervisor` | paths, signals, logs, systemd |
//! | `shell`, `menu` | commands typed or chosen one after another |
//! | `verbs`, `process_args`, `prompt`, `choose` | running a command for these two; asking people |

mod args;
mod attach;
mod cancel;
mod choose;
mod completions;
mod context;
mod doctor;
mod download;
mod downloads;
mod downloads_table;
mod ending;
mod examples;
mod frame;
mod global;
mod group;
mod handover;
mod hash;
mod headings;
mod health;
mod keys;
mod limit;
mod link;
mod list;
mod local;
mod logging;
mod login;
mod man;
mod menu;
mod network;
mod node_settings;
mod on_done;
mod open;
mod outcomes;
mod output;
mod passphrase;
mod pasted;
mod paths;
mod pause;
mod peers;
mod process_args;
mod progress;
mod prompt;
mod qr;
mod receive;
mod remove;
mod reorder;
mod resume;
mod selection;
mod settings;
mod share;
mod shell;
mod signals;
mod start;
mod status;
mod stop;
mod supervisor;
mod table;
mod text;
mod ui;
mod unshare;
mod uploads;
mod uploads_view;
mod user;
mod value_parsers;
mod verbs;
mod watch;
mod web_link;

use std::{io, num::NonZero, process, thread};

use tokio::runtime::{Builder, Runtime};

use crate::{api::types::ErrorInfo, config::LogFormat, memory::bound_free_memory};
use args::{Args, Command};
use context::Context;
use global::Global;
use output::{Exit, Printer};

/// What `pelago` prints without a command.
const FIRST_STEPS: &str = "\
Pelago shares files with people who have their hash, and downloads files by their hash. First steps:

  pelago start              run a node, which shares the files in ./shared
  pelago share PATH         share a file or folder, and print its link
  pelago download LINK      download what another node shares
  pelago list --network     list what reachable peers share

`pelago help` lists all commands, `pelago menu` offers a few, and `pelago doctor` finds problems.";

/// Runs the command that this process was started for, and ends the process.
pub fn main() -> ! {
    bound_free_memory();
    let args =
        Args::parsed(process_args::given()).unwrap_or_else(|error| output::exit_usage(&error));
    let output = Printer::new(args.global.json, args.global.quiet);
    let exit = match args.command {
        Some(command) if !command.takes_invitation() && process_args::have_invitation() => {
            output.failure(&output::misplaced_invitation().into());
            Exit::Usage
        }
        None => {
            greet(&output);
            Exit::Usage
        }
        Some(command) => run(&output, &args.global, command).unwrap_or_else(|error| {
            output.failure(&error);
            Exit::Failed
        }),
    };
    // Exits without waiting for tasks: a command returns after its data is written.
    process::exit(exit.code())
}

/// Shows the first steps. A missing command counts as invalid arguments, as scripts expect.
fn greet(output: &Printer) {
    if output.json {
        let error = ErrorInfo::new("usage", "a command is missing")
            .with_hint("`pelago help` lists all commands");
        output.failure(&error.into());
    } else {
        // Printed even with --quiet, as it says why nothing was done.
        Printer::new(false, false).note(FIRST_STEPS);
    }
}

fn run(output: &Printer, global: &Global, command: Command) -> anyhow::Result<Exit> {
    let context = Context::load(output.clone(), global, command.settings());
    let mut context = match context {
        Err(error) if command.tolerates_bad_settings() => {
            Context::with_defaults(output.clone(), global, &error)?
        }
        context => context?,
    };
    let is_long_running = command.is_long_running();
    context.log = logging::start(&context.config.logging, global, is_long_running);
    for ignored in &context.ignored {
        tracing::warn!("{ignored}");
    }
    context.output.logged = is_long_running && context.config.logging.format == LogFormat::Json;
    let runtime = runtime(&command)?;
    let exit = runtime
        .block_on(dispatch(&context, command))
        .or_else(|error| {
            context.output.failure(&error);
            Ok(Exit::Failed)
        });
    // Dropping the runtime would wait for tasks, which end with the process anyway.
    std::mem::forget(runtime);
    exit
}

async fn dispatch(context: &Context, command: Command) -> anyhow::Result<Exit> {
    signals::outlive_size_limit();
    match command {
        Command::Start(args) => start::run(context, &args).await,
        Command::Stop => stop::run(context).await,
        Command::Hash(args) => hash::run(context, &args),
        Command::Share(args) => share::run(context, &args).await,
        Command::Receive(args) => receive::run(context, &args).await,
        Command::Unshare(args) => unshare::run(context, &args).await,
        Command::List(args) => list::run(context, &args).await,
        Command::Download(args) => download::run(context, &args).await,
        Command::Open(args) => open::run(context, &args).await,
        Command::Link(args) => link::run(context, &args).await,
        Command::Downloads(args) => downloads::run(context, &args).await,
        Command::Uploads(args) => uploads::run(context, &args).await,
        Command::Pause(args) => pause::run(context, &args).await,
        Command::Resume(args) => resume::run(context, &args).await,
        Command::Cancel(args) => cancel::run(context, &args).await,
        Command::Remove(args) => remove::run(context, &args).await,
        Command::Move(args) => reorder::run(context, &args).await,
        Command::Settings(args) => settings::run(context, &args).await,
        Command::Limit(args) => limit::run(context, &args).await,
        Command::Group(args) => group::run(context, &args).await,
        Command::Network(command) => network::run(context, &command),
        Command::Peers => peers::run(context).await,
        Command::Status => status::run(context).await,
        Command::User(command) => user::run(context, &command).await,
        Command::Login(args) => login::run(context, &args).await,
        Command::Logout => user::log_out(context).await,
        Command::Ui(args) => ui::run(context, &args).await,
        Command::Doctor(args) => doctor::run(context, &args).await,
        Command::Shell => shell::run(context).await,
        Command::Menu => menu::run(context).await,
        Command::Completions(args) => completions::run(&context.output, &args, Args::definition()),
        Command::Man(args) => man::run(&context.output, &args, Args::definition()),
    }
}

/// A runtime with threads for commands that may run a node, and without for those that only call
/// one.
fn runtime(command: &Command) -> io::Result<Runtime> {
    let mut builder = if command.may_run_node() {
        Builder::new_multi_thread()
    } else {
        Builder::new_current_thread()
    };
    if command.is_brief() {
        // The main thread is one of them. A thread more would mostly be woken in vain.
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        builder.worker_threads((cores - 1).max(1));
    }
    builder.enable_all().build()
}
