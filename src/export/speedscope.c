/* speedscope.c: speedscope's file format, version 0.0.1 (speedscope.app/file-format-schema.json): shared frames, and
 * sampled profiles whose samples are frame indexes from the outermost in. Bytes and allocations are one profile each.
 */
#include "export/exporter.h"
#include "util/memory.h"

#include <stdlib.h>

static void put_frames(struct mt_json *json, const struct mt_report *report)
{
    size_t count = mt_frames_count(report->frames);
    mt_json_key(json, "shared");
    mt_json_object(json);
    mt_json_key(json, "frames");
    mt_json_array(json);
    for (size_t i = 0; i < count; i++) {
        const struct mt_frame *frame = mt_frames_frame(report->frames, (uint32_t)i);
        const char *file = frame->file[0] != '\0' ? frame->file : frame->module;
        mt_json_object(json);
        mt_json_put_text(json, "name", frame->function);
        if (file[0] != '\0') {
            mt_json_put_text(json, "file", file);
        }
        if (frame->line > 0) {
            mt_json_put_u64(json, "line", frame->line);
        }
        mt_json_object_end(json);
    }
    mt_json_array_end(json);
    mt_json_object_end(json);
}

static uint64_t value_of(const struct mt_tree_node *node, bool bytes)
{
    return bytes ? node->self.bytes : node->self.count;
}

static void put_path(struct mt_json *json, const struct mt_tree *tree, uint32_t node, uint32_t **path, size_t *capacity)
{
    size_t depth = tree->nodes[node].depth;
    *path = mt_alloc_grow(*path, capacity, depth + 1, sizeof **path);
    for (size_t i = depth; i > 0; i--) {
        (*path)[i - 1] = tree->nodes[node].frame;
        node = tree->nodes[node].parent;
    }
    mt_json_array(json);
    for (size_t i = 0; i < depth; i++) {
        mt_json_u64(json, (*path)[i]);
    }
    mt_json_array_end(json);
}

static void put_profile(struct mt_json *json, const struct mt_export_input *input, bool bytes)
{
    const struct mt_tree *tree = input->tree;
    uint32_t *path = NULL;
    size_t capacity = 0;
    uint64_t sum = 0;
    mt_json_object(json);
    mt_json_put_text(json, "type", "sampled");
    char *name = mt_format("%s %s", bytes ? "bytes" : "allocations", input->report->selection);
    mt_json_put_text(json, "name", name);
    free(name);
    mt_json_put_text(json, "unit", bytes ? "bytes" : "none");
    mt_json_key(json, "samples");
    mt_json_array(json);
    for (uint32_t i = 1; i < tree->count; i++) {
        if (value_of(&tree->nodes[i], bytes) > 0) {
            put_path(json, tree, i, &path, &capacity);
        }
    }
    mt_json_array_end(json);
    mt_json_key(json, "weights");
    mt_json_array(json);
    for (uint32_t i = 1; i < tree->count; i++) {
        uint64_t value = value_of(&tree->nodes[i], bytes);
        if (value > 0) {
            mt_json_u64(json, value);
            sum += value;
        }
    }
    mt_json_array_end(json);
    mt_json_put_u64(json, "startValue", 0);
    mt_json_put_u64(json, "endValue", sum);
    mt_json_object_end(json);
    free(path);
}

void mt_export_speedscope(struct mt_out *out, const struct mt_export_input *input)
{
    struct mt_json json;
    char *command = mt_report_command(mt_trace_info(mt_report_root(input->report->set)));
    mt_json_init(&json, out, 1);
    mt_json_object(&json);
    mt_json_put_text(&json, "$schema", "https://www.speedscope.app/file-format-schema.json");
    mt_json_put_text(&json, "exporter", "memtap " MEMTAP_VERSION);
    mt_json_put_text(&json, "name", command);
    mt_json_put_u64(&json, "activeProfileIndex", 0);
    put_frames(&json, input->report);
    mt_json_key(&json, "profiles");
    mt_json_array(&json);
    put_profile(&json, input, true);
    put_profile(&json, input, false);
    mt_json_array_end(&json);
    mt_json_object_end(&json);
    mt_out_byte(out, '\n');
    free(command);
}
