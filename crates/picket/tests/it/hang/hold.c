// SPDX-License-Identifier: Apache-2.0
/* Lets every access to a file through, but those of one process: they wait until a line comes in.
 *
 * Usage: hold PID FILE. Says "held" for each access that waits. fanotify lets a file hang on this
 * machine as it would on a dead network. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/fanotify.h>
#include <unistd.h>

static int notify;

static void allow(int fd)
{
	struct fanotify_response response = {.fd = fd, .response = FAN_ALLOW};
	if (write(notify, &response, sizeof(response)) != sizeof(response))
		perror("hold: answer");
	close(fd);
}

int main(int argc, char **argv)
{
	static int held[64];
	int waiting = 0, holds = 1;

	if (argc != 3)
		return 2;
	notify = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY | O_LARGEFILE);
	if (notify < 0 || fanotify_mark(notify, FAN_MARK_ADD, FAN_ACCESS_PERM, AT_FDCWD, argv[2])) {
		perror("hold: fanotify");
		return 1;
	}
	puts("ready");
	fflush(stdout);
	struct pollfd fds[] = {{.fd = notify, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
	while (poll(fds, 2, -1) >= 0) {
		if (fds[0].revents & POLLIN) {
			struct fanotify_event_metadata event;
			if (read(notify, &event, sizeof(event)) != sizeof(event))
				return 1;
			if (holds && event.pid == atoi(argv[1]) && waiting < 64) {
				held[waiting++] = event.fd;
				puts("held");
				fflush(stdout);
			} else {
				allow(event.fd);
			}
		}
		if (fds[1].revents) {
			char line[16];
			if (read(0, line, sizeof(line)) <= 0)
				return 0; /* whoever closes the group lets all of them through */
			holds = 0;
			while (waiting)
				allow(held[--waiting]);
			puts("released");
			fflush(stdout);
		}
	}
	return 1;
}
