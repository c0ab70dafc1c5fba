/* payload.c: see payload.h. Context: [tool]. */
#include "model/payload.h"

#include "util/memory.h"

void mt_payload_free(struct mt_payload *payload)
{
    mt_payload_fini(payload);
    free(payload);
}

static void undo(void *payload, size_t bytes)
{
    (void)bytes;
    mt_payload_free(payload);
}

struct mt_payload *mt_payload_new(void)
{
    struct mt_payload *payload = mt_alloc_zero(1, sizeof *payload);
    mt_memory_hold(payload, sizeof *payload, undo);
    return payload;
}
