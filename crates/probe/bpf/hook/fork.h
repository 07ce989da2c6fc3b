/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * A process was made.
 *
 * kernel_clone() → copy_process() (sets tgid and start_boottime) → trace_sched_process_fork().
 * The creator is taken, not real_parent: with CLONE_PARENT the two differ, and the creator is
 * the one that cannot be chosen.
 */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *creator, struct task_struct *child)
{
	if (child->pid != child->tgid)
		return 0; /* a thread */
	struct proc_key key = key_of(child);
	struct proc proc = {.parent = key_of(creator)};
	struct proc *from = bpf_map_lookup_elem(&procs, &proc.parent);
	if (from) {
		proc.image = from->image;
		from->keep = 1; /* it is an ancestor now */
	}
	if (bpf_map_update_elem(&procs, &key, &proc, BPF_ANY)) {
		struct counters *c = counters();
		if (c)
			c->lost_lineage++;
	}
	return 0;
}
