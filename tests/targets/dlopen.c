/* dlopen.c: plugins that come and go. Usage: dlopen CASE; the plugins are in plugins/ beside the program.
 *
 * reopen: plugin a and plugin b take turns at the same addresses; each must be named as itself.
 * deepbind: RTLD_DEEPBIND makes the plugin bind to libc's malloc, past any LD_PRELOAD. Its constructor runs inside dlopen,
 * before anybody can redirect its calls, so that one block is not part of the truth.
 * runpath: a library loads another by its own RUNPATH. symbols: malloc found by dlsym.
 * missing: a failing dlopen must fail with the loader's own message. namespace: dlmopen, a second libc; namespace-runpath:
 * by a library that finds it by its own RUNPATH.
 */
#include "truth.h"

#include <dlfcn.h>
#include <link.h>

static char g_folder[512];
static char *g_bases[16];

static void *open_plugin(const char *name, int flags)
{
    char path[700];
    snprintf(path, sizeof path, "%s/plugins/%s", g_folder, name);
    void *handle = dlopen(path, flags);
    if (handle == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        abort();
    }
    return handle;
}

static void *call_plugin(void *handle, const char *symbol)
{
    void *(*work)(void) = (void *(*)(void))dlsym(handle, symbol);
    if (work == NULL) {
        abort();
    }
    return work();
}

static char *base_of(void *handle)
{
    struct link_map *map = NULL;
    dlinfo(handle, RTLD_DI_LINKMAP, &map);
    return (char *)map->l_addr;
}

static void count_plugin(const char *letter, size_t bytes)
{
    static char names[8][3][64];
    static unsigned used;
    static const char *const suffixes[] = { "work", "constructor", "destructor" };
    unsigned row = 0;
    while (row < used && strncmp(names[row][0] + strlen("case_"), letter, strlen(letter)) != 0) {
        row++;
    }
    used = row == used ? used + 1 : used;
    for (size_t i = 0; i < 3; i++) {
        snprintf(names[row][i], sizeof names[row][i], "case_%s_%s", letter, suffixes[i]);
        truth_alloc(names[row][i], NULL, bytes + i);
    }
}

static void run_reopen(void)
{
    unsigned same = 0;
    for (unsigned i = 0; i < 6; i++) {
        const char *letter = i % 2 ? "b" : "a";
        char name[32];
        snprintf(name, sizeof name, "libplugin_%s.so", letter);
        void *handle = open_plugin(name, RTLD_NOW);
        g_bases[i] = base_of(handle);
        same += i > 0 && g_bases[i] == g_bases[i - 1];
        truth_keep(call_plugin(handle, "plugin_work"));
        dlclose(handle);
        count_plugin(letter, i % 2 ? 20020 : 10010);
    }
    if (same == 0) {
        fprintf(stderr, "the plugins never shared an address\n");
    }
}

static void run_deepbind(void)
{
    void *handle = open_plugin("libplugin_deep.so", RTLD_NOW | RTLD_DEEPBIND);
    void *p = call_plugin(handle, "plugin_work");
    free(truth_alloc("case_deep_work", p, 30030)); /* through this program's own free */
    truth_free("case_deep_work", 30030);
    truth_alloc("case_deep_work", call_plugin(handle, "plugin_work"), 30030);
    dlclose(handle);
    truth_alloc("case_deep_destructor", NULL, 30032);
}

static void run_runpath(void)
{
    void *handle = open_plugin("libouter.so", RTLD_NOW);
    if (call_plugin(handle, "outer_work") == NULL) {
        abort();
    }
    truth_alloc("case_inner_work", NULL, 40040);
    truth_alloc("case_inner_constructor", NULL, 40041);
}

CASE static void case_through_dlsym(void)
{
    void *(*by_default)(size_t) = (void *(*)(size_t))dlsym(RTLD_DEFAULT, "malloc");
    void (*free_by_default)(void *) = (void (*)(void *))dlsym(RTLD_DEFAULT, "free");
    TRUTH_ALLOC(by_default(909), 909);
    free_by_default(TRUTH_ALLOC(by_default(911), 911));
    TRUTH_FREED(911);
}

static void run_symbols(void)
{
    case_through_dlsym();
}

static void run_missing(void)
{
    if (dlopen("libno-such-thing.so", RTLD_NOW) != NULL) {
        abort();
    }
    const char *message = dlerror();
    (void)!write(2, message, strlen(message));
    if (dlopen(NULL, RTLD_NOW) == NULL || dlerror() != NULL) {
        abort();
    }
}

static void run_namespace(void)
{
    char path[700];
    snprintf(path, sizeof path, "%s/plugins/libplugin_a.so", g_folder);
    void *handle = dlmopen(LM_ID_NEWLM, path, RTLD_NOW);
    if (handle != NULL) {
        truth_keep(call_plugin(handle, "plugin_work"));
        dlclose(handle);
    }
}

static void run_namespace_by_runpath(void)
{
    int (*opens)(void) = (int (*)(void))dlsym(open_plugin("libouter.so", RTLD_NOW), "outer_opens_apart");
    if (opens == NULL || !opens()) {
        abort();
    }
}

static const struct {
    const char *name;
    void (*run)(void);
} g_cases[] = {
    { "reopen", run_reopen },   { "deepbind", run_deepbind }, { "runpath", run_runpath },
    { "symbols", run_symbols }, { "missing", run_missing },   { "namespace", run_namespace },
    { "namespace-runpath", run_namespace_by_runpath },
};

int main(int argc, char **argv)
{
    if (readlink("/proc/self/exe", g_folder, sizeof g_folder - 1) <= 0 || argc != 2) {
        return 2;
    }
    *strrchr(g_folder, '/') = '\0';
    for (size_t i = 0; i < sizeof g_cases / sizeof g_cases[0]; i++) {
        if (strcmp(argv[1], g_cases[i].name) == 0) {
            g_cases[i].run();
            truth_print(1);
            return 0;
        }
    }
    return 2;
}
