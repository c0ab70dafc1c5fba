/* headline.c: see headline.h. */
#include "export/headline.h"

#include "analysis/estimate.h"
#include "export/endings.h"
#include "export/recordings.h"
#include "util/human.h"

#include <string.h>

static void write_roughness(struct mt_out *out, const struct mt_report *report, const struct mt_amount *sum, const struct mt_amount *first)
{
    static const double ROUGH_SHARE = 0.3;
    double wide = mt_estimate_ci95(first->bytes_variance), samples = mt_estimate_samples((double)sum->bytes, sum->bytes_variance);
    if (first->bytes == 0 || wide <= ROUGH_SHARE * (double)first->bytes) {
        return;
    }
    bool open = strcmp(mt_ending_short(report->set), "at the end") != 0;
    mt_out_print(out, "about %s%s: shares are rough, the first row is known to ±%.0f %%\n",
                 mt_human_counted(samples < 1 ? 1 : samples, "sample", "samples").text, open ? " so far" : "", 100 * wide / (double)first->bytes);
}

void mt_headline_write(struct mt_out *out, const struct mt_report *report, const struct mt_amount *sum, const struct mt_amount *first)
{
    size_t recordings = mt_recordings_count(report->set);
    mt_out_print(out, "%s in %s %s %s", mt_report_bytes(sum).text, mt_report_count(sum).text, sum->count == 1 ? "block" : "blocks",
                 report->selection);
    if (recordings > 1) {
        mt_out_print(out, ", summed over %zu recordings", recordings);
    }
    mt_out_byte(out, '\n');
    if (first != NULL) {
        write_roughness(out, report, sum, first);
    }
    mt_out_byte(out, '\n');
}
