/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * A process ended: its last thread is gone.
 *
 * do_exit() counts signal->live down before trace_sched_process_exit(), so 0 means that no thread
 * is left to end after this one, whether it is the leader or not. Two that end at the same time
 * may both see that.
 */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	if (task->signal->live.counter != 0)
		return 0;
	struct counters *c = counters();
	if (!c)
		return 0;
	struct proc_key key = key_of(task);
	bury(c, &key);
	return 0;
}
