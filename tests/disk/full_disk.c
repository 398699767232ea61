/* A disk that is full while the file named by FULL_DISK exists: writes to regular files below TIDEWATT_HOME
   answer ENOSPC. Preloaded into processes under test (LD_PRELOAD). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int refused(int fd)
{
    const char *control = getenv("FULL_DISK"), *home = getenv("TIDEWATT_HOME");
    char link[64], path[PATH_MAX];
    struct stat found;
    if (!control || !home || access(control, F_OK) != 0 || fstat(fd, &found) != 0 || !S_ISREG(found.st_mode))
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    if (strncmp(path, home, strlen(home)) != 0)
        return 0;
    errno = ENOSPC;
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *data, size_t size)
{
    return refused(fd) ? -1 : REAL(write)(fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    return refused(fd) ? -1 : REAL(pwrite)(fd, data, size, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at)
{
    return refused(fd) ? -1 : REAL(pwrite64)(fd, data, size, at);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return refused(fd) ? -1 : REAL(writev)(fd, parts, count);
}
