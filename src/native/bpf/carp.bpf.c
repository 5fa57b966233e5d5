// The two eBPF programs on a carpdev, for ingress and egress. They decide by the leases alone which packets for the
// virtual addresses this host receives and which it sends; no engine has to run. All other packets pass untouched to
// the filters behind them and to the kernel.

#include "data_path_egress.h"

// A function that few packets need, kept out of the code that most packets run. libbpf finds functions only in this
// section, where a compiler would not put a cold one.
#define seldom static __attribute__((noinline, cold, section(".text")))

#define SECOND_NS 1000000000ull

always_inline bool has_vlan(const struct __sk_buff *skb)
{
	// The frame belongs to a VLAN device. Number 0 is a priority tag: the kernel takes the frame as untagged.
	return (skb->vlan_tci & 0xfff) && skb->vlan_present;
}

// The index of the node whose lease decides.
always_inline __u32 node_of(const struct carp_interface *interface, __u32 fold)
{
	const __u32 mask = interface->fold_mask;
	// A division takes longer than the rest of the choice; most interfaces have two or four nodes.
	if (likely(mask < CARP_MAX_NODES)) return fold & mask;
	const __u32 nodes = interface->nodes;
	return nodes ? (fold % nodes) & (CARP_MAX_NODES - 1) : 0;
}

// Accepts a frame for the given-out MAC.
always_inline int accept_given(struct __sk_buff *skb, const struct carp_interface *interface)
{
	// No Linux device can have the multicast MAC: carp0 gets the frame under its own.
	if (interface->mode == CARP_MODE_IP)
		bpf_skb_store_bytes(skb, offsetof(struct ethhdr, h_dest), interface->device_mac.half, ETH_ALEN, 0);
	return TC_ACT_UNSPEC;
}

always_inline int accept(struct __sk_buff *skb, const struct carp_interface *interface)
{
	return interface->real_mac ? TC_ACT_UNSPEC : accept_given(skb, interface);
}

// Whether a lease lies in the future, for received packets. Reading the clock takes as long as all the rest, so a lease
// that had more than a second left is good until the next timer tick, 10 ms at most. A machine that is stopped within a
// tick may then accept one packet too many; it cannot answer it: egress reads the clock every time.
seldom bool holds_by_clock(struct carp_packet_counts *counts, __u64 lease_ns, __u64 jiffies)
{
	if (!lease_ns) return false;
	const __u64 now_ns = bpf_ktime_get_boot_ns();
	if (lease_ns > now_ns + SECOND_NS) {
		counts->found_lease_ns = lease_ns;
		counts->found_jiffies = jiffies;
	}
	return lease_ns > now_ns;
}

always_inline bool held(struct carp_packet_counts *counts, __u64 lease_ns)
{
	const __u64 jiffies = bpf_jiffies64();
	if (likely(counts->found_jiffies == jiffies && counts->found_lease_ns == lease_ns)) return true;
	return holds_by_clock(counts, lease_ns, jiffies);
}

always_inline int judge(struct __sk_buff *skb, const struct carp_interface *interface, const struct subject *subject)
{
	if (subject->kind == SUBJECT_EXEMPT) return TC_ACT_UNSPEC;
	const __u32 node = subject->kind == SUBJECT_FLOW ? node_of(interface, subject->fold) : 0;
	struct carp_packet_counts *counts = counts_of(interface, node);
	if (!counts) return TC_ACT_SHOT;
	if (subject->kind == SUBJECT_FLOW && held(counts, interface->leases_ns[node])) {
		counts->accepted++;
		return accept(skb, interface);
	}
	if (!held(counts, interface->until_ns)) {
		counts = counts_of(interface, 0);
		if (counts) counts->dropped_by_lease++;
		return TC_ACT_SHOT;
	}
	if (subject->kind == SUBJECT_MALFORMED) {
		counts->malformed++;
		return TC_ACT_SHOT;
	}
	if (subject->kind == SUBJECT_ANY_MASTER) return accept(skb, interface);
	if (find_address(skb->ifindex, subject->destination, CARP_ADDRESS_BROADCAST)) return accept(skb, interface);
	counts->dropped_by_hash++;
	return TC_ACT_SHOT;
}

// A tag in the frame itself: behind a priority tag, and in what a packet socket sends.
always_inline bool has_inner_vlan(struct __sk_buff *skb, __u16 ethertype)
{
	__u16 tag;
	return is_vlan(ethertype) && bpf_skb_load_bytes(skb, ETH_HLEN, &tag, sizeof tag) == 0 && (tag & bpf_htons(0xfff));
}

// Whether the frame is for the given-out MAC of an interface without a real one. Reads eight bytes at an address that
// may be odd, which the kernel allows a program where the processor allows it.
always_inline bool is_for_given(const struct carp_interface *interface, const struct ethhdr *ethernet)
{
	const __u64 frame = *(const __u64 *)(const void *)ethernet;
	// Its first six bytes, and two of zero before them.
	const __u64 destination = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? frame << 16 : frame >> 16;
	return destination == *(const __u64 *)(const void *)&interface->real_mac;
}

// The index into carp_hints and, modulo CARP_MAX_INTERFACES, the preferred slot of an interface: the MAC's last two
// bytes, where virtual MACs differ, XOR the carpdev's index with its bytes exchanged. So the vhids on a carpdev, and any
// one vhid on several carpdevs, have an index each.
always_inline __u32 bucket_of(__u32 carpdev, const struct ethhdr *ethernet)
{
	const struct carp_mac *destination = (const void *)ethernet->h_dest;
	return (__u16)(bpf_ntohs(destination->half[2]) ^ __builtin_bswap16(carpdev));
}

always_inline enum carp_hint hint_of(__u32 bucket)
{
	__u64 bounded = bucket;
	barrier_var(bounded);
	return carp_hints[bounded & (CARP_HINTS - 1)];
}

always_inline bool is_for(const struct carp_interface *interface, __u32 carpdev, const struct carp_mac *mac)
{
	if (interface->carpdev != carpdev) return false;
	return same_mac(mac, &interface->given_mac) || same_mac(mac, &interface->device_mac);
}

always_inline bool is_group(const struct carp_mac *mac) { return mac->half[0] & bpf_htons(0x0100); }

// The interface with this MAC, when the hint names its slot. No hint names an interface with a real MAC.
always_inline struct carp_interface *find_hinted(__u32 carpdev, const struct carp_mac *mac, enum carp_hint hint)
{
	if (hint == CARP_HINT_ASK) return 0;
	struct carp_interface *interface = find_slot(hint - 1);
	return interface && is_for(interface, carpdev, mac) ? interface : 0;
}

// Accepts the commonest packets, plain IPv4 for a node that this host is MASTER of; false leaves the packet to
// judge_any(), which decides the same. All data it reads lies in few cache lines.
always_inline bool accepts_at_once(const struct __sk_buff *skb, const struct ethhdr *ethernet,
				   const struct carp_interface *interface)
{
	const struct iphdr *ip = (const void *)(ethernet + 1);
	// The ethertype, version and length of the header, and the type of service, which does not matter.
	const __u32 *start = (const void *)&ethernet->h_proto;
	if (unlikely((*start & bpf_htonl(0xffffff00)) != bpf_htonl(ETH_P_IP << 16 | 0x4500))) return false;
	if (unlikely(ip->protocol == IPPROTO_ICMP || ip->protocol == CARP_PROTOCOL)) return false;
	// One comparison for both ends: what is below the one becomes larger than the other.
	const __u32 header = sizeof *ip;
	const __u32 room = skb->len - ETH_HLEN - header;
	if (unlikely(bpf_ntohs(ip->tot_len) - header > room)) return false;
	// Multicast, broadcast and class E.
	if (unlikely((ip->daddr & bpf_htonl(0xe0000000)) == bpf_htonl(0xe0000000) || skb->vlan_tci)) return false;
	const __u32 node = node_of(interface, fold4(ip->saddr, ip->daddr));
	struct carp_packet_counts *counts = counts_of(interface, node);
	if (unlikely(!counts || !held(counts, interface->leases_ns[node]))) return false;
	counts->accepted++;
	return true;
}

// Drops a packet for a virtual address in a frame to a group, which RFC 1122 (3.3.6) forbids and Linux accepts: every
// host with the address would take it. A client may still use a multicast MAC that carp gave out before, or broadcast.
always_inline int judge_for_group(struct __sk_buff *skb, const struct subject *subject)
{
	// ARP and neighbour discovery pass: egress decides about the answers.
	if (subject->kind != SUBJECT_FLOW) return TC_ACT_UNSPEC;
	const struct carp_interface *interface = find_address(skb->ifindex, subject->destination, CARP_ADDRESS_VIRTUAL);
	if (!interface) return TC_ACT_UNSPEC;
	struct carp_packet_counts *counts = counts_of(interface, 0);
	if (counts) counts->malformed++;
	return TC_ACT_SHOT;
}

// Decides about every packet that accepts_at_once() did not accept.
seldom int judge_any(struct __sk_buff *skb)
{
	const struct ethhdr *ethernet = reach(skb, ETH_HLEN);
	if (!ethernet || has_vlan(skb)) return TC_ACT_UNSPEC;
	const enum carp_hint hint = hint_of(bucket_of(skb->ifindex, ethernet));
	const struct carp_mac destination = *(const struct carp_mac *)(const void *)ethernet->h_dest;
	const __u16 ethertype = ethernet->h_proto;
	if (has_inner_vlan(skb, ethertype)) return TC_ACT_UNSPEC;
	const struct carp_mac_entry *entry = 0;
	struct carp_interface *interface = find_hinted(skb->ifindex, &destination, hint);
	if (!interface && hint != CARP_HINT_NONE) {
		const struct carp_mac_key key = {skb->ifindex, destination, 0};
		entry = bpf_map_lookup_elem(&carp_macs, &key);
		if (entry && entry->judged == CARP_JUDGED_ALL) {
			interface = find_slot(entry->slot);
			if (!interface) return TC_ACT_UNSPEC;
		}
	}
	if (!interface && !entry && !is_group(&destination)) return TC_ACT_UNSPEC;
	// Plain failover needs no hash.
	if (interface && interface->nodes == 1) {
		struct carp_packet_counts *counts = counts_of(interface, 0);
		if (counts && held(counts, interface->until_ns)) {
			counts->accepted++;
			return TC_ACT_UNSPEC;
		}
	}
	struct subject subject = {};
	dissect(skb, ethertype, &subject);
	if (!interface && !entry) return judge_for_group(skb, &subject);
	if (!interface) {
		if (subject.kind != SUBJECT_FLOW && subject.kind != SUBJECT_ANY_MASTER) return TC_ACT_UNSPEC;
		interface = find_address(skb->ifindex, subject.destination, CARP_ADDRESS_VIRTUAL);
	}
	return interface ? judge(skb, interface, &subject) : TC_ACT_UNSPEC;
}

// Decides about a packet for the given-out MAC of an interface.
always_inline int judge_for(struct __sk_buff *skb, const struct ethhdr *ethernet,
			    const struct carp_interface *interface)
{
	return likely(accepts_at_once(skb, ethernet, interface)) ? accept_given(skb, interface) : judge_any(skb);
}

SEC("tc")
int carp_ingress(struct __sk_buff *skb)
{
	const struct ethhdr *ethernet = packet_start(skb);
	if (unlikely((void *)(ethernet + 1) + sizeof(struct iphdr) > packet_end(skb))) return judge_any(skb);
	const __u32 carpdev = skb->ifindex;
	const __u32 bucket = bucket_of(carpdev, ethernet);
	const struct carp_interface *interface = slot_at(bucket);
	if (likely(interface->carpdev == carpdev && is_for_given(interface, ethernet)))
		return judge_for(skb, ethernet, interface);
	const enum carp_hint hint = hint_of(bucket);
	const struct carp_mac *destination = (const void *)ethernet->h_dest;
	if (hint == CARP_HINT_NONE) return is_group(destination) ? judge_any(skb) : TC_ACT_UNSPEC;
	interface = find_hinted(carpdev, destination, hint);
	return interface ? judge_for(skb, ethernet, interface) : judge_any(skb);
}

SEC("tc")
int carp_egress(struct __sk_buff *skb)
{
	const struct ethhdr *ethernet = reach(skb, ETH_HLEN);
	if (!ethernet || has_vlan(skb)) return TC_ACT_UNSPEC;
	const __u16 ethertype = ethernet->h_proto;
	struct carp_mac source = *(const struct carp_mac *)(const void *)ethernet->h_source;
	if (has_inner_vlan(skb, ethertype)) return TC_ACT_UNSPEC;
	if (ethertype == bpf_htons(ETH_P_ARP)) return egress_arp(skb, &source);
	if (ethertype == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr ip;
		if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof ip)) return egress_other(skb, &source);
		return ip.nexthdr == CARP_PROTOCOL ? egress_carp(skb, &source) : egress6(skb, &source, &ip);
	}
	if (ethertype == bpf_htons(ETH_P_IP)) {
		struct iphdr ip;
		if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof ip)) return egress_other(skb, &source);
		if (ip.protocol == CARP_PROTOCOL) return egress_carp(skb, &source);
		const struct carp_interface *interface = find_address4(skb->ifindex, ip.saddr);
		if (interface) return holds_lease(interface) ? send(skb, interface, &source) : withhold(interface);
	}
	return egress_other(skb, &source);
}

// Older kernels offer some helpers only to programs under the GPL.
char carp_license[] SEC("license") = "Dual BSD/GPL";
