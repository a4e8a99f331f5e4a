//! The seams of the driver, onto the world.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use ntp_common::snapshot::RefSnapshot;
use ntp_common::time::NtpDuration;
use ntp_common::wire::HEADER_LEN;
use ntp_engine::seams::{
    Clock, ClockError, ClockStatus, DriftStore, Now, Port, RefMap, RequestId, Resolver, SourceId,
    Stamped, StampedBy, Transport,
};

use crate::state::{Publication, State, seconds};

/// One handle on the state for each seam.
#[derive(Clone, Debug)]
pub(crate) struct Seam(pub(crate) Rc<RefCell<State>>);

impl Clock for Seam {
    fn now(&self) -> Now {
        self.0.borrow().now()
    }

    fn step(&mut self, by: NtpDuration) -> Result<(), ClockError> {
        let mut state = self.0.borrow_mut();
        if !state.oscillator.permitted {
            return Err(ClockError::NotPermitted);
        }
        state.oscillator.ahead_s += seconds(by);
        state.steps.push(seconds(by));
        state.log.push(format!("step {by:?}"));
        Ok(())
    }

    fn set_frequency(&mut self, frequency: f64) -> Result<f64, ClockError> {
        let mut state = self.0.borrow_mut();
        if !state.oscillator.permitted {
            return Err(ClockError::NotPermitted);
        }
        // The kernel's resolution: 2^-16 ppm.
        let unit = 1e-6 / 65_536.0;
        state.frequency = (frequency / unit).round() * unit;
        state.log.push(format!("frequency {frequency:?}"));
        Ok(state.frequency)
    }

    fn frequency(&self) -> f64 {
        self.0.borrow().frequency
    }

    fn set_status(&mut self, status: &ClockStatus) -> Result<(), ClockError> {
        self.0.borrow_mut().status = Some(*status);
        Ok(())
    }
}

impl Transport for Seam {
    fn send(
        &mut self,
        source: SourceId,
        request: RequestId,
        (_, to): (Port, SocketAddr),
        packet: &[u8],
        clock: &dyn Clock,
    ) -> std::io::Result<Stamped> {
        let at = clock.now().time;
        let mut state = self.0.borrow_mut();
        let packet = packet.first_chunk::<HEADER_LEN>().expect("a header");
        state.log.push(format!("send {source:?} {to} {packet:?}"));
        state.last_request = Some((source, request, *packet));
        state.answer(source, to, packet);
        Ok(Stamped { at, by: StampedBy::Daemon })
    }

    fn close(&mut self, source: SourceId) {
        self.0.borrow_mut().log.push(format!("close {source:?}"));
    }

    fn has_route(&self, _to: SocketAddr) -> bool {
        true
    }
}

impl RefMap for Seam {
    fn publish(&mut self, snapshot: &RefSnapshot) {
        let mut state = self.0.borrow_mut();
        let mono = state.now().mono;
        state.publications.push(Publication::Snapshot { mono, snapshot: *snapshot });
        state.log.push(format!("publish {snapshot:?}"));
    }

    fn invalidate(&mut self) {
        let mut state = self.0.borrow_mut();
        state.publications.push(Publication::Withdrawn);
        state.log.push("invalidate".to_owned());
    }
}

impl Resolver for Seam {
    fn resolve(&mut self, name: &str) {
        self.0.borrow_mut().asked_names.push(name.to_owned());
    }
}

impl DriftStore for Seam {
    fn save(&mut self, frequency_ppm: f64, skew_ppm: f64) {
        self.0.borrow_mut().drift.push((frequency_ppm, skew_ppm));
    }
}
