/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Outbound TCP connections of those who may have a server above them.
 *
 * connect() → tcp_v4_connect() or tcp_v6_connect() → tcp_set_state(TCP_SYN_SENT), in the caller's
 * own context, whichever system call or io_uring operation it came through, and with the other
 * side's address in the socket. The own port is there only if the caller chose it. However the
 * connection ends, tcp_set_state(TCP_CLOSE) tells, in anybody's context: who made it is kept with
 * the socket.
 *
 * For everybody else this costs a look at their process when they connect, and a look at the
 * socket when it is closed. Called from listen.h, whose hook it is.
 *
 * A proxy connects to the same few places again and again: of one tree's connections to one
 * place the first ones in a while are told, the others counted.
 */

#define REPEATS 16
#define WHILE_NS (60ULL * 1000 * 1000 * 1000)

static __always_inline void put_peer_address(__u8 address[16], struct sock *sk)
{
	__builtin_memset(address, 0, 16);
	if (sk->__sk_common.skc_family == AF_INET6)
		bpf_probe_read_kernel(address, 16, &sk->__sk_common.skc_v6_daddr);
	else
		bpf_probe_read_kernel(address, 4, &sk->__sk_common.skc_daddr);
}

/* Whether a connection is one of too many to the same place. If not, says how many were left out
 * before it. */
static __always_inline bool is_repeated(__u64 tree, struct sock *sk, struct connection *connection)
{
	struct peer_key key = {
		.tree = tree,
		.net_ns = connection->net_ns,
		.family = sk->__sk_common.skc_family,
		.port = sk->__sk_common.skc_dport,
	};
	put_peer_address(key.address, sk);
	struct peer *peer = bpf_map_lookup_elem(&peers, &key);
	if (!peer) {
		struct peer first = {.since = connection->began, .told = 1};
		bpf_map_update_elem(&peers, &key, &first, BPF_ANY);
		return false;
	}
	/* Several CPUs at once may tell a few more, and miscount none. */
	if (connection->began - peer->since > WHILE_NS) {
		peer->since = connection->began;
		peer->told = 0;
	}
	if (__sync_fetch_and_add(&peer->told, 1) < REPEATS) {
		connection->repeats = __sync_lock_test_and_set(&peer->left_out, 0);
		return false;
	}
	__sync_fetch_and_add(&peer->left_out, 1);
	return true;
}

static __always_inline void tell_connection(struct counters *c, struct sock *sk,
					    const struct connection *connection, __u16 kind,
					    __u64 now)
{
	__u64 seq = ++c->connect_seq;
	struct connect_record *r = bpf_ringbuf_reserve(&connects, sizeof(*r), 0);
	if (!r) {
		c->lost_connects++;
		note_loss(c, now);
		return;
	}
	struct tcp_sock *tcp = (void *)sk;
	r->seq = seq;
	r->boot_ns = now;
	r->connection = *connection;
	/* Each byte once; and the end of the other side's bytes counts as one of them. */
	r->sent = BPF_CORE_READ(tcp, bytes_sent) - BPF_CORE_READ(tcp, bytes_retrans);
	r->received =
		BPF_CORE_READ(tcp, bytes_received) - (sk->__sk_common.skc_flags >> SOCK_DONE & 1);
	r->cpu = bpf_get_smp_processor_id();
	r->kind = kind;
	r->family = sk->__sk_common.skc_family;
	/* As it is sent: when it ends, the socket has given the port back. */
	r->local_port = bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
	r->peer_port = bpf_ntohs(sk->__sk_common.skc_dport);
	r->pad = 0;
	put_address(r->local, sk);
	put_peer_address(r->peer, sk);
	bpf_ringbuf_submit(r, 0);
}

static __always_inline void connection_began(struct sock *sk)
{
	/* Other protocols call their own states by the same numbers; one that is made of several
	 * TCP connections tells of each. */
	if (!below || sk->sk_protocol != IPPROTO_TCP)
		return;
	struct task_struct *task = (void *)bpf_get_current_task_btf();
	struct proc_key key = key_of(task);
	struct proc *proc = bpf_map_lookup_elem(&procs, &key);
	__u64 tree = watched_tree(proc);
	struct counters *c = counters();
	if (!proc || !tree || !c)
		return;
	struct connection connection = {
		.began = bpf_ktime_get_boot_ns(),
		.start = key.start,
		.tree = tree,
		.pid = key.pid,
		.net_ns = sk->__sk_common.skc_net.net->ns.inum,
	};
	if (is_repeated(tree, sk, &connection)) {
		c->repeated++;
		return;
	}
	proc->keep = 1; /* somebody may ask for it when it is gone */
	bpf_probe_read_kernel(connection.comm, COMM_LEN, task->comm);
	struct connection *kept =
		bpf_sk_storage_get(&connections, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (kept)
		*kept = connection;
	tell_connection(c, sk, &connection, CONNECT_BEGAN, connection.began);
	if (!kept) { /* its end will be missing */
		c->lost_connects++;
		note_loss(c, connection.began);
	}
}

static __always_inline void connection_ended(struct sock *sk, int oldstate)
{
	struct connection *connection = bpf_sk_storage_get(&connections, sk, 0, 0);
	struct counters *c = counters();

	if (!connection || !c)
		return;
	tell_connection(c, sk, connection,
			oldstate == TCP_SYN_SENT ? CONNECT_FAILED : CONNECT_ENDED,
			bpf_ktime_get_boot_ns());
	bpf_sk_storage_delete(&connections, sk);
}
