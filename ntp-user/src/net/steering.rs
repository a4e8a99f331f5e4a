//! Chooses among sockets that share a port by the CPU that receives a packet, so that the thread which answers it is
//! on the same CPU: a program of classic BPF, which needs no privilege. Linux 4.5, `SO_ATTACH_REUSEPORT_CBPF` in socket(7).

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use libc::{
    BPF_A, BPF_ABS, BPF_ALU, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_MOD, BPF_RET, BPF_W, sock_filter,
    sock_fprog,
};

/// Has the sockets that share a port with `socket` get what is received on their CPU: the first that was bound on the
/// first of `cpus`, and so on. What is received elsewhere goes to them in turn. There is at least one of `cpus`.
///
/// # Errors
/// When the kernel refuses.
pub fn by_cpu(socket: &OwnedFd, cpus: &[u16]) -> io::Result<()> {
    #[expect(clippy::cast_possible_truncation, reason = "16 octets")]
    const LEN: u32 = size_of::<sock_fprog>() as u32;
    let mut program = program(cpus);
    let len = u16::try_from(program.len()).map_err(io::Error::other)?;
    let program = sock_fprog { len, filter: program.as_mut_ptr() };
    let (fd, option) = (socket.as_raw_fd(), libc::SO_ATTACH_REUSEPORT_CBPF);
    // SAFETY: the value is as long as `LEN` says and points at as many instructions as it says; both live
    // during the call.
    let result =
        unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, option, (&raw const program).cast(), LEN) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The program: gives the number of a socket.
fn program(cpus: &[u16]) -> Vec<sock_filter> {
    let this_cpu = libc::SKF_AD_OFF + libc::SKF_AD_CPU;
    let count = u32::try_from(cpus.len()).unwrap_or(u32::MAX);
    let mut program = vec![instruction(BPF_LD | BPF_W | BPF_ABS, this_cpu.cast_unsigned())];
    for (socket, &cpu) in (0..).zip(cpus) {
        let skip_unless_equal = instruction(BPF_JMP | BPF_JEQ | BPF_K, cpu.into());
        program.push(sock_filter { jf: 1, ..skip_unless_equal });
        program.push(instruction(BPF_RET | BPF_K, socket));
    }
    program.push(instruction(BPF_ALU | BPF_MOD | BPF_K, count));
    program.push(instruction(BPF_RET | BPF_A, 0));
    program
}

fn instruction(code: u32, k: u32) -> sock_filter {
    sock_filter { code: u16::try_from(code).unwrap_or_default(), jt: 0, jf: 0, k }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::server_socket::{ServerAddresses, open};
    use crate::net::socket::Manner;
    use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
    use nix::unistd::Pid;
    use std::net::{SocketAddr, UdpSocket};
    use std::time::Duration;

    #[test]
    fn packet_goes_to_the_socket_of_the_cpu_that_received_it() {
        let may_run = sched_getaffinity(Pid::from_raw(0)).unwrap();
        let cpus: Vec<u16> =
            (0..64).filter(|&cpu| may_run.is_set(cpu.into()).unwrap_or(false)).take(2).collect();
        let (first, last) = (cpus[0], cpus[cpus.len() - 1]);
        let address = free_port();
        // The last CPU's socket comes first, and one that no CPU has.
        let wanted = ServerAddresses {
            addresses: vec![address],
            sockets_each: 3,
            cpus: vec![last, 8000, first],
            manner: Manner::ANY,
        };
        let sockets: Vec<UdpSocket> =
            open(&wanted).unwrap().into_iter().flatten().map(UdpSocket::from).collect();
        for (cpu, expected) in [(last, 0), (first, if first == last { 0 } else { 2 })] {
            let mut only = CpuSet::new();
            only.set(cpu.into()).unwrap();
            // What is sent to this host is received where it was sent.
            sched_setaffinity(Pid::from_raw(0), &only).unwrap();
            for _ in 0..8 {
                let client = UdpSocket::bind("127.0.0.1:0").unwrap();
                client.send_to(&[1], address).unwrap();
                let socket = &sockets[expected];
                socket.set_nonblocking(false).unwrap();
                socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                assert_eq!(socket.recv(&mut [0; 8]).unwrap(), 1, "CPU {cpu}");
            }
        }
        sched_setaffinity(Pid::from_raw(0), &may_run).unwrap();
    }

    #[test]
    fn every_cpu_has_a_socket() {
        let program = program(&[3, 5]);
        let run = |cpu: u32| {
            let mut at = 1;
            loop {
                let it = &program[at];
                match u32::from(it.code) {
                    code if code == BPF_JMP | BPF_JEQ | BPF_K => {
                        at += 1 + usize::from(if cpu == it.k { it.jt } else { it.jf });
                    }
                    code if code == BPF_RET | BPF_K => return it.k,
                    code if code == BPF_ALU | BPF_MOD | BPF_K => return cpu % it.k,
                    code => panic!("instruction {code:#x}"),
                }
            }
        };
        assert_eq!([3, 5, 0, 1, 8].map(run), [0, 1, 0, 1, 0]);
    }

    fn free_port() -> SocketAddr {
        UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }
}
