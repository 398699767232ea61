/* A disk that fails on demand, and of which every write is written down. Preloaded into processes under test.

   It concerns regular files and folders below TIDEWATT_HOME.

   DISK_CONTROL names a file. While it exists and is empty the disk is full: each write answers ENOSPC. With a
   line in it, `ERRNO TIMES PROCESS CALL SKIP PATTERN`, calls that match fail with that number: TIMES is `once`
   (one call of all processes: the file is renamed to *.hit) or `always`, PROCESS one of the kinds below or `any`,
   CALL a call below or `any`, SKIP how many matching calls of a process pass first, PATTERN one of fnmatch(3)
   for the path below the home, which itself is `.`.

   DISK_SITES names a file that gets a line for each call: process, call, path.

   DISK_LOG names a file that gets each change with its data, in order, so that the disk of any moment can be
   made again as a power cut would leave it. A sync is told when it begins (B) and when it has returned (S). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static const char *process_kind(void)
{
    static __thread char kind[16];
    char line[4096];
    int fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, line, sizeof line - 1);
    if (fd >= 0)
        close(fd);
    for (ssize_t at = 0; at < length; at++)
        if (!line[at])
            line[at] = ' ';
    line[length < 0 ? 0 : length] = 0;
    strcpy(kind, strstr(line, "scheduler.daemon") ? "daemon" : strstr(line, "backends.supervisor") ? "supervisor"
                 : strstr(line, "meters.process") ? "meter" : "other");
    return kind;
}

/* The path below the home, NULL where it lies elsewhere. */
static const char *below_home(const char *path)
{
    const char *home = getenv("TIDEWATT_HOME");
    size_t length = home ? strlen(home) : 0;
    if (!length || strncmp(path, home, length) != 0 || (path[length] != '/' && path[length]))
        return NULL;
    return path[length] ? path + length + 1 : ".";
}

static const char *path_of(int fd, char *path, int plain_only)
{
    char link[64];
    struct stat found;
    if (fstat(fd, &found) != 0 || !(S_ISREG(found.st_mode) || (!plain_only && S_ISDIR(found.st_mode))))
        return NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0)
        return NULL;
    path[length] = 0;
    return below_home(path);
}

static const char *path_at(int folder, const char *name, char *path)
{
    char link[64];
    if (name[0] == '/' || folder == AT_FDCWD) {
        if (name[0] == '/')
            snprintf(path, PATH_MAX, "%s", name);
        else if (getcwd(path, PATH_MAX / 2))
            snprintf(path + strlen(path), PATH_MAX - strlen(path), "/%s", name);
        else
            return NULL;
        return below_home(path);
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t length = readlink(link, path, PATH_MAX / 2);
    if (length < 0)
        return NULL;
    snprintf(path + length, PATH_MAX - length, "/%s", name);
    return below_home(path);
}

static void append(const char *file, const void *head, size_t head_size, const void *data, size_t size)
{
    int fd = (int)syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    struct iovec parts[2] = {{(void *)head, head_size}, {(void *)data, size}};
    if (fd < 0)
        return;
    syscall(SYS_writev, fd, parts, size ? 2 : 1);
    close(fd);
}

static void tell_site(const char *call, const char *path)
{
    const char *file = getenv("DISK_SITES");
    char line[PATH_MAX + 64];
    if (file)
        append(file, line, snprintf(line, sizeof line, "%s %s %s\n", process_kind(), call, path), NULL, 0);
}

/* 0, or the number of the error with which this call is to fail. */
static int verdict(const char *call, const char *path)
{
    static long passed, known_inode, known_time;
    const char *control = getenv("DISK_CONTROL");
    char text[512], process[16], wanted[16], times[16], pattern[256], hit[PATH_MAX];
    int number, skip, writes = strcmp(call, "write") == 0 || strcmp(call, "allocate") == 0;
    struct stat found;
    if (!control)
        return 0;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t length = read(fd, text, sizeof text - 1);
    fstat(fd, &found);
    close(fd);
    if (length <= 0)
        return writes ? ENOSPC : 0;
    text[length] = 0;
    if (sscanf(text, "%d %15s %15s %15s %d %255s", &number, times, process, wanted, &skip, pattern) != 6)
        return 0;
    if (strcmp(wanted, "any") != 0 && strcmp(wanted, call) != 0)
        return 0;
    if (fnmatch(pattern, path, FNM_PATHNAME) != 0 || (strcmp(process, "any") != 0 && strcmp(process, process_kind()) != 0))
        return 0;
    if (known_inode != (long)found.st_ino || known_time != found.st_mtim.tv_nsec) {
        known_inode = (long)found.st_ino, known_time = found.st_mtim.tv_nsec, passed = 0;
    }
    if (passed++ < skip)
        return 0;
    if (strcmp(times, "once") == 0) {
        snprintf(hit, sizeof hit, "%s.hit", control);
        if (syscall(SYS_rename, control, hit) != 0)
            return 0; /* another call was the one */
    }
    return number;
}

static int refused(const char *call, const char *path)
{
    if (!path)
        return 0;
    tell_site(call, path);
    int number = verdict(call, path);
    if (number)
        errno = number;
    return number;
}

static unsigned long inode(const char *path)
{
    struct stat found;
    return lstat(path, &found) == 0 ? (unsigned long)found.st_ino : 0;
}

static unsigned long folder_inode(const char *path)
{
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = 0;
    return inode(folder);
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void note(const char *line)
{
    const char *file = getenv("DISK_LOG");
    int before = errno;
    if (file)
        append(file, line, strlen(line), NULL, 0);
    errno = before;
}

/* "W inode offset length", then the data. */
static void note_write(int fd, off_t at, const void *data, size_t size)
{
    const char *file = getenv("DISK_LOG");
    char line[96];
    int before = errno;
    struct stat found;
    if (file && fstat(fd, &found) == 0) {
        int length = snprintf(line, sizeof line, "W %lu %ld %zu\n", (unsigned long)found.st_ino, (long)at, size);
        append(file, line, length, data, size);
    }
    errno = before;
}

static void note_fd(char what, int fd, long value)
{
    char line[96];
    struct stat found;
    if (getenv("DISK_LOG") && fstat(fd, &found) == 0) {
        snprintf(line, sizeof line, "%c %lu %ld\n", what, (unsigned long)found.st_ino, value);
        note(line);
    }
}

/* "C folder inode name": a new name for a file; "M" for a folder; "U folder name"; "R folder name folder name" */
static void note_name(char what, const char *path)
{
    char line[PATH_MAX + 96];
    if (!getenv("DISK_LOG"))
        return;
    if (what == 'U')
        snprintf(line, sizeof line, "U %lu %s\n", folder_inode(path), name_of(path));
    else
        snprintf(line, sizeof line, "%c %lu %lu %s\n", what, folder_inode(path), inode(path), name_of(path));
    note(line);
}

static void note_rename(const char *from, unsigned long from_folder, const char *to)
{
    char line[2 * PATH_MAX];
    if (!getenv("DISK_LOG"))
        return;
    snprintf(line, sizeof line, "R %lu %s/%lu %s\n", from_folder, name_of(from), folder_inode(to), name_of(to));
    note(line);
}

ssize_t write(int fd, const void *data, size_t size)
{
    char path[PATH_MAX];
    const char *ours = path_of(fd, path, 1);
    if (refused("write", ours))
        return -1;
    ssize_t done = REAL(write)(fd, data, size);
    if (ours && done > 0)
        note_write(fd, lseek(fd, 0, SEEK_CUR) - done, data, done);
    return done;
}

static ssize_t write_at(int fd, const void *data, size_t size, off_t at)
{
    char path[PATH_MAX];
    const char *ours = path_of(fd, path, 1);
    if (refused("write", ours))
        return -1;
    ssize_t done = REAL(pwrite64)(fd, data, size, at);
    if (ours && done > 0)
        note_write(fd, at, data, done);
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return write_at(fd, data, size, at); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) { return write_at(fd, data, size, at); }

static ssize_t write_parts_at(int fd, const struct iovec *parts, int count, off_t at)
{
    char path[PATH_MAX];
    if (!path_of(fd, path, 1))
        return REAL(pwritev64)(fd, parts, count, at);
    ssize_t all = 0;
    for (int each = 0; each < count; each++) {
        ssize_t done = write_at(fd, parts[each].iov_base, parts[each].iov_len, at + all);
        if (done < 0)
            return all ? all : -1;
        all += done;
    }
    return all;
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at)
{
    return write_parts_at(fd, parts, count, at);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at)
{
    return write_parts_at(fd, parts, count, at);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    char path[PATH_MAX];
    const char *ours = path_of(fd, path, 1);
    if (!ours)
        return REAL(writev)(fd, parts, count);
    ssize_t all = 0;
    for (int each = 0; each < count; each++) {
        ssize_t done = write(fd, parts[each].iov_base, parts[each].iov_len);
        if (done < 0)
            return all ? all : -1;
        all += done;
    }
    return all;
}

/* Python copies files so: an answer that sends it to plain reads and writes. */
ssize_t sendfile(int to, int from, off_t *at, size_t size)
{
    char path[PATH_MAX];
    if (path_of(to, path, 1)) {
        errno = ENOTSOCK;
        return -1;
    }
    return REAL(sendfile)(to, from, at, size);
}

ssize_t sendfile64(int to, int from, off64_t *at, size_t size) { return sendfile(to, from, at, size); }

static int sync_with(int fd, int data_only)
{
    char path[PATH_MAX];
    const char *ours = path_of(fd, path, 0);
    long thread = (long)syscall(SYS_gettid);
    if (refused("sync", ours))
        return -1;
    if (ours)
        note_fd('B', fd, thread);
    int answer = data_only ? REAL(fdatasync)(fd) : REAL(fsync)(fd);
    if (ours && answer == 0)
        note_fd('S', fd, thread);
    return answer;
}

int fsync(int fd) { return sync_with(fd, 0); }
int fdatasync(int fd) { return sync_with(fd, 1); }

static int cut(int fd, off_t length)
{
    char path[PATH_MAX];
    const char *ours = path_of(fd, path, 1);
    if (refused("truncate", ours))
        return -1;
    int answer = REAL(ftruncate64)(fd, length);
    if (ours && answer == 0)
        note_fd('T', fd, length);
    return answer;
}

int ftruncate(int fd, off_t length) { return cut(fd, length); }
int ftruncate64(int fd, off64_t length) { return cut(fd, length); }

static int allocate(int fd, off_t at, off_t size)
{
    char path[PATH_MAX];
    const char *ours = path_of(fd, path, 1);
    struct stat found;
    int number = refused("allocate", ours);
    if (number)
        return number;
    int answer = REAL(posix_fallocate64)(fd, at, size);
    if (ours && answer == 0 && fstat(fd, &found) == 0)
        note_fd('T', fd, found.st_size);
    return answer;
}

int posix_fallocate(int fd, off_t at, off_t size) { return allocate(fd, at, size); }
int posix_fallocate64(int fd, off64_t at, off64_t size) { return allocate(fd, at, size); }

static int open_at(int folder, const char *name, int flags, mode_t mode)
{
    char path[PATH_MAX];
    const char *ours = flags & (O_CREAT | O_TRUNC) ? path_at(folder, name, path) : NULL;
    int creates = 0;
    if (ours) {
        creates = (flags & O_CREAT) && inode(path) == 0;
        if (creates && refused("create", ours))
            return -1;
    }
    int fd = (int)syscall(SYS_openat, folder, name, flags, mode);
    if (ours && fd >= 0) {
        if (creates)
            note_name('C', path);
        else if (flags & O_TRUNC)
            note_fd('T', fd, 0);
    }
    return fd;
}

#define MODE_OF(flags, last)                           \
    mode_t mode = 0;                                   \
    if ((flags) & (O_CREAT | O_TMPFILE)) {             \
        va_list more;                                  \
        va_start(more, last);                          \
        mode = va_arg(more, mode_t);                   \
        va_end(more);                                  \
    }

int open(const char *name, int flags, ...) { MODE_OF(flags, flags) return open_at(AT_FDCWD, name, flags, mode); }
int open64(const char *name, int flags, ...)
{
    MODE_OF(flags, flags) return open_at(AT_FDCWD, name, flags | O_LARGEFILE, mode);
}
int openat(int folder, const char *name, int flags, ...) { MODE_OF(flags, flags) return open_at(folder, name, flags, mode); }
int openat64(int folder, const char *name, int flags, ...)
{
    MODE_OF(flags, flags) return open_at(folder, name, flags | O_LARGEFILE, mode);
}

int mkdirat(int folder, const char *name, mode_t mode)
{
    char path[PATH_MAX];
    const char *ours = path_at(folder, name, path);
    if (refused("mkdir", ours))
        return -1;
    int answer = REAL(mkdirat)(folder, name, mode);
    if (ours && answer == 0)
        note_name('M', path);
    return answer;
}

int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }

int linkat(int old_folder, const char *old, int folder, const char *name, int flags)
{
    char path[PATH_MAX];
    const char *ours = path_at(folder, name, path);
    if (refused("link", ours))
        return -1;
    int answer = REAL(linkat)(old_folder, old, folder, name, flags);
    if (ours && answer == 0)
        note_name('L', path);
    return answer;
}

int link(const char *old, const char *name) { return linkat(AT_FDCWD, old, AT_FDCWD, name, 0); }

int renameat(int old_folder, const char *old, int folder, const char *name)
{
    char from[PATH_MAX], path[PATH_MAX];
    const char *ours = path_at(folder, name, path);
    if (refused("rename", ours))
        return -1;
    unsigned long from_folder = ours && path_at(old_folder, old, from) ? folder_inode(from) : 0;
    int answer = REAL(renameat)(old_folder, old, folder, name);
    if (ours && answer == 0)
        note_rename(from, from_folder, path);
    return answer;
}

int rename(const char *old, const char *name) { return renameat(AT_FDCWD, old, AT_FDCWD, name); }

int unlinkat(int folder, const char *name, int flags)
{
    char path[PATH_MAX];
    const char *ours = path_at(folder, name, path);
    if (refused("unlink", ours))
        return -1;
    int answer = REAL(unlinkat)(folder, name, flags);
    if (ours && answer == 0)
        note_name('U', path);
    return answer;
}

int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }
