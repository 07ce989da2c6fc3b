/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * A process was made.
 *
 * kernel_clone() → copy_process() (sets tgid and start_boottime) → trace_sched_process_fork(),
 * before the child is woken for the first time. The creator is taken, not real_parent: with
 * CLONE_PARENT the two differ, and the creator is the one that cannot be chosen.
 */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *creator, struct task_struct *child)
{
	if (child->pid != child->tgid)
		return 0; /* a thread */
	struct counters *c = counters();
	if (c)
		keep_child(c, creator, child);
	return 0;
}
