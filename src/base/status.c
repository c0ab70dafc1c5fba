/* status.c: names of statuses and their mapping from errno. Pure tables; any context. */
#include "base/status.h"

#include <errno.h>

const char *mt_status_text(mt_status status)
{
    static const char *const text[] = {
#define MT_STATUS_STRING(name, string) [name] = string,
        MT_STATUS_TABLE(MT_STATUS_STRING)
#undef MT_STATUS_STRING
    };
    if ((unsigned)status >= MT_COUNTOF(text)) {
        return "unknown status";
    }
    return text[status];
}

mt_status mt_status_from_errno(int err)
{
    switch (err) {
    case 0: return MT_OK;
    case ENOMEM: return MT_E_NOMEM;
    case ENOSPC:
    case EDQUOT: return MT_E_NOSPACE;
    case EFBIG: return MT_E_TOO_LARGE;
    case EMFILE:
    case ENFILE: return MT_E_NOFILES;
    case EACCES:
    case EPERM: return MT_E_PERM;
    case EROFS: return MT_E_READONLY;
    case ELOOP: return MT_E_REPLACED; /* a symbolic link where O_NOFOLLOW was asked for */
    case ENOENT:
    case ESRCH:
    case ENOTDIR: return MT_E_NOENT;
    case EEXIST: return MT_E_EXIST;
    case EINVAL: return MT_E_INVAL;
    case EBUSY:
    case EAGAIN: return MT_E_BUSY;
    case EINTR: return MT_E_INTERRUPTED;
    case ENOSYS:
    case EOPNOTSUPP: return MT_E_UNSUPPORTED;
    default: return MT_E_IO;
    }
}
