// Parses received packets as far as the decision about them needs: kind, fold and destination. Changes nothing, and
// never reads beyond the packet: a packet whose parts are not in place is malformed.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define CARP_PROTOCOL 112
#define CARP_MAX_EXTENSION_HEADERS 6

#define always_inline static __attribute__((always_inline)) inline
#define likely(condition) __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)

enum subject_kind {
	// CARP itself, and IP multicast and broadcast: passed, whatever their MAC.
	SUBJECT_EXEMPT,
	// ARP, neighbour discovery and packets other than IP: for every host that is MASTER of any node.
	SUBJECT_ANY_MASTER,
	// For the one host that is MASTER of the node the fold names.
	SUBJECT_FLOW,
	SUBJECT_MALFORMED,
};

struct subject {
	enum subject_kind kind;
	// Source XOR destination as a number, for a flow.
	__u32 fold;
	// Destination in the form of `struct carp_address_key`; for IP.
	__u32 destination[4];
};

always_inline bool is_multicast4(__u32 address)
{
	return (address & bpf_htonl(0xf0000000)) == bpf_htonl(0xe0000000) || address == 0xffffffff;
}

// ::ffff:a.b.c.d, which no packet may carry: it is our key for the IPv4 address.
always_inline bool is_mapped4(const __u32 *address)
{
	return (address[0] | address[1]) == 0 && address[2] == bpf_htonl(0xffff);
}

always_inline bool is_vlan(__u16 ethertype)
{
	return ethertype == bpf_htons(ETH_P_8021Q) || ethertype == bpf_htons(ETH_P_8021AD);
}

// Packet pointers, which are 32 bits wide in the context. Read by inline assembly: when a compiler extends them, the
// verifier takes them for numbers that cannot be dereferenced.
always_inline void *packet_start(const struct __sk_buff *skb)
{
	void *at;
	asm volatile("%0 = *(u32 *)(%1 + %2)" : "=r"(at) : "r"(skb), "i"(offsetof(struct __sk_buff, data)));
	return at;
}

always_inline void *packet_end(const struct __sk_buff *skb)
{
	void *at;
	asm volatile("%0 = *(u32 *)(%1 + %2)" : "=r"(at) : "r"(skb), "i"(offsetof(struct __sk_buff, data_end)));
	return at;
}

// The frame's first `length` bytes, or NULL when it is shorter. Invalidates what it returned before.
always_inline void *reach(struct __sk_buff *skb, __u32 length)
{
	void *data = packet_start(skb);
	if (data + length <= packet_end(skb)) return data;
	if (bpf_skb_pull_data(skb, length)) return 0;
	data = packet_start(skb);
	return data + length <= packet_end(skb) ? data : 0;
}

always_inline __u32 fold4(__u32 source, __u32 destination) { return bpf_ntohl(source ^ destination); }

always_inline __u32 fold6(const __u32 *source, const __u32 *destination)
{
	return bpf_ntohl(source[0] ^ source[1] ^ source[2] ^ source[3] ^ destination[0] ^ destination[1] ^
			 destination[2] ^ destination[3]);
}

// An ICMP error belongs to the connection it is about: the fold is symmetric, so the embedded packet names its node.
always_inline void judge_by_embedded4(struct __sk_buff *skb, __u32 at, __u32 end, struct subject *subject)
{
	struct iphdr embedded;
	if (at + sizeof embedded > end || bpf_skb_load_bytes(skb, at, &embedded, sizeof embedded) || embedded.version != 4) {
		subject->kind = SUBJECT_MALFORMED;
		return;
	}
	subject->fold = fold4(embedded.saddr, embedded.daddr);
}

always_inline bool is_icmp4_error(__u8 type)
{
	// Unreachable, source quench, redirect, time exceeded, parameter problem.
	return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

always_inline void dissect4(struct __sk_buff *skb, __u32 at, struct subject *subject)
{
	subject->kind = SUBJECT_MALFORMED;
	const void *start = reach(skb, at + sizeof(struct iphdr));
	if (!start) return;
	const struct iphdr ip = *(const struct iphdr *)(start + at);
	const __u32 header = ip.ihl * 4;
	__u32 total = bpf_ntohs(ip.tot_len);
	// Packets merged by GRO to more than 64 kB have a length of 0.
	if (total == 0 && skb->gso_segs > 1) total = skb->len - at;
	if (ip.version != 4 || header < sizeof ip || total < header || total > skb->len - at) return;
	subject->destination[0] = 0;
	subject->destination[1] = 0;
	subject->destination[2] = bpf_htonl(0xffff);
	subject->destination[3] = ip.daddr;
	if (ip.protocol == CARP_PROTOCOL || is_multicast4(ip.daddr)) {
		subject->kind = SUBJECT_EXEMPT;
		return;
	}
	subject->kind = SUBJECT_FLOW;
	subject->fold = fold4(ip.saddr, ip.daddr);
	// Fragments are judged by their addresses, so that all of a packet go to the same host.
	if (ip.protocol != IPPROTO_ICMP || (ip.frag_off & bpf_htons(0x3fff))) return;
	__u8 type;
	if (total <= header || bpf_skb_load_bytes(skb, at + header, &type, 1)) {
		subject->kind = SUBJECT_MALFORMED;
		return;
	}
	if (is_icmp4_error(type)) judge_by_embedded4(skb, at + header + 8, at + total, subject);
}

always_inline bool is_extension(__u8 header)
{
	return header == IPPROTO_HOPOPTS || header == IPPROTO_ROUTING || header == IPPROTO_DSTOPTS ||
	       header == IPPROTO_FRAGMENT || header == IPPROTO_AH;
}

// Returns the protocol behind the extension headers and moves `at` to it. Protocol 59 ("no next header") for fragments,
// truncated packets and overlong chains: they are judged by their own addresses, so that exactly one host takes them.
always_inline __u8 skip_extensions(struct __sk_buff *skb, __u8 next, __u32 *at)
{
	struct {
		__u8 next;
		__u8 length;
		__u16 fragment;
	} extension;
#pragma unroll
	for (int i = 0; i < CARP_MAX_EXTENSION_HEADERS; i++) {
		if (!is_extension(next)) return next;
		if (bpf_skb_load_bytes(skb, *at, &extension, sizeof extension)) return IPPROTO_NONE;
		if (next == IPPROTO_FRAGMENT) {
			if (extension.fragment & bpf_htons(0xfff9)) return IPPROTO_NONE;
			*at += 8;
		} else if (next == IPPROTO_AH) {
			*at += (extension.length + 2) * 4;
		} else {
			*at += (extension.length + 1) * 8;
		}
		next = extension.next;
	}
	return is_extension(next) ? IPPROTO_NONE : next;
}

always_inline void judge_icmp6(struct __sk_buff *skb, __u32 at, __u32 end, struct subject *subject)
{
	__u8 type;
	struct ipv6hdr embedded;
	if (at >= end || bpf_skb_load_bytes(skb, at, &type, 1)) {
		subject->kind = SUBJECT_MALFORMED;
	} else if (type >= 133 && type <= 137) {
		subject->kind = SUBJECT_ANY_MASTER;
	} else if (type < 128) {
		// Errors; see judge_by_embedded4().
		if (at + 8 + sizeof embedded > end || bpf_skb_load_bytes(skb, at + 8, &embedded, sizeof embedded) ||
		    embedded.version != 6)
			subject->kind = SUBJECT_MALFORMED;
		else
			subject->fold = fold6(embedded.saddr.in6_u.u6_addr32, embedded.daddr.in6_u.u6_addr32);
	}
}

always_inline void dissect6(struct __sk_buff *skb, __u32 at, struct subject *subject)
{
	subject->kind = SUBJECT_MALFORMED;
	const void *start = reach(skb, at + sizeof(struct ipv6hdr));
	if (!start) return;
	const struct ipv6hdr ip = *(const struct ipv6hdr *)(start + at);
	if (ip.version != 6 || bpf_ntohs(ip.payload_len) > skb->len - at - sizeof ip) return;
	if (is_mapped4(ip.daddr.in6_u.u6_addr32)) return;
	for (int i = 0; i < 4; i++) subject->destination[i] = ip.daddr.in6_u.u6_addr32[i];
	__u32 payload = at + sizeof ip;
	// A length of 0 is a jumbogram's.
	const __u32 end = ip.payload_len == 0 ? skb->len : payload + bpf_ntohs(ip.payload_len);
	const __u8 protocol = skip_extensions(skb, ip.nexthdr, &payload);
	if (protocol == CARP_PROTOCOL || ip.daddr.in6_u.u6_addr8[0] == 0xff) {
		subject->kind = SUBJECT_EXEMPT;
		return;
	}
	subject->kind = SUBJECT_FLOW;
	subject->fold = fold6(ip.saddr.in6_u.u6_addr32, ip.daddr.in6_u.u6_addr32);
	if (protocol == IPPROTO_ICMPV6) judge_icmp6(skb, payload, end, subject);
}

// `ethertype` as in the Ethernet header. One tag that names no VLAN (a priority tag) may precede the packet.
always_inline void dissect(struct __sk_buff *skb, __u16 ethertype, struct subject *subject)
{
	__u32 at = ETH_HLEN;
	subject->destination[0] = subject->destination[1] = subject->destination[2] = subject->destination[3] = 0;
	if (is_vlan(ethertype)) {
		at += 4;
		if (bpf_skb_load_bytes(skb, ETH_HLEN + 2, &ethertype, sizeof ethertype) || is_vlan(ethertype)) {
			subject->kind = SUBJECT_MALFORMED;
			return;
		}
	}
	if (ethertype == bpf_htons(ETH_P_IP)) dissect4(skb, at, subject);
	else if (ethertype == bpf_htons(ETH_P_IPV6)) dissect6(skb, at, subject);
	else subject->kind = SUBJECT_ANY_MASTER;
}
