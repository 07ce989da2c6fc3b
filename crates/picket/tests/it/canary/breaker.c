// SPDX-License-Identifier: Apache-2.0
/*
 * Breaks a running picket, from outside, the way a bug or an intruder with root would.
 *
 *   breaker unhook PID PROGRAM   closes the link of one of its eBPF programs
 *   breaker kill PID             kills the next process it makes, before that executes anything
 *   breaker hold PID             holds the next process it makes, until stdin ends
 */
#include <dirent.h>
#include <errno.h>
#include <linux/bpf.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static void fail(const char *what)
{
	fprintf(stderr, "breaker: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void say(const char *what, int number)
{
	printf("%s %d\n", what, number);
	fflush(stdout);
}

static int prog_is(unsigned int id, const char *name)
{
	union bpf_attr attr = {.prog_id = id};
	struct bpf_prog_info info = {0};
	int fd = syscall(SYS_bpf, BPF_PROG_GET_FD_BY_ID, &attr, sizeof(attr));
	if (fd < 0)
		fail("BPF_PROG_GET_FD_BY_ID");
	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = fd;
	attr.info.info_len = sizeof(info);
	attr.info.info = (unsigned long)&info;
	if (syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)))
		fail("BPF_OBJ_GET_INFO_BY_FD");
	close(fd);
	return strcmp(info.name, name) == 0;
}

/* The descriptor of the link of a program. */
static int link_of(int pid, const char *name)
{
	char path[512], line[256];
	int found = -1;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo", pid);
	DIR *dir = opendir(path);
	if (!dir)
		fail(path);
	for (struct dirent *entry; found < 0 && (entry = readdir(dir));) {
		unsigned int id = 0;
		int link = 0;
		snprintf(path, sizeof(path), "/proc/%d/fdinfo/%s", pid, entry->d_name);
		FILE *file = fopen(path, "r");
		if (!file)
			continue;
		while (fgets(line, sizeof(line), file)) {
			link |= !strncmp(line, "link_type:", 10);
			sscanf(line, "prog_id: %u", &id);
		}
		fclose(file);
		if (link && id && prog_is(id, name))
			found = atoi(entry->d_name);
	}
	closedir(dir);
	return found;
}

#ifdef __x86_64__
/* Makes the process call close(fd): the link is gone. Says whether it could be done now. */
static int replace(int pid, int fd)
{
	struct user_regs_struct saved, regs;
	int status;

	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) || ptrace(PTRACE_INTERRUPT, pid, NULL, NULL))
		fail("PTRACE_SEIZE");
	if (waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status))
		fail("waitpid");
	ptrace(PTRACE_GETREGS, pid, NULL, &saved);
	/* It waits in a system call nearly always: that instruction is used. */
	long code = ptrace(PTRACE_PEEKTEXT, pid, (void *)(saved.rip - 2), NULL);
	if ((code & 0xffff) != 0x050f) {
		ptrace(PTRACE_DETACH, pid, NULL, NULL);
		return 0;
	}
	regs = saved;
	regs.orig_rax = -1;
	regs.rax = SYS_close;
	regs.rdi = fd;
	regs.rip = saved.rip - 2;
	ptrace(PTRACE_SETREGS, pid, NULL, &regs);
	do {
		if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) || waitpid(pid, &status, __WALL) != pid)
			fail("PTRACE_SINGLESTEP");
	} while (WIFSTOPPED(status) && WSTOPSIG(status) != SIGTRAP);
	ptrace(PTRACE_GETREGS, pid, NULL, &regs);
	ptrace(PTRACE_SETREGS, pid, NULL, &saved);
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
	if (regs.rax != 0) {
		errno = -(long)regs.rax;
		fail("close in picket");
	}
	return 1;
}
#else
static int replace(int pid, int fd)
{
	errno = ENOSYS;
	fail("this is written for x86-64 only");
	return pid + fd;
}
#endif

static void unhook(int pid, const char *name)
{
	int fd = link_of(pid, name);
	if (fd < 0) {
		errno = ENOENT;
		fail(name);
	}
	for (int i = 0; !replace(pid, fd); i++) {
		if (i > 1000) {
			errno = EAGAIN;
			fail("it never waits");
		}
		usleep(1000);
	}
	errno = EEXIST;
	if (link_of(pid, name) >= 0)
		fail("the link is still there");
	say("unhooked", fd);
}

static void seize_all(int pid)
{
	const long options = PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	DIR *dir = opendir(path);
	if (!dir)
		fail(path);
	for (struct dirent *entry; (entry = readdir(dir));) {
		int tid = atoi(entry->d_name);
		if (tid && ptrace(PTRACE_SEIZE, tid, NULL, (void *)options))
			fail("PTRACE_SEIZE");
	}
	closedir(dir);
}

static int is_thread(int pid, int tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d", pid, tid);
	return access(path, F_OK) == 0;
}

/* Whether stdin has ended. */
static int is_over(void)
{
	struct pollfd in = {.fd = 0, .events = POLLIN};

	return poll(&in, 1, 0) > 0;
}

/* Waits for the next process that picket makes, and kills it or holds it. Whoever is traced goes
 * on when this process ends. */
static void meet_child(int pid, int hold)
{
	int child = 0, held = 0;

	seize_all(pid);
	say("ready", pid);
	while (!held || !is_over()) {
		int status;
		int who = waitpid(-1, &status, __WALL | WNOHANG);
		if (who < 0)
			fail("waitpid");
		if (who == 0) {
			usleep(1000);
			continue;
		}
		if (WIFEXITED(status) || WIFSIGNALED(status)) {
			if (who == child) {
				say("killed", child);
				return;
			}
			continue;
		}
		/* It may be met before its parent's stop tells of it. */
		if (!child && !is_thread(pid, who)) {
			child = who;
			if (!hold)
				kill(child, SIGKILL);
		}
		if (who == child && hold) {
			say("held", child);
			held = 1;
			continue;
		}
		int event = status >> 16, signal = WSTOPSIG(status);
		/* Signals are passed on; events are none. */
		ptrace(PTRACE_CONT, who, NULL, (void *)(long)(event || signal == SIGTRAP ? 0 : signal));
	}
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "unhook"))
		unhook(atoi(argv[2]), argv[3]);
	else if (argc == 3 && !strcmp(argv[1], "kill"))
		meet_child(atoi(argv[2]), 0);
	else if (argc == 3 && !strcmp(argv[1], "hold"))
		meet_child(atoi(argv[2]), 1);
	else
		return 2;
	return 0;
}
