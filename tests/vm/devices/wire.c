// SPDX-License-Identifier: GPL-2.0
/*
 * Two interfaces with a wire between them. Packets take no time on it, and are stamped at both ends with what the PTP
 * clock shows as they pass. But a packet waits `queue_ns` until it leaves, and then `interrupt_ns` and another part of
 * `noise_ns` until the receiver is told. So who has the interfaces' timestamps knows the truth, and who has the
 * kernel's does not.
 */
#include <linux/bpf.h>
#include <linux/etherdevice.h>
#include <linux/ethtool.h>
#include <linux/hrtimer.h>
#include <linux/module.h>
#include <linux/net_tstamp.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <linux/skbuff.h>
#include <linux/timekeeping.h>
#include <linux/version.h>
#include <net/busy_poll.h>

#include "devices.h"

static uint queue_ns[2];
module_param_array(queue_ns, uint, NULL, 0644);
MODULE_PARM_DESC(queue_ns, "how long a packet waits until it leaves, at either end");

static uint interrupt_ns[2];
module_param_array(interrupt_ns, uint, NULL, 0644);
MODULE_PARM_DESC(interrupt_ns, "how long a packet that came in waits for the interrupt, at either end");

static uint noise_ns;
module_param(noise_ns, uint, 0644);
MODULE_PARM_DESC(noise_ns, "how much longer at most: a different part of it each time");

/* Packets that may wait to leave, or for an interrupt. */
#define LONGEST_QUEUE 1000

struct end {
	struct net_device *device;
	int index;
	struct hwtstamp_config stamping;
	/* Packets that wait to leave, at a run of the timer. */
	struct sk_buff_head leaving;
	struct hrtimer departure;
	/* Packets that came in and wait for the interrupt, which is this timer's. */
	struct sk_buff_head waiting;
	struct hrtimer interrupt;
	/* Never scheduled: the kernel tells by it which interface stamped a packet. */
	struct napi_struct napi;
	u32 number;
	struct fast fast;
};

static struct net_device *ends[2];

static netdev_tx_t transmit(struct sk_buff *packet, struct net_device *device);

static struct end *other_end(const struct end *end)
{
	return netdev_priv(ends[!end->index]);
}

/* Puts a packet at the end of a queue that the timer empties: one that is not empty has a timer to come. */
static void queue(struct sk_buff_head *queue, struct sk_buff *packet, struct hrtimer *timer,
		  u64 wait_ns)
{
	unsigned long flags;
	bool is_first;

	spin_lock_irqsave(&queue->lock, flags);
	is_first = skb_queue_empty(queue);
	__skb_queue_tail(queue, packet);
	spin_unlock_irqrestore(&queue->lock, flags);
	if (is_first)
		hrtimer_start(timer, ns_to_ktime(wait_ns), HRTIMER_MODE_REL_SOFT);
}

static enum hrtimer_restart receive(struct hrtimer *interrupt)
{
	struct end *end = container_of(interrupt, struct end, interrupt);
	struct sk_buff *packet;

	while ((packet = skb_dequeue(&end->waiting))) {
		switch (fast_run(&end->fast, packet, skb_hwtstamps(packet)->hwtstamp)) {
		case XDP_PASS:
			packet->protocol = eth_type_trans(packet, end->device);
			skb_mark_napi_id(packet, &end->napi);
			netif_rx(packet);
			break;
		case XDP_TX:
			transmit(packet, end->device);
			break;
		default:
			kfree_skb(packet);
		}
	}
	return HRTIMER_NORESTART;
}

static int nothing(struct napi_struct *napi, int budget)
{
	return 0;
}

static void arrive(struct end *end, const struct sk_buff *left, ktime_t stamp)
{
	u64 wait_ns = interrupt_ns[end->index];
	struct sk_buff *packet;

	if (!netif_running(end->device) || skb_queue_len(&end->waiting) >= LONGEST_QUEUE)
		return;
	packet = skb_copy(left, GFP_ATOMIC);
	if (!packet)
		return;
	skb_scrub_packet(packet, true);
	if (end->stamping.rx_filter != HWTSTAMP_FILTER_NONE)
		skb_hwtstamps(packet)->hwtstamp = stamp;
	dev_sw_netstats_rx_add(end->device, packet->len);
	if (noise_ns)
		wait_ns += (end->number++ * 2654435761u >> 8) % noise_ns;
	queue(&end->waiting, packet, &end->interrupt, wait_ns);
}

/* One packet after the other passes the wire. */
static enum hrtimer_restart leave(struct hrtimer *departure)
{
	struct end *end = container_of(departure, struct end, departure);
	struct skb_shared_hwtstamps stamp = {};
	struct sk_buff *packet;

	while ((packet = skb_dequeue(&end->leaving))) {
		stamp.hwtstamp = ns_to_ktime(clock_at(ktime_get_raw_ns()));
		if (skb_shinfo(packet)->tx_flags & SKBTX_IN_PROGRESS)
			skb_tstamp_tx(packet, &stamp);
		arrive(other_end(end), packet, stamp.hwtstamp);
		dev_consume_skb_any(packet);
	}
	return HRTIMER_NORESTART;
}

static netdev_tx_t transmit(struct sk_buff *packet, struct net_device *device)
{
	struct end *end = netdev_priv(device);

	if (skb_queue_len(&end->leaving) >= LONGEST_QUEUE) {
		dev_kfree_skb_any(packet);
		return NETDEV_TX_OK;
	}
	if (skb_shinfo(packet)->tx_flags & SKBTX_HW_TSTAMP &&
	    end->stamping.tx_type == HWTSTAMP_TX_ON)
		skb_shinfo(packet)->tx_flags |= SKBTX_IN_PROGRESS;
	skb_tx_timestamp(packet);
	dev_sw_netstats_tx_add(device, 1, packet->len);
	queue(&end->leaving, packet, &end->departure, queue_ns[end->index]);
	return NETDEV_TX_OK;
}

static int set_program(struct net_device *device, struct netdev_bpf *wanted)
{
	struct end *end = netdev_priv(device);

	return fast_set(&end->fast, wanted);
}

static int control(struct net_device *device, struct ifreq *request, int command)
{
	struct end *end = netdev_priv(device);
	struct hwtstamp_config wanted;

	if (command == SIOCSHWTSTAMP) {
		if (copy_from_user(&wanted, request->ifr_data, sizeof(wanted)))
			return -EFAULT;
		if (wanted.tx_type != HWTSTAMP_TX_OFF && wanted.tx_type != HWTSTAMP_TX_ON)
			return -ERANGE;
		if (wanted.rx_filter != HWTSTAMP_FILTER_NONE)
			wanted.rx_filter = HWTSTAMP_FILTER_ALL;
		end->stamping = wanted;
	} else if (command != SIOCGHWTSTAMP) {
		return -EOPNOTSUPP;
	}
	if (copy_to_user(request->ifr_data, &end->stamping, sizeof(end->stamping)))
		return -EFAULT;
	return 0;
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
#define ts_info kernel_ethtool_ts_info
#else
#define ts_info ethtool_ts_info
#endif

static int can_stamp(struct net_device *device, struct ts_info *can)
{
	can->so_timestamping = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_RX_SOFTWARE |
			       SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_TX_HARDWARE |
			       SOF_TIMESTAMPING_RX_HARDWARE | SOF_TIMESTAMPING_RAW_HARDWARE;
	can->phc_index = clock_index();
	can->tx_types = BIT(HWTSTAMP_TX_OFF) | BIT(HWTSTAMP_TX_ON);
	can->rx_filters = BIT(HWTSTAMP_FILTER_NONE) | BIT(HWTSTAMP_FILTER_ALL);
	return 0;
}

static int begin(struct net_device *device)
{
	netif_carrier_on(device);
	netif_start_queue(device);
	return 0;
}

static int end_all(struct net_device *device)
{
	struct end *end = netdev_priv(device);

	netif_stop_queue(device);
	hrtimer_cancel(&end->departure);
	hrtimer_cancel(&end->interrupt);
	skb_queue_purge(&end->leaving);
	skb_queue_purge(&end->waiting);
	return 0;
}

static const struct net_device_ops operations = {
	.ndo_open = begin,
	.ndo_stop = end_all,
	.ndo_start_xmit = transmit,
	.ndo_bpf = set_program,
	.ndo_eth_ioctl = control,
	.ndo_set_mac_address = eth_mac_addr,
	.ndo_get_stats64 = dev_get_tstats64,
	.ndo_validate_addr = eth_validate_addr,
};

static const struct ethtool_ops ethtool_operations = {
	.get_link = ethtool_op_get_link,
	.get_ts_info = can_stamp,
};

static int open_end(int index)
{
	struct net_device *device = alloc_etherdev(sizeof(struct end));
	struct end *end;
	int error;

	if (!device)
		return -ENOMEM;
	end = netdev_priv(device);
	end->device = device;
	end->index = index;
	/* Whom the test plays need not be asked to stamp. */
	end->stamping.rx_filter = index ? HWTSTAMP_FILTER_ALL : HWTSTAMP_FILTER_NONE;
	skb_queue_head_init(&end->leaving);
	hrtimer_init(&end->departure, CLOCK_MONOTONIC, HRTIMER_MODE_REL_SOFT);
	end->departure.function = leave;
	skb_queue_head_init(&end->waiting);
	hrtimer_init(&end->interrupt, CLOCK_MONOTONIC, HRTIMER_MODE_REL_SOFT);
	end->interrupt.function = receive;
	snprintf(device->name, sizeof(device->name), "stamp%d", index);
	eth_hw_addr_random(device);
	netif_napi_add(device, &end->napi, nothing);
	device->netdev_ops = &operations;
	device->ethtool_ops = &ethtool_operations;
	device->tstats = netdev_alloc_pcpu_stats(struct pcpu_sw_netstats);
	if (!device->tstats) {
		free_netdev(device);
		return -ENOMEM;
	}
	error = fast_open(&end->fast, device);
	if (error)
		goto no_queue;
	error = register_netdev(device);
	if (error)
		goto no_device;
	ends[index] = device;
	return 0;

no_device:
	fast_close(&end->fast);
no_queue:
	free_percpu(device->tstats);
	free_netdev(device);
	return error;
}

static void close_end(int index)
{
	struct net_device *device = ends[index];

	unregister_netdev(device);
	fast_close(&((struct end *)netdev_priv(device))->fast);
	free_percpu(device->tstats);
	free_netdev(device);
}

int wire_open(void)
{
	int error = open_end(0);

	if (error)
		return error;
	error = open_end(1);
	if (error)
		close_end(0);
	return error;
}

void wire_close(void)
{
	close_end(1);
	close_end(0);
}
