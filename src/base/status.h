/* status.h: the one error pattern of memtap.
 *
 * Every function that can fail returns mt_status; 0 is success and must be checked. Predicates return bool,
 * lookups return a pointer or NULL. Outputs are untouched on failure. The agent never prints: it counts.
 * Details for people travel in mt_error, on the tool side only (util/error.h).
 */
#ifndef MT_BASE_STATUS_H
#define MT_BASE_STATUS_H

#include "base/compiler.h"

#define MT_STATUS_TABLE(X)                                                                                             \
    X(MT_OK, "ok")                                                                                                     \
    X(MT_E_NOMEM, "out of memory")                                                                                     \
    X(MT_E_IO, "input/output error")                                                                                   \
    X(MT_E_NOSPACE, "no space left on device")                                                                         \
    X(MT_E_PERM, "permission denied")                                                                                  \
    X(MT_E_NOENT, "not found")                                                                                        \
    X(MT_E_EXIST, "already exists")                                                                                    \
    X(MT_E_INVAL, "invalid argument")                                                                                  \
    X(MT_E_CORRUPT, "corrupt data")                                                                                    \
    X(MT_E_VERSION, "unsupported version")                                                                             \
    X(MT_E_TRUNCATED, "truncated data")                                                                                \
    X(MT_E_FULL, "a fixed-size table is full")                                                                         \
    X(MT_E_BUSY, "resource busy")                                                                                      \
    X(MT_E_UNSUPPORTED, "not supported here")                                                                          \
    X(MT_E_INTERRUPTED, "interrupted")                                                                                 \
    X(MT_E_NOFILES, "no file descriptor is free")                                                                      \
    X(MT_E_TOO_LARGE, "the file size limit is reached")                                                                \
    X(MT_E_READONLY, "read-only file system")                                                                          \
    X(MT_E_REPLACED, "another file is in its place")                                                                   \
    X(MT_E_SIZE, "the size asked for is reached")

#define MT_STATUS_ENUM(name, text) name,
typedef enum mt_status { MT_STATUS_TABLE(MT_STATUS_ENUM) MT_STATUS__COUNT } mt_status;
#undef MT_STATUS_ENUM

/* English text of a status, static storage; never NULL. Context: any. */
const char *mt_status_text(mt_status status);
/* The status an errno value stands for. Context: any. */
mt_status mt_status_from_errno(int err);

#endif
