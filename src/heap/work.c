/* work.c: see work.h. */
#include "heap/work.h"

#include "base/atomic.h"
#include "base/os.h"
#include "heap/account.h"
#include "heap/engine.h"

static uint32_t g_works; /* shared, relaxed */

uint32_t mt_work_count(void)
{
    return mt_load_relaxed(&g_works);
}

uint64_t mt_engine_work_begins(void)
{
    return mt_os_thread_cpu_ns();
}

uint64_t mt_engine_work_ends(uint64_t from_ns)
{
    uint64_t now = mt_os_thread_cpu_ns();
    if (from_ns == 0 || now <= from_ns) {
        return 0;
    }
    mt_engine_count(MT_COUNTER_AGENT_NS, now - from_ns);
    (void)mt_fetch_add_relaxed(&g_works, 1u);
    return now - from_ns;
}
