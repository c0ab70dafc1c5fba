/* copy.h: bytes into a file, all of them or an error. Context: [tool]. */
#ifndef MT_WIRE_COPY_H
#define MT_WIRE_COPY_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

mt_status mt_copy_bytes(int fd, const void *data, size_t bytes, uint64_t offset) MT_CHECKED;
/* bytes from one file to the other; a source that ends early leaves zeros. */
mt_status mt_copy_range(int to, uint64_t to_offset, int from, uint64_t from_offset, uint64_t bytes) MT_CHECKED;

#endif
