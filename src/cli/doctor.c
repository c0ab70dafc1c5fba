/* doctor.c: `memtap doctor`: what would stop memtap here. */
#include "attach/refusal.h"
#include "cli/outcome.h"
#include "export/report.h"
#include "reader/recording.h"
#include "symbol/demangle.h"
#include "symbol/dwarf.h"
#include "util/findings.h"
#include "util/grid.h"
#include "util/human.h"
#include "util/json.h"
#include "util/memory.h"
#include "util/progress.h"
#include "wire/zstd_codec.h"

#include <stdint.h>
#include <stdlib.h>

struct values {
    int format;
};

static const struct mt_option own[] = {
    MT_OUTCOME_OPTION(offsetof(struct values, format), "table (default) or json: an array of {topic, level, text}"),
    { 0 },
};
static const struct mt_option *const tables[] = { own, NULL };

static const struct mt_command_doc doc = {
    .name = "doctor",
    .summary = "what would stop memtap here",
    .synopsis = "memtap doctor [PID | FILE]",
    .description =
        "Checks the agent, the system, Python, shared memory, the current folder and its disk, limits and the ptrace "
        "scope; with PID also that process: its program, its user, whether something else traces it. With FILE, that trace "
        "alone: whether it is one, how much of it is there, and what was not recorded. Each "
        "finding is ok, a note (works, with a limit) or a problem, and says what to do.",
    .exit_codes = "0  no problem\n"
                  "1  a problem was found\n"
                  "2  wrong usage\n"
                  "3  there is no such process or file",
    .examples = "memtap doctor\n"
                "memtap doctor 1234\n"
                "memtap doctor app.mtap",
    .tables = tables,
};

static const char *level_word(enum mt_finding_level level)
{
    return level == MT_FINDING_OK ? "ok" : level == MT_FINDING_NOTE ? "note" : "PROBLEM";
}

static void write_json(struct mt_out *out, const struct mt_findings *findings)
{
    static const char *const words[] = { "ok", "note", "problem" };
    struct mt_json json;
    mt_json_init(&json, out, 1);
    mt_json_array(&json);
    for (size_t i = 0; i < findings->count; i++) {
        mt_json_object(&json);
        mt_json_put_text(&json, "topic", findings->items[i].topic);
        mt_json_put_text(&json, "level", words[findings->items[i].level]);
        mt_json_put_text(&json, "text", findings->items[i].text);
        mt_json_object_end(&json);
    }
    mt_json_array_end(&json);
    mt_out_byte(out, '\n');
}

static void write_text(struct mt_out *out, const struct mt_findings *findings)
{
    enum { LABEL_COLUMNS = 24 };
    for (size_t i = 0; i < findings->count; i++) {
        char *line = mt_format("%-8s %-14s %s\n", level_word(findings->items[i].level), findings->items[i].topic, findings->items[i].text);
        mt_terminal_wrap(out, line, LABEL_COLUMNS);
        free(line);
    }
}

static int print(const struct mt_findings *findings, int format, bool found)
{
    struct mt_error err = { 0 };
    struct mt_out *out;
    if (mt_out_open(NULL, &out, &err) != MT_OK) {
        return mt_command_fail(&doc, MT_EXIT_FAILED, &err);
    }
    if (format == MT_OUTCOME_JSON) {
        write_json(out, findings);
    } else {
        write_text(out, findings);
    }
    if (mt_out_commit(out, &err) != MT_OK) {
        return mt_command_fail(&doc, MT_EXIT_FAILED, &err);
    }
    return !found                                              ? MT_EXIT_UNREACHABLE
           : mt_findings_worst(findings) == MT_FINDING_PROBLEM ? MT_EXIT_FAILED
                                                               : MT_EXIT_OK;
}

/* What this program was built with (docs/decisions/0008-packaging.md). */
static void add_abilities(struct mt_findings *findings)
{
    const char *lines = mt_dwarf_origin(), *demangler = mt_demangle_origin();
    const struct mt_zstd *zstd = mt_zstd();
    mt_findings_add(findings, lines != NULL ? MT_FINDING_OK : MT_FINDING_NOTE, "lines", "%s",
                    lines != NULL ? lines
                                  : "built without libdw: native functions only, no lines and no inlined calls; install "
                                    "the wheel, or libdw-dev (elfutils-devel) and build again");
    mt_findings_add(findings, demangler != NULL ? MT_FINDING_OK : MT_FINDING_NOTE, "names", "%s",
                    demangler != NULL ? demangler
                                      : "built without libiberty and no libstdc++.so.6 here: C++ names stay as the "
                                        "linker has them");
    mt_findings_add(findings, zstd != NULL ? MT_FINDING_OK : MT_FINDING_NOTE, "compression", "%s",
                    zstd != NULL ? zstd->origin
                                 : "built without libzstd and no libzstd.so.1 here: compressed traces cannot be read; "
                                   "install libzstd1 (libzstd)");
}

static void add_warnings(struct mt_findings *findings, const struct mt_trace_set *set)
{
    struct mt_strlist warnings = { 0 };
    mt_report_warnings(set, NULL, NULL, &warnings);
    for (size_t i = 0; i < warnings.count; i++) {
        mt_findings_add(findings, MT_FINDING_NOTE, "trace", "%s", warnings.items[i]);
    }
    mt_strlist_clear(&warnings);
}

static void add_process(struct mt_findings *findings, const struct mt_trace *trace)
{
    const struct mt_trace_info *info = mt_trace_info(trace);
    const struct mt_trace_completeness *whole = mt_trace_completeness(trace);
    bool damaged = whole->truncated_at > 0 || whole->holes > 0 || whole->metadata_broken;
    bool empty = info->event_bytes == 0 && (info->flags & MT_TRACE_AGGREGATE) == 0;
    char *command = mt_report_command(info);
    mt_findings_add(findings, damaged ? MT_FINDING_PROBLEM : empty ? MT_FINDING_NOTE : MT_FINDING_OK, "process",
                    "%llu, %s: %s in %s, %s%s", (unsigned long long)info->pid, command, mt_report_mode(info),
                    mt_human_bytes((double)info->file_bytes).text, mt_human_duration(info->duration_ns).text,
                    empty     ? "; no event of it is there"
                    : damaged ? "; a part is missing, copy the file again"
                              : "");
    free(command);
}

/* Every process that is not as it should be, and the first few others. */
static void add_processes(struct mt_findings *findings, const struct mt_trace_set *set)
{
    enum { SHOWN = 5 };
    struct mt_findings all = { 0 };
    size_t fine = 0;
    for (size_t i = 0; i < set->count; i++) {
        add_process(&all, set->traces[i]);
        bool ok = all.items[i].level == MT_FINDING_OK;
        if (!ok || fine < SHOWN) {
            mt_findings_add(findings, all.items[i].level, "process", "%s", all.items[i].text);
        }
        fine += ok;
    }
    if (fine > SHOWN) {
        mt_findings_add(findings, MT_FINDING_OK, "process", "and %zu more, as they should be", fine - SHOWN);
    }
    mt_findings_clear(&all);
}

/* What is wrong with a trace; false: there is no such file. */
static bool examine_trace(struct mt_findings *findings, char *path)
{
    struct mt_recording *recording;
    struct mt_error err = { 0 };
    mt_status status = mt_recording_make(&path, 1, &recording, &err);
    if (status != MT_OK) {
        mt_findings_add(findings, MT_FINDING_PROBLEM, "trace", "%s", mt_error_text(&err));
        return status != MT_E_NOENT;
    }
    const struct mt_trace_set *set = &recording->set;
    add_processes(findings, set);
    add_warnings(findings, set);
    mt_recording_free(recording);
    return true;
}

/* Whether memtap may look into a process, and what would change it. */
static void examine_access(struct mt_findings *findings, pid_t pid)
{
    struct mt_subject subject;
    struct mt_error err = { 0 };
    if (mt_subject_open(pid, &subject, &err) != MT_OK) {
        mt_findings_add(findings, MT_FINDING_PROBLEM, "access", "%s", mt_error_text(&err));
        return;
    }
    mt_findings_add(findings, MT_FINDING_OK, "access", "its memory can be read: %zu objects, glibc at %#llx", subject.objects.count,
                    (unsigned long long)subject.libc->bias);
    mt_subject_close(&subject);
}

static int doctor_main(int argc, char **argv)
{
    struct values values = { 0 };
    struct mt_operands operands;
    struct mt_findings findings = { 0 };
    struct mt_error err = { 0 };
    uint64_t pid = 0;
    bool found = true;
    int code;
    if (!mt_command_options(&doc, argc, argv, &values, &operands, &code)) {
        return code;
    }
    if (operands.count > 1) {
        (void)mt_error_set(&err, MT_E_INVAL, "give one PID or FILE, or none");
        return mt_command_fail(&doc, MT_EXIT_USAGE, &err);
    }
    bool number = operands.count == 1 && mt_parse_count(operands.items[0], &pid) && pid > 0 && pid <= INT32_MAX;
    if (operands.count == 1 && !number) {
        found = examine_trace(&findings, operands.items[0]);
    } else {
        struct mt_progress progress;
        mt_progress_begin(&progress, "checking; a launcher of Python may take seconds to say which one it starts", values.format == MT_OUTCOME_JSON);
        mt_progress_show(&progress);
        mt_findings_host(&findings);
        mt_progress_end(&progress);
        add_abilities(&findings);
    }
    if (pid > 0) {
        found = mt_findings_process(&findings, (pid_t)pid) != 0;
        if (found) {
            examine_access(&findings, (pid_t)pid);
        }
    }
    code = print(&findings, values.format, found);
    mt_findings_clear(&findings);
    return code;
}

const struct mt_command mt_command_doctor = { &doc, doctor_main };
