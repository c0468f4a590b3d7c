//! Logs: on stderr and, for the API, the last lines in memory.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, IsTerminal},
    time::{SystemTime, UNIX_EPOCH},
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    span,
};
use tracing_subscriber::{
    EnvFilter, Layer,
    field::MakeExt,
    fmt as printed,
    fmt::format::{Writer, debug_fn},
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
    reload,
    util::SubscriberInitExt,
};

use super::{global::Global, text::escape_json};
use crate::{
    api::{
        Log,
        types::{self, LogLine},
    },
    config::{LogFormat, LogLevel, LoggingSection},
    store::escaped,
};

/// Starts logging: `RUST_LOG` takes precedence over `-v` and `-q`, which take precedence over the
/// settings. Commands that do not run until they are stopped log only warnings and errors.
pub(super) fn start(settings: &LoggingSection, global: &Global, is_long_running: bool) -> Log {
    let level = if is_long_running {
        settings.level
    } else {
        settings.level.min(LogLevel::Warn)
    };
    let directives = directives().unwrap_or_else(|| directives_for(shifted(level, global)));
    let (filter, handle) = reload::Layer::new(EnvFilter::new(directives));
    let log = Log::default();
    let print = printed::layer()
        .with_ansi(has_colours())
        .with_writer(io::stderr);
    let print = match settings.format {
        LogFormat::Text => {
            let fields = debug_fn(write_field).delimited(" ");
            print.with_target(false).fmt_fields(fields).boxed()
        }
        LogFormat::Json => print.json().with_writer(|| JsonLines(io::stderr())).boxed(),
    };
    // It fails only if logging was started before; then that log is used.
    let _ = tracing_subscriber::registry()
        .with(filter)
        .with(print)
        .with(MemoryLayer(log.clone()))
        .try_init();
    log.with_level(move |level| {
        // It fails only if logging was started before.
        let _ = handle.reload(EnvFilter::new(directives_for(level)));
    })
}

/// Writes a field of a line or a span, escaped: text of peers stays on its line and cannot control
/// the terminal.
fn write_field(to: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    let value = format!("{value:?}");
    let value = escaped(&value);
    match field.name() {
        "message" => write!(to, "{value}"),
        name if to.has_ansi_escapes() => {
            write!(to, "\u{1b}[3m{name}\u{1b}[0m\u{1b}[2m=\u{1b}[0m{value}")
        }
        name => write!(to, "{name}={value}"),
    }
}

/// Writes lines of JSON, escaped.
struct JsonLines<W>(W);

impl<W: io::Write> io::Write for JsonLines<W> {
    /// Writes a whole line, as the log writes each of them in one call.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let line_text = String::from_utf8_lossy(line);
        self.0.write_all(escape_json(&line_text).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// What takes precedence over the setting of the log level, if anything does.
pub(super) fn locked(global: &Global) -> Option<String> {
    let flag = match (global.quiet, global.verbose) {
        (true, _) => Some("-q"),
        (_, 0) => None,
        _ => Some("-v"),
    };
    let variable = directives().map(|_| "RUST_LOG");
    let name = variable.or(flag)?;
    Some(format!("{name} sets it, and takes precedence"))
}

fn directives() -> Option<String> {
    let directives = std::env::var("RUST_LOG").ok();
    directives.filter(|directives| !directives.is_empty())
}

/// Whether to print colours: on a terminal, unless NO_COLOR is set (<https://no-color.org>).
fn has_colours() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn shifted(level: LogLevel, global: &Global) -> LogLevel {
    match (global.quiet, global.verbose) {
        (true, _) => LogLevel::Error,
        (_, 0) => level,
        (_, 1) => level.max(LogLevel::Debug),
        _ => LogLevel::Trace,
    }
}

/// The filter for `level`, with libraries one level less verbose than Pelago.
fn directives_for(level: LogLevel) -> String {
    let (ours, others) = match level {
        LogLevel::Error => ("error", "error"),
        LogLevel::Warn => ("warn", "error"),
        LogLevel::Info => ("info", "warn"),
        LogLevel::Debug => ("debug", "info"),
        LogLevel::Trace => ("trace", "debug"),
    };
    // Kademlia warns when it knows no peer, which is normal for the first node of a network, and
    // notify for each watched directory that was removed.
    let quiet = if level <= LogLevel::Info {
        ",libp2p_kad=error,notify=error"
    } else {
        ""
    };
    format!("{others},pelago={ours},pelago_behaviour={ours}{quiet}")
}

/// Adds each line to the log in memory, with the fields of the spans around it.
struct MemoryLayer(Log);

/// The fields of an event or a span, as text.
#[derive(Default)]
struct Fields(BTreeMap<String, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for MemoryLayer {
    fn on_new_span(
        &self,
        attributes: &span::Attributes<'_>,
        id: &span::Id,
        context: Context<'_, S>,
    ) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(of_span) = span.extensions().get::<Fields>() {
                fields.0.extend(of_span.0.clone());
            }
        }
        event.record(&mut fields);
        let message = fields.0.remove("message").unwrap_or_default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let metadata = event.metadata();
        self.0.add(LogLine {
            unix_ms: now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX)),
            level: match *metadata.level() {
                Level::ERROR => types::LogLevel::Error,
                Level::WARN => types::LogLevel::Warn,
                Level::INFO => types::LogLevel::Info,
                Level::DEBUG => types::LogLevel::Debug,
                Level::TRACE => types::LogLevel::Trace,
            },
            target: metadata.target().to_owned(),
            message,
            fields: fields.0,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    /// The printed text.
    #[derive(Clone, Default)]
    struct Printed(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Printed {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn names_in_a_line_are_escaped() {
        let printed = Printed::default();
        let writer = printed.clone();
        let print = printed::layer()
            .with_ansi(false)
            .without_time()
            .with_writer(move || writer.clone())
            .fmt_fields(debug_fn(write_field).delimited(" "));
        let subscriber = tracing_subscriber::registry().with(print);
        tracing::subscriber::with_default(subscriber, || {
            let path = std::path::Path::new("/a\n\u{1b}[2J");
            let _entered = tracing::info_span!("download", name = %"x\ny").entered();
            tracing::warn!(path = %path.display(), "left out: {}", "b\u{202e}");
        });
        let printed = String::from_utf8(printed.0.lock().clone()).unwrap();
        let expected = r"WARN download{name=x\ny}: pelago::cli::logging::tests: left out: b\u{202e} path=/a\n\u{1b}[2J";
        assert_eq!(printed.trim(), expected);
    }

    #[test]
    fn names_in_a_line_of_json_are_escaped_and_keep_their_values() {
        let printed = Printed::default();
        let writer = printed.clone();
        let print = printed::layer()
            .json()
            .with_writer(move || JsonLines(writer.clone()));
        let subscriber = tracing_subscriber::registry().with(print);
        let name = "x\n\u{9b}1m\u{202e}";
        tracing::subscriber::with_default(subscriber, || tracing::warn!(name, "left out"));
        let printed = String::from_utf8(printed.0.lock().clone()).unwrap();
        assert_eq!(escaped(printed.trim_end()), printed.trim_end());
        let line: serde_json::Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(line["fields"]["name"], name);
    }

    #[test]
    fn lines_in_memory_have_the_fields_of_the_spans_around_them() {
        let log = Log::default();
        let subscriber = tracing_subscriber::registry().with(MemoryLayer(log.clone()));
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("download", hash = "ab", name = tracing::field::Empty);
            let _entered = span.enter();
            span.record("name", "a film");
            tracing::warn!(peer = 7, "a source sent wrong data");
        });
        let lines = log.last();
        assert_eq!(lines.len(), 1);
        let fields = [("hash", "ab"), ("name", "a film"), ("peer", "7")];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(lines[0].fields, fields.into());
        assert_eq!(lines[0].message, "a source sent wrong data");
        assert_eq!(lines[0].level, types::LogLevel::Warn);
    }
}
