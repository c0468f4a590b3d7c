/* What Rust has no safe call for: a power cut, and a write through a mapping.
 *
 *   helper cut FLAG FOLDER              shuts down the ext4 file system of FOLDER
 *                                       (1: flush the journal first, 2: do not)
 *   helper map FILE OFFSET LENGTH BYTE  writes LENGTH times BYTE through a mapping
 *   helper hold FILE MILLISECONDS ALL   writes half of ALL bytes, keeps the file open and quiet, writes the rest
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define EXT4_IOC_SHUTDOWN _IOR('X', 125, uint32_t)

static int fail(const char *what) {
    perror(what);
    return 1;
}

static int cut(const char *flag, const char *folder) {
    uint32_t flags = (uint32_t)atoi(flag);
    int fd = open(folder, O_RDONLY);
    if (fd < 0 || ioctl(fd, EXT4_IOC_SHUTDOWN, &flags) < 0) return fail(folder);
    return 0;
}

static int map(const char *file, long offset, long length, int byte) {
    int fd = open(file, O_RDWR);
    if (fd < 0) return fail(file);
    char *at = mmap(NULL, (size_t)(offset + length), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) return fail(file);
    memset(at + offset, byte, (size_t)length);
    return 0;
}

static int hold(const char *file, long milliseconds, long all) {
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0) return fail(file);
    for (long at = 0; at < all; at++) {
        if (at == all / 2) usleep((useconds_t)(milliseconds * 1000));
        unsigned char byte = (unsigned char)(at * 31 + at / 251);
        if (write(fd, &byte, 1) != 1) return fail(file);
    }
    return 0;
}

int main(int count, char **words) {
    if (count == 4 && !strcmp(words[1], "cut")) return cut(words[2], words[3]);
    if (count == 6 && !strcmp(words[1], "map"))
        return map(words[2], atol(words[3]), atol(words[4]), atoi(words[5]));
    if (count == 5 && !strcmp(words[1], "hold"))
        return hold(words[2], atol(words[3]), atol(words[4]));
    fprintf(stderr, "usage: see the source\n");
    return 2;
}
