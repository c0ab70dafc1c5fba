/* stats.c: `memtap stats`: the numbers of a recording as a whole. */
#include "cli/select.h"

static const struct mt_option *const tables[] = { mt_select_temporary, mt_select_leaks, mt_select_output, NULL };

static const struct mt_command_doc doc = {
    .name = "stats",
    .summary = "the numbers of a recording as a whole",
    .synopsis = "memtap stats [OPTIONS] FILE…",
    .description =
        "Totals, peak, leaks, temporary allocations, sizes and allocators. -f json is one object with at least pid, "
        "command, mode, rate_bytes, duration_s, clock, clock_resolution_ns, "
        "allocations, deallocations, total_allocated_bytes, peak_bytes, peak_time_s, "
        "leaked_bytes, leaked_allocations, temporary_allocations, threads, rss_peak_bytes, dropped_events, "
        "truncated_stacks, size_histogram[], by_allocator{}, by_label[], by_task[]; in sample mode estimates have NAME_ci95 beside "
        "them.\n"
        "Several FILEs are the processes of one run: the peak is the most that all held at one moment.",
    .notes = mt_select_notes,
    .examples = "memtap stats app.mtap\n"
                "memtap stats -f json app.mtap | jq .peak_bytes",
    .tables = tables,
};

static int stats_main(int argc, char **argv)
{
    static const struct mt_reading_plan plan = { .doc = &doc, .report = MT_PROFILE_STATS };
    return mt_select_report(&plan, argc, argv);
}

const struct mt_command mt_command_stats = { &doc, stats_main };
