/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The tail of a record: strings, one after the other.
 *
 * Where the tail ends is kept in the record, not in a register: what the verifier does not track
 * it need not tell apart, so that a loop of 64 steps is verified like one of few.
 */
#ifndef PICKET_TAIL_H
#define PICKET_TAIL_H

#include "maps.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

static __always_inline struct exec_record *scratch(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&exec_scratch, &zero);
}

static __always_inline __u32 tail_len(struct exec_record *r)
{
	return *(volatile __u32 *)&r->head.tail_len;
}

/* Appends a string with its NUL, at most `most` bytes; a constant. */
static __always_inline bool put_string(struct exec_record *r, const void *text, const __u32 most)
{
	__u32 off = tail_len(r);
	if (off > TAIL_LEN - most)
		return false;
	long n = bpf_probe_read_kernel_str(&r->tail[off], most, text);
	if (n <= 0)
		return false;
	*(volatile __u32 *)&r->head.tail_len = off + n;
	return true;
}

/*
 * Appends a path, last component first. Stops at the process's own root, so that the path is
 * what the process itself would see. Returns 1 when the path has more components or bytes than
 * are followed. Walks dentries and mounts, since bpf_d_path() is not allowed in these hooks.
 *
 * A global function: verified once, for any arguments.
 */
__noinline int put_path(__u64 mnt_address, __u64 dentry_address)
{
	struct vfsmount *mnt = (void *)mnt_address;
	struct dentry *dentry = (void *)dentry_address;
	struct task_struct *task = (void *)bpf_get_current_task();
	struct fs_struct *fs = BPF_CORE_READ(task, fs);
	struct vfsmount *root_mnt = BPF_CORE_READ(fs, root.mnt);
	struct dentry *root_dentry = BPF_CORE_READ(fs, root.dentry);
	struct exec_record *r = scratch();
	if (!r)
		return 1;
	__u32 begin = tail_len(r);

	for (int i = 0; i < DEEPEST; i++) {
		if (dentry == root_dentry && mnt == root_mnt)
			return 0;
		struct dentry *parent = BPF_CORE_READ(dentry, d_parent);
		if (dentry == BPF_CORE_READ(mnt, mnt_root) || dentry == parent) {
			/* The root of a file system: go on where it is mounted. */
			struct mount *m = (void *)mnt - bpf_core_field_offset(struct mount, mnt);
			struct mount *up = BPF_CORE_READ(m, mnt_parent);
			if (!up || up == m) {
				/* Mounted nowhere: the path begins here, unless this is a
				 * file of the kernel's own (a memfd), which has a name. */
				if (BPF_CORE_READ(mnt, mnt_sb, s_flags) & SB_KERNMOUNT)
					put_string(r, BPF_CORE_READ(dentry, d_name.name), NAME_LEN);
				return 0;
			}
			dentry = BPF_CORE_READ(m, mnt_mountpoint);
			mnt = (void *)up + bpf_core_field_offset(struct mount, mnt);
			continue;
		}
		if (tail_len(r) - begin > PATH_LEN)
			return 1;
		if (!put_string(r, BPF_CORE_READ(dentry, d_name.name), NAME_LEN))
			return 1;
		dentry = parent;
	}
	return 1;
}

#endif
