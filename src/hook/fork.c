/* fork.c: tells the engine of a fork: before it in the parent, after it in the child.
 *
 * The engine also notices by itself at the first recorded call (a page that reads zero in children), which covers _Fork
 * and clone; the handler is sooner and puts the patcher's lock right. __register_atfork is what pthread_atfork calls; the
 * latter lives in libc_nonshared.a and needs start files the agent is not linked with. Context: [fork-child].
 */
#include "hook/fork.h"

#include "base/objects.h"
#include "heap/engine.h"
#include "hook/got.h"
#include "hook/parting.h"
#include "hook/protect.h"
#include "hook/pymem.h"

extern int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *dso_handle);

static bool g_registered;

static void before_fork(void)
{
    mt_engine_before_fork();
}

static void in_child(void)
{
    mt_parting_in_child();
    mt_objects_after_fork();
    mt_got_after_fork();
    mt_pymem_after_fork();
    mt_protect_after_fork();
    mt_engine_fork_child();
}

void mt_fork_install(void)
{
    if (!g_registered) {
        g_registered = __register_atfork(before_fork, NULL, in_child, NULL) == 0;
    }
}
