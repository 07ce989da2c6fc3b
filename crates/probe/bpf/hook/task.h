/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What ran before picket: one pass over all tasks, read once after the other hooks are on, so
 * that nothing falls between. A process that a hook already told of is left as it is.
 */
SEC("iter/task")
int on_task(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	if (!task || task->pid != task->tgid)
		return 0;
	struct seed_record r = {
		.key = key_of(task),
		.parent = key_of(task->real_parent),
	};
	r.image = (1ULL << 63) | r.key.start;
	/* Kernel threads start together; the pid tells them apart. */
	r.image ^= (__u64)r.key.pid << 40;
	bpf_probe_read_kernel(r.comm, COMM_LEN, task->comm);
	struct proc proc = {.parent = r.parent, .image = r.image, .keep = 1};
	if (bpf_map_update_elem(&procs, &r.key, &proc, BPF_NOEXIST) == 0)
		bpf_seq_write(ctx->meta->seq, &r, sizeof(r));
	return 0;
}
