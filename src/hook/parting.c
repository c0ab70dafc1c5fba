/* parting.c: see parting.h. */
#include "hook/parting.h"

#include <errno.h>

const struct mt_parting_watch *mt_g_parting;

void mt_parting_watch(const struct mt_parting_watch *watch)
{
    mt_store_release(&mt_g_parting, watch);
}

static bool before(void)
{
    int kept = errno;
    bool counted = mt_load_acquire(&mt_g_parting)->before();
    errno = kept;
    return counted;
}

static void after(enum mt_parting how, bool counted)
{
    int kept = errno;
    mt_load_acquire(&mt_g_parting)->after(how, counted);
    errno = kept;
}

void mt_parting_in_child(void)
{
    if (mt_parting_matters()) {
        mt_load_acquire(&mt_g_parting)->in_child();
    }
}

bool mt_parting_before_filter(void)
{
    return mt_parting_matters() && before();
}

void mt_parting_after_filter(bool installed, bool counted)
{
    if (mt_parting_matters()) {
        after(installed ? MT_PARTED_RESTRICTED : MT_PARTED_PARENT, counted);
    }
}

int mt_parting_fork(const struct mt_originals *real)
{
    bool counted = before();
    int result = real->fork();
    after(result == 0 ? MT_PARTED_CHILD : MT_PARTED_PARENT, counted);
    return result;
}

int mt_parting_forkpty(int *ret_terminal, char *name, const void *settings, const void *size, const struct mt_originals *real)
{
    bool counted = before();
    int result = real->forkpty(ret_terminal, name, settings, size);
    after(result == 0 ? MT_PARTED_CHILD : MT_PARTED_PARENT, counted);
    return result;
}

/* Returns in a child, or not at all; or it has failed. */
int mt_parting_daemon(int stay, int keep, const struct mt_originals *real)
{
    bool counted = before();
    int result = real->daemon(stay, keep);
    after(result == 0 ? MT_PARTED_CHILD : MT_PARTED_PARENT, counted);
    return result;
}

int mt_parting_unshare(int flags, const struct mt_originals *real)
{
    bool counted = before();
    int result = real->unshare(flags);
    after(MT_PARTED_PARENT, counted);
    return result;
}

int mt_parting_setns(int fd, int kind, const struct mt_originals *real)
{
    bool counted = before();
    int result = real->setns(fd, kind);
    after(MT_PARTED_PARENT, counted);
    return result;
}
