/* ask_rss.c: what the resident set is: heap by its lines, free memory between blocks, stacks, files, or little beside reserved address space.
 *
 * Decides: a process that runs is explained from its allocator's structures (explain/); of a recording the moment counts at which its RSS was measured last,
 * and what is neither heap nor files nor memtap's own is one part. Context: [tool].
 */
#include "cli/ask_chain.h"

#include "cli/memory_now.h"
#include "explain/explain.h"
#include "util/human.h"
#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

enum part { HEAP, FREE, STACKS, FILES, SHARED, MEMTAP, STATIC, UNKNOWN, PART__COUNT };
static const char *const part_words[] = {
    "blocks in use", "memory that was freed and is kept by the allocator", "stacks of threads", "mapped files and libraries", "shared memory",
    "memtap's own memory", "static data", "memory that nothing recorded explains",
};
static const char *const part_causes[] = { "heap", "free", "stacks", "files", "shared", "memtap", "static", "unexplained" };

#define MEASURED "SELECT process, time_s, rss_bytes, coalesce(file_bytes, 0) AS file_bytes, coalesce(own_bytes, 0) AS own_bytes FROM process.memory"
enum { PROCESS, TIME, RSS, FILE_BYTES, OWN_BYTES };

struct parts {
    double bytes[PART__COUNT], rss, trim;
    char *moment;  /* as a time in SQL, malloc'ed */
    char *process; /* "process = N AND", malloc'ed */
    bool live;
    uint64_t threads;
};

/* ---- the parts ---------------------------------------------------------------------------------------------------- */

static enum part part_of(enum mt_explain_part part)
{
    switch (part) {
    case MT_EXPLAIN_MALLOC_USED:
    case MT_EXPLAIN_MALLOC_MAPPED:
    case MT_EXPLAIN_PYTHON_USED:
    case MT_EXPLAIN_RECORDED:
    case MT_EXPLAIN_BRK:
    case MT_EXPLAIN_OTHER_USED:
        return HEAP;
    case MT_EXPLAIN_MALLOC_FREE:
    case MT_EXPLAIN_MALLOC_TOP:
    case MT_EXPLAIN_PYTHON_FREE:
    case MT_EXPLAIN_PYTHON_EMPTY:
    case MT_EXPLAIN_OTHER_FREE:
    case MT_EXPLAIN_OTHER_SLACK:
    case MT_EXPLAIN_OTHER_OWN:
        return FREE;
    case MT_EXPLAIN_STACKS:
        return STACKS;
    case MT_EXPLAIN_FILES:
        return FILES;
    case MT_EXPLAIN_SHARED:
        return SHARED;
    case MT_EXPLAIN_MEMTAP:
        return MEMTAP;
    case MT_EXPLAIN_STATIC:
        return STATIC;
    case MT_EXPLAIN_UNEXPLAINED:
    case MT_EXPLAIN__COUNT:
    default:
        return UNKNOWN;
    }
}

/* The heap of the process that is alive. */
static double heap_now(struct mt_ask *ask, uint64_t number)
{
    struct mt_ask_row row = mt_ask_for(ask, "SELECT coalesce(sum(live_bytes), 0) AS bytes FROM memory.sites WHERE process = %llu", (unsigned long long)number);
    double bytes = row.number[0];
    mt_ask_row_fini(&row);
    return bytes;
}

/* As `memtap memory PID` has it. */
static bool read_process(struct mt_ask *ask, struct parts *ret)
{
    struct mt_explained explained;
    struct mt_explain_trace known = { 0 };
    struct mt_memory_view shown = { 0 };
    const struct mt_traces *traces = ask->session->traces;
    if (traces->process_count != 1 || mt_explain_process(traces->processes[0], &explained, &ask->err) != MT_OK) {
        return false;
    }
    uint64_t number = mt_sql_number_of(ask->session->sql, traces->processes[0]);
    mt_memory_ask_allocator(traces->processes[0], &explained);
    if (traces->paths.count > 0 && !mt_memory_recorded(traces->paths.items[0], &shown, &known)) {
        known = (struct mt_explain_trace){ 0 };
    }
    mt_memory_fini(&shown);
    known.heap_bytes = (uint64_t)heap_now(ask, number);
    mt_explain_recorded(&explained, &known);
    for (int i = 0; i < MT_EXPLAIN__COUNT; i++) {
        ret->bytes[part_of((enum mt_explain_part)i)] += (double)explained.bytes[i];
    }
    ret->rss = (double)explained.rss_bytes;
    ret->trim = (double)explained.trim_bytes;
    ret->threads = explained.threads;
    ret->live = true;
    ret->moment = mt_strdup("'end'");
    ret->process = mt_format("process = %llu AND", (unsigned long long)number);
    return true;
}

/* Of the process that had most: when it had most, or at its end if that is still nearly as much. What was alive can be told from the
 * horizon on. */
static bool read_recording(struct mt_ask *ask, struct parts *ret)
{
    double horizon = mt_sql_horizon_s(ask->session->sql);
    struct mt_ask_row most = mt_ask_for(ask, MEASURED " WHERE time_s >= %.9f ORDER BY rss_bytes DESC LIMIT 1", horizon);
    if (!most.there) {
        mt_ask_row_fini(&most);
        return false;
    }
    struct mt_ask_row last = mt_ask_for(ask, MEASURED " WHERE process = %s ORDER BY time_s DESC LIMIT 1", most.text[PROCESS]);
    const struct mt_ask_row *at = last.number[RSS] >= 0.8 * most.number[RSS] ? &last : &most;
    double rest = at->number[RSS] - at->number[FILE_BYTES] - at->number[OWN_BYTES];
    ret->moment = mt_format("%.9f", at->number[TIME]);
    ret->process = mt_format("process = %s AND", most.text[PROCESS]);
    struct mt_ask_row heap = mt_ask_for(ask, "SELECT coalesce(sum(bytes), 0) AS bytes FROM memory.live_at(%s) WHERE %s true", ret->moment, ret->process);
    struct mt_ask_row peak = mt_ask_for(ask, "SELECT coalesce(sum(peak_bytes), 0) AS bytes FROM memory.sites WHERE %s true", ret->process);
    ret->rss = at->number[RSS];
    ret->bytes[FILES] = at->number[FILE_BYTES];
    ret->bytes[MEMTAP] = at->number[OWN_BYTES];
    ret->bytes[HEAP] = heap.number[0] < rest ? heap.number[0] : rest;
    bool freed = peak.number[0] - heap.number[0] >= (rest - ret->bytes[HEAP]) / 2; /* as much as that was freed since the peak */
    ret->bytes[freed ? FREE : UNKNOWN] = rest - ret->bytes[HEAP];
    mt_ask_row_fini(&peak);
    mt_ask_row_fini(&heap);
    mt_ask_row_fini(&last);
    mt_ask_row_fini(&most);
    return true;
}

static enum part largest(const struct parts *parts)
{
    enum part best = HEAP;
    for (int i = 0; i < PART__COUNT; i++) {
        best = parts->bytes[i] > parts->bytes[best] ? (enum part)i : best;
    }
    return best;
}

/* ---- lines -------------------------------------------------------------------------------------------------------- */

/* What a line's memory is, where more can be said than "blocks". */
static const char *kind_of(struct mt_ask *ask, const struct mt_ask_row *top)
{
    const char *allocator = top->text[4] != NULL ? top->text[4] : "";
    if (strcmp(allocator, "mmap") == 0 || strcmp(allocator, "mremap") == 0) {
        return "mmap";
    }
    if (strcmp(allocator, "posix_memalign") != 0) {
        return "heap";
    }
    struct mt_ask_row torch = mt_ask_for(ask, "SELECT count(*) AS libraries FROM memory.modules WHERE path LIKE '%%/libc10.so%%' OR path LIKE '%%/libtorch_cpu.so%%'");
    bool tensors = torch.number[0] > 0; /* torch takes storage on the CPU by posix_memalign, and numpy and Python do not */
    mt_ask_row_fini(&torch);
    return tensors ? "tensor" : "heap";
}

static struct mt_ask_row top_line(struct mt_ask *ask, const struct parts *parts)
{
    return mt_ask_for(ask, "SELECT function, file, line, sum(bytes) AS bytes, allocator, sum(count) AS count FROM memory.live_at(%s) WHERE %s line IS NOT NULL GROUP "
                           "BY function, file, line, allocator ORDER BY bytes DESC LIMIT 1", parts->moment, parts->process);
}

static void say_heap(struct mt_ask *ask, const struct parts *parts)
{
    struct mt_ask_row top = top_line(ask, parts);
    struct mt_human rss = mt_human_bytes(parts->rss);
    if (top.there) {
        char *place = mt_ask_place(&top, 0);
        const char *kind = kind_of(ask, &top);
        const char *words = strcmp(kind, "mmap") == 0 ? "mapped by the program itself (mmap)" : strcmp(kind, "tensor") == 0 ? "tensors of torch, made" : "blocks, allocated";
        mt_ask_blame(ask, kind, &top, 0, top.number[3]);
        mt_strlist_print(&ask->sentences, "Of %s resident, %s are memory in use; most of it, %s, are %s at %s.", rss.text, mt_human_bytes(parts->bytes[HEAP]).text,
                         mt_human_bytes(top.number[3]).text, words, place);
        free(place);
    } else {
        ask->cause = "heap";
        mt_strlist_print(&ask->sentences, "Of %s resident, %s are memory in use; which lines of the program hold it was not recorded.", rss.text,
                         mt_human_bytes(parts->bytes[HEAP]).text);
    }
    mt_ask_row_fini(&top);
}

/* Whose blocks were freed, and whose stay between them. */
static void say_free(struct mt_ask *ask, const struct parts *parts)
{
    struct mt_ask_row gone = { 0 };
    if (mt_sql_knows(ask->session->sql, "peak")) {
        gone = mt_ask_for(ask, "SELECT function, file, line, sum(before_bytes) - sum(after_bytes) AS bytes FROM memory.diff('peak', %s) WHERE %s line IS NOT "
                               "NULL GROUP BY function, file, line HAVING sum(before_bytes) > sum(after_bytes) ORDER BY bytes DESC LIMIT 1", parts->moment, parts->process);
    }
    struct mt_ask_row kept = mt_ask_for(ask, "SELECT function, file, line, sum(bytes) AS bytes, sum(count) AS count FROM memory.live_at(%s) WHERE %s line IS NOT NULL AND "
                                             "size_bytes < 131072 GROUP BY function, file, line ORDER BY count DESC LIMIT 1", parts->moment, parts->process);
    struct mt_human rss = mt_human_bytes(parts->rss), free_bytes = mt_human_bytes(parts->bytes[FREE]);
    if (gone.there) {
        char *place = mt_ask_place(&gone, 0);
        mt_ask_blame(ask, "fragmentation", &gone, 0, parts->bytes[FREE]);
        mt_strlist_print(&ask->sentences, "Of %s resident, %s are fragmentation: blocks that were freed, most of them allocated at %s, whose memory the allocator keeps.", rss.text,
                         free_bytes.text, place);
        free(place);
    } else {
        ask->cause = "fragmentation";
        mt_strlist_print(&ask->sentences, "Of %s resident, %s are fragmentation: memory that was freed and that the allocator keeps.", rss.text, free_bytes.text);
    }
    if (kept.there && kept.number[4] > 1) {
        char *place = mt_ask_place(&kept, 0);
        mt_strlist_print(&ask->sentences, "Between them %s from %s stay in use and keep their pages.", mt_human_counted(kept.number[4], "block", "blocks").text, place);
        free(place);
    }
    if (parts->live) {
        mt_strlist_print(&ask->sentences, "malloc_trim(0) would give %s back to the system.", mt_human_bytes(parts->trim).text);
    }
    mt_ask_row_fini(&gone);
    mt_ask_row_fini(&kept);
}

/* A thread's own data is allocated where it is made. */
static void say_stacks(struct mt_ask *ask, const struct parts *parts)
{
    struct mt_ask_row made = mt_ask_for(ask, "SELECT function, file, line, sum(total_count) AS threads FROM memory.sites WHERE line IS NOT NULL AND (has_frame(stack_id, "
                                             "'pthread_create') OR has_frame(stack_id, '__pthread_create_2_1') OR has_frame(stack_id, 'start_new_thread')) GROUP BY function, file, line "
                                             "ORDER BY threads DESC LIMIT 1");
    struct mt_human rss = mt_human_bytes(parts->rss), stacks = mt_human_bytes(parts->bytes[STACKS]);
    struct mt_counted threads = mt_human_counted((double)parts->threads, "thread", "threads");
    if (made.there) {
        char *place = mt_ask_place(&made, 0);
        mt_ask_blame(ask, "stacks", &made, 0, parts->bytes[STACKS]);
        mt_strlist_print(&ask->sentences, "Of %s resident, %s are the stacks of %s, most of which were started at %s.", rss.text, stacks.text, threads.text, place);
        free(place);
    } else {
        ask->cause = "stacks";
        mt_strlist_print(&ask->sentences, "Of %s resident, %s are the stacks of %s; where they were started was not recorded.", rss.text, stacks.text, threads.text);
    }
    mt_strlist_print(&ask->sentences, "Fewer threads, or smaller frames in them, would take less: a page of a stack stays resident once it was used.");
    mt_ask_row_fini(&made);
}

/* Address space that is mapped without access, and still is. */
static struct mt_ask_row reservations(struct mt_ask *ask)
{
    return mt_ask_for(ask, "SELECT s.function, s.file, s.line, e.size_bytes, sum(e.size_bytes) OVER () AS bytes FROM memory.events AS e JOIN memory.stacks AS s ON s.stack_id = "
                           "e.stack_id AND s.process = e.process WHERE e.kind = 'map' AND e.allocator = 'reserved' AND NOT EXISTS (SELECT 1 FROM memory.events AS u WHERE "
                           "u.kind = 'unmap' AND u.process = e.process AND u.time_s >= e.time_s AND u.address <= e.address AND u.address + u.size_bytes >= e.address + "
                           "e.size_bytes) ORDER BY e.size_bytes DESC LIMIT 1");
}

/* Where much more is reserved than resident, that is what is seen as "virtual size". */
static void say_reserved(struct mt_ask *ask, const struct parts *parts, enum part most)
{
    struct mt_ask_row row = reservations(ask);
    if (row.there && row.number[4] >= 4 * parts->rss) {
        char *place = mt_ask_place(&row, 0);
        bool is_answer = most != HEAP || ask->bytes < parts->rss / 2; /* nothing else is worth the name */
        char *first = ask->sentences.count > 0 && is_answer ? mt_strdup(ask->sentences.items[0]) : NULL;
        if (is_answer) {
            mt_ask_blame(ask, "reservation", &row, 0, row.number[3]);
            mt_strlist_clear(&ask->sentences);
        }
        mt_strlist_print(&ask->sentences, "%s of the address space are only reserved, most of them at %s: none of that is resident, %s in all are.",
                         mt_human_bytes(row.number[4]).text, place, mt_human_bytes(parts->rss).text);
        if (first != NULL) {
            mt_strlist_print(&ask->sentences, "%s", first);
        }
        free(first);
        free(place);
    }
    mt_ask_row_fini(&row);
}

static void say_rest(struct mt_ask *ask, const struct parts *parts, enum part most)
{
    for (int i = 0; i < PART__COUNT; i++) {
        if (i != (int)most && parts->bytes[i] >= parts->rss / 10) {
            mt_strlist_print(&ask->sentences, "%s more are %s.", mt_human_bytes(parts->bytes[i]).text, part_words[i]);
        }
    }
    if (!parts->live && most == UNKNOWN) {
        mt_strlist_print(&ask->sentences, "Stacks, static data and what allocators keep are told apart while a process runs: `memtap ask rss PID`.");
    }
}

void mt_ask_rss(struct mt_ask *ask)
{
    struct parts parts = { 0 };
    bool known = ask->session->traces->process_count == 1 ? read_process(ask, &parts) : read_recording(ask, &parts);
    if (!known) {
        if (ask->err.status == MT_OK) {
            ask->cause = "none";
            mt_strlist_print(&ask->sentences, "The resident set was not measured in this recording.");
        }
        return;
    }
    enum part most = largest(&parts);
    if (most == HEAP) {
        say_heap(ask, &parts);
    } else if (most == FREE) {
        say_free(ask, &parts);
    } else if (most == STACKS) {
        say_stacks(ask, &parts);
    } else {
        ask->cause = part_causes[most];
        ask->bytes = parts.bytes[most];
        mt_strlist_print(&ask->sentences, "Of %s resident, %s are %s.", mt_human_bytes(parts.rss).text, mt_human_bytes(parts.bytes[most]).text, part_words[most]);
    }
    say_reserved(ask, &parts, most);
    say_rest(ask, &parts, most);
    free(parts.moment);
    free(parts.process);
}
