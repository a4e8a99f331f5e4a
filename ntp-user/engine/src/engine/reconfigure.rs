//! Goes over to another configuration while running. Invariant: a source that is in both keeps its samples, and
//! nothing that is served changes but by what the new configuration says.

use rand::Rng;

use super::Engine;
use crate::conf::{Host, Source as Line, SourceOptions};
use crate::names::ConfiguredLine;
use crate::operation::OperationError;
use crate::seams::{Action, Now};
use crate::settings::EngineConfig;

impl<R: Rng> Engine<R> {
    /// Goes over to `config`. Sources that it does not name are given up, those added by operators, too; new ones
    /// are asked at once; those whose options alone are others keep their samples. Precision stays as it is.
    pub fn reconfigure(&mut self, config: EngineConfig, now: Now) -> Vec<Action> {
        let mut actions = Vec::new();
        self.end_initial(&now, &mut actions);
        let mut wanted = config.sources.clone();
        for index in (0..self.lines.len()).rev() {
            match wanted.iter().position(|line| line.is_same_source(self.lines[index].line())) {
                Some(at) => {
                    self.change_line(index, &wanted.remove(at), &config, &now, &mut actions);
                }
                None => self.drop_line(index, &mut actions),
            }
        }
        if config.manual != self.config.manual {
            self.manual.enable(config.manual);
        }
        let precision_log2 = self.config.precision_log2;
        self.change_clocks(&config.refclocks);
        self.config = EngineConfig { precision_log2, ..config };
        self.add_clocks(&now);
        for line in &mut self.lines {
            line.set_refresh(self.config.refresh_s, now.mono);
        }
        for line in wanted {
            let host = line.host.clone();
            self.lines.push(ConfiguredLine::new(line, self.config.refresh_s, now.mono));
            if let Host::Address(address) = host {
                self.add_source(self.lines.len() - 1, address, &now);
            }
        }
        self.ask_names(&now, &mut actions);
        self.change_timekeeping(&now);
        self.reselect(&now, &mut actions);
        self.set_status(&now, &mut actions);
        self.publish(&now, &mut actions);
        actions
    }

    /// Goes by what the configuration in force says of the clock and of what is served.
    fn change_timekeeping(&mut self, now: &Now) {
        self.discipline.reconfigure(&self.config);
        self.reference.set_local(self.config.local);
        self.leap.set_mode(self.config.leap_mode);
        self.change_smoothing(now);
        self.bank.set_unseen(self.config.max_clock_error);
        let samples = (self.config.min_samples, self.config.max_samples);
        for source in self.sources.values_mut() {
            source.set_unseen(self.config.max_clock_error);
            source.limit_clock(samples);
        }
    }

    /// Gives up the sources of a line, or has them asked as another line about the same ones says.
    pub(super) fn replace_line(
        &mut self,
        line: &Line,
        by: Option<&Line>,
        now: &Now,
        actions: &mut Vec<Action>,
    ) -> Result<(), OperationError> {
        let is_meant = |known: &Line| known.is_same_source(line);
        let index = self.lines.iter().rposition(|known| is_meant(known.line()));
        let index = index.ok_or(OperationError::NoSuchSource)?;
        let configured = self.config.sources.iter().rposition(is_meant);
        if let Some(line) = by {
            self.change_line(index, line, &self.config.clone(), now, actions);
        } else {
            self.drop_line(index, actions);
        }
        match (configured, by) {
            (Some(at), Some(line)) => self.config.sources[at].clone_from(line),
            (Some(at), None) => drop(self.config.sources.remove(at)),
            (None, _) => {}
        }
        self.reselect(now, actions);
        self.publish(now, actions);
        Ok(())
    }

    /// Has the sources of a line asked as `line` says, in the configuration `config`. What an operator has changed of
    /// them stays where neither says anything new.
    fn change_line(
        &mut self,
        index: usize,
        line: &Line,
        config: &EngineConfig,
        now: &Now,
        actions: &mut Vec<Action>,
    ) {
        let before = options_of(self.lines[index].line(), &self.config);
        let options = options_of(line, config);
        if before == options {
            return;
        }
        self.lines[index].set_options(line.options.clone(), now.mono);
        for id in self.lines[index].surplus() {
            self.sources.remove(&id);
            self.bank.forget(id);
            actions.push(Action::Close { source: id });
        }
        for id in self.lines[index].members() {
            if let Some(source) = self.sources.get_mut(id) {
                source.configure(options.clone(), &mut self.rng);
                self.bank.know(*id, source.known_path());
            }
        }
    }

    pub(super) fn drop_line(&mut self, index: usize, actions: &mut Vec<Action>) {
        for &source in self.lines.remove(index).members() {
            self.sources.remove(&source);
            self.bank.forget(source);
            actions.push(Action::Close { source });
        }
    }
}

/// The options of the sources of a line, where it says nothing those of the configuration.
pub(super) fn options_of(line: &Line, config: &EngineConfig) -> SourceOptions {
    SourceOptions {
        minsamples: line.options.minsamples.or(Some(config.min_samples)),
        maxsamples: line.options.maxsamples.or(Some(config.max_samples)),
        ..line.options.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf;
    use crate::seams::SourceId;
    use ntp_common::time::{MonoNs, NtpTimestamp};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    const NOW: Now = Now {
        mono: MonoNs(1 << 40),
        time: NtpTimestamp::from_bits(4_000_000_000 << 32),
        rate: 1.0,
    };

    fn config(text: &str) -> EngineConfig {
        EngineConfig::from_config(&conf::parse("test", text).expect("it is valid").config)
    }

    fn started(text: &str) -> Engine<ChaCha8Rng> {
        let mut engine = Engine::new(config(text), ChaCha8Rng::seed_from_u64(1), None, NOW);
        engine.start(0.0, NOW);
        engine
    }

    /// All that a configuration decides and no event has changed yet.
    fn decided(engine: &Engine<ChaCha8Rng>) -> String {
        let Engine { discipline, reference, leap, smoother, bank, manual, .. } = engine;
        let lines = &engine.lines;
        let sources: Vec<_> =
            engine.sources.values().map(|it| (it.options(), it.series())).collect();
        let settings = EngineConfig { initial: None, ..engine.config.clone() };
        let known = bank.error_growth(0.0);
        format!(
            "{discipline:#?}{reference:#?}{leap:#?}{smoother:#?}{manual:#?}{known:?}{lines:#?}{sources:#?}{settings:#?}"
        )
    }

    #[test]
    fn every_setting_comes_into_force_as_if_it_had_been_there_from_the_start() {
        const SERVER: &str = "server 192.0.2.1\n";
        let directives = [
            "makestep 0.1 -1",
            "maxslewrate 500",
            "maxupdateskew 100",
            "maxchange 1000 1 -1",
            "maxdrift 500",
            "maxclockerror 2.5",
            "corrtimeratio 10",
            "fallbackdrift 10 19",
            "leapsecmode slew",
            "smoothtime 400 0.001 leaponly",
            "local stratum 5 orphan distance 0.5 activate 0.25",
            "manual",
            "rtcsync",
            "driftfile /drift interval 60",
            "logchange 0.5",
            "log measurements",
            "allow",
            "minsamples 8",
            "maxsamples 32",
            "refresh 3600",
            "maxdistance 1.5",
            "maxjitter 0.125",
            "minsources 2",
            "minstratum 1",
            "maxstratum 14",
            "combinelimit 0",
            "reselectdist 0.001",
            "stratumweight 0",
            "authselectmode prefer",
            "ratelimit interval 1",
        ];
        for directive in directives {
            let with = format!("{SERVER}{directive}\n");
            for (before, after) in [(SERVER, with.as_str()), (with.as_str(), SERVER)] {
                let mut engine = started(before);
                engine.reconfigure(config(after), NOW);
                let (found, expected) = (decided(&engine), decided(&started(after)));
                let differs = found.lines().zip(expected.lines()).find(|(a, b)| a != b);
                assert_eq!(differs, None, "{before:?} to {after:?}");
                assert_eq!(found.len(), expected.len(), "{before:?} to {after:?}");
                assert_ne!(found, decided(&started(before)), "{directive} is seen");
            }
        }
    }

    #[test]
    fn every_option_of_a_source_comes_into_force_as_if_it_had_been_there_from_the_start() {
        let options = "minpoll 4,maxpoll 12,iburst,burst,presend 7,polltarget 20,prefer,noselect,trust,\
            require,minstratum 2,maxdelay 0.1,maxdelayratio 2,maxdelaydevratio 3,maxdelayquant 0.3,\
            mindelay 1e-4,asymmetry 0.5,offset 1e-3,minsamples 9,maxsamples 12,maxunreach 7,filter 3,\
            version 3,xleave,auto_offline,key 1";
        for option in options.split(',') {
            let line = |options: &str| {
                format!("server 192.0.2.1 {options}\nminsamples 5\nmaxsamples 20\n")
            };
            for (before, after) in [("", option), (option, "")] {
                let mut engine = started(&line(before));
                engine.reconfigure(config(&line(after)), NOW);
                let expected = started(&line(after));
                let (changed, new) =
                    (engine.sources.values().next(), expected.sources.values().next());
                let (changed, new) = (changed.unwrap(), new.unwrap());
                assert_eq!(changed.options(), new.options(), "{option}");
                assert_eq!(changed.known_path(), new.known_path(), "{option}");
                assert_eq!(changed.settings(), new.settings(), "{option}");
                let known = |engine: &Engine<_>| engine.bank.known_path(SourceId(0));
                assert_eq!(known(&engine), known(&expected), "{option}");
            }
        }
    }

    #[test]
    fn pool_that_is_to_have_fewer_sources_gives_some_up() {
        let mut engine = started("pool p.example maxsources 3\n");
        let addresses: Vec<_> = (1..=3).map(|it| [192, 0, 2, it].into()).collect();
        let event = crate::seams::Event::Resolved { name: "p.example", addresses: &addresses };
        engine.handle(&event, NOW);
        assert_eq!(engine.sources.len(), 3);
        let actions = engine.reconfigure(config("pool p.example maxsources 1\n"), NOW);
        assert_eq!(engine.sources.len(), 1);
        let closed = actions.iter().filter(|action| matches!(action, Action::Close { .. })).count();
        assert_eq!(closed, 2, "{actions:?}");
    }
}
