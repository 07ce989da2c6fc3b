/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Suspects: listeners of which user space wants to know whether they answer HTTP.
 *
 * User space puts them into the map and removes them; here they are found again, from the
 * listening socket or from one of its connections, and what became of them is told.
 */
#ifndef PICKET_SUSPECT_H
#define PICKET_SUSPECT_H

#include "maps.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* The cgroup (version 2) of a socket: that of the process that made it, and for a connection
 * that of its listener. 0 where this kernel does not tell. */
static __always_inline __u64 socket_cgroup(struct sock *sk)
{
	struct cgroup *cgroup = 0;

	if (!bpf_core_field_exists(sk->sk_cgrp_data))
		return 0;
	if (bpf_core_field_exists(sk->sk_cgrp_data.cgroup)) {
		cgroup = sk->sk_cgrp_data.cgroup;
	} else {
		struct sock_cgroup_data___before_5_15 *old = (void *)&sk->sk_cgrp_data;
		__u64 val = BPF_CORE_READ(old, val);
		if (!(val & 3))
			cgroup = (void *)val;
	}
	return cgroup ? BPF_CORE_READ(cgroup, kn, id) : 0;
}

/* The address of a socket, not of who is at its other end. */
static __always_inline void put_address(__u8 address[16], struct sock *sk)
{
	__builtin_memset(address, 0, 16);
	if (sk->__sk_common.skc_family == AF_INET6)
		bpf_probe_read_kernel(address, 16, &sk->__sk_common.skc_v6_rcv_saddr);
	else
		bpf_probe_read_kernel(address, 4, &sk->__sk_common.skc_rcv_saddr);
}

static __always_inline bool is_suspect_port(__u32 port)
{
	__u32 word = port / 64;
	__u64 *bits = bpf_map_lookup_elem(&suspect_ports, &word);
	return bits && (*bits >> (port % 64)) & 1;
}

/* Where a socket is to be reached. One of IPv4 that came to a listener of IPv6 is of the family
 * of its listener. */
static __always_inline void put_suspect_key(struct suspect_key *key, struct sock *sk)
{
	key->cgroup = socket_cgroup(sk);
	key->net_ns = sk->__sk_common.skc_net.net->ns.inum;
	key->family = sk->__sk_common.skc_family;
	key->port = sk->__sk_common.skc_num;
	put_address(key->address, sk);
}

/* Tells user space; false if there was no room. A number given twice, when a packet of an
 * interrupt comes in between, is no gap; the loss is counted exactly. */
static __always_inline bool tell(const struct suspect *suspect, const struct suspect_key *key,
				 __u16 kind, const struct heard *heard)
{
	struct counters *c = counters();
	if (!c)
		return false;
	__u64 now = bpf_ktime_get_boot_ns();
	__u64 seq = ++c->answer_seq;
	struct answer_record *r = bpf_ringbuf_reserve(&answers, sizeof(*r), 0);
	if (!r) {
		__sync_fetch_and_add(&c->lost_answers, 1);
		note_loss(c, now);
		return false;
	}
	r->seq = seq;
	r->boot_ns = now;
	r->ticket = suspect->ticket;
	r->cgroup = key->cgroup;
	r->cpu = bpf_get_smp_processor_id();
	r->pid = kind == ANSWER_CLOSED ? bpf_get_current_pid_tgid() >> 32 : 0;
	r->port = key->port;
	r->kind = kind;
	r->pad = 0;
	if (heard)
		__builtin_memcpy(r->first, heard->first, FIRST_BYTES);
	else
		__builtin_memset(r->first, 0, FIRST_BYTES);
	bpf_ringbuf_submit(r, 0);
	return true;
}

/* A listener was closed. Where it was the kernel that chose the port, the socket has given it
 * back by now, and remembers it only as it is sent. */
static __always_inline void suspect_closed(struct sock *sk)
{
	struct suspect_key key = {};
	__u16 port = bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));

	if (!is_suspect_port(port))
		return;
	put_suspect_key(&key, sk);
	key.port = port;
	struct suspect *suspect = bpf_map_lookup_elem(&suspects, &key);
	if (suspect)
		tell(suspect, &key, ANSWER_CLOSED, 0);
}

#endif
