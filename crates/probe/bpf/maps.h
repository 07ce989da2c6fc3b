/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Every map. Sizes that the configuration can change are set before loading. */
#ifndef PICKET_MAPS_H
#define PICKET_MAPS_H

#include "kernel.h"
#include "wire.h"
#include <bpf/bpf_helpers.h>

/* Executions have a ring of their own, so that no flood of another kind can starve them. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 2 << 20);
} execs SEC(".maps");

/* Long arguments: they may lack room, the fact of an execution may not. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 512 << 10);
} pieces SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 << 10);
} listens SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 128 << 10);
} answers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 128 << 10);
} connects SEC(".maps");

/* Connections that were told of. Goes with the socket. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct connection);
} connections SEC(".maps");

/* Forgetting one only has more connections told. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct peer_key);
	__type(value, struct peer);
} peers SEC(".maps");

/* Listeners that are waited for to answer. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct suspect_key);
	__type(value, struct suspect);
} suspects SEC(".maps");

/* Their ports, a bit each: what nearly every packet of others is let go by. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PORT_WORDS);
	__type(key, __u32);
	__type(value, __u64);
} suspect_ports SEC(".maps");

/* Goes with the socket. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct heard);
} heards SEC(".maps");

/* Base names that matter, cut to COMM_LEN - 1 and without trailing versions. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, char[COMM_LEN]);
	__type(value, __u8);
} names SEC(".maps");

/* What user space found out about a file. Forgetting one only costs another look. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct file_key);
	__type(value, __u8);
} files SEC(".maps");

/* Trees without a server, as user space found out: see tree.h. Forgetting one only costs another
 * look. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, __u8);
} cleared SEC(".maps");

/* Lineage: see lineage.h. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct proc_key);
	__type(value, struct proc);
} procs SEC(".maps");

/* Those of them that have ended, the oldest first. */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 65536);
	__uint(value_size, sizeof(struct proc_key));
} dead SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct image);
} images SEC(".maps");

/* Slots of images that were used and are free again, by number plus one. */
struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, 16384);
	__uint(value_size, sizeof(__u64));
} free_images SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counters);
} counts SEC(".maps");

/* A record is put together here: it is too large for the stack. A tracepoint's program does
 * not run twice at once on a CPU, and the kernel counts it when it had to skip one. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct exec_record);
} exec_scratch SEC(".maps");

/* Whether there is no filter, and every execution crosses: recipes may be exchanged while they run.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} everything SEC(".maps");

/* Set before loading. */
const volatile bool below = false;	  /* tell what those do who may have a server above them */
const volatile __u64 image_slots = 16384; /* as many as `images` has */

/* How many slots of images were ever used: those beyond need not be on a list to be free. */
__u64 images_used = 0;

static __always_inline struct counters *counters(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&counts, &zero);
}

/* Until when user space knows of losses, in boot time: later ones begin a new window. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} known_losses SEC(".maps");

static __always_inline void note_loss(struct counters *c, __u64 now)
{
	__u32 zero = 0;
	__u64 *known = bpf_map_lookup_elem(&known_losses, &zero);

	if (known && c->new_lost <= *known) {
		/* User space may be just about to read the one before. */
		c->former_lost = c->new_lost;
		c->new_lost = now;
	}
	if (!c->first_lost)
		c->first_lost = now;
	c->last_lost = now;
}

#endif
