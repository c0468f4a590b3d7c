use std::fs;

use super::*;

fn text(text: &str) -> Option<NewValue> {
    Some(NewValue::Text(text.to_owned()))
}

fn named(settings: &LiveSettings, name: &str) -> Setting {
    let mut list = settings.list().into_iter();
    list.find(|setting| setting.name == name).unwrap()
}

fn change(settings: &LiveSettings, name: &str, to: Option<NewValue>) -> Result<(), ChangeError> {
    settings.change(&[(name.to_owned(), to)], |_| {})
}

#[test]
fn every_default_is_of_its_kind() {
    let list = LiveSettings::defaults().list();
    for setting in &list {
        let fits = match setting.kind {
            ValueKind::Rate | ValueKind::Number => setting.default.is_integer(),
            ValueKind::Bool => setting.default.is_bool(),
            ValueKind::Choice(choices) => choices.contains(&setting.default.as_str().unwrap()),
            ValueKind::Text => setting.default.is_str() || setting.default.is_array(),
        };
        assert!(fits, "{}", setting.name);
    }
}

#[test]
fn changes_are_saved_and_take_precedence_over_the_file_only() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    let path = folder.path().join("settings.toml");
    fs::write(&file, "[transfer]\nseed = false\nmax_downloads = 2\n").unwrap();
    let layers = |variable: Option<&str>| {
        let mut layers = Layers::default();
        layers.file(&file).unwrap();
        let variables = variable.map(|v| ("PELAGO_TRANSFER_MAX_DOWNLOADS".into(), v.into()));
        layers.environment(variables.into_iter()).unwrap();
        layers.saved(&path).unwrap();
        layers
    };
    let settings = LiveSettings::new(layers(None), Some(path.clone()), BTreeMap::new());
    let changes = [
        ("transfer.upload_limit".to_owned(), text("1.5 MB")),
        (
            "transfer.max_downloads".to_owned(),
            Some(NewValue::Number(3)),
        ),
        ("transfer.seed".to_owned(), Some(NewValue::Bool(true))),
    ];
    let mut seen = None;
    let apply = |now: &Config| seen = Some(now.transfer.max_downloads);
    settings.change(&changes, apply).unwrap();
    assert_eq!((seen, settings.revision()), (Some(3), 1));
    let limit = named(&settings, "transfer.upload_limit");
    assert_eq!(limit.value, Value::from(1_500_000));
    let saved = SetBy::Saved {
        path: Some(path.clone()),
    };
    assert_eq!(limit.set_by, saved);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    let again = layers(Some("7")).config();
    assert_eq!(
        again.transfer.max_downloads, 7,
        "the environment takes precedence"
    );
    assert!(again.transfer.seed, "it takes precedence over the file");
    change(&settings, "transfer.seed", None).unwrap();
    assert_eq!(named(&settings, "transfer.seed").value, Value::from(false));
    assert!(!layers(None).config().transfer.seed);
}

#[test]
fn what_is_not_allowed_changes_nothing() {
    let mut layers = Layers::default();
    let flag = SetBy::Flag("--name");
    layers.set(flag, "transfer", "seed", false).unwrap();
    let locks = [("logging.level", "-v sets it".to_owned())].into();
    let settings = LiveSettings::new(layers, None, locks);
    let before = settings.list();
    for (name, to, code) in [
        (
            "transfer.max_downloads",
            Some(NewValue::Number(0)),
            "bad-setting",
        ),
        (
            "transfer.max_downloads",
            Some(NewValue::Number(1025)),
            "bad-setting",
        ),
        (
            "transfer.max_downloads",
            Some(NewValue::Bool(true)),
            "bad-setting",
        ),
        (
            "transfer.upload_limit",
            Some(NewValue::Number(999)),
            "bad-setting",
        ),
        ("transfer.upload_limit", text("fast"), "bad-setting"),
        (
            "transfer.upload_limit",
            Some(NewValue::Number(-1)),
            "bad-setting",
        ),
        (
            "transfer.timeout_seconds",
            Some(NewValue::Number(86_401)),
            "bad-setting",
        ),
        ("transfer.colour", text("red"), "bad-setting"),
        (
            "transfer.seed",
            Some(NewValue::Bool(true)),
            "setting-locked",
        ),
        ("transfer.seed", None, "setting-locked"),
        ("network.port", Some(NewValue::Number(1)), "setting-locked"),
        ("logging.level", text("debug"), "setting-locked"),
    ] {
        let good = (
            "transfer.max_downloads".to_owned(),
            Some(NewValue::Number(5)),
        );
        let changes = [good, (name.to_owned(), to)];
        let refused = settings
            .change(&changes, |_| panic!("applied"))
            .unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
        assert!(refused.to_string().contains(name), "{refused}");
    }
    assert_eq!(settings.list(), before);
}
