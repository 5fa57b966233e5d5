// What the programs on a carpdev share with the engine: the one definition of every map. TypeScript takes the names,
// offsets and sizes of these types from the compiled object's BTF, so nothing here is written down a second time.
#pragma once

#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

#define CARP_MAX_NODES 32
#define CARP_MAX_INTERFACES 256
#define CARP_MAX_COUNTERS 2048

// Halves, so that comparing and copying need no call.
struct carp_mac {
	__u16 half[3];
};

enum carp_mode {
	CARP_MODE_NONE,
	CARP_MODE_IP,
	CARP_MODE_IP_UNICAST,
	CARP_MODE_IP_STEALTH,
};

// One carp interface. Written by the engine through shared memory while packets are judged by it. What is read
// for every packet, from the carpdev to the leases of the first three nodes, lies in one line of the cache.
struct carp_interface {
	__u8 vhids[CARP_MAX_NODES];
	char name[16];
	// The Ethernet source of everything that is sent; all zero: as it comes.
	struct carp_mac source_mac;
	__u32 carpdev __attribute__((aligned(64)));
	// Where the counters of node 0 are; those of the others follow.
	__u32 counters;
	// The addresses are on the carpdev itself, under its own MAC.
	__u8 real_mac __attribute__((aligned(8)));
	__u8 zero;
	// What ARP and neighbour discovery give out. With the two bytes before, one comparison: see is_for_given().
	struct carp_mac given_mac;
	// What the Linux device carries: the same as is given out, without the multicast bit.
	struct carp_mac device_mac;
	// The number of nodes less one, when any fold's node is what this leaves of it; otherwise CARP_MAX_NODES.
	__u8 fold_mask;
	// 0: this slot is free.
	__u32 nodes;
	enum carp_mode mode;
	// The latest of the leases, so that "MASTER of anything" is one comparison. CLOCK_BOOTTIME; 0 is none.
	__u64 until_ns;
	// In the order of the nodes: MASTER of node i as long as this lies in the future.
	__u64 leases_ns[CARP_MAX_NODES];
} __attribute__((aligned(64)));

// Of one node, on one processor.
struct carp_counters {
	__u64 accepted;
	// The lease that held() last found to last for more than a second, and when. Here because it is at hand.
	__u64 found_jiffies;
	__u64 found_lease_ns;
	__u64 dropped_by_hash;
	// These two belong to the interface and are kept with its first node.
	__u64 dropped_by_lease;
	__u64 malformed;
	// Not sent, because this host was not entitled to.
	__u64 withheld;
};

struct carp_mac_key {
	__u32 carpdev;
	struct carp_mac mac;
	__u16 zero;
};

enum carp_judged {
	// Everything that goes to this MAC.
	CARP_JUDGED_ALL,
	// The carpdev's own MAC: what goes to a virtual address.
	CARP_JUDGED_BY_ADDRESS,
};

struct carp_mac_entry {
	__u32 slot;
	enum carp_judged judged;
};

struct carp_address_key {
	__u32 carpdev;
	// IPv4 as ::ffff:a.b.c.d, which no IPv6 packet on the wire may carry.
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

// A map with one element, as libbpf makes it of variables: the programs reach into it without any look-up.
struct carp_interface carp_interfaces[CARP_MAX_INTERFACES];

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CARP_MAX_COUNTERS);
	__type(key, __u32);
	__type(value, struct carp_counters);
} carp_count SEC(".maps");

// Both the MAC that is given out and the device's; see `struct carp_interface`.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * CARP_MAX_INTERFACES);
	__type(key, struct carp_mac_key);
	__type(value, struct carp_mac_entry);
} carp_macs SEC(".maps");

enum carp_hint {
	// No MAC of carp_macs has this hint.
	CARP_HINT_NOBODY,
	// Look into carp_macs. Anything between is a slot, plus one, that may be asked first.
	CARP_HINT_ASK = 255,
} __attribute__((packed));

// By the last byte of a MAC, XOR the last of the carpdev's index: who may be meant. It spares most packets, above all
// those that are not carp's, the hash. One byte each, so that none is ever read half written.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, enum carp_hint);
} carp_hints SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct carp_address_key);
	__type(value, struct carp_address_entry);
} carp_addresses SEC(".maps");

// Carpdevs our programs are on, by index; 1: by a clsact qdisc that was made by us. Its shape never changes, so that every
// version can undo what another did.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u32);
} carp_carpdevs SEC(".maps");
