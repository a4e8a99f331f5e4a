// SPDX-License-Identifier: GPL-2.0
/* True time, and the module's beginning and end. */
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/timekeeping.h>

#include "devices.h"

static unsigned long long raw_ns;
module_param(raw_ns, ullong, 0444);
MODULE_PARM_DESC(raw_ns, "CLOCK_MONOTONIC_RAW at an instant, nanoseconds");

static unsigned long long truth_ns;
module_param(truth_ns, ullong, 0444);
MODULE_PARM_DESC(truth_ns, "true time at that instant, nanoseconds of Unix time");

static int rate_ppm = 200;
module_param(rate_ppm, int, 0444);
MODULE_PARM_DESC(rate_ppm, "how much faster than the raw counter true time runs");

#define MILLION 1000000LL

s64 truth_at(s64 raw)
{
	s64 passed = raw - (s64)raw_ns;

	return truth_ns + passed + div_s64(passed * rate_ppm, MILLION);
}

s64 raw_at(s64 truth)
{
	s64 passed = truth - (s64)truth_ns;

	return raw_ns + passed - div_s64(passed * rate_ppm, MILLION + rate_ppm);
}

static int __init devices_begin(void)
{
	int error;

	error = clock_open();
	if (error)
		return error;
	error = pulses_open();
	if (error)
		goto no_pulses;
	error = wire_open();
	if (error)
		goto no_wire;
	return 0;

no_wire:
	pulses_close();
no_pulses:
	clock_close();
	return error;
}

static void __exit devices_end(void)
{
	wire_close();
	pulses_close();
	clock_close();
}

module_init(devices_begin);
module_exit(devices_end);
MODULE_DESCRIPTION("PTP clock, pulses and stamping interfaces of the guests that ntp-xdp is tested in");
MODULE_AUTHOR("ntp-xdp");
MODULE_LICENSE("GPL");
