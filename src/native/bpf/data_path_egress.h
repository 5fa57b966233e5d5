// Egress rules: no packet that claims or uses a virtual address leaves without a lease, and none pairs a virtual
// address with a MAC other than the one carp gives out for it.
#pragma once

#include <stddef.h>

#include <linux/pkt_cls.h>

#include "data_path_maps.h"
#include "data_path_packet.h"

// ARP for Ethernet and IPv4.
struct arp_packet {
	__u16 hardware;
	__u16 protocol;
	__u8 hardware_length;
	__u8 protocol_length;
	__u16 operation;
	struct carp_mac sender_mac;
	__u16 sender_address[2];
	struct carp_mac target_mac;
	__u16 target_address[2];
};

#define ICMP6_AT (ETH_HLEN + sizeof(struct ipv6hdr))
#define MAX_OPTIONS 16

enum { ARP_REPLY = 2 };
enum { ROUTER_SOLICITATION = 133, ROUTER_ADVERTISEMENT, NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT };
enum { SOURCE_LINK_LAYER = 1, TARGET_LINK_LAYER = 2 };

always_inline bool same_mac(const struct carp_mac *a, const struct carp_mac *b)
{
	return a->half[0] == b->half[0] && a->half[1] == b->half[1] && a->half[2] == b->half[2];
}

always_inline bool is_zero_mac(const struct carp_mac *mac) { return (mac->half[0] | mac->half[1] | mac->half[2]) == 0; }

// The slot with this index modulo CARP_MAX_INTERFACES.
always_inline struct carp_interface *slot_at(__u32 index)
{
	// A compiler that knows the bound leaves the mask out, and the verifier of Linux 5.10 then does not know the bound.
	__u64 bounded = index;
	barrier_var(bounded);
	struct carp_interface *interface = &carp_interfaces[bounded & (CARP_MAX_INTERFACES - 1)];
	// Without this the address would be computed anew for every use.
	barrier_var(interface);
	return interface;
}

always_inline struct carp_interface *find_slot(__u32 slot)
{
	// As wide as an address, so that the verifier of Linux 5.10 knows the bound where the index is used.
	__u64 index = slot;
	barrier_var(index);
	if (index >= CARP_SLOTS) return 0;
	struct carp_interface *found = &carp_interfaces[index];
	barrier_var(found);
	return found->nodes ? found : 0;
}

always_inline struct carp_interface *find_address(__u32 carpdev, const __u32 *address, enum carp_address_kind kind)
{
	struct carp_address_key key = {carpdev, {address[0], address[1], address[2], address[3]}};
	const struct carp_address_entry *entry = bpf_map_lookup_elem(&carp_addresses, &key);
	return entry && entry->kind == kind ? find_slot(entry->slot) : 0;
}

always_inline struct carp_interface *find_address4(__u32 carpdev, __u32 address)
{
	const __u32 mapped[4] = {0, 0, bpf_htonl(0xffff), address};
	return find_address(carpdev, mapped, CARP_ADDRESS_VIRTUAL);
}

always_inline struct carp_interface *find_mac(__u32 carpdev, const struct carp_mac *mac)
{
	const struct carp_mac_key key = {carpdev, *mac, 0};
	const struct carp_mac_entry *entry = bpf_map_lookup_elem(&carp_macs, &key);
	return entry && entry->judged == CARP_JUDGED_ALL ? find_slot(entry->slot) : 0;
}

always_inline struct carp_packet_counts *counts_of(const struct carp_interface *interface, __u32 node)
{
	const __u32 index = interface->first_count + node;
	struct carp_packet_counts *counts = bpf_map_lookup_elem(&carp_packets, &index);
	return likely(counts) ? counts : bpf_map_lookup_elem(&carp_more_packets, &index);
}

always_inline int withhold(const struct carp_interface *interface)
{
	struct carp_packet_counts *counts = counts_of(interface, 0);
	if (counts) counts->withheld++;
	return TC_ACT_SHOT;
}

// Whether this host is MASTER of the first node, which answers ARP and neighbour discovery.
always_inline bool leads(const struct carp_interface *interface)
{
	return interface->leases_ns[0] > bpf_ktime_get_boot_ns();
}

always_inline bool holds_lease(const struct carp_interface *interface)
{
	return interface->until_ns > bpf_ktime_get_boot_ns();
}

// Sends the packet under the right source MAC. Must come last: it invalidates packet pointers.
always_inline int send(struct __sk_buff *skb, const struct carp_interface *interface, const struct carp_mac *source)
{
	if (!is_zero_mac(&interface->source_mac) && !same_mac(source, &interface->source_mac))
		bpf_skb_store_bytes(skb, offsetof(struct ethhdr, h_source), interface->source_mac.half, ETH_ALEN, 0);
	return TC_ACT_UNSPEC;
}

// Whether an ARP or ND packet names a wrong MAC: for a virtual address any but the given-out one, for another address
// only the device's own.
always_inline bool is_wrong_mac(const struct carp_interface *interface, const struct carp_mac *mac, bool is_virtual)
{
	return is_virtual ? !same_mac(mac, &interface->given_mac) :
			    same_mac(mac, &interface->device_mac) && !same_mac(mac, &interface->given_mac);
}

// Sends ARP or neighbour discovery. Where only a host that leaves has another source MAC, these keep the virtual MAC,
// which they are about.
always_inline int send_resolution(struct __sk_buff *skb, const struct carp_interface *interface,
				  const struct carp_mac *source)
{
	return interface->mode == CARP_MODE_NONE ? TC_ACT_UNSPEC : send(skb, interface, source);
}

// Packets that name no virtual address are decided by their source MAC.
always_inline int egress_other(struct __sk_buff *skb, const struct carp_mac *source)
{
	const struct carp_interface *interface = find_mac(skb->ifindex, source);
	if (!interface) return TC_ACT_UNSPEC;
	return holds_lease(interface) ? send(skb, interface, source) : withhold(interface);
}

// Advertisements need no lease: they win it, and the engine checks before it sends. One that the kernel routes through
// carp0 to a unicast peer still must not show switches a MAC that the balancing mode hides.
always_inline int egress_carp(struct __sk_buff *skb, const struct carp_mac *source)
{
	const struct carp_interface *interface = find_mac(skb->ifindex, source);
	return interface ? send(skb, interface, source) : TC_ACT_UNSPEC;
}

always_inline int egress_arp(struct __sk_buff *skb, const struct carp_mac *source)
{
	struct arp_packet arp;
	if (bpf_skb_load_bytes(skb, ETH_HLEN, &arp, sizeof arp) || arp.protocol != bpf_htons(ETH_P_IP) ||
	    arp.hardware_length != ETH_ALEN || arp.protocol_length != 4)
		return egress_other(skb, source);
	const __u32 sender = arp.sender_address[0] | (__u32)arp.sender_address[1] << 16;
	const __u32 target = arp.target_address[0] | (__u32)arp.target_address[1] << 16;
	struct carp_interface *interface = find_address4(skb->ifindex, sender);
	const bool is_virtual = interface != 0;
	if (!interface) interface = find_mac(skb->ifindex, source);
	if (!interface) return TC_ACT_UNSPEC;
	const bool claims = arp.operation == bpf_htons(ARP_REPLY) || sender == target;
	if (!(claims ? leads(interface) : holds_lease(interface))) return withhold(interface);
	if (is_wrong_mac(interface, &arp.sender_mac, is_virtual))
		bpf_skb_store_bytes(skb, ETH_HLEN + offsetof(struct arp_packet, sender_mac), interface->given_mac.half, ETH_ALEN,
				    0);
	return send_resolution(skb, interface, source);
}

// Writes the given-out MAC into the link-layer address option. False when there are too many options.
always_inline bool correct_option(struct __sk_buff *skb, const struct carp_interface *interface, __u32 at, __u8 wanted,
				  bool is_virtual)
{
	struct {
		__u8 type;
		__u8 length;
		struct carp_mac mac;
	} option, correct;
	for (int i = 0; i < MAX_OPTIONS; i++) {
		if (bpf_skb_load_bytes(skb, at, &option, sizeof option) || option.length == 0) return true;
		if (option.type == wanted && option.length == 1 && is_wrong_mac(interface, &option.mac, is_virtual)) {
			correct = option;
			correct.mac = interface->given_mac;
			const __s64 difference =
				bpf_csum_diff((__be32 *)&option, sizeof option, (__be32 *)&correct, sizeof correct, 0);
			bpf_l4_csum_replace(skb, ICMP6_AT + 2, 0, difference, 0);
			bpf_skb_store_bytes(skb, at, &correct, sizeof correct, 0);
		}
		at += option.length * 8;
	}
	return at >= skb->len;
}

always_inline bool is_unspecified(const __u32 *address)
{
	return (address[0] | address[1] | address[2] | address[3]) == 0;
}

always_inline int egress6(struct __sk_buff *skb, const struct carp_mac *source, const struct ipv6hdr *ip)
{
	const __u32 carpdev = skb->ifindex;
	const __u8 protocol = ip->nexthdr;
	struct carp_interface *interface = find_address(carpdev, ip->saddr.in6_u.u6_addr32, CARP_ADDRESS_VIRTUAL);
	bool is_virtual = interface != 0;
	struct {
		__u8 type;
		__u8 code;
		__u16 checksum;
		__u32 flags;
		__u32 target[4];
	} icmp = {};
	__u32 options = 0;
	__u8 option = SOURCE_LINK_LAYER;
	bool claims = false;
	if (protocol == IPPROTO_ICMPV6 && bpf_skb_load_bytes(skb, ICMP6_AT, &icmp, 8) == 0) {
		if (icmp.type == ROUTER_SOLICITATION) options = ICMP6_AT + 8;
		if (icmp.type == ROUTER_ADVERTISEMENT) options = ICMP6_AT + 16;
		if ((icmp.type == NEIGHBOUR_SOLICITATION || icmp.type == NEIGHBOUR_ADVERTISEMENT) &&
		    bpf_skb_load_bytes(skb, ICMP6_AT, &icmp, sizeof icmp) == 0) {
			options = ICMP6_AT + sizeof icmp;
			claims = icmp.type == NEIGHBOUR_ADVERTISEMENT;
			if (claims) option = TARGET_LINK_LAYER;
			// An advertisement is about its target, from whichever source; so is a solicitation without a source, which asks
			// whether the target is free.
			const bool of_target = claims || (!interface && is_unspecified(ip->saddr.in6_u.u6_addr32));
			if (of_target) interface = find_address(carpdev, icmp.target, CARP_ADDRESS_VIRTUAL);
			if (of_target) is_virtual = interface != 0;
		}
	}
	if (!interface) interface = find_mac(carpdev, source);
	if (!interface) return TC_ACT_UNSPEC;
	if (!(claims ? leads(interface) : holds_lease(interface))) return withhold(interface);
	if (!options) return send(skb, interface, source);
	if (!correct_option(skb, interface, options, option, is_virtual)) return withhold(interface);
	return send_resolution(skb, interface, source);
}
