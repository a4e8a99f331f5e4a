//! The seams of the driver, onto the simulated machine.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use ntp_common::snapshot::RefSnapshot;
use ntp_common::time::NtpDuration;
use ntp_common::wire::HEADER_LEN;
use ntp_engine::seams::{
    Clock, ClockError, ClockStatus, DriftStore, Now, Port, RefMap, RequestId, Resolver, SourceId,
    Stamped, StampedBy, Transport,
};

use crate::machine::{Flying, Machine, Outgoing};
use crate::server::Server;
use crate::units::{duration, seconds};

/// One handle on the machine for each seam.
#[derive(Clone, Debug)]
pub struct Seam(pub(crate) Rc<RefCell<Machine>>);

impl Clock for Seam {
    fn now(&self) -> Now {
        self.0.borrow().clock.read()
    }

    fn step(&mut self, by: NtpDuration) -> Result<(), ClockError> {
        let mut machine = self.0.borrow_mut();
        if !machine.clock.is_permitted() {
            return Err(ClockError::NotPermitted);
        }
        let now_s = machine.clock.now_s();
        machine.steps_while_serving += usize::from(machine.is_serving());
        machine.clock.step(seconds(by));
        machine.steps.push((now_s, seconds(by)));
        Ok(())
    }

    fn set_frequency(&mut self, frequency: f64) -> Result<f64, ClockError> {
        let clock = &mut self.0.borrow_mut().clock;
        if clock.is_permitted() {
            Ok(clock.correct(frequency))
        } else {
            Err(ClockError::NotPermitted)
        }
    }

    fn frequency(&self) -> f64 {
        self.0.borrow().clock.correction()
    }

    fn slept(&self) -> Duration {
        Duration::from_secs_f64(self.0.borrow().clock.slept_s())
    }

    fn set_status(&mut self, status: &ClockStatus) -> Result<(), ClockError> {
        let machine = &mut *self.0.borrow_mut();
        machine.status = Some(*status);
        machine.clock.announce(status.leap);
        Ok(())
    }
}

impl Transport for Seam {
    fn send(
        &mut self,
        source: SourceId,
        _request: RequestId,
        (_, to): (Port, SocketAddr),
        packet: &[u8],
        clock: &dyn Clock,
    ) -> io::Result<Stamped> {
        let is_server = |server: &Server| server.address == to;
        let to_server = self.0.borrow().servers.iter().any(is_server);
        let late_s = if to_server { 0.0 } else { self.0.borrow().late_s };
        let at = clock.now().time + duration(late_s);
        let packet = packet.first_chunk::<HEADER_LEN>().expect("a header");
        let machine = &mut *self.0.borrow_mut();
        if machine.unplugged {
            return Err(io::ErrorKind::NetworkUnreachable.into());
        }
        machine.packets += 1;
        if let Some(server) = machine.servers.iter_mut().find(|server| is_server(server)) {
            let (reply, arrivals_s) =
                server.answer(packet, &machine.clock, &mut machine.network_chance);
            let now_s = machine.clock.now_s();
            machine.flying.extend(arrivals_s.into_iter().map(|after_s| Flying {
                arrives_s: now_s + after_s,
                source,
                from: to,
                to: None,
                packet: reply,
            }));
        } else {
            let at_s = machine.clock.now_s() + late_s;
            machine.outbox.push(Outgoing { at_s, to, octets: *packet });
        }
        Ok(Stamped { at, by: StampedBy::Kernel })
    }

    fn close(&mut self, _source: SourceId) {}

    fn has_route(&self, to: SocketAddr) -> bool {
        self.0.borrow().servers.iter().any(|server| server.address == to)
    }
}

impl RefMap for Seam {
    fn publish(&mut self, snapshot: &RefSnapshot) {
        self.0.borrow_mut().publish(snapshot);
    }

    fn invalidate(&mut self) {
        self.0.borrow_mut().snapshot = RefSnapshot::INVALID;
    }
}

impl Resolver for Seam {
    fn resolve(&mut self, name: &str) {
        self.0.borrow_mut().asked_names.push(name.to_owned());
    }
}

impl DriftStore for Seam {
    fn save(&mut self, frequency_ppm: f64, skew_ppm: f64) {
        self.0.borrow_mut().drifts.push((frequency_ppm, skew_ppm));
    }
}
