/* namemap.h: byte strings to small numbers.
 *
 * Decides: equal bytes get the number given at first sight: 0, 1, 2 … Open addressing over 64-bit hashes, keys copied
 * into one growing block; at most 2^32 - 1 keys. Context: [tool], one thread.
 */
#ifndef MT_UTIL_NAMEMAP_H
#define MT_UTIL_NAMEMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mt_namemap;

struct mt_namemap *mt_namemap_new(void);
void mt_namemap_free(struct mt_namemap *map);
/* The number of key; *ret_new (may be NULL): it was given just now. */
uint32_t mt_namemap_put(struct mt_namemap *map, const void *key, size_t bytes, bool *ret_new);
size_t mt_namemap_count(const struct mt_namemap *map);

#endif
