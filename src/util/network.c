/* network.c: see network.h. */
#include "util/network.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t inode_of(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? info.st_ino : 0;
}

uint64_t mt_network_of(pid_t pid)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pid);
    return inode_of(path);
}

bool mt_network_is_other(pid_t pid)
{
    uint64_t there = pid != 0 ? mt_network_of(pid) : 0;
    return there != 0 && there != inode_of("/proc/self/ns/net");
}

/* A thread's stay in a network ends with it. */
struct visit {
    int network, type, fd, error;
};

static int new_socket(int type)
{
    return socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static void *go_there(void *context)
{
    struct visit *visit = context;
    visit->fd = setns(visit->network, CLONE_NEWNET) == 0 ? new_socket(visit->type) : -1;
    visit->error = errno;
    return NULL;
}

int mt_network_socket(pid_t pid, int type)
{
    char path[64];
    pthread_t thread;
    if (!mt_network_is_other(pid)) {
        return new_socket(type);
    }
    (void)snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pid);
    struct visit visit = { .network = open(path, O_RDONLY | O_CLOEXEC), .type = type, .fd = -1 };
    visit.error = errno;
    if (visit.network >= 0 && (visit.error = pthread_create(&thread, NULL, go_there, &visit)) == 0) {
        (void)pthread_join(thread, NULL);
    }
    if (visit.network >= 0) {
        (void)close(visit.network);
    }
    errno = visit.error;
    return visit.fd;
}
