/* Injected I/O errors, for LD_PRELOAD. Calls through libc are reached: those of Rust's std (File, fs::rename)
 * which is what the database uses, too. System calls that rustix makes by itself are not reached; for those there
 * is the disk that fails below the file system (ground.rs).
 *
 * TORTURE_ROOT     only files below this folder are refused
 * TORTURE_CONTROL  a file of 32 bytes that is mapped: on, per mille, errno, kinds (1 writes, 2 syncs, 4 renames),
 *                  then 64 bits each: draws so far (the seed to begin with), and refusals so far
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

struct control {
    volatile uint32_t on, per_mille, error, kinds;
    uint64_t draws, refusals;
};

static struct control *control;
static const char *root;
static size_t root_length;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("TORTURE_CONTROL");
    root = getenv("TORTURE_ROOT");
    if (!path || !root) return;
    root_length = strlen(root);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    void *at = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at != MAP_FAILED) control = at;
}

/* The next number of the sequence that the seed begins (splitmix64). */
static uint64_t draw(void) {
    uint64_t z = __atomic_add_fetch(&control->draws, 1, __ATOMIC_RELAXED) * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static int is_refused(uint32_t kind) {
    if (draw() % 1000 >= control->per_mille) return 0;
    __atomic_add_fetch(&control->refusals, 1, __ATOMIC_RELAXED);
    /* Renames and syncs do not need a kind for lack of space. */
    errno = (int)control->error;
    return kind != 0;
}

static int may_refuse(uint32_t kind) {
    return control && control->on && (control->kinds & kind);
}

static int refuses_fd(uint32_t kind, int fd) {
    if (!may_refuse(kind)) return 0;
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int before = errno;
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = before;
    if (length < (ssize_t)root_length || strncmp(path, root, root_length)) return 0;
    return is_refused(kind);
}

static int refuses_path(uint32_t kind, const char *path) {
    return may_refuse(kind) && !strncmp(path, root, root_length) && is_refused(kind);
}

#define NEXT(name) \
    static __typeof__(name) *next; \
    if (!next) next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

enum { WRITES = 1, SYNCS = 2, RENAMES = 4 };

ssize_t write(int fd, const void *from, size_t length) {
    NEXT(write);
    return refuses_fd(WRITES, fd) ? -1 : next(fd, from, length);
}

ssize_t writev(int fd, const struct iovec *from, int count) {
    NEXT(writev);
    return refuses_fd(WRITES, fd) ? -1 : next(fd, from, count);
}

ssize_t pwrite(int fd, const void *from, size_t length, off_t at) {
    NEXT(pwrite);
    return refuses_fd(WRITES, fd) ? -1 : next(fd, from, length, at);
}

ssize_t pwrite64(int fd, const void *from, size_t length, off64_t at) {
    NEXT(pwrite64);
    return refuses_fd(WRITES, fd) ? -1 : next(fd, from, length, at);
}

int fsync(int fd) {
    NEXT(fsync);
    return refuses_fd(SYNCS, fd) ? -1 : next(fd);
}

int fdatasync(int fd) {
    NEXT(fdatasync);
    return refuses_fd(SYNCS, fd) ? -1 : next(fd);
}

int syncfs(int fd) {
    NEXT(syncfs);
    return refuses_fd(SYNCS, fd) ? -1 : next(fd);
}

int rename(const char *from, const char *to) {
    NEXT(rename);
    return refuses_path(RENAMES, from) ? -1 : next(from, to);
}

int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    NEXT(renameat);
    int is_ours = *from == '/' ? refuses_path(RENAMES, from) : refuses_fd(RENAMES, from_folder);
    return is_ours ? -1 : next(from_folder, from, to_folder, to);
}
