/* A file system that fails: loaded before the C library (LD_PRELOAD), it lets one in REMIT_FAIL_ONE_IN writes
 * and syncs of files whose path holds REMIT_FAIL_PATH fail with REMIT_FAIL_ERRNO (EIO 5, ENOSPC 28), once the
 * file REMIT_FAIL_AFTER is there. A failing write has written the first half of what it was given, as a full
 * disk leaves it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define FILES 4096
static char watched[FILES];
static unsigned long state;

static int fails(int file) {
    const char *one_in = getenv("REMIT_FAIL_ONE_IN"), *code = getenv("REMIT_FAIL_ERRNO");
    const char *after = getenv("REMIT_FAIL_AFTER");
    if (file < 0 || file >= FILES || !watched[file] || !one_in || !code) return 0;
    if (after && access(after, F_OK)) return 0;
    if (!state) state = (unsigned long)getpid() * 2654435761UL | 1;
    state ^= state << 13; state ^= state >> 7; state ^= state << 17;
    if (state % strtoul(one_in, NULL, 10)) return 0;
    errno = atoi(code);
    return 1;
}

static void opened(int file, const char *path) {
    const char *part = getenv("REMIT_FAIL_PATH");
    if (file >= 0 && file < FILES) watched[file] = part && strstr(path, part) != NULL;
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define OPENS(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        mode_t mode = 0; \
        if (flags & (O_CREAT | __O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); } \
        int file = real(path, flags, mode); \
        opened(file, path); \
        return file; \
    }
OPENS(open)
OPENS(open64)

#define WRITES(name, offset_type) \
    ssize_t name(int file, const void *data, size_t size, offset_type offset) { \
        REAL(name); \
        if (!fails(file)) return real(file, data, size, offset); \
        int why = errno; \
        if (size > 1) real(file, data, size / 2, offset); \
        errno = why; \
        return -1; \
    }
WRITES(pwrite, off_t)
WRITES(pwrite64, off64_t)

int fsync(int file) { REAL(fsync); return fails(file) ? -1 : real(file); }
int fdatasync(int file) { REAL(fdatasync); return fails(file) ? -1 : real(file); }
int ftruncate(int file, off_t size) { REAL(ftruncate); return fails(file) ? -1 : real(file, size); }
int ftruncate64(int file, off64_t size) { REAL(ftruncate64); return fails(file) ? -1 : real(file, size); }
