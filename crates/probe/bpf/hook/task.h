/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What ran before picket: one pass over all tasks, read once after the other hooks are on, so
 * that nothing falls between. A process that a hook already told of is left as it is; where the
 * hook could not know what it runs, user space still learns of it.
 */
#define EEXIST 17

/* How many were found; counting them also orders the two steps below. */
__u64 seeds_found = 0;

SEC("iter/task")
int on_task(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	if (!task || task->pid != task->tgid)
		return 0;
	if (task->signal->live.counter == 0)
		return 0; /* it has ended, and waits for its parent to take note */
	struct counters *c = counters();
	if (!c)
		return 0;
	struct seed_record r = {
		.key = key_of(task),
		.parent = key_of(task->real_parent),
	};
	bpf_probe_read_kernel(r.comm, COMM_LEN, task->comm);
	struct proc proc = {
		.parent = r.parent,
		.alive = r.key.start + 1,
		.image = seeded_image(&r.key),
		.keep = 1,
		.tree = seeded_tree(&r.key),
	};
	/* What its parent ran then is not known any more; what it runs now is the best guess. */
	if (r.parent.pid)
		proc.born = seeded_image(&r.parent);
	long error = keep_proc(c, &r.key, &proc, BPF_NOEXIST);
	if (error == -EEXIST) {
		struct proc *known = bpf_map_lookup_elem(&procs, &r.key);
		if (!known)
			return 0;
		/* Who made it was not known, nor which tree that one belongs to. */
		__sync_val_compare_and_swap(&known->tree, 0, proc.tree);
		if (known->image || known->born)
			return 0;
	} else if (error) {
		note_unkept(c);
		return 0;
	}
	/* First it is added, then looked at again; who ends does it the other way round. So one of
	 * the two buries it. */
	r.number = __sync_fetch_and_add(&seeds_found, 1);
	if (task->signal->live.counter == 0)
		bury(c, &r.key);
	else
		bpf_seq_write(ctx->meta->seq, &r, sizeof(r));
	return 0;
}
