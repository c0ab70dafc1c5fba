/* snapshot.h: a frame as the library shows it. Private to reader/. Context: [tool]. */
#ifndef MT_READER_SNAPSHOT_H
#define MT_READER_SNAPSHOT_H

#include "memtap/profile.h"
#include "model/frames.h"

struct mt_snapshot_frame mt_snapshot_frame_of(const struct mt_frames *frames, uint32_t spot);

#endif
