//! The interfaces on which requests are answered in the kernel, and the addresses that they are answered for, as
//! both change while the daemon runs. Invariant: XDP answers nobody before it knows all that the user path does.

use ntp_engine::conf::{Xdp as WantedXdp, XdpMode};

use super::Tasks;
use crate::bpf::program::Built;
use crate::bpf::xdp::{Loaded, XdpError};
use crate::event_loop::DaemonDriver;
use crate::net::interfaces::{host_addresses, tables};
use crate::serving::published::Published;

impl Tasks {
    /// Answers in the kernel on these interfaces from now on.
    ///
    /// # Errors
    /// What keeps one from it that has not been there so far; nothing is changed then.
    pub(crate) fn change_interfaces(
        &mut self,
        wanted: &[WantedXdp],
        driver: &mut DaemonDriver,
    ) -> Result<(), XdpError> {
        let Some(xdp) = &mut self.xdp else {
            return if wanted.is_empty() { Ok(()) } else { self.switch_xdp_on(wanted, driver) };
        };
        xdp.change_interfaces(wanted)?;
        self.served.interfaces = xdp.interfaces();
        driver.seams_mut().ref_map.set_hold(xdp.hold());
        self.refresh_addresses(&driver.seams().ref_map);
        Ok(())
    }

    /// Loads the program of a daemon that has gone without so far. It passes all up until it is told, last, which
    /// addresses are served; and goes on passing up until the next snapshot is published.
    fn switch_xdp_on(
        &mut self,
        wanted: &[WantedXdp],
        driver: &mut DaemonDriver,
    ) -> Result<(), XdpError> {
        let rules = self.clients.rules();
        let built = Built { port: self.listening.port, client_sets: rules.sets };
        let (mut xdp, maps) = match Loaded::new(built).and_then(|loaded| loaded.attach(wanted)) {
            Ok(attached) => attached,
            Err(error @ XdpError::Load(_)) if wanted.iter().all(|it| it.mode == XdpMode::Auto) => {
                tracing::warn!(%error, "Serving without XDP");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if xdp.interfaces().is_empty() {
            return Ok(());
        }
        xdp.pin()?;
        let published = &mut driver.seams_mut().ref_map;
        published.publish_in_xdp(maps.page, xdp.hold());
        if let Some(map) = maps.clients {
            self.clients.move_to(map);
            published.set_clients(&rules);
        }
        xdp.log_paths();
        self.served.interfaces = xdp.interfaces();
        self.xdp = Some(xdp);
        match self.fill_xdp() {
            Ok(control) => published.set_access(control),
            // They did fit the user path's table, which is as large.
            Err(error) => tracing::error!(%error, "XDP answers nobody"),
        }
        self.addresses.clear();
        self.refresh_addresses(&driver.seams().ref_map);
        Ok(())
    }

    /// Tells XDP which addresses are served, if they have changed.
    pub(super) fn refresh_addresses(&mut self, published: &Published) {
        if self.xdp.is_none() {
            return;
        }
        let host = match host_addresses() {
            Ok(host) => host,
            Err(error) => {
                tracing::error!(%error, "The host's addresses are not known");
                return;
            }
        };
        let addresses = self.served.addresses(&host);
        if addresses == self.addresses {
            return;
        }
        let (tables, left_out) = tables(&addresses);
        published.set_local(&tables);
        tracing::info!(?addresses, "Addresses answered in XDP");
        if left_out > 0 {
            tracing::warn!(left_out, "Too many addresses for XDP: the daemon answers for the rest");
        }
        self.addresses = addresses;
    }
}
