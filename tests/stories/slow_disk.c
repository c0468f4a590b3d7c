/* Preloaded into a node: a sync of the file or folder $SLOW_PATH waits for as long as the file
 * $SLOW_GATE exists, as on a slow disk. $SLOW_GATE.reached exists once a sync has waited. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void wait_at_gate(int fd)
{
	const char *path = getenv("SLOW_PATH"), *gate = getenv("SLOW_GATE");
	char link[64], found[PATH_MAX], reached[PATH_MAX];

	if (!path || !gate || access(gate, F_OK))
		return;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t len = readlink(link, found, sizeof found - 1);
	if (len < 0)
		return;
	found[len] = 0;
	if (strcmp(found, path))
		return;
	snprintf(reached, sizeof reached, "%s.reached", gate);
	close(creat(reached, 0600));
	while (!access(gate, F_OK))
		usleep(2000);
}

int fsync(int fd)
{
	wait_at_gate(fd);
	return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd);
}

int fdatasync(int fd)
{
	wait_at_gate(fd);
	return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd);
}
