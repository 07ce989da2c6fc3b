/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * A process ended: its last thread is gone.
 *
 * do_exit() counts signal->live down before trace_sched_process_exit(), so 0 means that this
 * thread was the last one, whether it is the leader or not.
 */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	if (task->signal->live.counter != 0)
		return 0;
	struct proc_key key = key_of(task);
	struct proc *proc = bpf_map_lookup_elem(&procs, &key);
	if (!proc)
		return 0;
	if (proc->keep) {
		proc->exited = bpf_ktime_get_boot_ns();
		return 0;
	}
	/* Nobody descends from it and nobody was told of it: the memory is for those who matter. */
	if (proc->own_image)
		bpf_map_delete_elem(&images, &proc->image);
	bpf_map_delete_elem(&procs, &key);
	return 0;
}
