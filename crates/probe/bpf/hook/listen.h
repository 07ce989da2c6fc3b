/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * A TCP socket began to listen.
 *
 * listen() → inet_csk_listen_start() → inet_sk_state_store(TCP_LISTEN), in the caller's own
 * context, whichever system call or io_uring operation it came through. A socket that was never
 * bound gets its port only afterwards, and is reported with port 0.
 *
 * The same hook tells when a listener is closed: nobody waits for its answer any more. And it tells
 * of outbound connections, see connect.h.
 */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_listen, struct sock *sk, int oldstate, int newstate)
{
	if (newstate == TCP_CLOSE) {
		if (oldstate == TCP_LISTEN)
			suspect_closed(sk);
		else
			connection_ended(sk, oldstate);
		return 0;
	}
	if (newstate == TCP_SYN_SENT) {
		connection_began(sk);
		return 0;
	}
	if (newstate != TCP_LISTEN)
		return 0;
	struct counters *c = counters();
	if (!c)
		return 0;
	__u64 now = bpf_ktime_get_boot_ns();
	__u64 seq = ++c->listen_seq;
	struct listen_record *r = bpf_ringbuf_reserve(&listens, sizeof(*r), 0);
	if (!r) {
		c->lost_listens++;
		note_loss(c, now);
		return 0;
	}
	struct task_struct *task = (void *)bpf_get_current_task_btf();
	begin_listeners_tree(task, &r->tree, &r->outer);
	r->seq = seq;
	r->boot_ns = now;
	r->start = task->group_leader->start_boottime;
	r->cgroup = socket_cgroup(sk);
	r->cpu = bpf_get_smp_processor_id();
	r->pid = task->tgid;
	r->net_ns = sk->__sk_common.skc_net.net->ns.inum;
	r->family = sk->__sk_common.skc_family;
	r->port = sk->__sk_common.skc_num;
	put_address(r->address, sk);
	bpf_probe_read_kernel(r->comm, COMM_LEN, task->comm);
	bpf_ringbuf_submit(r, 0);
	return 0;
}
