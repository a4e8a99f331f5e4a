//! What an operator had better change at an interface, with the command that changes it.

use super::{Ability, Nic};

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// What is wrong.
    pub reason: &'static str,
    /// What changes it.
    pub command: String,
}

pub(super) fn advise(nic: &Nic, is_native: bool) -> Vec<Advice> {
    let name = &nic.interface;
    let set = |what: &str| format!("ethtool -K {name} {what} off");
    let mut all = Vec::new();
    let mut add = |reason, command| all.push(Advice { reason, command });
    if is_native && nic.features.takes_vlan_tags {
        add(
            "The interface takes VLAN tags out of frames: requests in VLANs are answered without their tag",
            set("rxvlan"),
        );
    }
    if !is_native && nic.features.merges_packets {
        add("XDP is not in the driver while the interface merges packets", set("lro"));
    }
    if !is_native && nic.features.merges_in_hardware {
        add("XDP is not in the driver while the interface merges packets", set("rx-gro-hw"));
    }
    if let Some(queues) = nic.queues {
        let wanted = nic.cpus.min(queues.most);
        if queues.receive < wanted {
            let kind = if queues.is_combined { "combined" } else { "rx" };
            add(
                "The interface has fewer receive queues than there are CPUs: the others answer nothing",
                format!("ethtool -L {name} {kind} {wanted}"),
            );
        }
    }
    if is_native && nic.transmit == Ability::No {
        add(
            "The driver can't send replies from XDP: requests are lost",
            format!("xdp {name} mode generic"),
        );
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::nic::{Features, Queues};

    fn nic() -> Nic {
        Nic { interface: "eth0".to_owned(), cpus: 8, transmit: Ability::Yes, ..Nic::default() }
    }

    fn check(nic: &Nic, is_native: bool, commands: &[&str]) {
        let advice = nic.advice(is_native);
        let found: Vec<&str> = advice.iter().map(|it| it.command.as_str()).collect();
        assert_eq!(found, commands, "{nic:?}");
    }

    #[test]
    fn nothing_is_to_be_changed_of_what_is_unknown_or_well() {
        check(&nic(), true, &[]);
        let queues = Queues { receive: 8, transmit: 8, most: 16, is_combined: true };
        check(&Nic { queues: Some(queues), ..nic() }, true, &[]);
        // Fewer CPUs than the interface has queues for.
        check(&Nic { queues: Some(Queues { receive: 1, most: 1, ..queues }), ..nic() }, true, &[]);
        check(&Nic { transmit: Ability::Unknown, ..nic() }, true, &[]);
        check(&Nic { transmit: Ability::No, ..nic() }, false, &[]);
    }

    #[test]
    fn queues_are_given_to_all_cpus_that_the_interface_can_serve() {
        let queues = Queues { receive: 2, transmit: 2, most: 4, is_combined: true };
        check(&Nic { queues: Some(queues), ..nic() }, true, &["ethtool -L eth0 combined 4"]);
        let queues = Queues { most: 16, is_combined: false, ..queues };
        check(&Nic { queues: Some(queues), ..nic() }, false, &["ethtool -L eth0 rx 8"]);
    }

    #[test]
    fn offloads_are_switched_off_where_they_matter() {
        let all =
            Features { takes_vlan_tags: true, merges_packets: true, merges_in_hardware: true };
        let nic = Nic { features: all, ..nic() };
        check(&nic, true, &["ethtool -K eth0 rxvlan off"]);
        let off = ["ethtool -K eth0 lro off", "ethtool -K eth0 rx-gro-hw off"];
        check(&nic, false, &off);
    }

    #[test]
    fn driver_that_sends_nothing_is_not_answered_from() {
        check(&Nic { transmit: Ability::No, ..nic() }, true, &["xdp eth0 mode generic"]);
    }
}
