//! The load generator by itself, for programs that send back what came and so are no servers to a load test.

use anyhow::Result;
use ntp_xdp::load::frame::{Clients, Route, template};
use ntp_xdp::load::frames::{Frames, Replies};
use ntp_xdp::load::mix::Kind;
use ntp_xdp::load::neighbour::station_of;
use ntp_xdp::load::request::{MAX_PAYLOAD, Requests};

use crate::field::{CLIENTS, Field, LAN, SERVER};

/// Plain requests from many clients, as frames.
pub(crate) struct Generator {
    pub(crate) frames: Frames,
    route: Route,
}

impl Generator {
    /// Makes it ready on the clients' host: it sends from `cpu`, and measures the latency of one in `latency_every`.
    pub(crate) fn open(
        field: &Field,
        replies: Replies,
        latency_every: u32,
        cpu: usize,
    ) -> Result<Self> {
        let stations =
            [field.server.enter(|| station_of(LAN))?, field.client.enter(|| station_of(LAN))?];
        let server = (SERVER, ntp_common::wire::NTP_PORT).into();
        let route = Route { stations, vlans: Vec::new(), server };
        let port = route.server.port();
        let open = || Frames::open(LAN, port, replies, latency_every, &[cpu]);
        Ok(Self { frames: field.client.enter(open)?, route })
    }

    /// From now on requests come from so many clients.
    pub(crate) fn set_clients(&mut self, count: u64) -> Result<()> {
        let mut payload = [0; MAX_PAYLOAD];
        let len = Requests::default().write(Kind::Plain, 0, 0, 0, &mut payload);
        let clients = Clients { first: CLIENTS.into(), count };
        let template = template(&self.route, clients, Kind::Plain, &payload[..len], true);
        self.frames.load(&[(template.map_err(anyhow::Error::msg)?, 1.0)])
    }
}
