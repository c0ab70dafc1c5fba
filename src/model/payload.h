/* payload.h: a payload of the wire layer's that is let go when memory runs out while it is used (util/memory.h). Context: [tool]. */
#ifndef MT_MODEL_PAYLOAD_H
#define MT_MODEL_PAYLOAD_H

#include "wire/decode_file.h"

/* Empty, for mt_reader_load. */
struct mt_payload *mt_payload_new(void);
void mt_payload_free(struct mt_payload *payload);

#endif
