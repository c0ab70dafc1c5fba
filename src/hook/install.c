/* install.c: puts the mechanisms of this folder in place, in an order that never leaves a hook without an original. */
#include "base/objects.h"
#include "hook/company.h"
#include "hook/fork.h"
#include "hook/got.h"
#include "hook/hook.h"
#include "hook/loader.h"
#include "hook/moments.h"
#include "hook/originals.h"
#include "hook/own.h"
#include "hook/owner.h"
#include "hook/pymem.h"
#include "hook/pynote.h"
#include "hook/rows.h"

static bool g_python_wanted;

struct order {
    bool self_seen;
    bool malloc_behind_self;
};

static int look_at_order(struct dl_phdr_info *info, size_t bytes, void *context)
{
    (void)bytes;
    struct order *order = context;
    struct mt_elf_object object;
    if (order->self_seen && mt_elf_from_phdr(info, &object)) {
        order->malloc_behind_self = mt_elf_find(&object, "malloc", mt_elf_gnu_hash("malloc")) != 0;
    }
    order->self_seen = order->self_seen || mt_elf_info_is_self(info);
    return order->malloc_behind_self;
}

bool mt_hooks_are_preloaded(void)
{
    struct order order = { false, false };
    (void)mt_objects_walk(look_at_order, &order);
    if (!order.malloc_behind_self) {
        mt_originals_early_end(mt_g_hooks); /* no hooks will be installed now */
    }
    return order.malloc_behind_self;
}

mt_status mt_hooks_install(enum mt_hook_method method, bool python_allocators)
{
    mt_engine_enter();
    g_python_wanted = python_allocators;
    mt_originals_early_end(mt_g_hooks);
    mt_elf_learn_loader_lock();
    mt_originals_resolve();
    mt_status status = MT_E_UNSUPPORTED;
    if (mt_originals_get(0, MT_HOOK_malloc) != 0 && mt_originals_get(0, MT_HOOK_free) != 0) {
        mt_thread_install();
        mt_fork_install();
        status = mt_got_install(method == MT_HOOK_PRELOAD);
        mt_owner_find_allocators();
        mt_loader_start();
        mt_hooks_python_arrived();
    }
    mt_engine_leave();
    return status;
}

void mt_hooks_patch_own_allocators(void)
{
    mt_engine_enter();
    mt_own_install();
    mt_engine_leave();
}

void mt_hooks_note_own_allocators(void)
{
    mt_own_note();
}

void mt_hooks_note_python(void)
{
    mt_python_note_again();
}

void mt_hooks_note_company(void)
{
    mt_company_note();
}

void mt_hooks_uninstall(void)
{
    mt_engine_enter();
    g_python_wanted = false;
    mt_pymem_uninstall();
    mt_got_uninstall();
    mt_engine_leave();
}

bool mt_hooks_see_tensors(void)
{
    return mt_got_leads(MT_HOOK__ZN3c109alloc_cpuEm);
}

void mt_hooks_look_for_company(void)
{
    mt_company_look();
}

void mt_hooks_python_arrived(void)
{
    if (g_python_wanted) {
        mt_moments_before_python_ends(mt_pymem_tell); /* a program that loaded no library gave no occasion to before */
        (void)mt_pymem_install();
    }
}

void mt_hooks_on_load(void (*callback)(void))
{
    mt_loader_on_load(callback);
}
