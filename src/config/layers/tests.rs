use std::path::PathBuf;

use super::*;
use crate::config::LogFormat;

fn file(text: &str) -> Result<Config, ConfigError> {
    let mut layers = Layers::default();
    add(&mut layers, text)?;
    Ok(layers.config())
}

fn add(layers: &mut Layers, text: &str) -> Result<(), ConfigError> {
    let path = Path::new("config.toml");
    layers.text(path, text, |line| SetBy::File {
        path: path.to_owned(),
        line,
    })
}

fn environment(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let mut layers = Layers::default();
    let variables = variables.iter();
    layers.environment(variables.map(|(name, value)| (name.into(), value.into())))?;
    Ok(layers.config())
}

fn refusal(result: Result<Config, ConfigError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn the_defaults_are_allowed_and_set_by_nothing() {
    let config = Layers::default().config();
    assert_eq!(config.network.name, "pelago");
    assert_eq!(config.network.port, 8080);
    assert_eq!(config.transfer.max_downloads, 8);
    assert_eq!(config.storage.share_folders, [PathBuf::from("./shared")]);
    assert_eq!(*config.set_by("network.port"), SetBy::Default);
}

#[test]
fn the_types_hold_all_values_that_the_table_allows() {
    for spec in SETTINGS {
        assert!(spec.values.contain(&(spec.default)()), "{}", spec.name());
        for value in spec.values.edges() {
            let mut layers = Layers::default();
            let set = layers.set(SetBy::Flag("--x"), spec.section, spec.key, value.clone());
            set.unwrap();
            let set_by = layers.config().set_by(&spec.name()).clone();
            assert_eq!(set_by, SetBy::Flag("--x"), "{} = {value}", spec.name());
        }
    }
}

#[test]
fn each_layer_overrules_those_below_and_is_remembered() {
    let mut layers = Layers::default();
    let text = "[network]\nport = 1\nname = \"reef\"\n[transfer]\nupload_slots = 2\n";
    add(&mut layers, text).unwrap();
    let variables = [("PELAGO_NETWORK_PORT", "2"), ("PELAGO_NETWORK_NAME", "bay")];
    let variables = variables.map(|(name, value)| (name.into(), value.into()));
    layers.environment(variables.into_iter()).unwrap();
    layers
        .set(SetBy::Flag("--port"), "network", "port", 3)
        .unwrap();
    let config = layers.config();

    assert_eq!((config.network.port, &*config.network.name), (3, "bay"));
    assert_eq!(config.transfer.upload_slots, 2);
    assert_eq!(*config.set_by("network.port"), SetBy::Flag("--port"));
    assert_eq!(
        config.set_by("network.name").to_string(),
        "PELAGO_NETWORK_NAME"
    );
    assert_eq!(
        config.set_by("transfer.upload_slots").to_string(),
        "config.toml:5"
    );
}

#[test]
fn a_file_is_refused_with_its_line_and_what_is_allowed() {
    let refused = refusal(file("[api]\nenabled = true\n\nlisen = \"127.0.0.1:1\"\n"));
    assert_eq!(
        refused,
        "config.toml:4: unknown setting api.lisen: use one of allowed_origins, enabled, listen, metrics"
    );
    let refused = refusal(file("\n[netwrok]\nport = 1\n"));
    assert_eq!(
        refused,
        "config.toml:2: unknown section [netwrok]: use one of api, gateway, logging, network, \
         storage, transfer, user, web"
    );
    assert!(refusal(file("port = 1\n")).starts_with("config.toml:1: unknown section [port]"));
    assert!(refusal(file("api = 1\n")).starts_with("config.toml:1: unknown section [api]"));
    assert!(refusal(file("[api]\nlisten =\n")).starts_with("config.toml:2: "));
}

#[test]
fn values_are_refused_with_what_is_allowed() {
    let cases = [
        (
            "[network]\nport = 65536",
            "network.port = 65536 is not allowed: use a whole number from 0 to 65535",
        ),
        (
            "[network]\nport = \"x\"",
            "network.port = \"x\" is not allowed: use a whole number from 0 to 65535",
        ),
        (
            "[network]\nname = \"A b\"",
            "network.name = \"A b\" is not allowed: use 1 to 32 lowercase letters, digits, `-` \
             and `.`",
        ),
        (
            "[network]\nlisten = [\"8080\"]",
            "network.listen = [\"8080\"] is not allowed: use multiaddrs such as",
        ),
        (
            "[network]\nmdns = \"on\"",
            "network.mdns = \"on\" is not allowed: use true or false",
        ),
        (
            "[transfer]\nupload_slots = 0",
            "transfer.upload_slots = 0 is not allowed: use a whole number from 1 to 1024",
        ),
        (
            "[transfer]\nupload_limit = 999",
            "transfer.upload_limit = 999 is not allowed: use a whole number of bytes a second from \
             1000 (1 kB/s) to 1000000000000 (1 TB/s), or 0 for no limit",
        ),
        (
            "[transfer]\ndownload_limit_per_peer = \"1MB\"",
            "transfer.download_limit_per_peer = \"1MB\" is not allowed: use a whole number \
             of bytes",
        ),
        (
            "[api]\nlisten = \"8080\"",
            "api.listen = \"8080\" is not allowed: use IP:PORT",
        ),
        (
            "[logging]\nlevel = \"loud\"",
            "logging.level = \"loud\" is not allowed: use error, warn, info, debug or trace",
        ),
    ];
    for (text, expected) in cases {
        let refused = refusal(file(text));
        let expected = format!("config.toml:2: {expected}");
        assert!(
            refused.starts_with(&expected),
            "{refused}\n  is not\n{expected}"
        );
    }
}

#[test]
fn variables_are_read_as_the_kind_of_value_the_setting_has() {
    let config = environment(&[
        ("PELAGO_NETWORK_NODE_NAME", "42"),
        ("PELAGO_NETWORK_MDNS", "false"),
        ("PELAGO_NETWORK_BOOTSTRAP", "a:1, /ip4/192.0.2.1/tcp/1"),
        ("PELAGO_STORAGE_SHARE_FOLDERS", ""),
        ("PELAGO_LOGGING_FORMAT", "json"),
    ]);
    let config = config.unwrap();
    assert_eq!(config.network.node_name, "42");
    assert!(!config.network.mdns);
    assert_eq!(config.network.bootstrap, ["a:1", "/ip4/192.0.2.1/tcp/1"]);
    assert!(config.storage.share_folders.is_empty());
    assert_eq!(config.logging.format, LogFormat::Json);
}

#[test]
fn variables_are_refused_by_name() {
    let refused = refusal(environment(&[("PELAGO_NETWORK_PORT", "many")]));
    assert_eq!(
        refused,
        "PELAGO_NETWORK_PORT: network.port = \"many\" is not allowed: use a whole number from 0 to \
         65535"
    );
    let refused = refusal(environment(&[("PELAGO_API_LISEN", "x")]));
    assert!(
        refused.starts_with("PELAGO_API_LISEN: unknown setting api.lisen"),
        "{refused}"
    );
    let refused = refusal(environment(&[("PELAGO_NETWROK_PORT", "1")]));
    assert!(
        refused.starts_with("PELAGO_NETWROK_PORT: unknown section [netwrok]"),
        "{refused}"
    );
}

#[test]
fn other_variables_are_not_ours_to_judge() {
    let others = [
        ("PELAGO_DATA_DIR", "x"),
        ("PELAGO_CONFIG", "x"),
        ("PELAGO", "x"),
        ("PATH", "x"),
    ];
    environment(&others).unwrap();
}

#[test]
fn a_missing_file_is_named() {
    let mut layers = Layers::default();
    let refused = layers.file(Path::new("/no/such/config.toml")).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("/no/such/config.toml cannot be read")
    );
}

#[test]
fn settings_of_earlier_versions_are_ignored_with_their_place() {
    let mut layers = Layers::default();
    let text = "[network]\nport = 1\nreplication = 4\n[transfer]\nmax_sources = \"many\"\n";
    add(&mut layers, text).unwrap();
    let variable = ("PELAGO_GATEWAY_READ_AHEAD_MIB".into(), "1".into());
    layers.environment([variable].into_iter()).unwrap();
    assert_eq!(layers.config().network.port, 1);
    let ignored: Vec<_> = layers.ignored().iter().map(ToString::to_string).collect();
    let end = "is not a setting any more, and has no effect: remove it";
    assert_eq!(
        ignored,
        [
            format!("config.toml:3: network.replication {end}"),
            format!("config.toml:5: transfer.max_sources {end}"),
            format!("PELAGO_GATEWAY_READ_AHEAD_MIB: gateway.read_ahead_mib {end}"),
        ]
    );
}
