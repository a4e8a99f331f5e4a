//! Worlds drawn at random: a configuration, a clock, servers and paths, and what happens to them.

mod configuration;
mod nature;

use ntp_engine::engine::{ClockOperation, Drift};
use ntp_engine::operation::{Operation, Selector};
use ntp_engine::settings::EngineConfig;

use crate::chance::Chance;
use crate::clock::{KernelClock, Oscillator, Steering};
use crate::server::Server;
use crate::world::World;
use configuration::Written;

/// Longest time that a world is looked at, seconds.
const LONGEST_S: f64 = 12_000.0;
/// Most samples of all sources together, so that no world takes long.
const MOST_SAMPLES: f64 = 3_000.0;
/// Time for which nobody can know yet that somebody has set the clock, or that the machine has slept, seconds.
const UNKNOWABLE_S: f64 = 2.0;
/// The random numbers that worlds are drawn by.
const STREAM: u64 = 9;

/// What steering comes to, as often as it is here.
const STEERING: [Steering; 7] = [
    Steering::Kernel,
    Steering::Kernel,
    Steering::Kernel,
    Steering::Kernel,
    Steering::Calculated,
    Steering::Calculated,
    Steering::Forbidden,
];

/// A world that was drawn.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// What it was drawn by.
    pub seed: u64,
    /// The configuration, as in chrony.conf.
    pub text: String,
    /// The one that it may be changed to while the daemon runs.
    pub changed: String,
    /// The clock.
    pub oscillator: Oscillator,
    /// What steering it comes to.
    pub steering: Steering,
    /// What the drift file says at the start.
    pub drift: Option<Drift>,
    /// The servers.
    pub servers: Vec<Server>,
    /// What happens, and when, seconds since the start; in order.
    pub happenings: Vec<(f64, Happening)>,
    /// Shortest poll interval of a source, log2 seconds.
    minpoll_log2: i8,
}

/// Something that happens to a daemon.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Happening {
    /// Somebody else sets the clock forward by so many seconds.
    Stepped(f64),
    /// The machine sleeps so many seconds, of which the clock is put forward by a part.
    Slept(f64, f64),
    /// The daemon ends, and begins anew so many seconds later; with what it had measured, or not.
    Restarted(f64, bool),
    /// The configuration is changed, or changed back.
    Reconfigured,
    /// An operator has what is being slewed stepped.
    SteppedByOperator,
    /// An operator has all measurements given up.
    Reset,
    /// An operator has all sources asked in quick succession.
    Burst,
    /// All sources are not asked any more, or again.
    Offline(bool),
}

impl Drawn {
    /// Draws the world of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let chance = &mut Chance::new(seed, STREAM);
        let oscillator = nature::oscillator(LONGEST_S, chance);
        let (servers, lying) = nature::servers(LONGEST_S, chance);
        let Written { text, changed, minpoll_log2 } = configuration::write(&servers, lying, chance);
        let steering = *pick(&STEERING, chance);
        let drift = chance.happens(0.3).then(|| nature::drift(&oscillator, chance));
        let mut drawn = Self {
            seed,
            text,
            changed,
            oscillator,
            steering,
            drift,
            servers,
            happenings: Vec::new(),
            minpoll_log2,
        };
        let length_s = drawn.length_s();
        let count = *pick(&[0, 0, 0, 1, 2, 4], chance);
        let draw = |_: i32| (length_s * chance.uniform(), happening(chance));
        drawn.happenings = (0..count).map(draw).collect();
        drawn.happenings.sort_by(|a, b| a.0.total_cmp(&b.0));
        drawn
    }

    /// How long it is looked at, seconds.
    #[must_use]
    pub fn length_s(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a small count")]
        let sources = self.servers.len() as f64;
        (MOST_SAMPLES / sources * f64::from(self.minpoll_log2).exp2()).min(LONGEST_S).floor()
    }

    /// Starts the driver in it.
    ///
    /// # Errors
    /// The configuration is not valid, which would be a fault of this module.
    pub fn world(&self) -> Result<World, String> {
        let clock =
            KernelClock::new(self.oscillator.clone(), self.seed).with_steering(self.steering);
        let config = read(&self.text)?;
        Ok(World::with_clock(config, self.drift, clock, self.servers.clone(), self.seed))
    }

    /// Lets something happen; gives for how many seconds nobody can be expected to know.
    ///
    /// # Errors
    /// As [`Drawn::world`].
    pub fn let_happen(&mut self, what: Happening, world: &mut World) -> Result<f64, String> {
        match what {
            Happening::Stepped(by_s) => world.machine_mut().clock.step(by_s),
            Happening::Slept(length_s, made_up_s) => {
                world.machine_mut().clock.sleep(length_s, made_up_s);
            }
            Happening::Restarted(pause_s, remembers) => {
                world.restart(read(&self.text)?, pause_s, remembers, self.seed ^ 1);
            }
            Happening::Reconfigured => {
                std::mem::swap(&mut self.text, &mut self.changed);
                world.reconfigure(read(&self.text)?);
            }
            Happening::SteppedByOperator => world.driver_mut().operate_clock(ClockOperation::Step),
            Happening::Reset => operate(world, &Operation::ResetSources)?,
            Happening::Burst => {
                operate(world, &Operation::Burst { sources: Selector::All, good: 4, total: 8 })?;
            }
            Happening::Offline(true) => operate(world, &Operation::Offline(Selector::All))?,
            Happening::Offline(false) => operate(world, &Operation::Online(Selector::All))?,
        }
        let unknowable = matches!(what, Happening::Stepped(_) | Happening::Slept(..));
        Ok(if unknowable { UNKNOWABLE_S } else { 0.0 })
    }
}

fn operate(world: &mut World, operation: &Operation) -> Result<(), String> {
    world.operate(operation).map_err(|error| format!("{operation:?}: {error:?}"))
}

fn read(text: &str) -> Result<EngineConfig, String> {
    ntp_engine::conf::parse("random", text)
        .map(|parsed| EngineConfig::from_config(&parsed.config))
        .map_err(|errors| format!("{errors:?}: {text}"))
}

fn happening(chance: &mut Chance) -> Happening {
    let sign = if chance.happens(0.5) { 1.0 } else { -1.0 };
    let slept_s = between(10.0, 5000.0, chance);
    let made_up_s = slept_s + *pick(&[0.0, 0.4, -slept_s], chance) * chance.uniform();
    let all = [
        Happening::Stepped(sign * between(2e-3, 100.0, chance)),
        Happening::Slept(slept_s, made_up_s),
        Happening::Restarted(between(0.1, 1000.0, chance), chance.happens(0.5)),
        Happening::Reconfigured,
        Happening::SteppedByOperator,
        Happening::Reset,
        Happening::Burst,
        Happening::Offline(true),
        Happening::Offline(false),
    ];
    *pick(&all, chance)
}

/// A value between two others, as likely in each of its powers of ten.
fn between(low: f64, high: f64, chance: &mut Chance) -> f64 {
    low * (high / low).powf(chance.uniform())
}

/// One of several values.
fn pick<'a, T>(values: &'a [T], chance: &mut Chance) -> &'a T {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a small count, rounded up"
    )]
    let index = (chance.uniform() * values.len() as f64).ceil() as usize - 1;
    &values[index.min(values.len() - 1)]
}
