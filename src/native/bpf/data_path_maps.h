// The eBPF maps that the programs on a carpdev share with the engine. This is their only definition: TypeScript reads
// names, offsets and sizes of these types from the compiled object's BTF.
#pragma once

#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

#define CARP_MAX_NODES 32
#define CARP_MAX_INTERFACES 4096
#define CARP_MAX_ADDRESSES 65536
// An interface that moves to another slot has two meanwhile, and one that leaves keeps its own until its device is gone.
#define CARP_SLOTS (CARP_MAX_INTERFACES + 64)
#define CARP_HINTS 65536
// Nodes with counts in carp_packets; the counts of further ones take memory only when they are there.
#define CARP_ARRAYED_COUNTS CARP_MAX_INTERFACES

// Three halfwords, so that comparing and copying need no call.
struct carp_mac {
	__u16 half[3];
};

enum carp_mode {
	CARP_MODE_NONE,
	CARP_MODE_IP,
	CARP_MODE_IP_UNICAST,
	CARP_MODE_IP_STEALTH,
};

// One carp interface. The engine writes it through shared memory while the programs read it. The members that every
// packet needs, from carpdev to the leases of the first three nodes, lie in one cache line.
struct carp_interface {
	__u8 vhids[CARP_MAX_NODES];
	char name[16];
	// The Ethernet source of every packet sent; all zero: unchanged.
	struct carp_mac source_mac;
	__u32 carpdev __attribute__((aligned(64)));
	// Index of node 0's packet counts in carp_packets or carp_more_packets; those of the other nodes follow.
	__u32 first_count;
	// The addresses are on the carpdev itself, under its own MAC.
	__u8 real_mac __attribute__((aligned(8)));
	__u8 zero;
	// The MAC given out by ARP and neighbour discovery. With the two bytes before, one comparison: see is_for_given().
	struct carp_mac given_mac;
	// The Linux device's MAC: the given-out one without the multicast bit.
	struct carp_mac device_mac;
	// The number of nodes minus one when that is a power of two, so that fold & mask is the node; else CARP_MAX_NODES.
	__u8 fold_mask;
	// 0: this slot is free.
	__u32 nodes;
	enum carp_mode mode;
	// The latest of the leases, so that "MASTER of anything" is one comparison. CLOCK_BOOTTIME; 0 is none.
	__u64 until_ns;
	// In the order of the nodes: MASTER of node i as long as this lies in the future.
	__u64 leases_ns[CARP_MAX_NODES];
} __attribute__((aligned(64)));

// Packet counts of one node, on one CPU.
struct carp_packet_counts {
	__u64 accepted;
	// The lease that held() last found to have more than a second left, and when. Here because it is in the cache.
	__u64 found_jiffies;
	__u64 found_lease_ns;
	__u64 dropped_by_hash;
	// These are counted for the interface, with its first node.
	__u64 dropped_by_lease;
	__u64 malformed;
	// Not sent: this host held no lease.
	__u64 withheld;
};

struct carp_mac_key {
	__u32 carpdev;
	struct carp_mac mac;
	__u16 zero;
};

enum carp_judged {
	// Every packet to this MAC is for the interface.
	CARP_JUDGED_ALL,
	// The carpdev's own MAC: only packets to a virtual address are for the interface.
	CARP_JUDGED_BY_ADDRESS,
};

struct carp_mac_entry {
	__u32 slot;
	enum carp_judged judged;
};

struct carp_address_key {
	__u32 carpdev;
	// IPv4 as ::ffff:a.b.c.d, which no IPv6 packet may carry.
	__u32 word[4];
};

enum carp_address_kind {
	CARP_ADDRESS_VIRTUAL,
	CARP_ADDRESS_BROADCAST,
};

struct carp_address_entry {
	__u32 slot;
	enum carp_address_kind kind;
};

// Global variables, which libbpf makes a map with one element: the programs use them without a lookup.
struct carp_interface carp_interfaces[CARP_SLOTS];

enum carp_hint {
	// No entry of carp_macs has this index.
	CARP_HINT_NONE,
	// Look into carp_macs. A value between is the slot to try first, plus one.
	CARP_HINT_ASK = 65535,
} __attribute__((packed));

// The slot that a packet may be for, by bucket_of(). Spares most packets, above all those not for carp, the hash lookup.
enum carp_hint carp_hints[CARP_HINTS];

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CARP_ARRAYED_COUNTS);
	__type(key, __u32);
	__type(value, struct carp_packet_counts);
} carp_packets SEC(".maps");

// Counts with an index that carp_packets does not have: for as many nodes as there can be.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, CARP_MAX_INTERFACES * CARP_MAX_NODES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct carp_packet_counts);
} carp_more_packets SEC(".maps");

// Slots by MAC: both the given-out MAC and the device's; see `struct carp_interface`.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * CARP_MAX_INTERFACES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct carp_mac_key);
	__type(value, struct carp_mac_entry);
} carp_macs SEC(".maps");

// Every address may have a broadcast address of its own.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * CARP_MAX_ADDRESSES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct carp_address_key);
	__type(value, struct carp_address_entry);
} carp_addresses SEC(".maps");

// Carpdevs with our programs, by index; 1: their clsact qdisc was made by us. Its layout must never change, so that
// every version can undo what another did.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u32);
} carp_carpdevs SEC(".maps");
