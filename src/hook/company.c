/* company.c: see company.h. */
#include "hook/company.h"

#include "base/objects.h"
#include "heap/engine.h"
#include "hook/got.h"

#include <errno.h>
#include <link.h>
#include <string.h>

enum { NAME_MAX_BYTES = 64 };

/* Objects of tools that rewrite slots, by a part of their names: who that has gone again probably was. */
static const char *const g_tools[] = { "_memray", "heaptrack", "memalloc", "scalene", "bytehound", "malt" };

struct search {
    uint64_t address;
    char name[NAME_MAX_BYTES]; /* file name of the object that holds address, else of a tool known to us */
};

static bool is_tool(const char *name)
{
    for (size_t i = 0; i < MT_COUNTOF(g_tools); i++) {
        if (strstr(name, g_tools[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static int consider(struct dl_phdr_info *info, size_t bytes, void *context)
{
    (void)bytes;
    struct search *search = context;
    const char *slash = strrchr(info->dlpi_name, '/');
    const char *name = slash != NULL ? slash + 1 : info->dlpi_name;
    bool found = mt_objects_hold(info, search->address);
    size_t length = strlen(name);
    if ((found || is_tool(name)) && length < sizeof search->name) {
        memcpy(search->name, name, length + 1);
    }
    return found;
}

static void note(const char *key, uint64_t taker, const char *rest)
{
    struct search search = { taker, "another tool" };
    (void)mt_objects_walk(consider, &search);
    char text[3 * NAME_MAX_BYTES]; /* the rest is shorter than two names */
    size_t length = strlen(search.name);
    memcpy(text, search.name, length);
    memcpy(text + length, rest, strlen(rest) + 1);
    mt_engine_note(key, text);
}

static void look(const char *key, const char *rest)
{
    int saved = errno;
    uint64_t taker = 0;
    mt_engine_enter();
    if (mt_got_retake(&taker) != 0 && mt_engine_mode() != MT_MODE_OFF) {
        note(key, taker, rest);
    }
    mt_engine_leave();
    errno = saved;
}

void mt_company_look(void)
{
    look("warning", " took memtap's hooks out: what was called before they were put back is not recorded");
}

static int is_valgrind(struct dl_phdr_info *info, size_t bytes, void *context)
{
    (void)bytes;
    bool *found = context;
    *found = strstr(info->dlpi_name, "/vgpreload_core") != NULL;
    return *found;
}

void mt_company_note(void)
{
    bool found = false;
    if (mt_objects_walk(is_valgrind, &found) && found) {
        mt_engine_note("warning", "the program runs under valgrind: what it allocates is recorded, but times are those of an emulated "
                                  "processor, and valgrind's own memory is in the RSS");
    }
}

int mt_company_iterate(int (*visit)(void *, size_t, void *), void *context, const struct mt_originals *real)
{
    int result = real->dl_iterate_phdr(visit, context);
    look("company", " took memtap's hooks out; they were put back at once");
    return result;
}
