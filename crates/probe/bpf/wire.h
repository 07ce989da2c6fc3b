/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The one description of everything that crosses between the kernel and user space:
 * records, map keys and map values. Rust gets these types from the generated skeleton.
 */
#ifndef PICKET_WIRE_H
#define PICKET_WIRE_H

#define COMM_LEN 16
#define NAME_LEN 256 /* NAME_MAX and its NUL */
#define PATH_LEN 4096
#define ARGS_LEN 8192
#define PIECE_LEN 8192 /* of the arguments that follow; at most PIECES of them: 128 KiB in all */
#define PIECES 15
#define THIN_LEN 1024	 /* bytes of the tail in a thin record, */
#define THIN_ARGS 256	 /* and of the arguments in it */
#define DEEPEST 64	 /* path components that are followed */
#define CGROUP_LEVELS 20 /* names of a cgroup's path that are taken, the root's side first */
#define CGROUP_NAME 160	 /* and bytes of each, with a NUL: the names of engines are shorter */
#define TTY_LEN 64
#define IMAGE_NAME 32
#define IMAGE_PATH 128
#define IMAGE_ARGS 128

/* The tail holds, one after the other: the file's path, what was asked for, the interpreter, the
 * arguments, the working directory, the cgroup (version 2, then version 1), the terminal's name. A
 * path is its components from the last to the first, each ended by a NUL. What tells what it is
 * comes first: a thin record is the beginning of a full one. */
#define PLACE_LEN (2 * CGROUP_LEVELS * CGROUP_NAME + TTY_LEN)
#define TAIL_LEN (2 * (PATH_LEN + NAME_LEN) + 2 * PATH_LEN + PLACE_LEN + ARGS_LEN)

/* exec_head.flags */
#define EXEC_TTY (1 << 0)
#define EXEC_DELETED (1 << 1)
#define EXEC_MEMFD (1 << 2)
#define EXEC_SCRIPT (1 << 3)
#define EXEC_ARGS_TRUNCATED (1 << 4)
#define EXEC_ARGS_UNREADABLE (1 << 5)
#define EXEC_PATH_TRUNCATED (1 << 6)
#define EXEC_CWD_TRUNCATED (1 << 7)
#define EXEC_OVERLAY (1 << 8)
#define EXEC_THIN (1 << 9) /* little room was left: the fact, and what identifies it */
#define EXEC_CGROUP_TRUNCATED (1 << 10)

/* Why an execution crossed; exec_head.why */
#define WHY_EVERYTHING 0
#define WHY_NAME 1
#define WHY_FILE 2
#define WHY_UNKNOWN 3
#define WHY_BELOW 4 /* somebody above it may be a server, see tree.h */

/* Arguments beyond ARGS_LEN. Pieces are sent before the record that they belong to, which is
 * known by CPU and number. */
struct args_piece {
	__u64 seq;
	__u32 cpu;
	__u32 len;
	char bytes[PIECE_LEN];
};

/* What is known of a file; values of the map `files` */
#define VERDICT_BENIGN 1
#define VERDICT_WATCH 2

/* What became of a suspect; answer_record.kind */
#define ANSWER_HTTP1 1
#define ANSWER_HTTP2 2
#define ANSWER_NOT_HTTP 3 /* so many connections without HTTP that no more are looked at */
#define ANSWER_CLOSED 4	  /* one of its sockets listens no longer */

#define FIRST_BYTES 16	/* of what a server sends, as far as they are looked at */
#define UNLIKE_HTTP 64	/* connections without HTTP, after which none is expected */
#define PORT_WORDS 1024 /* of 64 bits: one for each port */

/* A process: a pid alone may be used again. */
struct proc_key {
	__u64 start;
	__u32 pid;
	__u32 pad;
};

/* A process, as lineage knows it. `born` and `image` are references to images, see lineage.h. */
struct proc {
	struct proc_key parent; /* who made it */
	__u64 alive;		/* its own start + 1; 0 when it has ended */
	__u64 born;		/* what its creator ran when it made this one */
	__u64 image;		/* what it executed last; 0: nothing, it runs what `born` says */
	__u64 keep;		/* somebody may still ask for it when it is gone */
	__u64 tree;		/* that it belongs to, see tree.h; 0: none */
};

#define IMAGE_SEEDED (1ULL << 63) /* of a process that ran before the hooks: user space has it */
#define IMAGE_UNKNOWN (~0ULL)	  /* there was no room for it */

#define TREE_LISTENER (1ULL << 62) /* a tree that began with a listener */

/* What a process runs, kept for when it is gone: a slot. Shared by all that fork from it. */
struct image {
	__u64 refs;  /* of processes; 0: the slot is free */
	__u64 taken; /* how often the slot was */
	__u32 path_len;
	__u32 args_len;
	char comm[COMM_LEN];
	char name[IMAGE_NAME]; /* of the file that runs */
	char path[IMAGE_PATH]; /* that was asked for */
	char args[IMAGE_ARGS];
};

/* A file's identity: a changed file is another file. */
struct file_key {
	__u64 inode;
	__u64 size;
	__s64 changed_sec;
	__u32 changed_nsec;
	__u32 device;
	__u32 generation;
	__u32 pad;
};

struct exec_head {
	__u64 seq;
	__u64 boot_ns;
	__u64 start;
	__u64 parent_start;
	__u64 cgroup;
	__u64 filesystem; /* magic number; of an overlay, that of the layer it writes to */
	__u64 tree;	  /* that the process belongs to now, 0 for one that is cleared, */
	__u64 outer;	  /* and before: the same, unless this execution began one */
	struct file_key file;
	__u32 cpu;
	__u32 flags;
	__u32 why;
	__u32 pid;
	__u32 ppid;
	__u32 uid;
	__u32 gid;
	__u32 session;
	__u32 mnt_ns;
	__u32 pid_ns;
	__u32 net_ns;
	__u32 user_ns;
	__u32 mode;
	__u32 links;
	__u32 path_len;
	__u32 asked_len;
	__u32 interpreter_len;
	__u32 cgroup_len;
	__u32 cgroup_v1_len;
	__u32 tty_len;
	__u32 cgroup_depth; /* of use while the record is put together */
	__u32 args_len;
	__u32 cwd_len;
	__u32 tail_len;
	__u32 more_args; /* bytes in the pieces that were sent before */
	__u32 all_args;	 /* bytes of all arguments */
	char comm[COMM_LEN];
};

struct exec_record {
	struct exec_head head;
	char tail[TAIL_LEN];
};

struct listen_record {
	__u64 seq;
	__u64 boot_ns;
	__u64 start;
	__u64 cgroup; /* of the socket; 0 where it could not be told */
	__u64 tree;   /* as in exec_head */
	__u64 outer;
	__u32 cpu;
	__u32 pid;
	__u32 net_ns;
	__u16 family;
	__u16 port;
	__u8 address[16];
	char comm[COMM_LEN];
};

/* Where a listener under suspicion is to be reached. */
struct suspect_key {
	__u64 cgroup;
	__u32 net_ns;
	__u16 family;
	__u16 port;
	__u8 address[16]; /* zeros for any */
};

/* A listener under suspicion, and what its connections were so far. */
struct suspect {
	__u64 ticket; /* of user space, never used again */
	__u32 tls;
	__u32 other;
	__u32 decided;
	__u32 pad;
};

struct answer_record {
	__u64 seq;
	__u64 boot_ns;
	__u64 ticket;
	__u64 cgroup;
	__u32 cpu;
	__u32 pid; /* that closed it; 0 for an answer, which may be sent from anywhere */
	__u16 port;
	__u16 kind;
	__u32 pad;
	__u8 first[FIRST_BYTES];
};

/* What a connection's server said first; kept with the socket. */
struct heard {
	__u8 first[2 * FIRST_BYTES]; /* twice, so that no sum of bounds leaves it */
	__u32 len;
	__u32 judged;
};

/* An outbound connection and who made it; kept with the socket. */
struct connection {
	__u64 began; /* boot time */
	__u64 start;
	__u64 tree;
	__u64 repeats; /* connections of the tree to the same place that were left out before it */
	__u32 pid;
	__u32 net_ns;
	char comm[COMM_LEN];
};

/* connect_record.kind */
#define CONNECT_BEGAN 1
#define CONNECT_ENDED 2
#define CONNECT_FAILED 3 /* it ended before anybody answered */

struct connect_record {
	__u64 seq;
	__u64 boot_ns;
	struct connection connection;
	__u64 sent; /* bytes, once it has ended */
	__u64 received;
	__u32 cpu;
	__u16 kind;
	__u16 family;
	__u16 local_port; /* 0 as long as the kernel has not chosen one */
	__u16 peer_port;
	__u32 pad;
	__u8 local[16];
	__u8 peer[16];
};

/* Where the connections of a tree go, */
struct peer_key {
	__u64 tree;
	__u32 net_ns;
	__u16 family;
	__u16 port;
	__u8 address[16];
};

/* and how many were told and left out since then. */
struct peer {
	__u64 since;
	__u64 told;
	__u64 left_out;
};

/* A line of the task iterator. */
struct seed_record {
	struct proc_key key;
	struct proc_key parent;
	__u64 number;
	char comm[COMM_LEN];
};

/* Per CPU, so that no counting needs a lock; user space adds them up. */
struct counters {
	__u64 execs;	  /* seen */
	__u64 crossed;	  /* sent */
	__u64 lost_execs; /* no room in the ring */
	__u64 lost_listens;
	__u64 first_lost; /* boot time of the first loss and of the last */
	__u64 last_lost;
	__u64 new_lost; /* of the first since user space looked last, and of the one before that
			   look */
	__u64 former_lost;
	__u64 thinned; /* sent, but thin */
	__u64 exec_seq;
	__u64 listen_seq;
	__u64 lost_lineage; /* a process or an image could not be kept, since the living stay */
	__u64 answer_seq;
	__u64 lost_answers;
	__u64 connect_seq;
	__u64 lost_connects;
	__u64 repeated;	    /* connections that were left out, as one of many to the same place */
	__u64 below;	    /* executions sent because somebody above may be a server */
	__u64 lost_args;    /* no room for the rest of the arguments */
	__u64 evicted;	    /* dead processes that made room in lineage */
	__u64 first_unkept; /* boot time of the first lost_lineage and of the last */
	__u64 last_unkept;
	__u64 spare; /* no counter: the slot of an image that was freed on this CPU, plus one */
};

#endif
