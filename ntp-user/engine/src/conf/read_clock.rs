//! Readers of the directives about the clock that take more than one plain value.

use super::config::Config;
use super::statement::{ANY, Owner, Read, Statement, Unit};
use super::values::{TempComp, TempCompCurve};

/// Shortest interval of readings of a temperature, seconds.
const SHORTEST_S: f64 = 1.0;

pub(super) fn tempcomp<'a>(
    c: &mut Config,
    s: &mut Statement<'a, '_>,
    owner: Owner<'a>,
) -> Read<()> {
    let file = s.word(owner.part("sensor"), "a file with the temperature")?.text.into();
    let interval_s = s.number(owner.part("interval"), Unit::Seconds, SHORTEST_S..=f64::INFINITY)?;
    let is_number = s.peek().is_some_and(|word| word.text.parse::<f64>().is_ok());
    let curve = if is_number {
        let [t0, k0, k1, k2] =
            ["T0", "K0", "K1", "K2"].map(|part| s.number(owner.part(part), Unit::None, ANY));
        TempCompCurve::Polynomial { t0: t0?, k0: k0?, k1: k1?, k2: k2? }
    } else {
        let expected = "a file of points, or four numbers T0 K0 K1 K2";
        TempCompCurve::Points(s.word(owner.part("curve"), expected)?.text.into())
    };
    c.tempcomp = Some(TempComp { file, interval_s, curve });
    Ok(())
}
