/* doctor.c: `memtap doctor`: what would stop memtap here. */
#include "cli/command.h"
#include "symbol/demangle.h"
#include "symbol/dwarf.h"
#include "util/findings.h"
#include "util/grid.h"
#include "util/human.h"
#include "util/json.h"
#include "wire/zstd_codec.h"

#include <stdint.h>

struct values {
    int format;
};

static const char *const formats[] = { "table", "json", NULL };
static const struct mt_option own[] = {
    { "format", 'f', MT_OPTION_CHOICE, offsetof(struct values, format), formats, NULL, 0, "FORMAT",
      "table (default) or json" },
    { 0 },
};
static const struct mt_option *const tables[] = { own, NULL };

static const struct mt_command_doc doc = {
    .name = "doctor",
    .summary = "what would stop memtap here",
    .synopsis = "memtap doctor [PID]",
    .description =
        "Checks the agent, the system, Python, shared memory, the current folder and its disk, limits and the ptrace "
        "scope; with PID also that process: its program, its user, whether something else traces it. Each "
        "finding is ok, a note (works, with a limit) or a problem, and says what to do.",
    .exit_codes = "0  no problem\n"
                  "1  a problem was found\n"
                  "2  wrong usage\n"
                  "3  there is no such process",
    .examples = "memtap doctor\n"
                "memtap doctor 1234",
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
    for (size_t i = 0; i < findings->count; i++) {
        mt_out_print(out, "%-8s %-14s %s\n", level_word(findings->items[i].level), findings->items[i].topic,
                     findings->items[i].text);
    }
}

static int print(const struct mt_findings *findings, int format, bool found)
{
    struct mt_error err = { 0 };
    struct mt_out *out;
    if (mt_out_open(NULL, &out, &err) != MT_OK) {
        return mt_command_fail(&doc, MT_EXIT_FAILED, &err);
    }
    if (format == 1) {
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
    bool wrong = operands.count > 1 ||
                 (operands.count == 1 && (!mt_parse_count(operands.items[0], &pid) || pid == 0 || pid > INT32_MAX));
    if (wrong) {
        (void)mt_error_set(&err, MT_E_INVAL, "give one PID or none");
        return mt_command_fail(&doc, MT_EXIT_USAGE, &err);
    }
    mt_findings_host(&findings);
    add_abilities(&findings);
    if (pid > 0) {
        found = mt_findings_process(&findings, (pid_t)pid) != 0;
    }
    code = print(&findings, values.format, found);
    mt_findings_clear(&findings);
    return code;
}

const struct mt_command mt_command_doctor = { &doc, doctor_main };
