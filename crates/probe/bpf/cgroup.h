/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Where a process belongs: the names of its cgroup and of those above it, as the whole machine
 * sees them. A cgroup namespace does not change them.
 *
 * Version 2 and, beside it, the first hierarchy of version 1 in which the process is anywhere but
 * at the root: on machines that have both, a container may be told by either.
 */
#ifndef PICKET_CGROUP_H
#define PICKET_CGROUP_H

#include "tail.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#define DEEPEST_CGROUP 512 /* as far as the root is looked for */
#define HIERARCHIES 16	   /* that a process is looked for in */

static __always_inline struct kernfs_node *above(struct kernfs_node *node)
{
	struct kernfs_node___since_6_15 *v2 = (void *)node;
	struct kernfs_node___before_6_15 *v1 = (void *)node;

	if (bpf_core_field_exists(v2->__parent))
		return BPF_CORE_READ(v2, __parent);
	return BPF_CORE_READ(v1, parent);
}

/* Appends a name. Returns 1 when it was cut, and 2 when it found no room. */
static __always_inline int put_name(struct exec_record *r, struct kernfs_node *node)
{
	__u32 before = tail_len(r);

	if (!put_string(r, BPF_CORE_READ(node, name), CGROUP_NAME))
		return 2;
	return tail_len(r) - before == CGROUP_NAME;
}

/* The same as put_cgroup(), on kernels that keep the line of a cgroup's ancestors at hand. */
static __always_inline int put_line(struct exec_record *r, struct cgroup___since_6_1 *cgroup)
{
	void *line = (void *)cgroup + bpf_core_field_offset(cgroup->ancestors);
	volatile __u32 *left = &r->head.cgroup_depth;
	__u32 level = BPF_CORE_READ(cgroup, level); /* 0 for the root, whose name is not told */
	int cut = level > CGROUP_LEVELS;

	*left = cut ? CGROUP_LEVELS : level;
	for (int i = 0; i < CGROUP_LEVELS; i++) {
		struct cgroup *one = 0;
		if (*left == 0)
			break;
		bpf_probe_read_kernel(&one, sizeof(one), line + *left * sizeof(one));
		int result = put_name(r, BPF_CORE_READ(one, kn));
		if (result)
			cut = 1;
		if (result > 1)
			break;
		*left -= 1;
	}
	return cut;
}

/*
 * Appends the names of a cgroup, last first. Of one that is too deep, those nearest to the root:
 * whoever lives in a container can make more below it. Returns 1 when some were left out.
 *
 * How many are left is kept in the record, for the same reason as where the tail ends.
 */
__noinline int put_cgroup(__u64 cgroup_address)
{
	struct cgroup *cgroup = (void *)cgroup_address;
	struct cgroup___since_6_1 *v2 = (void *)cgroup_address;
	struct exec_record *r = scratch();
	if (!r)
		return 1;
	if (bpf_core_field_exists(v2->ancestors))
		return put_line(r, v2);
	struct kernfs_node *node = BPF_CORE_READ(cgroup, kn);
	struct kernfs_node *parent = node;
	volatile __u32 *left = &r->head.cgroup_depth;
	int cut = 0;

	*left = 0;
	for (int i = 0; i < DEEPEST_CGROUP; i++) {
		parent = above(parent);
		if (!parent)
			break;
		*left += 1;
	}
	if (parent) /* no end: what is put would be no place in the tree */
		return 1;
	for (int i = 0; i < DEEPEST_CGROUP; i++) {
		if (*left <= CGROUP_LEVELS)
			break;
		*left -= 1;
		node = above(node);
		cut = 1;
	}
	for (int i = 0; i < CGROUP_LEVELS; i++) {
		if (*left == 0)
			break;
		*left -= 1;
		int result = put_name(r, node);
		if (result > 1)
			return 1;
		if (result)
			cut = 1;
		node = above(node);
	}
	return cut;
}

/* Where a controller of version 1 has put the process, unless that is the root, or version 2 has
 * the controller. */
static __always_inline struct cgroup *placed_by(struct css_set *set, __u32 controller)
{
	struct cgroup_subsys_state *state = 0;
	void *states = (void *)set + bpf_core_field_offset(struct css_set, subsys);

	bpf_probe_read_kernel(&state, sizeof(state), states + controller * sizeof(state));
	struct cgroup *cgroup = BPF_CORE_READ(state, cgroup);
	if (!cgroup || BPF_CORE_READ(cgroup, root) == BPF_CORE_READ(set, dfl_cgrp, root))
		return 0;
	struct kernfs_node *node = BPF_CORE_READ(cgroup, kn);
	return node && above(node) ? cgroup : 0;
}

/* Where systemd has put the process in the hierarchy of its own that it has beside version 1. */
static __always_inline struct cgroup *placed_by_systemd(struct css_set *set)
{
	void *end = (void *)set + bpf_core_field_offset(struct css_set, cgrp_links);
	void *at = BPF_CORE_READ(set, cgrp_links.next);

	for (int i = 0; i < HIERARCHIES; i++) {
		if (!at || at == end)
			break;
		struct cgrp_cset_link *link =
			at - bpf_core_field_offset(struct cgrp_cset_link, cgrp_link);
		struct cgroup *cgroup = BPF_CORE_READ(link, cgrp);
		char name[8] = {};
		BPF_CORE_READ_STR_INTO(&name, cgroup, root, name);
		if (*(__u64 *)name == *(__u64 *)"systemd") {
			struct kernfs_node *node = BPF_CORE_READ(cgroup, kn);
			return node && above(node) ? cgroup : 0;
		}
		at = BPF_CORE_READ(link, cgrp_link.next);
	}
	return 0;
}

/* Appends where the current process is in version 1. Returns 1 when names were left out. */
__noinline int put_cgroup_v1(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	struct cgroup *cgroup = placed_by_systemd(set);

	if (!cgroup && bpf_core_enum_value_exists(enum cgroup_subsys_id, pids_cgrp_id))
		cgroup = placed_by(set, bpf_core_enum_value(enum cgroup_subsys_id, pids_cgrp_id));
	if (!cgroup && bpf_core_enum_value_exists(enum cgroup_subsys_id, memory_cgrp_id))
		cgroup = placed_by(set, bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id));
	if (!cgroup && bpf_core_enum_value_exists(enum cgroup_subsys_id, devices_cgrp_id))
		cgroup =
			placed_by(set, bpf_core_enum_value(enum cgroup_subsys_id, devices_cgrp_id));
	return cgroup ? put_cgroup((__u64)cgroup) : 0;
}

/* Adds to a record where the process belongs, and the terminal it is on. */
static __always_inline void put_place(struct exec_record *r, struct task_struct *task)
{
	struct exec_head *h = &r->head;
	struct tty_struct *tty = task->signal->tty;

	__u32 from = tail_len(r);
	if (put_cgroup((__u64)BPF_CORE_READ(task, cgroups, dfl_cgrp)))
		h->flags |= EXEC_CGROUP_TRUNCATED;
	h->cgroup_len = tail_len(r) - from;

	from = tail_len(r);
	if (put_cgroup_v1())
		h->flags |= EXEC_CGROUP_TRUNCATED;
	h->cgroup_v1_len = tail_len(r) - from;

	from = tail_len(r);
	if (tty)
		put_string(r, BPF_CORE_READ(tty, name), TTY_LEN);
	h->tty_len = tail_len(r) - from;
}

#endif
