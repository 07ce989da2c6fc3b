/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Lineage: who came from whom, and what each ran, kept after they are gone.
 *
 * A process (`procs`, by pid and start time) points to its creator and to two images: what the
 * creator ran when it made this process (`born`), and what it executed itself since then
 * (`image`; 0 if nothing). So each ancestor of a chain is found as it was when it made the next
 * one, whatever it executed afterwards. User space follows the pointers, for candidates only.
 *
 * Images lie in an array of slots with a count of the processes that refer to them. A reference
 * is the number of the slot plus one (low half) and how often the slot was taken (high half).
 * A slot that nobody refers to goes to `free_images`, or waits on this CPU as its `spare`.
 *
 * A process that ends is forgotten at once, unless somebody may ask for it (`keep`): one
 * descends from it, or user space was told of it. The key of one that is kept goes to the queue
 * `dead`. When there is no room, the oldest dead make some; the living never have to go.
 *
 * Who changes what, on several CPUs at once:
 *
 * - An entry of `procs` is made by the fork that makes the process, before the child can run;
 *   for what ran before, by the task iterator; for one that could not be kept, by its execution.
 * - `image` is changed only by the process itself, when it executes. The kernel has ended all
 *   its other threads by then (de_thread() waits for them), so it does not fork at the same
 *   time. Two threads may fork at the same time: both read a reference that the entry itself
 *   holds, so that its count is not 0 before they add to it.
 * - `tree` is changed by the process itself as well, when it executes and when it listens: that
 *   its threads do at the same time, but all of them write the same.
 * - The end is told by the last thread, and by one that ended together with it: both see that no
 *   thread is left. The one that turns `alive` to 0 goes on. An element of the map is used again
 *   as soon as it is deleted: the slower one may look at another process's entry by then. That
 *   process started later, so `alive` is not what the slower one expects, and it leaves it be.
 * - An entry that has ended is removed by who ended it, or if it was kept, by who took its key
 *   from the queue. Nobody else touches it.
 * - A thread that executes takes over the pid and the start time of the leader: the same key.
 * - User space reads an entry twice, with what it refers to in between. A slot that was taken
 *   again meanwhile has another number in `taken`, which is changed before anything else.
 *
 * Only 64-bit atomic operations are used: for them, unlike for narrower ones, compilers need not
 * be allowed a newer instruction set. The kernel knows them since 5.12 (arm64: 5.18).
 */
#ifndef PICKET_LINEAGE_H
#define PICKET_LINEAGE_H

#include "maps.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

/* How many a single event removes, at most: for an entry, and for a slot, which not every one of
 * the dead has. */
#define EVICT_FOR_ENTRY 4
#define EVICT_FOR_SLOT 64
#define E2BIG 7

static __always_inline struct proc_key key_of(struct task_struct *task)
{
	struct proc_key key = {
		.start = task->group_leader->start_boottime,
		.pid = task->tgid,
	};
	return key;
}

/* What user space knows the image of a process by that ran before. */
static __always_inline __u64 seeded_image(const struct proc_key *key)
{
	/* Kernel threads start together; the pid tells them apart. */
	return IMAGE_SEEDED | (key->start ^ (__u64)key->pid << 40);
}

static __always_inline struct image *slot_of(__u64 ref)
{
	__u32 slot = (__u32)ref - 1;

	if (ref & IMAGE_SEEDED)
		return 0;
	return bpf_map_lookup_elem(&images, &slot); /* 0 for a reference of 0 */
}

static __always_inline void hold_image(__u64 ref)
{
	struct image *image = slot_of(ref);

	if (image)
		__sync_fetch_and_add(&image->refs, 1);
}

static __always_inline void release_image(struct counters *c, __u64 ref)
{
	struct image *image = slot_of(ref);
	__u64 slot = (__u32)ref;

	if (!image || __sync_fetch_and_add(&image->refs, -1ULL) != 1)
		return;
	/* The next execution on this CPU finds it without a lock, and in the cache. */
	if (__sync_val_compare_and_swap(&c->spare, 0, slot))
		bpf_map_push_elem(&free_images, &slot, 0);
}

/* Forgets a process that has ended. The caller is the only one who may. */
static __always_inline void forget(struct counters *c, struct proc_key *key, struct proc *proc)
{
	__u64 born = proc->born;
	__u64 image = proc->image;

	bpf_map_delete_elem(&procs, key);
	release_image(c, image);
	release_image(c, born);
}

/* Removes the oldest of the dead. 0 if there is none. A global function: verified once. */
__noinline int evict_oldest(void)
{
	struct counters *c = counters();
	struct proc_key key;

	if (!c || bpf_map_pop_elem(&dead, &key))
		return 0;
	struct proc *proc = bpf_map_lookup_elem(&procs, &key);
	if (proc) {
		forget(c, &key, proc);
		__sync_fetch_and_add(&c->evicted, 1);
	}
	return 1;
}

/* There is no room for one more, and nobody who may go made some. */
static __always_inline void note_unkept(struct counters *c)
{
	__u64 now = bpf_ktime_get_boot_ns();

	__sync_fetch_and_add(&c->lost_lineage, 1);
	if (!c->first_unkept)
		c->first_unkept = now;
	c->last_unkept = now;
}

/* Adds a process. The error of the map, if it could not be. */
static __always_inline long keep_proc(struct counters *c, struct proc_key *key, struct proc *proc,
				      __u64 flags)
{
	long error = bpf_map_update_elem(&procs, key, proc, flags);

	for (int i = 0; i < EVICT_FOR_ENTRY && error == -E2BIG; i++) {
		if (!evict_oldest())
			break;
		error = bpf_map_update_elem(&procs, key, proc, flags);
	}
	return error;
}

/* The number of a free slot plus one, or 0. */
static __always_inline __u64 free_slot(struct counters *c)
{
	__u64 slot = 0;

	if (c->spare)
		slot = __sync_lock_test_and_set(&c->spare, 0);
	if (slot || !bpf_map_pop_elem(&free_images, &slot))
		return slot;
	if (images_used < image_slots) {
		slot = __sync_fetch_and_add(&images_used, 1);
		if (slot < image_slots)
			return slot + 1;
	}
	return 0;
}

/* The number of a slot that some of the dead had, plus one, or 0. A global function, too. */
__noinline int make_room(void)
{
	struct counters *c = counters();
	__u64 slot = 0;

	for (int i = 0; c && !slot && i < EVICT_FOR_SLOT; i++) {
		if (!evict_oldest())
			break;
		slot = free_slot(c);
	}
	return slot;
}

/* Writes down what the current process just executed. The new image has one reference. */
static __always_inline __u64 new_image(struct counters *c, struct task_struct *task,
				       struct linux_binprm *bprm)
{
	__u64 slot = free_slot(c);

	if (!slot)
		slot = make_room();
	struct image *image = slot_of(slot);
	if (!image) {
		note_unkept(c);
		return IMAGE_UNKNOWN;
	}
	/* Before anything else, and seen by all before anything else. */
	__u64 taken = __sync_fetch_and_add(&image->taken, 1) + 1;
	image->refs = 1;
	long n = bpf_probe_read_kernel_str(image->path, IMAGE_PATH, bprm->filename);
	image->path_len = n > 0 ? n : 0;
	*(__u64 *)image->comm = *(__u64 *)task->comm;
	*(__u64 *)(image->comm + 8) = *(__u64 *)(task->comm + 8);
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
	return (taken << 32 & ~IMAGE_SEEDED) | slot;
}

/* The tree of a process, where that is known. */
static __always_inline __u64 tree_of(struct task_struct *task)
{
	struct proc_key key = key_of(task);
	struct proc *proc = bpf_map_lookup_elem(&procs, &key);

	return proc ? proc->tree : 0;
}

/* Keeps what the process that just executed now runs. Its entry, or 0 if there is no room. */
static __always_inline struct proc *keep_image(struct counters *c, struct task_struct *task,
					       struct linux_binprm *bprm)
{
	__u64 image = new_image(c, task, bprm);
	struct proc_key key = key_of(task);
	struct proc *known = bpf_map_lookup_elem(&procs, &key);

	if (known) {
		/* Exchanged, so that nobody sees the reference before the image. */
		release_image(c, __sync_lock_test_and_set(&known->image, image));
		return known;
	}
	/* There was no room for it when it was made. What its parent ran then is not known. */
	struct proc proc = {
		.parent = key_of(task->real_parent),
		.alive = key.start + 1,
		.image = image,
		.tree = tree_of(task->real_parent),
	};
	if (keep_proc(c, &key, &proc, BPF_ANY)) {
		release_image(c, image);
		note_unkept(c);
		return 0;
	}
	return bpf_map_lookup_elem(&procs, &key);
}

/* Adds a process that was just made. */
static __always_inline void keep_child(struct counters *c, struct task_struct *creator,
				       struct task_struct *child)
{
	struct proc_key key = key_of(child);
	struct proc proc = {.parent = key_of(creator), .alive = key.start + 1};
	struct proc *from = bpf_map_lookup_elem(&procs, &proc.parent);

	if (from) {
		proc.born = from->image ? from->image : from->born;
		hold_image(proc.born);
		proc.tree = from->tree;
		from->keep = 1; /* it is an ancestor now */
	}
	if (keep_proc(c, &key, &proc, BPF_ANY)) {
		release_image(c, proc.born);
		note_unkept(c);
	}
}

/* A process has ended. */
static __always_inline void bury(struct counters *c, struct proc_key *key)
{
	struct proc *proc = bpf_map_lookup_elem(&procs, key);
	__u64 alive = key->start + 1;

	if (!proc || __sync_val_compare_and_swap(&proc->alive, alive, 0) != alive)
		return;
	/* Nobody descends from it and nobody was told of it: the memory is for those who matter. */
	if (!proc->keep)
		forget(c, key, proc);
	else if (bpf_map_push_elem(&dead, key, 0))
		forget(c, key, proc); /* never: the queue is as long as the map */
}

#endif
