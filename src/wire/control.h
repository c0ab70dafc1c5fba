/* control.h: frames between a tool and an armed process, as both sides see them.
 *
 * A frame is a head of 16 bytes, little-endian, and a payload: NUL-ended strings NAME=VALUE one after the other (requests, and most
 * replies), or text (OUTPUT, ERRORS). A request has status 0; a reply repeats the request's kind. One request at a time on a
 * connection. The first bytes tell it from HTTP.
 * Decides: nothing that control.def does not say, but sizes. Context: any; calls nothing that allocates.
 */
#ifndef MT_WIRE_CONTROL_H
#define MT_WIRE_CONTROL_H

#include "base/status.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MT_CONTROL_MAGIC 0x3143544du /* "MTC1" */
#define MT_CONTROL_PREFIX "memtap-"  /* sockets are named memtap-PID-RANDOM; the file has .sock behind it */
enum {
    MT_CONTROL_VERSION = 1,
    MT_CONTROL_PAYLOAD_MAX = 16 << 20,
    MT_CONTROL_TOKEN_MAX = 256,
};

enum mt_control_kind {
#define MT_CONTROL_REQUEST(number, name, word, text) MT_CONTROL_##name = (number),
#include "wire/control.def"
};

enum mt_control_status {
#define MT_CONTROL_STATUS(number, name, text) MT_CONTROL_IS_##name = (number),
#include "wire/control.def"
    MT_CONTROL_STATUS__COUNT
};

struct mt_control_frame {
    uint32_t magic;
    uint16_t version; /* MT_CONTROL_VERSION */
    uint16_t kind;    /* enum mt_control_kind */
    uint32_t status;  /* enum mt_control_status */
    uint32_t length;  /* of the payload */
};
static_assert(sizeof(struct mt_control_frame) == 16, "on the wire");

/* Is it one that this version can read? */
bool mt_control_is_frame(const struct mt_control_frame *frame);
/* What it means for a person; never NULL. */
const char *mt_control_status_text(uint32_t status);
/* The value of a string of the payload, NULL: it has none of that name, or is not made of strings. */
const char *mt_control_value(const char *payload, size_t bytes, const char *name);
/* The string after `at` (NULL: the first), NULL at the end. */
const char *mt_control_next(const char *payload, size_t bytes, const char *at);
/* Takes the same time wherever they differ; false for an empty `right`. */
bool mt_control_is_token(const char *right, const char *given);

/* A payload under construction; what does not fit is left out, and `cut` says so. */
struct mt_control_text {
    char *buf;
    size_t capacity, length;
    bool cut;
};
void mt_control_add(struct mt_control_text *text, const char *name, const char *value);
void mt_control_add_number(struct mt_control_text *text, const char *name, uint64_t value);

#endif
