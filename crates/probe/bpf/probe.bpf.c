// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The kernel side of picket: a table of contents. */
#include "kernel.h"
#include "wire.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "maps.h"
#include "tail.h"
#include "cgroup.h"
#include "lineage.h"
#include "tree.h"
#include "suspect.h"

/* In the order in which they are turned on. A process whose end were missed would be taken for a
 * living one for ever. What was seen to execute is surely seen to listen, so that those that are
 * found listening and were not seen to execute are all that is missing. */
#include "hook/exit.h"
#include "hook/fork.h"
#include "hook/connect.h"
#include "hook/listen.h"
#include "hook/exec.h"
#include "hook/answer.h"
#include "hook/task.h"
#include "hook/file.h"

/* Types that no map names; the skeleton takes them from here. */
struct wire {
	struct exec_head exec;
	struct listen_record listen;
	struct answer_record answer;
	struct connect_record connect;
	struct seed_record seed;
};
const struct wire wire_types = {};

/* The helpers used are for GPL-compatible programs. */
char LICENSE[] SEC("license") = "Dual MIT/GPL";
