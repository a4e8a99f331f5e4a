//! Runs the engine on real or virtual clocks and sockets: carries out its actions through the seams and
//! tells it what came of them. Time is read by [`Clock::now`] alone.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ntp_common::time::{MonoNs, NtpDuration, NtpTimestamp};
use ntp_common::wire::ReferenceId;
use rand::Rng;

use crate::auth::Keys;
use crate::conf::Local;
use crate::engine::{ClockOperation, Drift, Engine, ManualOperation};
use crate::history::History;
use crate::leap::tables::LeapTable;
use crate::manual::{ManualCorrection, ManualError};
use crate::operation::{Operation, OperationError};
use crate::record::Record;
use crate::seams::{
    Action, Clock, ClockError, DriftStore, Event, Now, Reading, RefMap, RequestId, Resolver,
    SourceId, Stamped, Transport,
};
use crate::settings::EngineConfig;
use crate::tempcomp::Compensation;

/// Disagreement of two clocks that is taken for a step by somebody else when nobody told of one,
/// nanoseconds: more than a reading of both clocks can be interrupted for unnoticed.
const UNTOLD_STEP_NS: i64 = 1_000_000;

/// The same when the kernel has told of a step.
const TOLD_STEP_NS: i64 = 10_000;

/// Shortest sleep that counts as one.
const LEAST_SLEEP: Duration = Duration::from_millis(100);

/// The world as the engine sees it.
#[derive(Debug)]
pub struct Seams<C, T, M, S, D> {
    /// The clock that is steered.
    pub clock: C,
    /// Sends requests.
    pub transport: T,
    /// Takes snapshots.
    pub ref_map: M,
    /// Resolves names.
    pub resolver: S,
    /// Keeps the drift file.
    pub drift_store: D,
}

/// An engine and the world that it works on.
#[derive(Debug)]
pub struct Driver<C, T, M, S, D, R> {
    engine: Engine<R>,
    seams: Seams<C, T, M, S, D>,
    /// The last reading of the clock, to notice when somebody else steps it.
    last: Now,
    /// What the clock is made to run faster by for its temperature, seconds a second. The engine does not know: what
    /// it steers is a clock that the temperature does not change.
    compensation: f64,
    /// How long the machine had slept by then.
    slept: Duration,
    refusal_logged: bool,
}

impl<C, T, M, S, D, R> Driver<C, T, M, S, D, R>
where
    C: Clock,
    T: Transport,
    M: RefMap,
    S: Resolver,
    D: DriftStore,
    R: Rng,
{
    /// Makes a driver that has done nothing yet. `rng` must not be predictable to anybody on the network:
    /// requests are told from forgeries by it.
    #[must_use]
    pub fn new(
        config: EngineConfig,
        rng: R,
        drift: Option<Drift>,
        seams: Seams<C, T, M, S, D>,
    ) -> Self {
        let now = seams.clock.now();
        let engine = Engine::new(config, rng, drift, now);
        let slept = seams.clock.slept();
        Self { engine, seams, last: now, compensation: 0.0, slept, refusal_logged: false }
    }

    /// Sets the stored frequency, publishes the first snapshot and schedules the first requests.
    pub fn start(&mut self) {
        let now = self.read_clock(UNTOLD_STEP_NS);
        let actions = self.engine.start(self.frequency(), now);
        self.carry_out(actions);
    }

    /// To be called at [`Driver::next_deadline`]; too early or too often does no harm.
    pub fn on_timer(&mut self) {
        self.tell(&Event::Timer);
    }

    /// Takes a packet that came in on the socket of `source`, from one address to the other.
    pub fn on_packet(
        &mut self,
        source: SourceId,
        (from, to): (SocketAddr, Option<IpAddr>),
        packet: &[u8],
        at: Stamped,
    ) {
        self.tell(&Event::Received { source, from, to, packet, at });
    }

    /// Takes a better timestamp of a request that has left. It counts when it comes before the reply.
    pub fn on_sent(&mut self, source: SourceId, request: RequestId, at: Stamped) {
        self.tell(&Event::Sent { request, source, at });
    }

    /// Takes what the driver of a reference clock has read.
    pub fn on_clock_read(&mut self, clock: ReferenceId, reading: Reading) {
        self.tell(&Event::ClockRead { clock, reading });
    }

    /// Takes the addresses of a name that the engine asked for; none when it could not be resolved.
    pub fn on_resolved(&mut self, name: &str, addresses: &[IpAddr]) {
        self.tell(&Event::Resolved { name, addresses });
    }

    /// To be called when the kernel tells that somebody has set the clock. Steps of the engine's own may
    /// be told of, too. Without being told, the driver notices steps of 1 ms and more at its next call.
    pub fn on_clock_stepped_by_other(&mut self) {
        self.read_clock(TOLD_STEP_NS);
    }

    /// Puts a table of leap seconds into force, in place of the one before.
    pub fn set_leap_table(&mut self, table: LeapTable) {
        self.engine.set_leap_table(table);
    }

    /// When [`Driver::on_timer`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<MonoNs> {
        self.engine.next_deadline()
    }

    /// Carries out what an operator wants done.
    ///
    /// # Errors
    /// [`OperationError`], with nothing changed.
    pub fn operate(&mut self, operation: &Operation) -> Result<(), OperationError> {
        let now = self.read_clock(UNTOLD_STEP_NS);
        let transport = &self.seams.transport;
        let is_routed = |to: SocketAddr| transport.has_route(to);
        let (outcome, actions) = self.engine.operate(operation, &is_routed, now);
        self.carry_out(actions);
        outcome
    }

    /// Puts other symmetric keys into force.
    pub fn set_keys(&mut self, keys: Keys) {
        self.engine.set_keys(keys);
    }

    /// Goes over to another configuration: see [`Engine::reconfigure`].
    pub fn reconfigure(&mut self, config: EngineConfig) {
        let now = self.read_clock(UNTOLD_STEP_NS);
        let actions = self.engine.reconfigure(config, now);
        self.carry_out(actions);
    }

    /// Serves this clock from now on when there is nothing to follow, or stops to.
    pub fn set_local(&mut self, local: Option<Local>) {
        let now = self.read_clock(UNTOLD_STEP_NS);
        let actions = self.engine.set_local(local, now);
        self.carry_out(actions);
    }

    /// Begins to smooth served time, or serves true time again. Gives whether time is smoothed at all.
    pub fn smooth(&mut self, activate: bool) -> bool {
        let now = self.read_clock(UNTOLD_STEP_NS);
        if activate { self.engine.activate_smoothing(now) } else { self.engine.stop_smoothing(now) }
    }

    /// Leaves the clock on its base frequency, saves the drift, and withdraws the snapshot; with `hold`, a
    /// last snapshot stays in force that long, at most 60 s.
    pub fn shutdown(&mut self, hold: Option<Duration>) {
        let now = self.read_clock(UNTOLD_STEP_NS);
        let actions = self.engine.shutdown(hold, now);
        self.carry_out(actions);
    }

    /// Does what an operator asks for.
    pub fn operate_clock(&mut self, operation: ClockOperation) {
        let now = self.read_clock(UNTOLD_STEP_NS);
        let actions = self.engine.operate_clock(operation, now);
        self.carry_out(actions);
    }

    /// Somebody says that true time is `time`.
    ///
    /// # Errors
    /// [`ManualError`], with nothing changed.
    pub fn set_time(&mut self, time: NtpTimestamp) -> Result<ManualCorrection, ManualError> {
        let now = self.read_clock(UNTOLD_STEP_NS);
        let (outcome, actions) = self.engine.set_time(time, now);
        self.carry_out(actions);
        outcome
    }

    /// Does what an operator wants done with times given by hand.
    ///
    /// # Errors
    /// [`ManualError::NoSuchEntry`].
    pub fn operate_manual(&mut self, operation: ManualOperation) -> Result<(), ManualError> {
        let now = self.read_clock(UNTOLD_STEP_NS);
        let (outcome, actions) = self.engine.operate_manual(operation, now);
        self.carry_out(actions);
        outcome
    }

    /// Has the clock run faster or slower for its temperature from now on, in place of what was before. A temperature
    /// that changes is made up for by that; samples are as good as they were.
    pub fn compensate(&mut self, compensation: Compensation) {
        let now = self.read_clock(UNTOLD_STEP_NS);
        self.engine.note_temperature(compensation, now.time);
        let Compensation { temperature, ppm } = compensation;
        tracing::debug!(temperature, ppm, "Temperature compensated");
        let frequency = self.frequency();
        self.compensation = ppm * 1e-6;
        let answers = self.set_frequency(frequency);
        self.carry_out(answers);
    }

    /// What was measured of the sources, to be remembered by another run.
    #[must_use]
    pub fn histories(&self) -> Vec<History> {
        self.engine.histories(self.now())
    }

    /// Takes up what was measured by an earlier run; to be called before [`Driver::start`].
    pub fn remember(&mut self, histories: Vec<History>) {
        self.engine.remember(histories, self.frequency(), self.now());
    }

    /// What was noted for log files since the last time: see [`EngineConfig::logs`].
    pub fn take_records(&mut self) -> Vec<Record> {
        self.engine.take_records()
    }

    /// The engine, for its reports.
    #[must_use]
    pub fn engine(&self) -> &Engine<R> {
        &self.engine
    }

    /// Reads the clock for a report.
    #[must_use]
    pub fn now(&self) -> Now {
        self.seams.clock.now()
    }

    /// The world, as the owner of sockets and clocks needs it.
    #[must_use]
    pub fn seams(&self) -> &Seams<C, T, M, S, D> {
        &self.seams
    }

    /// The world, as the owner of sockets and clocks needs it.
    pub fn seams_mut(&mut self) -> &mut Seams<C, T, M, S, D> {
        &mut self.seams
    }

    fn tell(&mut self, event: &Event<'_>) {
        let now = self.read_clock(UNTOLD_STEP_NS);
        let actions = self.engine.handle(event, now);
        self.carry_out(actions);
    }

    /// Reads the clock. A jump against the monotonic clock since the last reading is a step by somebody
    /// else, and the engine learns of it before anything that is timed on the clock after it.
    fn read_clock(&mut self, tolerance_ns: i64) -> Now {
        let now = self.seams.clock.now();
        let slept = self.seams.clock.slept();
        let step = now.strayed_since(&self.last);
        self.last = now;
        if step.abs() > NtpDuration::from_nanos(tolerance_ns) {
            let frequency = self.frequency();
            let actions = self.engine.handle(&Event::ClockChanged { step, frequency }, now);
            self.carry_out(actions);
        } else if slept > self.slept + LEAST_SLEEP {
            // The kernel puts its clock forward by what it slept, and that is a step; other clocks stand still.
            let actions = self.engine.handle(&Event::Slept, now);
            self.carry_out(actions);
        }
        self.slept = self.slept.max(slept);
        now
    }

    /// Carries out actions in their order; what the engine wants upon the outcome of one comes before the
    /// next. It ends: the engine answers its own changes of the clock with snapshots only.
    fn carry_out(&mut self, actions: Vec<Action>) {
        let mut pending = VecDeque::from(actions);
        while let Some(action) = pending.pop_front() {
            for answer in self.perform(action).into_iter().rev() {
                pending.push_front(answer);
            }
        }
    }

    fn perform(&mut self, action: Action) -> Vec<Action> {
        match action {
            Action::Send { source, request, from, to, packet } => {
                let seams = &mut self.seams;
                let path = (from, to);
                let sent = seams.transport.send(source, request, path, &packet, &seams.clock);
                return self.report_sent(source, request, sent);
            }
            Action::Step(step) => return self.step(step),
            Action::SetFrequency(frequency) => return self.set_frequency(frequency),
            Action::Close { source } => self.seams.transport.close(source),
            Action::Resolve { name } => self.seams.resolver.resolve(&name),
            Action::SetStatus(status) => {
                if let Err(error) = self.seams.clock.set_status(&status) {
                    self.log_refusal(&error);
                }
            }
            Action::Publish(snapshot) => self.seams.ref_map.publish(&snapshot),
            Action::Invalidate => self.seams.ref_map.invalidate(),
            Action::SaveDrift { frequency_ppm, skew_ppm } => {
                self.seams.drift_store.save(frequency_ppm, skew_ppm);
            }
        }
        Vec::new()
    }

    fn report_sent(
        &mut self,
        source: SourceId,
        request: RequestId,
        sent: std::io::Result<Stamped>,
    ) -> Vec<Action> {
        let now = self.seams.clock.now();
        match sent {
            Ok(at) => self.engine.handle(&Event::Sent { request, source, at }, now),
            Err(error) => {
                tracing::debug!(source = source.0, %error, "request could not be sent");
                self.engine.handle(&Event::SendFailed { source }, now)
            }
        }
    }

    fn step(&mut self, step: NtpDuration) -> Vec<Action> {
        let taken = self.seams.clock.step(step);
        let step = match taken {
            Ok(()) => step,
            Err(error) => {
                self.log_refusal(&error);
                NtpDuration::ZERO
            }
        };
        self.report_changed(step)
    }

    fn set_frequency(&mut self, frequency: f64) -> Vec<Action> {
        let frequency = (1.0 + frequency) * (1.0 + self.compensation) - 1.0;
        if let Err(error) = self.seams.clock.set_frequency(frequency) {
            self.log_refusal(&error);
        }
        self.report_changed(NtpDuration::ZERO)
    }

    /// The frequency correction in force, without what is the temperature's.
    fn frequency(&self) -> f64 {
        (1.0 + self.seams.clock.frequency()) / (1.0 + self.compensation) - 1.0
    }

    /// Tells what the clock does now, also when it could not be changed: the engine then knows that its
    /// correction is still outstanding, and goes on serving the time that it estimates.
    fn report_changed(&mut self, step: NtpDuration) -> Vec<Action> {
        let frequency = self.frequency();
        self.last = self.seams.clock.now();
        self.engine.handle(&Event::ClockChanged { step, frequency }, self.last)
    }

    fn log_refusal(&mut self, error: &ClockError) {
        if !self.refusal_logged {
            self.refusal_logged = true;
            tracing::warn!(
                %error,
                "System clock can't be steered; the time served is estimated all the same"
            );
        }
    }
}
