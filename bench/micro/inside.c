/* inside.c: the price of a profiler that is started inside the process, by patching calls (memtap.memprof, memtap_agent_api).
 *
 * Usage: inside PAIRS MODE LIVE [AGENT]. Times PAIRS of malloc + free of 8..300 B while LIVE blocks are alive. MODE: plain (no
 * agent), sample (AGENT sampling at 512 KiB), paused (stopped: only frees are watched), removed (hooks taken back). Under
 * sample and paused each of the LIVE blocks is a sample. Also prints by how much resident memory grew from the first
 * hundredth of the pairs to the last. The trace goes to a file in TMPDIR, which is removed.
 */
#include "micro.h"

#include "../../include/memtap/agent.h"

#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

enum { SLOTS = 64 };
static const struct memtap_agent_api *agent;
static char trace[256];

static void check(int code, const char *what)
{
    if (code != MEMTAP_AGENT_OK) {
        fprintf(stderr, "inside: %s failed with code %d\n", what, code);
        exit(1);
    }
}

static void start_agent(const char *path)
{
    void *handle = dlopen(path, RTLD_NOW);
    memtap_agent_api_function find = NULL;
    void *symbol = handle != NULL ? dlsym(handle, "memtap_agent_api") : NULL;
    if (symbol == NULL) {
        fprintf(stderr, "inside: %s\n", dlerror());
        exit(1);
    }
    memcpy(&find, &symbol, sizeof find);
    agent = find();
    const char *folder = getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp";
    snprintf(trace, sizeof trace, "%s/inside-%d.mtap", folder, (int)getpid());
    struct memtap_recording what = { .struct_bytes = sizeof what, .mode = MEMTAP_SAMPLE, .path = trace, .rate_bytes = 1, .native = true,
                                     .seed = 1 };
    check(agent->start(&what), "start");
}

static void enter_mode(const char *mode)
{
    if (strcmp(mode, "sample") == 0) {
        check(agent->resume(512 * 1024), "resume");
    } else if (strcmp(mode, "paused") == 0) {
        check(agent->pause(), "pause");
    } else if (strcmp(mode, "removed") == 0) {
        check(agent->stop(), "stop");
        check(agent->remove_hooks(), "remove_hooks");
    }
}

/* A pair frees a block that is 64 pairs old. */
static NOINLINE void churn(uint64_t pairs, uint64_t *state, void **slots)
{
    for (uint64_t i = 0; i < pairs; i++) {
        unsigned char *block = malloc(8u + random_below(state, 293u));
        escape(block);
        free(slots[i % SLOTS]);
        slots[i % SLOTS] = block;
    }
}

int main(int argc, char **argv)
{
    uint64_t pairs = parse_count(argc, argv, 1, 10000000);
    const char *mode = argc > 2 ? argv[2] : "plain";
    uint64_t count = parse_count(argc, argv, 3, 0);
    uint64_t state = 2685821657736338717u;
    void *slots[SLOTS] = { NULL };
    void **live = calloc(count + 1u, sizeof *live);
    if (argc > 4) {
        start_agent(argv[4]);
    }
    for (uint64_t i = 0; i < count; i++) {
        live[i] = malloc(64u + random_below(&state, 200u));
    }
    if (agent != NULL) {
        enter_mode(mode);
    }
    churn(pairs / 100, &state, slots);
    long before = resident_kib();
    struct timer timer;
    timer_start(&timer);
    churn(pairs, &state, slots);
    timer_stop(&timer);
    printf("BENCH {\"grown_kib\": %ld, \"samples\": %llu}\n", resident_kib() - before, (unsigned long long)count);
    print_result("inside", &timer, pairs);
    if (agent != NULL) {
        (void)agent->stop();
        unlink(trace);
    }
    return 0;
}
