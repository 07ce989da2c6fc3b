/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * A program was executed.
 *
 * execve(), execveat(), fexecve(), scripts, 32-bit callers and executions by the kernel itself
 * all end in exec_binprm() → trace_sched_process_exec(), after the point of no return and in the
 * new image's context. `bprm->file` is the file that really runs, `bprm->filename` what was asked
 * for, and the arguments lie in the new address space, where nobody else can change them: there
 * is no time between check and use.
 */

#define TMPFS_MAGIC 0x01021994
#define HUGETLBFS_MAGIC 0x958458f6
#define OVERLAYFS_MAGIC 0x794c7630
#define CTIME_NSEC_MASK 0x7fffffff /* the highest bit is a flag since 6.13 */

static __always_inline void put_change_time(struct file_key *key, struct inode *inode)
{
	struct inode___since_6_11 *v3 = (void *)inode;
	struct inode___before_6_11 *v2 = (void *)inode;
	struct inode___before_6_6 *v1 = (void *)inode;

	if (bpf_core_field_exists(v3->i_ctime_sec)) {
		key->changed_sec = v3->i_ctime_sec;
		key->changed_nsec = v3->i_ctime_nsec & CTIME_NSEC_MASK;
	} else if (bpf_core_field_exists(v2->__i_ctime)) {
		key->changed_sec = v2->__i_ctime.tv_sec;
		key->changed_nsec = v2->__i_ctime.tv_nsec;
	} else {
		key->changed_sec = v1->i_ctime.tv_sec;
		key->changed_nsec = v1->i_ctime.tv_nsec;
	}
}

/* Makes eight letters small at once: for each byte that is a capital letter of ASCII, the highest
 * bit of the sum tells, and moved to where the bit of small letters is it makes one of it. */
static __always_inline __u64 small(__u64 text)
{
	__u64 ones = 0x0101010101010101ULL;
	__u64 low = text & (0x7f * ones);
	__u64 from_a = low + (0x80 - 'A') * ones;
	__u64 after_z = low + (0x7f - 'Z') * ones;
	return text | ((from_a ^ after_z) & ~text & (0x80 * ones)) >> 2;
}

/* Cuts the version off a name, as probe::filter does for the names it puts into the map. */
static __always_inline void cut_version(char name[COMM_LEN])
{
	for (int i = COMM_LEN - 1; i >= 0; i--) {
		char c = name[i];
		if (c && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_')
			break;
		name[i] = 0;
	}
}

static __always_inline bool known_name(const char name[COMM_LEN])
{
	char key[COMM_LEN];
	*(__u64 *)key = small(*(__u64 *)name);
	*(__u64 *)(key + 8) = small(*(__u64 *)(name + 8));
	cut_version(key);
	return bpf_map_lookup_elem(&names, key) != 0;
}

/* Why this execution must cross, or -1. Cheapest test first. */
static __always_inline int filter(struct task_struct *task, struct dentry *dentry,
				  struct file_key *file)
{
	char asked[COMM_LEN] = {};
	char real[COMM_LEN] = {};

	/* comm was just set from the base name of what was asked for. */
	bpf_probe_read_kernel_str(asked, COMM_LEN, task->comm);
	bpf_probe_read_kernel_str(real, COMM_LEN, dentry->d_name.name);
	if (known_name(asked))
		return WHY_NAME;
	if (*(__u64 *)asked != *(__u64 *)real || *(__u64 *)(asked + 8) != *(__u64 *)(real + 8))
		if (known_name(real))
			return WHY_NAME;
	__u8 *verdict = bpf_map_lookup_elem(&files, file);
	if (!verdict)
		return WHY_UNKNOWN;
	if (*verdict == VERDICT_WATCH)
		return WHY_FILE;
	__u32 zero = 0;
	__u32 *all = bpf_map_lookup_elem(&everything, &zero);
	return all && *all ? WHY_EVERYTHING : -1;
}

/* Whether it may be a server that was executed. */
static __always_inline bool is_candidate(int why)
{
	return why == WHY_NAME || why == WHY_FILE || why == WHY_UNKNOWN;
}

/* What an overlay promises of change times is what the file system below it promises. */
static __always_inline __u64 writable_layer(struct super_block *sb)
{
	struct ovl_fs *overlay = (void *)BPF_CORE_READ(sb, s_fs_info);

	if (!bpf_core_field_exists(overlay->layers))
		return 0;
	struct ovl_layer *layers = BPF_CORE_READ(overlay, layers);
	struct vfsmount *mnt = BPF_CORE_READ(layers, mnt);
	if (!mnt) /* nothing is written to it: the layer below, then */
		mnt = BPF_CORE_READ(
			(struct ovl_layer *)((void *)layers + bpf_core_type_size(struct ovl_layer)),
			mnt);
	return BPF_CORE_READ(mnt, mnt_sb, s_magic);
}

static __always_inline __u32 active_pid_ns(struct task_struct *task)
{
	struct pid *pid = task->thread_pid;
	unsigned int level = BPF_CORE_READ(pid, level);
	struct upid *upid = (void *)pid + bpf_core_field_offset(struct pid, numbers) +
			    level * bpf_core_type_size(struct upid);
	return BPF_CORE_READ(upid, ns, ns.inum);
}

/* Whether so much waits to be read that detail has to make room for facts. */
static __always_inline bool is_crowded(void)
{
	__u64 waiting = bpf_ringbuf_query(&execs, BPF_RB_AVAIL_DATA);
	return waiting > bpf_ringbuf_query(&execs, BPF_RB_RING_SIZE) / 2;
}

/* Takes from what is left; the length that can be had. */
static __always_inline __u32 take(__u32 *left, __u32 len)
{
	if (len > *left)
		len = *left;
	*left -= len;
	return len;
}

/* Cuts a record down to what identifies it, which comes first: of a long path the file's own name.
 */
static __always_inline void make_thin(struct exec_record *r)
{
	struct exec_head *h = &r->head;
	__u32 left = THIN_LEN;
	__u32 len = take(&left, h->path_len);

	if (len < h->path_len)
		h->flags |= EXEC_PATH_TRUNCATED;
	h->path_len = len;
	h->asked_len = take(&left, h->asked_len);
	h->interpreter_len = take(&left, h->interpreter_len);
	len = take(&left, h->args_len < THIN_ARGS ? h->args_len : THIN_ARGS);
	if (len < h->args_len)
		h->flags |= EXEC_ARGS_TRUNCATED;
	h->args_len = len;
	h->cwd_len = h->cgroup_len = h->cgroup_v1_len = h->tty_len = 0;
	h->flags |= EXEC_THIN | EXEC_CWD_TRUNCATED | EXEC_CGROUP_TRUNCATED;
	*(volatile __u32 *)&h->tail_len = THIN_LEN - left;
}

static __always_inline long send(struct exec_record *r)
{
	__u64 size = sizeof(r->head) + (__u64)tail_len(r);
	if (size > sizeof(*r))
		size = sizeof(*r);
	return bpf_ringbuf_output(&execs, r, size, 0);
}

static __always_inline void put_args(struct exec_record *r, struct mm_struct *mm)
{
	__u64 start = mm->arg_start;
	__u64 len = mm->arg_end - start;
	__u32 off = tail_len(r);

	r->head.all_args = len;
	if (len > ARGS_LEN) {
		len = ARGS_LEN;
		r->head.flags |= EXEC_ARGS_TRUNCATED;
	}
	if (off > TAIL_LEN - ARGS_LEN || bpf_probe_read_user(&r->tail[off], len, (void *)start)) {
		r->head.flags |= EXEC_ARGS_UNREADABLE;
		len = 0;
	}
	r->head.args_len = len;
	*(volatile __u32 *)&r->head.tail_len = off + len;
}

/* Sends the arguments that found no place in the record. They may be padding, and the word that
 * tells at their end. Returns how many bytes that were. */
static __always_inline __u32 send_rest(struct counters *c, struct exec_record *r,
				       struct mm_struct *mm)
{
	__u64 start = mm->arg_start;
	__u64 len = mm->arg_end - start;
	__u32 sent = 0;

	for (int i = 0; i < PIECES; i++) {
		__u64 at = ARGS_LEN + i * PIECE_LEN;
		if (at >= len)
			break;
		struct args_piece *piece = bpf_ringbuf_reserve(&pieces, sizeof(*piece), 0);
		if (!piece) {
			c->lost_args++;
			break;
		}
		__u64 n = len - at;
		if (n > PIECE_LEN)
			n = PIECE_LEN;
		/* 1 to PIECE_LEN, which verifiers before 6.6 do not see in a loop without a mask.
		 */
		n -= 1;
		barrier_var(n);
		n = (n & (PIECE_LEN - 1)) + 1;
		if (bpf_probe_read_user(piece->bytes, n, (void *)(start + at))) {
			bpf_ringbuf_discard(piece, BPF_RB_NO_WAKEUP);
			break;
		}
		piece->seq = r->head.seq;
		piece->cpu = r->head.cpu;
		piece->len = n;
		/* The record wakes the reader. */
		bpf_ringbuf_submit(piece, BPF_RB_NO_WAKEUP);
		sent += n;
	}
	return sent;
}

static __always_inline void fill(struct exec_record *r, struct task_struct *task,
				 struct linux_binprm *bprm, struct inode *inode, bool thin)
{
	struct exec_head *h = &r->head;
	struct nsproxy *ns = task->nsproxy;
	struct signal_struct *signal = task->signal;
	struct super_block *sb = inode->i_sb;
	__u64 ids = bpf_get_current_uid_gid();

	h->cpu = bpf_get_smp_processor_id();
	h->flags = 0;
	h->pid = task->tgid;
	h->start = task->group_leader->start_boottime;
	h->ppid = task->real_parent->tgid;
	h->parent_start = task->real_parent->group_leader->start_boottime;
	h->uid = (__u32)ids;
	h->gid = ids >> 32;
	h->cgroup = bpf_get_current_cgroup_id();
	h->session = BPF_CORE_READ(signal, pids[PICKET_PIDTYPE_SID], numbers[0].nr);
	h->mnt_ns = ns->mnt_ns->ns.inum;
	h->net_ns = ns->net_ns->ns.inum;
	h->pid_ns = active_pid_ns(task);
	h->user_ns = task->cred->user_ns->ns.inum;
	h->filesystem = sb->s_magic;
	if (h->filesystem == OVERLAYFS_MAGIC) {
		h->flags |= EXEC_OVERLAY;
		h->filesystem = writable_layer(sb);
	}
	h->mode = inode->i_mode;
	h->links = inode->i_nlink;
	bpf_probe_read_kernel(h->comm, COMM_LEN, task->comm);
	if (signal->tty)
		h->flags |= EXEC_TTY;
	bool kernel_mount = sb->s_flags & SB_KERNMOUNT;
	if (kernel_mount && (sb->s_magic == TMPFS_MAGIC || sb->s_magic == HUGETLBFS_MAGIC))
		h->flags |= EXEC_MEMFD;
	else if (h->links == 0 || !BPF_CORE_READ(bprm, file, f_path.dentry, d_hash.pprev))
		h->flags |= EXEC_DELETED;

	struct file *file = bprm->file;
	struct fs_struct *fs = task->fs;
	__u32 from = 0;
	h->tail_len = 0;
	if (put_path((__u64)BPF_CORE_READ(file, f_path.mnt),
		     (__u64)BPF_CORE_READ(file, f_path.dentry)))
		h->flags |= EXEC_PATH_TRUNCATED;
	h->path_len = tail_len(r);

	from = tail_len(r);
	put_string(r, bprm->filename, PATH_LEN);
	h->asked_len = tail_len(r) - from;

	/* For a script the kernel goes on with its interpreter, and remembers it here. */
	from = tail_len(r);
	if (bprm->interp != bprm->filename) {
		h->flags |= EXEC_SCRIPT;
		put_string(r, bprm->interp, PATH_LEN);
	}
	h->interpreter_len = tail_len(r) - from;

	put_args(r, task->mm);
	h->cwd_len = h->cgroup_len = h->cgroup_v1_len = h->tty_len = 0;
	if (thin)
		return;

	from = tail_len(r);
	if (put_path((__u64)BPF_CORE_READ(fs, pwd.mnt), (__u64)BPF_CORE_READ(fs, pwd.dentry)))
		h->flags |= EXEC_CWD_TRUNCATED;
	h->cwd_len = tail_len(r) - from;
	put_place(r, task);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	struct counters *c = counters();
	if (!c)
		return 0;
	c->execs++;
	struct proc *proc = keep_image(c, task, bprm);

	struct file *file = bprm->file;
	struct inode *inode = file->f_inode;
	struct file_key key = {
		.inode = inode->i_ino,
		.size = inode->i_size,
		.device = inode->i_sb->s_dev,
		.generation = inode->i_generation,
	};
	put_change_time(&key, inode);
	int why = filter(task, file->f_path.dentry, &key);
	bool may_be_server = is_candidate(why);
	__u64 outer = watched_tree(proc);
	if (!may_be_server && outer)
		why = WHY_BELOW;
	if (why < 0)
		return 0;

	__u64 now = bpf_ktime_get_boot_ns();
	struct exec_record *r = scratch();
	if (!r)
		return 0;
	/* Read back from the record, these are numbers that the verifier does not know: it looks
	 * through what follows once, not once for each. */
	r->head.why = why;
	why = *(volatile __u32 *)&r->head.why;
	may_be_server = is_candidate(why);
	r->head.seq = ++c->exec_seq;
	r->head.tree = r->head.outer = outer;
	if (proc) {
		proc->keep = 1; /* somebody may ask for it when it is gone */
		if (may_be_server)
			r->head.tree = proc->tree = new_tree(r->head.seq);
	}
	r->head.boot_ns = now;
	r->head.file = key;
	r->head.cgroup_depth = is_crowded();
	bool thin = *(volatile __u32 *)&r->head.cgroup_depth;
	fill(r, task, bprm, inode, thin);
	r->head.more_args = 0;
	if (thin)
		make_thin(r);
	else if (r->head.flags & EXEC_ARGS_TRUNCATED)
		r->head.more_args = send_rest(c, r, task->mm);
	long failed = send(r);
	if (failed && !thin) {
		thin = true;
		make_thin(r);
		failed = send(r);
	}
	if (failed) {
		c->lost_execs++;
		note_loss(c, now);
		return 0;
	}
	c->crossed++;
	if (why == WHY_BELOW)
		c->below++;
	if (thin)
		c->thinned++;
	return 0;
}
