/* left_out.c: see left_out.h. */
#include "export/left_out.h"

#include "util/human.h"
#include "util/memory.h"
#include "util/text.h"

#include <stdlib.h>
#include <string.h>

static void write_suppressed(struct mt_out *out, const char *label, const struct mt_suppression *s)
{
    char *pattern = mt_text_clean(s->pattern, strlen(s->pattern));
    mt_out_print(out, "%s %s in %s by leak:%s\n", label, mt_human_bytes((double)s->bytes).text,
                 mt_human_counted((double)s->count, "block", "blocks").text, pattern);
    free(pattern);
}

static void write_lines(struct mt_out *out, const struct mt_report *report, const char *kept_label, const char *suppressed_label)
{
    const struct mt_amount *own = &report->analysis->own_live;
    if (own->count > 0) {
        mt_out_print(out, "%s %s in %s of the C and C++ libraries (--all)\n", kept_label, mt_report_bytes(own).text,
                     mt_human_counted((double)own->count, "block", "blocks").text);
    }
    for (size_t i = 0; i < report->suppression_count; i++) {
        if (report->suppressions[i].count > 0) {
            write_suppressed(out, suppressed_label, &report->suppressions[i]);
        }
    }
}

void mt_left_out_write(struct mt_out *out, const struct mt_report *report)
{
    if (report->analysis->own_live.count > 0 || report->analysis->suppressed_live.count > 0) {
        mt_out_byte(out, '\n');
    }
    write_lines(out, report, "left out:", "suppressed:");
}

void mt_left_out_rows(struct mt_out *out, const struct mt_report *report)
{
    write_lines(out, report, "  left out            ", "  suppressed          ");
}

void mt_left_out_put(struct mt_json *json, const struct mt_report *report)
{
    mt_json_key(json, "suppressions");
    mt_json_array(json);
    for (size_t i = 0; i < report->suppression_count; i++) {
        const struct mt_suppression *s = &report->suppressions[i];
        mt_json_object(json);
        mt_json_put_text(json, "pattern", s->pattern);
        mt_json_put_u64(json, "bytes", s->bytes);
        mt_json_put_u64(json, "count", s->count);
        mt_json_object_end(json);
    }
    mt_json_array_end(json);
}
