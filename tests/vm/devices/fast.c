// SPDX-License-Identifier: GPL-2.0
/*
 * XDP in the driver of the interfaces: a program sees a packet when the receiver is told of it, may drop it or send it
 * back, and may ask when it came in (Linux 6.3), of which it is told what the interface stamped, and `stamp_off_ns` more.
 */
#include <linux/bpf.h>
#include <linux/bpf_trace.h>
#include <linux/filter.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <linux/skbuff.h>
#include <linux/version.h>
#include <net/xdp.h>

#include "devices.h"

static long stamp_off_ns;
module_param(stamp_off_ns, long, 0644);
MODULE_PARM_DESC(stamp_off_ns, "what timestamps that programs are told are off");

/* A packet as a program sees it, and as its calls see it. */
struct seen {
	struct xdp_buff packet;
	ktime_t stamp;
};

u32 fast_run(struct fast *fast, struct sk_buff *packet, ktime_t stamp)
{
	struct bpf_prog *program;
	struct seen seen;
	u32 action = XDP_PASS;

	rcu_read_lock();
	program = rcu_dereference(fast->program);
	if (program) {
		seen.stamp = stamp;
		xdp_init_buff(&seen.packet, skb_end_offset(packet) + SKB_DATA_ALIGN(sizeof(struct skb_shared_info)),
			      &fast->queue);
		xdp_prepare_buff(&seen.packet, packet->head, skb_headroom(packet), packet->len, true);
		action = bpf_prog_run_xdp(program, &seen.packet);
	}
	rcu_read_unlock();
	return action;
}

int fast_set(struct fast *fast, struct netdev_bpf *wanted)
{
	struct bpf_prog *former;

	if (wanted->command != XDP_SETUP_PROG)
		return -EINVAL;
	former = rtnl_dereference(fast->program);
	rcu_assign_pointer(fast->program, wanted->prog);
	if (former)
		bpf_prog_put(former);
	return 0;
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
static int stamp_of(const struct xdp_md *context, u64 *stamp_ns)
{
	const struct seen *seen = (const void *)context;

	if (!seen->stamp)
		return -ENODATA;
	*stamp_ns = ktime_to_ns(seen->stamp) + READ_ONCE(stamp_off_ns);
	return 0;
}

static const struct xdp_metadata_ops calls = {
	.xmo_rx_timestamp = stamp_of,
};
#endif

int fast_open(struct fast *fast, struct net_device *device)
{
	int error = xdp_rxq_info_reg(&fast->queue, device, 0, 0);

	if (error)
		return error;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	device->xdp_features = NETDEV_XDP_ACT_BASIC;
	device->xdp_metadata_ops = &calls;
#endif
	return 0;
}

void fast_close(struct fast *fast)
{
	xdp_rxq_info_unreg(&fast->queue);
}
