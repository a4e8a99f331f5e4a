//! Readers of the directives about chronyc's commands.

use super::config::Config;
use super::options::Kind::Value;
use super::options::Support::Works;
use super::options::{OptionEntry, option, read_options};
use super::statement::{Owner, Read, Statement};
use super::values::RateLimit;

pub(super) fn cmdratelimit<'a>(
    c: &mut Config,
    s: &mut Statement<'a, '_>,
    owner: Owner<'a>,
) -> Read<()> {
    const OPTIONS: &[OptionEntry<RateLimit>] = &[
        option(
            "interval",
            Works,
            Value(|r, s, o| s.integer(o, -19..=12).map(|v| r.interval_log2 = v)),
        ),
        option("burst", Works, Value(|r, s, o| s.integer(o, 1..=255).map(|v| r.burst = v))),
        option("leak", Works, Value(|r, s, o| s.integer(o, 1..=4).map(|v| r.leak_log2 = v))),
    ];
    let mut limit = RateLimit { interval_log2: -4, ..RateLimit::default() };
    read_options(s, owner.subject.name, OPTIONS, &mut limit)?;
    c.cmdratelimit = Some(limit);
    Ok(())
}
