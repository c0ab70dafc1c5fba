/* select_options.c: the option tables that reading commands share. */
#include "cli/select.h"

#include "util/human.h"

#include <string.h>

static mt_status select_peak(void *values, const char *argument, struct mt_error *err)
{
    (void)argument;
    (void)err;
    ((struct mt_select *)values)->what.what = MT_SELECT_PEAK;
    return MT_OK;
}

static mt_status select_leaks(void *values, const char *argument, struct mt_error *err)
{
    (void)argument;
    (void)err;
    ((struct mt_select *)values)->what.what = MT_SELECT_LEAKS;
    return MT_OK;
}

static mt_status select_total(void *values, const char *argument, struct mt_error *err)
{
    (void)argument;
    (void)err;
    ((struct mt_select *)values)->what.what = MT_SELECT_TOTAL;
    return MT_OK;
}

static mt_status select_temporary(void *values, const char *argument, struct mt_error *err)
{
    struct mt_select *select = values;
    uint64_t count = 1;
    if (argument != NULL && (!mt_parse_count(argument, &count) || count > UINT32_MAX)) {
        return mt_error_set(err, MT_E_INVAL, "--temporary: \"%s\" is not a number of allocations", argument);
    }
    select->what.what = MT_SELECT_TEMPORARY;
    select->what.temporary_max = count;
    return MT_OK;
}

static mt_status select_at(void *values, const char *argument, struct mt_error *err)
{
    struct mt_select *select = values;
    if (!mt_timepoint_parse(argument, strlen(argument), &select->what.times[0])) {
        return mt_error_set(err, MT_E_INVAL, "--at: \"%s\" is not a time; use %s", argument, MT_TIMEPOINT_FORMS);
    }
    select->what.what = MT_SELECT_AT;
    return MT_OK;
}

static mt_status select_between(void *values, const char *argument, struct mt_error *err)
{
    struct mt_select *select = values;
    if (!mt_timepoint_parse_pair(argument, select->what.times)) {
        return mt_error_set(err, MT_E_INVAL, "--between: \"%s\" is not T0,T1; each is %s", argument, MT_TIMEPOINT_FORMS);
    }
    select->what.what = MT_SELECT_BETWEEN;
    return MT_OK;
}

#define FIELD(name) offsetof(struct mt_select, name)

static const char *const storages[] = { "heap", "file", "stack", "arena", "reserved", NULL }; /* enum mt_storage */

#define ALL_FRAMES                                                                                                     \
    { "all-frames", 0, MT_OPTION_FLAG, FIELD(all_frames), NULL, NULL, 0, NULL,                                         \
      "show every frame, and give memory to the one that allocated it; otherwise the import system's frames are one, as are " \
      "those that start threads, and memory is the program's line's" }

const struct mt_option mt_select_frames[] = { ALL_FRAMES, { 0 } };

const struct mt_option mt_select_what[] = {
    { "peak", 0, MT_OPTION_CALL, 0, NULL, select_peak, MT_ARGUMENT_NONE, NULL,
      "what was alive when the heap was largest (default)" },
    { "leaks", 0, MT_OPTION_CALL, 0, NULL, select_leaks, MT_ARGUMENT_NONE, NULL, "what was alive when each program ended: --at end" },
    { "temporary", 0, MT_OPTION_CALL, 0, NULL, select_temporary, MT_ARGUMENT_OPTIONAL, "N",
      "what was freed after at most N further allocations of its thread; 0: before any; default 1" },
    { "at", 0, MT_OPTION_CALL, 0, NULL, select_at, MT_ARGUMENT_REQUIRED, "T", "what was alive at time T" },
    { "between", 0, MT_OPTION_CALL, 0, NULL, select_between, MT_ARGUMENT_REQUIRED, "T0,T1",
      "what was allocated from T0 on and alive at T1" },
    { "total", 0, MT_OPTION_CALL, 0, NULL, select_total, MT_ARGUMENT_NONE, NULL, "all that was ever allocated, freed or not" },
    { "thread", 0, MT_OPTION_TEXT, FIELD(what.thread), NULL, NULL, 0, "T", "only what this thread (id or name) allocated" },
    { "storage", 0, MT_OPTION_CHOICE, FIELD(what.storage), storages, NULL, 0, "STORAGE",
      "what is mapped as heap (default), file, stack, arena (by allocators) or reserved" },
    { "native", 0, MT_OPTION_SWITCH, FIELD(native), NULL, NULL, 0, NULL,
      "show native frames in Python stacks too (extensions, libraries, the interpreter); default: Python frames only "
      "where "
      "there are any" },
    ALL_FRAMES,
    { 0 },
};

const char *const mt_select_one_of[] = { "peak", "leaks", "temporary", "at", "between", "total", NULL };

static mt_status add_wrapper(void *values, const char *argument, struct mt_error *err)
{
    struct mt_select *select = values;
    if (select->wrapper_count == MT_SELECT_WRAPPERS_MAX) {
        return mt_error_set(err, MT_E_INVAL, "--wrapper: at most %d; a name may end in *, which stands for all that begin so",
                            MT_SELECT_WRAPPERS_MAX);
    }
    if (argument[0] == '\0' || strcmp(argument, "*") == 0) {
        return mt_error_set(err, MT_E_INVAL, "--wrapper: give the name of a function, such as my_alloc or pool_*");
    }
    select->wrappers[select->wrapper_count++] = argument;
    select->details.wrappers = select->wrappers;
    return MT_OK;
}

#define SHOWN                                                                                                          \
    { "wrapper", 0, MT_OPTION_CALL, 0, NULL, add_wrapper, MT_ARGUMENT_REQUIRED, "NAME",                                \
      "what function NAME allocates is its caller's, as with malloc, operator new or zmalloc; NAME may end in *; may be " \
      "given more than once" },                                                                                        \
    {                                                                                                                  \
        "full-paths", 0, MT_OPTION_FLAG, FIELD(details.full_paths), NULL, NULL, 0, NULL,                               \
            "whole paths; a table shortens them to what tells them apart"                                              \
    }

const struct mt_option mt_select_shown[] = { SHOWN, { 0 } };

static mt_status choose_by(void *values, const char *argument, struct mt_error *err)
{
    struct mt_select *select = values;
    if (!mt_table_by_parse(argument, &select->details.by)) {
        return mt_error_set(err, MT_E_INVAL,
                            "--by: \"%s\" is not one of " MT_TABLE_BY_WORDS, argument);
    }
    return MT_OK;
}

const struct mt_option mt_select_places[] = {
    { "by", 0, MT_OPTION_CALL, 0, NULL, choose_by, MT_ARGUMENT_REQUIRED, "WHAT",
      "rows are places by line (default), function or file; or type (allocator), thread, module (binary or Python package), label "
      "(what the program said that it works for), task (names of tasks, and of threads where none is named); process: places by "
      "line, each process by itself" },
    { "invert", 0, MT_OPTION_FLAG, FIELD(details.invert), NULL, NULL, 0, NULL,
      "rows are what allocated, with the lines that called it behind" },
    { "stacks", 0, MT_OPTION_FLAG, FIELD(details.stacks), NULL, NULL, 0, NULL,
      "rows are stacks, with their frames below, from the allocation outwards" },
    SHOWN,
    { 0 },
};

const struct mt_option mt_select_temporary[] = {
    { "temporary", 0, MT_OPTION_CALL, 0, NULL, select_temporary, MT_ARGUMENT_OPTIONAL, "N",
      "count as temporary what was freed after at most N further allocations of its thread; 0: before any; default 1" },
    { 0 },
};

const struct mt_option mt_select_leaks[] = {
    { "all", 0, MT_OPTION_FLAG, FIELD(what.all), NULL, NULL, 0, NULL,
      "count as leaked also what the C and C++ libraries keep for themselves until the process is gone, and what is suppressed" },
    { "suppressions", 0, MT_OPTION_TEXT, FIELD(suppressions), NULL, NULL, 0, "FILE",
      "leave out leaks whose stack has a function, file or binary that fits a line leak:PATTERN of FILE, as LeakSanitizer "
      "does; default: the file that suppressions= of LSAN_OPTIONS names. What a program returns from "
      "__lsan_default_suppressions counts too" },
    { 0 },
};

const struct mt_option mt_select_rows[] = {
    { "rows", 'n', MT_OPTION_COUNT, FIELD(rows), NULL, NULL, 0, "ROWS",
      "show at most ROWS; 0: all; default: some, and none with 0.0 %; data formats show all" },
    { 0 },
};

static const char *const formats[] = { "table", "json", "csv", "ndjson", NULL };

const struct mt_option mt_select_output[] = {
    { "format", 'f', MT_OPTION_CHOICE, FIELD(format), formats, NULL, 0, "FORMAT",
      "table, json, csv or ndjson; default table, or by the suffix of -o" },
    { "output", 'o', MT_OPTION_TEXT, FIELD(output), NULL, NULL, 0, "OUT",
      "write to OUT, whole or not at all; -: standard "
      "output (default)" },
    { 0 },
};

const char mt_select_notes[] =
    "T is seconds from the start (1.5, or with a unit: 250ms, 2m), a share of the recording (50%), peak, oom (the first "
    "allocation that failed), mark (the last snapshot; mark:N the N-th, memtap stats lists them), or a moment of "
    "each process: end (a Python program's code is done; of any other the last event), exit (the last event) or main-end "
    "(main returned or exit was called).\n"
    "FILE@T is --at T for one FILE. FILE may be a folder, which stands for all *.mtap in it; several are merged, as the processes of one run. "
    "Where FILE may stand, a process may that is being recorded: its number (PID@T too), unix:/PATH or HOST:PORT of one that listens.\n"
    "In sample mode amounts are estimates; ± and _ci95 give the half width of the 95 % interval.\n"
    "Whatever could not be recorded or read is said on standard error.";
