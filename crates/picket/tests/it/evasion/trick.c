// SPDX-License-Identifier: Apache-2.0
// Executes a program the way somebody would who does not want it to be seen.
//
//   trick HOW AUX PATH ARGV0 ARG...
//
// AUX is a file where the pid is written (`fork`, `namespaces`), a new root (`chroot`), a directory
// (`overlay`), what is mounted (`bind`), or a time in milliseconds (`short`); else it is not used.
// With `held-` before HOW, the process stays for a second where it executed its program.
// With -DPRELOAD it is a library that renames the process that loads it.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef PRELOAD
__attribute__((constructor)) static void rename_this_process(void)
{
	prctl(PR_SET_NAME, "kworker/0:1");
}
#else

extern char **environ;

static void fail(const char *what)
{
	fprintf(stderr, "trick: %s: %s\n", what, strerror(errno));
	_exit(126);
}

static int must(int result, const char *what)
{
	if (result < 0)
		fail(what);
	return result;
}

// Somebody may just be about to close the file that he wrote, so this is patient.
static void run(int dir, const char *path, char **argv, int flags)
{
	for (int i = 0; i < 1000; i++) {
		syscall(SYS_execveat, dir, path, argv, environ, flags);
		if (errno != ETXTBSY)
			break;
		usleep(1000);
	}
	fail(path);
}

static void in_memory(const char *path, char **argv)
{
	int from = must(open(path, O_RDONLY | O_CLOEXEC), path);
	int to = must(memfd_create("kworkerd", MFD_CLOEXEC), "memfd_create");
	struct stat stat;
	must(fstat(from, &stat), path);
	for (off_t left = stat.st_size; left > 0;) {
		ssize_t sent = sendfile(to, from, NULL, left);
		if (sent <= 0)
			fail("sendfile");
		left -= sent;
	}
	run(to, "", argv, AT_EMPTY_PATH);
}

// Somebody who acts the moment this process has executed its program.
static void afterwards(const char *unlink_this, int milliseconds)
{
	int ends[2];
	pid_t self = getpid();
	must(pipe2(ends, O_CLOEXEC), "pipe2");
	pid_t child = must(fork(), "fork");
	if (child > 0) {
		int status;
		must(waitpid(child, &status, 0), "waitpid");
		return;
	}
	if (must(fork(), "fork") > 0)
		_exit(0);
	char byte;
	close(ends[1]);
	while (read(ends[0], &byte, 1) < 0 && errno == EINTR)
		;
	if (unlink_this) {
		unlink(unlink_this);
	} else {
		usleep(milliseconds * 1000);
		kill(self, SIGKILL);
	}
	_exit(0);
}

// Somebody who holds this process for a while once it has executed its program.
static void held(int milliseconds)
{
	int ready[2];
	pid_t self = getpid();
	char byte = 0;
	must(pipe2(ready, O_CLOEXEC), "pipe2");
	pid_t child = must(fork(), "fork");
	if (child == 0) {
		if (must(fork(), "fork") > 0)
			_exit(0);
		int status = 0;
		must(ptrace(PTRACE_SEIZE, self, NULL, PTRACE_O_TRACEEXEC), "ptrace");
		must(write(ready[1], &byte, 1), "write");
		while (waitpid(self, &status, __WALL) == self && WIFSTOPPED(status)) {
			if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXEC << 8)) {
				usleep(milliseconds * 1000);
				break;
			}
			// A signal, of its child's end for one: handed on.
			ptrace(PTRACE_CONT, self, NULL, (long)WSTOPSIG(status));
		}
		_exit(0);
	}
	int status;
	must(waitpid(child, &status, 0), "waitpid");
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		fail("ptrace");
}

static void write_pid(const char *path, pid_t pid)
{
	char name[4096];
	snprintf(name, sizeof(name), "%s.new", path);
	FILE *file = fopen(name, "we");
	if (!file)
		fail(name);
	fprintf(file, "%d\n", pid);
	fclose(file);
	must(rename(name, path), path);
}

static void *in_a_thread(void *words)
{
	char **argv = words;
	run(AT_FDCWD, argv[0], argv + 1, 0);
	return NULL;
}

static void own_mounts(void)
{
	must(unshare(CLONE_NEWNS), "unshare");
	must(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), "mount /");
}

static void overlay(const char *dir)
{
	char options[3 * 4096], merged[4096];
	own_mounts();
	snprintf(merged, sizeof(merged), "%s/merged", dir);
	snprintf(options, sizeof(options), "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work",
		 dir, dir, dir);
	must(mount("overlay", merged, "overlay", 0, options), "mount overlay");
}

static void namespaces(const char *pid_file)
{
	must(unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS), "unshare");
	pid_t child = must(fork(), "fork");
	if (child > 0) {
		int status;
		write_pid(pid_file, child);
		waitpid(child, &status, 0);
		_exit(0);
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	held(1000);
	must(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), "mount /");
	must(mount("proc", "/proc", "proc", 0, NULL), "mount /proc");
}

int main(int argc, char **argv)
{
	if (argc < 5)
		return 2;
	const char *how = argv[1], *aux = argv[2], *path = argv[3];
	char **words = argv + 4;
	if (!strncmp(how, "held-", 5)) {
		how += 5;
		if (strcmp(how, "namespaces"))
			held(1000);
	}
	if (!strcmp(how, "memfd")) {
		in_memory(path, words);
	} else if (!strcmp(how, "execveat")) {
		run(must(open(path, O_PATH | O_CLOEXEC), path), "", words, AT_EMPTY_PATH);
	} else if (!strcmp(how, "unlinked-first")) {
		int file = must(open(path, O_PATH | O_CLOEXEC), path);
		must(unlink(path), path);
		run(file, "", words, AT_EMPTY_PATH);
	} else if (!strcmp(how, "unlinked")) {
		afterwards(path, 0);
	} else if (!strcmp(how, "short")) {
		afterwards(NULL, atoi(aux));
	} else if (!strcmp(how, "thread")) {
		pthread_t thread;
		if (pthread_create(&thread, NULL, in_a_thread, argv + 3))
			fail("pthread_create");
		for (;;)
			pause();
	} else if (!strcmp(how, "fork")) {
		if (must(fork(), "fork") > 0)
			_exit(0);
		setsid();
		if (must(fork(), "fork") > 0)
			_exit(0);
		write_pid(aux, getpid());
	} else if (!strcmp(how, "chroot")) {
		must(chroot(aux), "chroot");
		must(chdir("/"), "chdir");
	} else if (!strcmp(how, "alone")) {
		must(unshare(CLONE_NEWNET), "unshare");
	} else if (!strcmp(how, "bind")) {
		own_mounts();
		must(mount(aux, path, NULL, MS_BIND, NULL), "mount --bind");
	} else if (!strcmp(how, "overlay")) {
		overlay(aux);
	} else if (!strcmp(how, "namespaces")) {
		namespaces(aux);
	} else if (strcmp(how, "plain")) {
		return 2;
	}
	run(AT_FDCWD, path, words, 0);
	return 126;
}
#endif
