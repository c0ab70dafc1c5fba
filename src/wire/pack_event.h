/* pack_event.h: a decoded event as a record again. Private to wire/pack*.c. Context: [tool]. */
#ifndef MT_WIRE_PACK_EVENT_H
#define MT_WIRE_PACK_EVENT_H

#include "wire/decode.h"
#include "wire/encode.h"

/* Writes any event of the raw decoder but changes of the rate and the label, at most MT_EVENT_MAX_BYTES. */
void mt_pack_event(struct mt_event_encoder *e, const struct mt_event *v);

#endif
