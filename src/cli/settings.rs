//! `pelago settings`: shows settings and what set them, and changes them.

use serde_json::Value;

use super::{
    attach::{self, NodeState},
    context::Context,
    output::{Exit, Printer},
    table::{Column, Table},
    text::escape,
};
use crate::{
    api::{
        setting_values,
        types::{ErrorInfo, OriginKind, Setting, SettingKind, SettingsChange},
    },
    node::Rate,
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
        let origin = match (&setting.origin.source, setting.origin.kind) {
            (_, OriginKind::Kept) => "pelago settings".to_owned(),
            (Some(source), _) => escape(source),
            (None, _) => "default".to_owned(),
        };
        vec![
            setting.name.clone(),
            value(setting),
            origin,
            setting.allowed.clone(),
        ]
    };
    Table::new(columns, settings.iter().map(row)).text(width)
}

/// The value of a setting with its unit, for people.
fn value(setting: &Setting) -> String {
    match (&setting.value, setting.kind, &setting.unit) {
        (Value::String(text), ..) if text.is_empty() => "empty".to_owned(),
        (Value::String(text), ..) => escape(text),
        (Value::Array(items), ..) if items.is_empty() => "empty".to_owned(),
        (Value::Array(items), ..) => {
            let items = items.iter().map(|item| match item {
                Value::String(text) => escape(text),
                other => escape(&other.to_string()),
            });
            items.collect::<Vec<_>>().join(", ")
        }
        (Value::Number(bytes), SettingKind::Rate, _) => match bytes.as_u64().map(Rate::limit) {
            Some(Ok(limit)) => limit.map_or_else(|| "off".to_owned(), |rate| rate.to_string()),
            // A node of another version may allow other limits.
            _ => format!("{bytes} B/s"),
        },
        (Value::Number(number), _, Some(unit)) => {
            let unit = match number.as_u64() {
                Some(1) => unit.trim_end_matches('s'),
                _ => unit,
            };
            format!("{number} {}", escape(unit))
        }
        (other, ..) => escape(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LiveSettings;

    #[test]
    fn values_have_the_units_in_which_people_read_them() {
        let settings = LiveSettings::defaults().list().into_iter();
        let settings: Vec<Setting> = settings.map(Into::into).collect();
        let shown = |name: &str, new: Value| {
            let setting = settings.iter().find(|setting| setting.name == name);
            let mut setting = setting.unwrap().clone();
            setting.value = new;
            value(&setting)
        };
        assert_eq!(shown("transfer.upload_limit", 0.into()), "off");
        let limit = shown("transfer.upload_limit", 1_500_000.into());
        assert_eq!(limit, "1.5 MB/s");
        let limit = shown("transfer.upload_limit", 1_234_567.into());
        assert_eq!(limit, "1.234567 MB/s", "nothing is rounded");
        assert_eq!(shown("transfer.timeout_seconds", 30.into()), "30 seconds");
        assert_eq!(shown("transfer.timeout_seconds", 1.into()), "1 second");
        assert_eq!(shown("gateway.cache_mib", 4096.into()), "4096 MiB");
        assert_eq!(shown("transfer.max_downloads", 8.into()), "8");
        let folders = serde_json::json!(["/a", "/b\u{7}"]);
        assert_eq!(shown("storage.share_folders", folders), "/a, /b\\u{7}");
        assert_eq!(shown("network.node_name", "".into()), "empty");
    }
}
