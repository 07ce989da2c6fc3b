/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * A server under suspicion sent something: is it HTTP?
 *
 * A program of a cgroup sees each IP packet that the cgroup's sockets send, after the socket and
 * before the interface, whatever the server and its language are, and also what sendfile(),
 * splice() and io_uring sent. It is attached by user space to cgroups that hold a suspect, and
 * only as long as they do. It lets every packet pass.
 *
 * Only the first bytes that a server sends on a connection are judged. The kernel's own count of
 * acknowledged bytes says where in the stream a segment lies, so that neither a connection that
 * is older than the suspicion nor a segment that is sent again is mistaken for a beginning.
 *
 * What is inside TLS cannot be told. A relay that forwards to an HTTP server answers HTTP to
 * those who ask it, and is said to.
 */

#define PASS 1

enum judgement { WAIT, HTTP1, HTTP2, TLS, OTHER };

/* `HTTP/1.`, a digit, a blank: a status line. */
static __always_inline enum judgement judge_http1(const __u8 *b, __u32 len)
{
	static const char expected[7] = "HTTP/1.";

	for (__u32 i = 0; i < 7; i++) {
		if (i >= len)
			return WAIT;
		if (b[i] != expected[i])
			return OTHER;
	}
	if (len > 7 && (b[7] < '0' || b[7] > '9'))
		return OTHER;
	if (len > 8)
		return b[8] == ' ' ? HTTP1 : OTHER;
	return WAIT;
}

/*
 * A SETTINGS frame that acknowledges nothing: three bytes of length, a type of 4, no flags,
 * stream 0. Protocols that begin with a length of their own come close to that (00 00 00 04, then
 * zeros; Kafka does), so what follows is looked at as well: a setting that exists, or, when there
 * is none, a frame that may come next.
 */
static __always_inline enum judgement judge_http2(const __u8 *b, __u32 len)
{
	__u32 size = b[1] << 8 | b[2];

	if (len < 3)
		return len > 1 && b[1] > 3 ? OTHER : WAIT;
	if (size >= 1024 || size % 6)
		return OTHER;
	for (__u32 i = 3; i < 9; i++) {
		if (i >= len)
			return WAIT;
		if (b[i] != (i == 3 ? 4 : 0))
			return OTHER;
	}
	if (size) {
		if (len < 11)
			return WAIT;
		/* Settings 1 to 16, or one of those that are sent so that nobody relies on them. */
		bool known = !b[9] && b[10] && b[10] <= 16;
		bool grease = (b[9] & 15) == 10 && (b[10] & 15) == 10;
		return known || grease ? HTTP2 : OTHER;
	}
	if (len < 15)
		return WAIT;
	__u32 next = b[9] << 16 | b[10] << 8 | b[11];
	bool settings = b[12] == 4 && next % 6 == 0 && b[13] <= 1;
	bool window = b[12] == 8 && next == 4 && b[13] == 0;
	bool ping = b[12] == 6 && next == 8 && b[13] <= 1;
	bool goaway = b[12] == 7 && next >= 8 && b[13] == 0;
	bool headers = b[12] == 1 && b[13] & 4;
	return b[14] == 0 && (settings || window || ping || goaway || headers) ? HTTP2 : OTHER;
}

static __always_inline enum judgement judge(const __u8 *b, __u32 len)
{
	switch (b[0]) {
	case 'H':
		return judge_http1(b, len);
	case 0:
		return judge_http2(b, len);
	case 0x16: /* a handshake; the version's first byte is 3 in all of them */
		if (len < 2)
			return WAIT;
		return b[1] == 3 ? TLS : OTHER;
	}
	return OTHER;
}

/* Where the payload of a TCP segment begins, and its sequence number; 0 if there is none. */
static __always_inline __u32 payload_of(struct __sk_buff *skb, __u32 *seq)
{
	__u8 ip[40] = {};
	__u8 tcp[14] = {};
	__u32 at = 0;

	if (bpf_skb_load_bytes(skb, 0, ip, 20))
		return 0;
	if (ip[0] >> 4 == 4) {
		if (ip[9] != IPPROTO_TCP || (ip[6] & 0x1f) || ip[7])
			return 0; /* or the rest of something */
		at = (ip[0] & 15) * 4;
	} else {
		__u8 next = ip[6];
		at = 40;
		for (int i = 0; i < 6 && next != IPPROTO_TCP; i++) {
			__u8 extension[2];
			/* Hop by hop (that of packets beyond 64 KiB as well), routing, destination.
			 */
			if (next != 0 && next != 43 && next != 60)
				return 0;
			if (bpf_skb_load_bytes(skb, at, extension, 2))
				return 0;
			next = extension[0];
			at += (extension[1] + 1) * 8;
		}
		if (next != IPPROTO_TCP)
			return 0;
	}
	if (bpf_skb_load_bytes(skb, at, tcp, sizeof(tcp)))
		return 0;
	*seq = tcp[4] << 24 | tcp[5] << 16 | tcp[6] << 8 | tcp[7];
	at += (tcp[12] >> 4) * 4;
	return at < skb->len ? at : 0;
}

/* The suspect that a connection belongs to: on its very address, or on any. */
static __always_inline struct suspect *suspect_of(struct tcp_sock *tcp, struct suspect_key *key)
{
	put_suspect_key(key, (struct sock *)tcp);
	struct suspect *suspect = bpf_map_lookup_elem(&suspects, key);
	if (suspect)
		return suspect;
	__builtin_memset(key->address, 0, sizeof(key->address));
	return bpf_map_lookup_elem(&suspects, key);
}

/* Adds a segment to what was heard. False if there is nothing new to judge. */
static __always_inline bool hear(struct __sk_buff *skb, struct heard *heard, __u32 at, __u32 from)
{
	__u32 n = skb->len - from;

	at &= FIRST_BYTES - 1;
	if (n > FIRST_BYTES - at)
		n = FIRST_BYTES - at;
	/* The compiler knows that it is 1 to 16; the verifier must see it. */
	n -= 1;
	barrier_var(n);
	n = (n & (FIRST_BYTES - 1)) + 1;
	if (bpf_skb_load_bytes(skb, from, &heard->first[at], n))
		return false;
	if (at + n <= heard->len)
		return false;
	heard->len = at + n;
	return true;
}

static __always_inline void decide(struct suspect *suspect, const struct suspect_key *key,
				   const struct heard *heard, enum judgement judgement)
{
	__u16 kind = ANSWER_NOT_HTTP;

	if (judgement == HTTP1) {
		kind = ANSWER_HTTP1;
	} else if (judgement == HTTP2) {
		kind = ANSWER_HTTP2;
	} else {
		if (judgement == TLS)
			__sync_fetch_and_add(&suspect->tls, 1);
		else
			__sync_fetch_and_add(&suspect->other, 1);
		if (suspect->tls + suspect->other < UNLIKE_HTTP)
			return;
	}
	/* Without room for the record the next connection decides. */
	if (tell(suspect, key, kind, heard))
		suspect->decided = 1;
}

SEC("cgroup_skb/egress")
int on_answer(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	if (!sk || !is_suspect_port(sk->src_port))
		return PASS;
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
	if (!tcp)
		return PASS;
	struct heard *heard = bpf_sk_storage_get(&heards, tcp, 0, 0);
	if (heard && heard->judged)
		return PASS;

	struct suspect_key key = {};
	struct suspect *suspect = suspect_of(tcp, &key);
	if (!suspect || suspect->decided)
		return PASS;
	__u32 seq = 0;
	__u32 from = payload_of(skb, &seq);
	if (!from)
		return PASS;
	if (!heard) {
		heard = bpf_sk_storage_get(&heards, tcp, 0, BPF_SK_STORAGE_GET_F_CREATE);
		if (!heard) {
			struct counters *c = counters();
			if (c)
				__sync_fetch_and_add(&c->lost_answers, 1);
			return PASS;
		}
	}
	__u64 at = tcp->bytes_acked + (__u32)(seq - tcp->snd_una);
	if (at >= FIRST_BYTES) {
		heard->judged = 1; /* its beginning is over */
		return PASS;
	}
	if (at > heard->len || !hear(skb, heard, at, from))
		return PASS;
	enum judgement judgement = judge(heard->first, heard->len);
	if (judgement != WAIT) {
		heard->judged = 1;
		decide(suspect, &key, heard, judgement);
	}
	return PASS;
}
