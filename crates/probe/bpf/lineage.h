/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Lineage: who came from whom, and what each ran, kept after they are gone.
 *
 * A process points to its creator and to an image. Forking shares the image, so that it costs
 * one small map update; executing makes a new one. User space follows the pointers for
 * candidates only.
 */
#ifndef PICKET_LINEAGE_H
#define PICKET_LINEAGE_H

#include "maps.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

static __always_inline struct proc_key key_of(struct task_struct *task)
{
	struct proc_key key = {
		.start = task->group_leader->start_boottime,
		.pid = task->tgid,
	};
	return key;
}

/* A number that no other image has: CPU, then a count. User space numbers those it finds with
 * the highest bit set. */
static __always_inline __u64 image_id(struct counters *c)
{
	return ((__u64)bpf_get_smp_processor_id() << 48) | c->execs;
}

/* Keeps what the process that just executed now runs. */
static __always_inline void keep_image(struct counters *c, struct task_struct *task,
				       struct linux_binprm *bprm)
{
	__u32 zero = 0;
	struct image *image = bpf_map_lookup_elem(&image_scratch, &zero);
	if (!image)
		return;
	__u64 id = image_id(c);
	long n = bpf_probe_read_kernel_str(image->path, IMAGE_PATH, bprm->filename);
	image->path_len = n > 0 ? n : 0;
	bpf_probe_read_kernel(image->comm, COMM_LEN, task->comm);
	struct dentry *dentry = bprm->file->f_path.dentry;
	bpf_probe_read_kernel_str(image->name, IMAGE_NAME, dentry->d_name.name);
	struct mm_struct *mm = task->mm;
	__u64 start = mm->arg_start;
	__u64 len = mm->arg_end - start;
	if (len > IMAGE_ARGS)
		len = IMAGE_ARGS;
	if (bpf_probe_read_user(image->args, len, (void *)start))
		len = 0;
	image->args_len = len;
	if (bpf_map_update_elem(&images, &id, image, BPF_ANY)) {
		c->lost_lineage++;
		return;
	}

	struct proc_key key = key_of(task);
	struct proc *known = bpf_map_lookup_elem(&procs, &key);
	if (known) {
		/* Executing again: the former image matters only to those it was shared with. */
		if (known->own_image && !known->keep)
			bpf_map_delete_elem(&images, &known->image);
		known->image = id;
		known->own_image = 1;
		return;
	}
	struct proc proc = {
		.parent = key_of(task->real_parent),
		.image = id,
		.own_image = 1,
	};
	if (bpf_map_update_elem(&procs, &key, &proc, BPF_ANY))
		c->lost_lineage++;
}

/* What the parent of a process runs now; it may execute something else before user space asks. */
static __always_inline __u64 parent_image(struct task_struct *task)
{
	struct proc_key key = key_of(task);
	struct proc *proc = bpf_map_lookup_elem(&procs, &key);
	if (!proc)
		return 0;
	struct proc *parent = bpf_map_lookup_elem(&procs, &proc->parent);
	return parent ? parent->image : 0;
}

/* Someone may ask for the current process when it is gone. */
static __always_inline void keep_current(struct task_struct *task)
{
	struct proc_key key = key_of(task);
	struct proc *proc = bpf_map_lookup_elem(&procs, &key);
	if (proc)
		proc->keep = 1;
}

#endif
