/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What listened before picket: one pass over all open files, read once after the task iterator.
 *
 * bpf_sock_from_file() gives the socket only of files that the kernel's socket layer made, so
 * nothing else is taken for one. Several processes may have the same socket open, and a process
 * may have it open twice: user space sorts that out.
 */
SEC("iter/task_file")
int on_file(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	if (!task || !file)
		return 0;
	struct socket *socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	struct sock *sk = socket->sk;
	if (!sk || sk->__sk_common.skc_state != TCP_LISTEN)
		return 0;
	/* Other protocols call their own states by the same number. */
	__u16 family = sk->__sk_common.skc_family;
	if (family != AF_INET && family != AF_INET6)
		return 0;
	if (sk->sk_protocol != IPPROTO_TCP && sk->sk_protocol != IPPROTO_MPTCP)
		return 0;
	struct task_struct *leader = task->group_leader;
	struct listen_record r = {
		.boot_ns = bpf_ktime_get_boot_ns(),
		.start = leader->start_boottime,
		.cgroup = socket_cgroup(sk),
		.pid = task->tgid,
		.net_ns = sk->__sk_common.skc_net.net->ns.inum,
		.family = family,
		.port = sk->__sk_common.skc_num,
	};
	put_address(r.address, sk);
	bpf_probe_read_kernel(r.comm, COMM_LEN, leader->comm);
	bpf_seq_write(ctx->meta->seq, &r, sizeof(r));
	return 0;
}
