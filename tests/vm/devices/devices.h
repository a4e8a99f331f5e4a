/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Devices that emulators lack: a PTP clock, a source of pulses, and two interfaces that stamp packets.
 *
 * Invariant: all of them keep the guest's true time, which is its raw counter made faster by a rate, and nobody's
 * steering moves it; so what the daemon makes of them can be held against the truth to the nanosecond.
 */
#ifndef NTP_DEVICES_H
#define NTP_DEVICES_H

#include <linux/ktime.h>
#include <linux/types.h>
#include <net/xdp.h>

struct net_device;
struct netdev_bpf;
struct ptp_clock;
struct sk_buff;

/* True time at an instant of the raw counter, and the reverse: nanoseconds of Unix time. */
s64 truth_at(s64 raw_ns);
s64 raw_at(s64 truth_ns);

/* The PTP clock: `/dev/ptp0`, and what it shows at an instant of the raw counter. */
int clock_open(void);
void clock_close(void);
int clock_index(void);
s64 clock_at(s64 raw_ns);
/* A pulse came in at a true second. */
void clock_pulse(s64 raw_ns);

/* The pulses: `/dev/pps0`. */
int pulses_open(void);
void pulses_close(void);

/* XDP in the driver of an interface. */
struct fast {
	struct bpf_prog __rcu *program;
	struct xdp_rxq_info queue;
};

int fast_open(struct fast *fast, struct net_device *device);
void fast_close(struct fast *fast);
int fast_set(struct fast *fast, struct netdev_bpf *wanted);
/* What becomes of a packet (`XDP_PASS` without a program), which begins with its Ethernet header. */
u32 fast_run(struct fast *fast, struct sk_buff *packet, ktime_t stamp);

/* The interfaces `stamp0` and `stamp1`, with a wire between them. */
int wire_open(void);
void wire_close(void);

#endif
