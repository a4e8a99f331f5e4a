// SPDX-License-Identifier: GPL-2.0
/*
 * The PTP clock. It shows true time plus `clock_ahead_ns` until somebody sets it or changes its rate, and takes the
 * time of a pulse at every true second on channel 0.
 */
#include <linux/err.h>
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/ptp_clock_kernel.h>
#include <linux/spinlock.h>
#include <linux/timekeeping.h>

#include "devices.h"

static unsigned long long clock_ahead_ns;
module_param(clock_ahead_ns, ullong, 0444);
MODULE_PARM_DESC(clock_ahead_ns, "what the clock is ahead of true time, nanoseconds");

/* Guards what is below. */
static DEFINE_SPINLOCK(lock);
/* What the clock is ahead of true time at `since_ns` of the raw counter, and its rate: parts per million, 2^-16. */
static s64 ahead_ns;
static s64 since_ns;
static long rate_scaled_ppm;
static bool takes_pulses;

static struct ptp_clock *ptp;

/* Time is taken in units of 1024 ns here, so that hours of it can be multiplied. */
#define UNIT_SHIFT 10
#define SCALED_MILLION (1000000LL << 16 >> UNIT_SHIFT)

static s64 ahead_at(s64 raw_ns)
{
	s64 passed = (raw_ns - since_ns) >> UNIT_SHIFT;

	return ahead_ns + div_s64(passed * rate_scaled_ppm, SCALED_MILLION);
}

s64 clock_at(s64 raw_ns)
{
	unsigned long flags;
	s64 ahead;

	spin_lock_irqsave(&lock, flags);
	ahead = ahead_at(raw_ns);
	spin_unlock_irqrestore(&lock, flags);
	return truth_at(raw_ns) + ahead;
}

static int adjust_time(struct ptp_clock_info *info, s64 delta_ns)
{
	unsigned long flags;

	spin_lock_irqsave(&lock, flags);
	ahead_ns += delta_ns;
	spin_unlock_irqrestore(&lock, flags);
	return 0;
}

static int adjust_rate(struct ptp_clock_info *info, long scaled_ppm)
{
	s64 now_ns = ktime_get_raw_ns();
	unsigned long flags;

	spin_lock_irqsave(&lock, flags);
	ahead_ns = ahead_at(now_ns);
	since_ns = now_ns;
	rate_scaled_ppm = scaled_ppm;
	spin_unlock_irqrestore(&lock, flags);
	return 0;
}

static int set_time(struct ptp_clock_info *info, const struct timespec64 *time)
{
	s64 now_ns = ktime_get_raw_ns();
	unsigned long flags;

	spin_lock_irqsave(&lock, flags);
	ahead_ns = timespec64_to_ns(time) - truth_at(now_ns);
	since_ns = now_ns;
	spin_unlock_irqrestore(&lock, flags);
	return 0;
}

static int read_time(struct ptp_clock_info *info, struct timespec64 *time,
		     struct ptp_system_timestamp *around)
{
	s64 raw_ns;

	ptp_read_system_prets(around);
	raw_ns = ktime_get_raw_ns();
	ptp_read_system_postts(around);
	*time = ns_to_timespec64(clock_at(raw_ns));
	return 0;
}

/* Both clocks at one instant, as processors and interfaces that share a counter tell. */
static int read_both(struct ptp_clock_info *info, struct system_device_crosststamp *both)
{
	struct system_time_snapshot now;

	ktime_get_snapshot(&now);
	both->device = ns_to_ktime(clock_at(ktime_to_ns(now.raw)));
	both->sys_realtime = now.real;
	both->sys_monoraw = now.raw;
	return 0;
}

static int enable(struct ptp_clock_info *info, struct ptp_clock_request *request, int on)
{
	if (request->type != PTP_CLK_REQ_EXTTS)
		return -EOPNOTSUPP;
	WRITE_ONCE(takes_pulses, on);
	return 0;
}

static int verify(struct ptp_clock_info *info, unsigned int pin, enum ptp_pin_function function,
		  unsigned int channel)
{
	return function == PTP_PF_NONE || function == PTP_PF_EXTTS ? 0 : -EOPNOTSUPP;
}

void clock_pulse(s64 raw_ns)
{
	struct ptp_clock_event event = { .type = PTP_CLOCK_EXTTS, .index = 0 };

	if (!READ_ONCE(takes_pulses))
		return;
	event.timestamp = clock_at(raw_ns);
	ptp_clock_event(ptp, &event);
}

static struct ptp_pin_desc pins[1] = { { .name = "pulses", .index = 0 } };

static struct ptp_clock_info info = {
	.owner = THIS_MODULE,
	.name = "ntp_devices",
	.max_adj = 1000000,
	.n_ext_ts = 1,
	.n_pins = 1,
	.pin_config = pins,
	.adjfine = adjust_rate,
	.adjtime = adjust_time,
	.gettimex64 = read_time,
	.getcrosststamp = read_both,
	.settime64 = set_time,
	.enable = enable,
	.verify = verify,
};

int clock_open(void)
{
	ahead_ns = clock_ahead_ns;
	since_ns = ktime_get_raw_ns();
	ptp = ptp_clock_register(&info, NULL);
	return PTR_ERR_OR_ZERO(ptp);
}

void clock_close(void)
{
	ptp_clock_unregister(ptp);
}

int clock_index(void)
{
	return ptp_clock_index(ptp);
}
