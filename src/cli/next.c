/* next.c: see next.h. */
#include "cli/next.h"

#include "export/report.h"
#include "util/say.h"

void mt_next_say(const char *const *commands, char *const *files, size_t count)
{
    struct mt_out *text = mt_out_open_memory();
    for (size_t c = 0; commands[c] != NULL; c++) {
        mt_out_print(text, "%smemtap %s", c > 0 ? " · " : "", commands[c]);
        for (size_t i = 0; i < count; i++) {
            mt_out_byte(text, ' ');
            mt_report_put_argument(text, files[i]);
        }
    }
    mt_say("next: %s", mt_out_text(text, NULL));
    mt_out_discard(text);
}
