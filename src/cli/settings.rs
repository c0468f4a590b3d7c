//! `pelago settings`: shows settings and what set them, and changes them.

use serde_json::{Number, Value};

use super::{
    attach::{self, NodeState},
    context::Context,
    output::{Exit, Printer},
    table::{Column, Table},
    text::escape,
};
use crate::api::{
    setting_values,
    types::{ErrorInfo, OriginKind, Setting, SettingKind, SettingsChange},
};

/// The setting to show or change. A change applies immediately and is saved for later runs. It
/// takes precedence over the configuration file, but not over the environment and flags.
#[derive(Debug, clap::Args)]
pub(super) struct SettingsArgs {
    /// The setting, such as transfer.upload_limit [default: all settings]
    #[arg(value_name = "SETTING")]
    name: Option<String>,

    /// The new value: a number, true or false, a word, or a rate such as 1.5MB
    #[arg(requires = "name", allow_hyphen_values = true)]
    value: Option<String>,

    /// Reset the setting to the configuration file or the default
    #[arg(long, requires = "name", conflicts_with = "value")]
    reset: bool,
}

pub(super) async fn run(context: &Context, args: &SettingsArgs) -> anyhow::Result<Exit> {
    let change = args.change();
    let mut settings = match attach::find_or_lock(&context.data_folder).await? {
        NodeState::Running(client) => match change {
            Some(change) => client.change_settings(&change).await?,
            None => client.settings().await?,
        },
        // No other process changes settings while this one holds the folder.
        NodeState::Absent(_folder) => {
            if let Some(change) = change {
                let changes = setting_values(change)?;
                let changed = context.settings.change(&changes, |_| {});
                changed.map_err(ErrorInfo::from)?;
            }
            context
                .settings
                .list()
                .into_iter()
                .map(Into::into)
                .collect()
        }
    };
    if let Some(name) = &args.name {
        settings.retain(|setting: &Setting| setting.name == *name);
        if settings.is_empty() {
            let message = format!("unknown setting {name:?}: `pelago settings` lists all");
            return Err(ErrorInfo::new("bad-setting", message).into());
        }
    }
    let text = || {
        let table = describe(&settings, Printer::width());
        match (&args.name, &settings[..]) {
            (Some(_), [only]) => format!("{table}\n\n{}", about(only)),
            _ => table,
        }
    };
    context.output.result(&settings, text)?;
    Ok(Exit::Done)
}

impl SettingsArgs {
    fn change(&self) -> Option<SettingsChange> {
        let name = self.name.clone()?;
        let value = match &self.value {
            Some(value) => Value::String(value.clone()),
            None if self.reset => Value::Null,
            None => return None,
        };
        Some([(name, value)].into())
    }
}

/// Whether a limit is off.
fn is_off(setting: &Setting, value: &Number) -> bool {
    setting.kind == SettingKind::Rate && value.as_u64() == Some(0)
}

/// The description of a setting and, if it cannot be changed now, why.
fn about(setting: &Setting) -> String {
    let description = escape(&setting.description);
    match &setting.locked {
        Some(why) => format!("{description}\nIt cannot be changed now: {}", escape(why)),
        None => description,
    }
}

fn describe(settings: &[Setting], width: Option<usize>) -> String {
    let columns = [
        Column::text("SETTING"),
        Column::text("VALUE").min_width(16),
        Column::text("SET BY").min_width(16).drop_order(2),
        Column::text("ALLOWED").min_width(16).drop_order(1),
    ];
    let row = |setting: &Setting| {
        let value = match &setting.value {
            Value::String(text) if text.is_empty() => "empty".to_owned(),
            Value::String(text) => escape(text),
            Value::Array(items) if items.is_empty() => "empty".to_owned(),
            Value::Number(number) if is_off(setting, number) => "off".to_owned(),
            other => escape(&other.to_string()),
        };
        let origin = match (&setting.origin.source, setting.origin.kind) {
            (_, OriginKind::Kept) => "pelago settings".to_owned(),
            (Some(source), _) => escape(source),
            (None, _) => "default".to_owned(),
        };
        vec![setting.name.clone(), value, origin, setting.allowed.clone()]
    };
    Table::new(columns, settings.iter().map(row)).text(width)
}
