//! A `server`, `pool` or `peer` line as it is in force: the options that were given another value than they have
//! anyway.

use std::fmt::{Display, Write as _};

use super::effective::Number;
use super::source::{ExtensionField, Family, Source, SourceKind, SourceOptions};

/// The line.
pub(super) fn source(source: &Source) -> String {
    let name = match source.kind {
        SourceKind::Server => "server",
        SourceKind::Pool => "pool",
        SourceKind::Peer => "peer",
    };
    let mut line = Line(format!("{name} {}", source.host));
    let (options, default) = (&source.options, &SourceOptions::default());
    line.polling(options, default);
    line.selection(options, default);
    line.measurements(options, default);
    line.protocol(options, default);
    line.0
}

/// A line as far as it goes.
struct Line(String);

impl Line {
    fn flags(&mut self, flags: &[(&str, bool)]) {
        for (name, _) in flags.iter().filter(|(_, is_set)| *is_set) {
            let _infallible = write!(self.0, " {name}");
        }
    }

    fn value<T: Copy + PartialEq + Display>(&mut self, name: &str, value: T, default: T) {
        self.optional(name, (value != default).then_some(value));
    }

    fn number(&mut self, name: &str, value: f64, default: f64) {
        self.optional(name, (value.to_bits() != default.to_bits()).then_some(Number(value)));
    }

    fn optional(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            let _infallible = write!(self.0, " {name} {value}");
        }
    }

    fn polling(&mut self, options: &SourceOptions, default: &SourceOptions) {
        self.value("minpoll", options.minpoll_log2, default.minpoll_log2);
        let usual = default.maxpoll_log2.max(options.minpoll_log2);
        self.value("maxpoll", options.maxpoll_log2, usual);
        self.flags(&[
            ("iburst", options.iburst),
            ("burst", options.burst),
            ("offline", options.offline),
            ("auto_offline", options.auto_offline),
        ]);
        self.value("polltarget", options.polltarget, default.polltarget);
        self.optional("presend", options.presend_log2);
    }

    fn selection(&mut self, options: &SourceOptions, default: &SourceOptions) {
        self.flags(&[
            ("prefer", options.prefer),
            ("noselect", options.noselect),
            ("trust", options.trust),
            ("require", options.require),
        ]);
        self.value("minstratum", options.minstratum, default.minstratum);
        self.value("maxsources", options.maxsources, default.maxsources);
    }

    fn measurements(&mut self, options: &SourceOptions, default: &SourceOptions) {
        self.number("maxdelay", options.maxdelay_s, default.maxdelay_s);
        self.number("maxdelayratio", options.maxdelayratio, default.maxdelayratio);
        self.number("maxdelaydevratio", options.maxdelaydevratio, default.maxdelaydevratio);
        self.number("maxdelayquant", options.maxdelayquant, default.maxdelayquant);
        self.number("mindelay", options.mindelay_s, default.mindelay_s);
        self.optional("asymmetry", options.asymmetry.map(Number));
        self.number("offset", options.offset_s, default.offset_s);
        self.optional("minsamples", options.minsamples);
        self.optional("maxsamples", options.maxsamples);
        self.value("maxunreach", options.maxunreach, default.maxunreach);
        self.value("filter", options.filter, default.filter);
    }

    fn protocol(&mut self, options: &SourceOptions, default: &SourceOptions) {
        self.value("port", options.port, default.port);
        self.optional("version", options.version);
        let family = |family| options.family == Some(family);
        self.flags(&[
            ("xleave", options.xleave),
            ("copy", options.copy),
            ("ipv4", family(Family::V4)),
            ("ipv6", family(Family::V6)),
            ("nts", options.nts),
        ]);
        for field in &options.extfields {
            let number = match field {
                ExtensionField::ExperimentalMonoRoot => "F323",
                ExtensionField::NetworkCorrection => "010A",
            };
            self.optional("extfield", Some(number));
        }
        self.optional("key", options.key);
        self.value("ntsport", options.ntsport, default.ntsport);
        self.value("certset", options.certset, default.certset);
    }
}
