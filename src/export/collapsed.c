/* collapsed.c: Brendan Gregg's folded stacks: `outermost;…;innermost N`, N in bytes. The format has no escapes: a
 * semicolon in a name becomes a colon, a line break a visible escape. Equal stacks are one line, because the lines are
 * the nodes of the call tree that allocated something themselves. */
#include "export/exporter.h"
#include "export/rows.h"
#include "util/memory.h"
#include "util/text.h"

#include <stdlib.h>
#include <string.h>

/* "function (file:line)", safe for the format; one a frame id, made at first use. */
static const char *frame_text(const struct mt_report *report, char **names, uint32_t id)
{
    if (names[id] == NULL) {
        const struct mt_frame *frame = mt_frames_frame(report->frames, id);
        char *place = mt_rows_place(frame);
        char *raw = place[0] != '\0' ? mt_format("%s (%s)", frame->function, place) : mt_strdup(frame->function);
        names[id] = mt_text_clean(raw, strlen(raw));
        for (char *at = names[id]; *at != '\0'; at++) {
            *at = *at == ';' ? ':' : *at;
        }
        free(raw);
        free(place);
    }
    return names[id];
}

/* Frame ids from the outermost to node, without the root; returns how many. */
static size_t path_of(const struct mt_tree *tree, uint32_t node, uint32_t **path, size_t *capacity)
{
    size_t depth = tree->nodes[node].depth;
    *path = mt_alloc_grow(*path, capacity, depth + 1, sizeof **path);
    for (size_t i = depth; i > 0; i--) {
        (*path)[i - 1] = tree->nodes[node].frame;
        node = tree->nodes[node].parent;
    }
    return depth;
}

void mt_export_collapsed(struct mt_out *out, const struct mt_export_input *input)
{
    const struct mt_tree *tree = input->tree;
    size_t frames = mt_frames_count(input->report->frames);
    char **names = mt_alloc_zero(frames, sizeof *names);
    uint32_t *path = NULL;
    size_t capacity = 0;
    for (uint32_t i = 1; i < tree->count && !mt_out_failed(out); i++) {
        if (tree->nodes[i].self.bytes == 0) {
            continue;
        }
        size_t depth = path_of(tree, i, &path, &capacity);
        for (size_t d = 0; d < depth; d++) {
            mt_out_string(out, d > 0 ? ";" : "");
            mt_out_string(out, frame_text(input->report, names, path[d]));
        }
        mt_out_print(out, " %llu\n", (unsigned long long)tree->nodes[i].self.bytes);
    }
    for (size_t i = 0; i < frames; i++) {
        free(names[i]);
    }
    free(names);
    free(path);
}
