/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Trees: of whom every execution and every connection is told, whatever it is, because there may
 * be a server above.
 *
 * Who executes something that may be a server begins a tree, and so does who begins to listen.
 * Those that it makes, and all that they make, belong to that tree until they begin one of their
 * own. User space, which is told of each beginning, then says in `cleared` which trees have no
 * server in them nor above them. So nothing is missed between a server's first instruction and
 * the moment when it is known to be one; and an answer that was forgotten is given again when
 * somebody of that tree executes something.
 *
 * Who ran before has a tree of its own. Who has no entry in `procs` has none: there was no room
 * for it, which is counted there.
 *
 * A tree that begins with an execution has the number of its record, which no other has.
 */
#ifndef PICKET_TREE_H
#define PICKET_TREE_H

#include "lineage.h"
#include "maps.h"
#include <bpf/bpf_helpers.h>

#define CPU_BITS 16

static __always_inline __u64 new_tree(__u64 seq)
{
	return seq << CPU_BITS | bpf_get_smp_processor_id();
}

static __always_inline __u64 seeded_tree(const struct proc_key *key)
{
	return seeded_image(key);
}

static __always_inline __u64 listeners_tree(const struct proc_key *key)
{
	return (seeded_image(key) & (TREE_LISTENER - 1)) | TREE_LISTENER;
}

/* The tree of a process, unless there is no server in it. */
static __always_inline __u64 watched_tree(const struct proc *proc)
{
	if (!below || !proc)
		return 0;
	__u64 tree = proc->tree;
	return tree && !bpf_map_lookup_elem(&cleared, &tree) ? tree : 0;
}

/* The current process begins to listen. A tree of its own, so that should it turn out to be a
 * server, it is only its own children that are watched. */
static __always_inline void begin_listeners_tree(struct task_struct *task, __u64 *tree,
						 __u64 *outer)
{
	struct proc_key key = key_of(task);
	struct proc *proc = bpf_map_lookup_elem(&procs, &key);

	*tree = *outer = watched_tree(proc);
	if (!proc)
		return;
	proc->keep = 1; /* somebody may ask for it when it is gone */
	*tree = proc->tree = listeners_tree(&key);
}

#endif
