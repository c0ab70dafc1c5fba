/* timepoint.c: a moment in a recording, as people name it. */
#include "util/timepoint.h"

#include "util/human.h"
#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

static bool parse_share(char *text, struct mt_timepoint *ret)
{
    uint64_t scaled;
    size_t length = strlen(text);
    if (length < 2 || text[length - 1] != '%') {
        return false;
    }
    text[length - 1] = '\0';
    if (text[strspn(text, "0123456789.")] != '\0' || !mt_parse_duration(text, &scaled) || scaled > 100000000000u) {
        return false; /* the duration parser reads the number: 1 % is 10^9 here */
    }
    *ret = (struct mt_timepoint){ .kind = MT_TIMEPOINT_SHARE, .share = (double)scaled / 1e11 };
    return true;
}

static bool parse_word(const char *text, struct mt_timepoint *ret)
{
    static const struct {
        const char *word;
        enum mt_timepoint_kind kind;
    } words[] = {
        { "peak", MT_TIMEPOINT_PEAK },
        { "oom", MT_TIMEPOINT_OOM },
        { "mark", MT_TIMEPOINT_MARK },
        { "end", MT_TIMEPOINT_END },
        { "exit", MT_TIMEPOINT_EXIT },
        { "main-end", MT_TIMEPOINT_MAIN_END },
    };
    for (size_t i = 0; i < MT_COUNTOF(words); i++) {
        if (strcmp(text, words[i].word) == 0) {
            *ret = (struct mt_timepoint){ .kind = words[i].kind };
            return true;
        }
    }
    return false;
}

static bool parse_mark(const char *text, struct mt_timepoint *ret)
{
    static const char start[] = "mark:";
    uint64_t number;
    if (strncmp(text, start, sizeof start - 1) != 0 || !mt_parse_count(text + sizeof start - 1, &number) || number == 0) {
        return false;
    }
    *ret = (struct mt_timepoint){ .kind = MT_TIMEPOINT_MARK, .ns = number };
    return true;
}

bool mt_timepoint_parse(const char *text, size_t bytes, struct mt_timepoint *ret)
{
    uint64_t ns;
    char *copy = mt_strndup(text, bytes);
    bool ok = parse_word(copy, ret) || parse_mark(copy, ret);
    if (!ok && mt_parse_duration(copy, &ns)) {
        *ret = (struct mt_timepoint){ .kind = MT_TIMEPOINT_NS, .ns = ns };
        ok = true;
    }
    ok = ok || parse_share(copy, ret);
    free(copy);
    return ok;
}

bool mt_timepoint_parse_pair(const char *text, struct mt_timepoint ret[2])
{
    struct mt_timepoint pair[2];
    const char *comma = strchr(text, ',');
    if (comma == NULL || !mt_timepoint_parse(text, (size_t)(comma - text), &pair[0]) ||
        !mt_timepoint_parse(comma + 1, strlen(comma + 1), &pair[1])) {
        return false;
    }
    ret[0] = pair[0];
    ret[1] = pair[1];
    return true;
}

uint64_t mt_timepoint_resolve(const struct mt_timepoint *point, uint64_t duration_ns, uint64_t peak_ns)
{
    switch (point->kind) {
    case MT_TIMEPOINT_PEAK:
        return peak_ns;
    case MT_TIMEPOINT_SHARE:
        return (uint64_t)(point->share * (double)duration_ns);
    case MT_TIMEPOINT_OOM:
    case MT_TIMEPOINT_MARK:
    case MT_TIMEPOINT_END:
    case MT_TIMEPOINT_EXIT:
    case MT_TIMEPOINT_MAIN_END:
        return 0;
    case MT_TIMEPOINT_NS:
    default:
        return point->ns;
    }
}
