/* control_fuzz.c: any bytes are a frame between tool and armed process until proven otherwise: head, then strings.
 *
 * For libFuzzer, and with replay.c a plain program. Context: [tool].
 */
#include "wire/control.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t walk(const char *payload, size_t bytes)
{
    size_t walked = 0;
    for (const char *at = mt_control_next(payload, bytes, NULL); at != NULL; at = mt_control_next(payload, bytes, at)) {
        walked += strlen(at) + 1;
    }
    return walked;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mt_control_frame head;
    if (size < sizeof head) {
        return 0;
    }
    memcpy(&head, data, sizeof head);
    size_t bytes = size - sizeof head;
    char *payload = malloc(bytes + 1); /* its own block: sanitizers see its ends */
    if (payload == NULL) {
        return 0;
    }
    memcpy(payload, data + sizeof head, bytes);
    size_t walked = walk(payload, bytes);
    if (walked != 0 && walked != bytes) {
        abort();
    }
    if (mt_control_is_frame(&head) && head.length > MT_CONTROL_PAYLOAD_MAX) {
        abort();
    }
    const char *value = mt_control_value(payload, bytes, "TOKEN");
    if (value != NULL && mt_control_is_token("token", value) != (strcmp(value, "token") == 0)) {
        abort();
    }
    (void)mt_control_status_text(head.status);
    free(payload);
    return 0;
}
