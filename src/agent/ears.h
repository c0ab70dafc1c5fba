/* ears.h: the sockets at which an armed process can be reached. Internal to agent/.
 *
 * Decides: their names and who may connect. One is abstract; one is a file in $XDG_RUNTIME_DIR/memtap or /tmp/memtap-UID, a folder that
 * must be this user's and closed to others, so that containers with a shared folder see it; one, where an address was given, is
 * TCP: loopback only unless there is a token. Names end in random digits, so that nobody can take them beforehand.
 * The descriptors are high numbers, and looked at before each use: the program may have closed them.
 * Context: [agent], one thread.
 */
#ifndef MT_AGENT_EARS_H
#define MT_AGENT_EARS_H

#include "base/os_socket.h"

enum mt_ear { MT_EAR_ABSTRACT, MT_EAR_FILE, MT_EAR_HOST, MT_EAR__COUNT };

/* host: "host:port"; anything else means none. runtime_folder: in which the folder for the file is made, or "/tmp"; empty: no file, and
 * nothing is made. */
void mt_ears_configure(const char *host, const char *token, const char *runtime_folder);
/* Those that are missing. False: not one could be had. */
bool mt_ears_open(void);
/* The descriptor of one that is still ours; -1. */
int mt_ears_descriptor(enum mt_ear ear);
/* Closes what is ours; the file is the parent's. Context: a fork child. */
void mt_ears_close(void);
/* The file goes away. Context: the end of the process, any thread. */
void mt_ears_forget_file(void);
/* What whoever waits at them waits at too, to be woken; -1: there is none, and only a connection wakes. */
int mt_ears_waker(void);
/* Forgets the knocks that were heard. */
void mt_ears_wake_up(void);
/* From any thread: whoever waits is woken, by the waker; where the program has closed that, by connecting, which takes a descriptor and
 * the same network or folder. */
void mt_ears_knock(void);
/* Whom a connection at this one needs to be: true for those that may ask at once, false where a token has to come. *ret_allowed
 * false: nobody. *ret_user: whose it is, where the kernel says so. */
bool mt_ears_knows(enum mt_ear ear, int connection, uint32_t *ret_user, bool *ret_allowed);
bool mt_ears_accept_token(const char *given);
/* "127.0.0.1:4321" of the TCP one; empty: there is none. */
const char *mt_ears_host(unsigned *ret_port);
/* fd under a high number, where one is to be had. */
int mt_ears_move_away(int fd);

#endif
