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

struct ptp_clock;

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

/* The interfaces `stamp0` and `stamp1`, with a wire between them. */
int wire_open(void);
void wire_close(void);

#endif
