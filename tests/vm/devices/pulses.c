// SPDX-License-Identifier: GPL-2.0
/*
 * The pulses: one at every true second, reported as an interrupt would be that came `latency_ns` later, and for one
 * pulse in `late_every` another `late_ns` later still.
 *
 * Invariant: how late the emulator runs the timer does not matter. The timer is set early, and the time of the pulse
 * is found between two looks at all clocks, on both sides of it.
 */
#include <linux/hrtimer.h>
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/pps_kernel.h>
#include <linux/timekeeping.h>

#include "devices.h"

static uint latency_ns;
module_param(latency_ns, uint, 0644);
MODULE_PARM_DESC(latency_ns, "how late pulses are taken at most: a different part of it each time");

static uint late_every;
module_param(late_every, uint, 0644);
MODULE_PARM_DESC(late_every, "one pulse in so many is taken late; 0: none");

static uint late_ns;
module_param(late_ns, uint, 0644);
MODULE_PARM_DESC(late_ns, "how late it is, nanoseconds");

/* How long before the pulse the timer runs: what an emulator that is not kept from its work needs. */
#define EARLY_NS (300 * NSEC_PER_USEC)
/* The longest that the timer waits for the pulse, and how far looks at the clocks are apart that tell their rates. */
#define LONGEST_NS (2 * EARLY_NS)
#define APART_NS (50 * NSEC_PER_USEC)

static struct pps_device *pps;
static struct hrtimer timer;
/* The true second of the next pulse, and when it is taken by the raw counter. */
static s64 second_ns;
static s64 taken_raw_ns;
static u32 number;

/* How late the next pulse is taken. The numbers of a generator that is none: every run is the same. */
static s64 lateness_ns(void)
{
	s64 late = latency_ns ? (number * 2654435761u >> 8) % latency_ns : 0;

	if (late_every && number % late_every == late_every - 1)
		late += late_ns;
	return late;
}

static void prepare_next(void)
{
	s64 now_ns = truth_at(ktime_get_raw_ns());

	number++;
	second_ns = (div_s64(now_ns + NSEC_PER_SEC / 4, NSEC_PER_SEC) + 1) * NSEC_PER_SEC;
	taken_raw_ns = raw_at(second_ns + lateness_ns());
}

/* The timer runs by the steered clock: one that comes too early is set again. */
static void set_timer(s64 raw_now_ns)
{
	s64 left_ns = taken_raw_ns - EARLY_NS - raw_now_ns;

	hrtimer_forward_now(&timer, max_t(s64, left_ns, 1000));
}

/* The system clock at the pulse, in the proportion of the raw counter between two looks, or on from them. */
static struct timespec64 real_between(const struct system_time_snapshot *before,
				      const struct system_time_snapshot *after)
{
	s64 raw_ns = ktime_to_ns(ktime_sub(after->raw, before->raw));
	s64 real_ns = ktime_to_ns(ktime_sub(after->real, before->real));
	s64 passed_ns = taken_raw_ns - ktime_to_ns(before->raw);

	if (raw_ns > 0)
		passed_ns = div64_s64(passed_ns * real_ns, raw_ns);
	return ns_to_timespec64(ktime_to_ns(before->real) + passed_ns);
}

static enum hrtimer_restart run(struct hrtimer *unused)
{
	struct system_time_snapshot before, after;
	struct pps_event_time event = {};
	s64 enough_raw_ns;

	ktime_get_snapshot(&before);
	if (taken_raw_ns - ktime_to_ns(before.raw) > LONGEST_NS) {
		set_timer(ktime_to_ns(before.raw));
		return HRTIMER_RESTART;
	}
	/* A timer that runs too late looks ahead to know where the clock came from. */
	enough_raw_ns = max(taken_raw_ns, ktime_to_ns(before.raw) + APART_NS);
	for (;;) {
		ktime_get_snapshot(&after);
		if (ktime_to_ns(after.raw) >= enough_raw_ns)
			break;
		if (ktime_to_ns(after.raw) < taken_raw_ns - APART_NS)
			before = after;
		cpu_relax();
	}
	event.ts_real = real_between(&before, &after);
	pps_event(pps, &event, PPS_CAPTUREASSERT, NULL);
	clock_pulse(raw_at(second_ns));
	prepare_next();
	set_timer(ktime_get_raw_ns());
	return HRTIMER_RESTART;
}

static struct pps_source_info source = {
	.name = "ntp_devices",
	.mode = PPS_CAPTUREASSERT | PPS_OFFSETASSERT | PPS_CANWAIT | PPS_TSFMT_TSPEC,
	.owner = THIS_MODULE,
};

int pulses_open(void)
{
	pps = pps_register_source(&source, PPS_CAPTUREASSERT);
	if (IS_ERR(pps))
		return PTR_ERR(pps);
	prepare_next();
	hrtimer_init(&timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	timer.function = run;
	hrtimer_start(&timer, ns_to_ktime(NSEC_PER_MSEC), HRTIMER_MODE_REL);
	return 0;
}

void pulses_close(void)
{
	hrtimer_cancel(&timer);
	pps_unregister_source(pps);
}
