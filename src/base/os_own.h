/* os_own.h: which anonymous memory is ours. Internal to base/; os.h asks (mt_os_own_resident_bytes).
 *
 * Decides: a table of MT_OWN_MAPS mappings, entered and left without a lock; what does not fit is only counted, as if all
 * of it were resident (blocks of threads, when there are hundreds). Context: any.
 */
#ifndef MT_BASE_OS_OWN_H
#define MT_BASE_OS_OWN_H

#include <stddef.h>

void mt_own_mapped(const void *base, size_t bytes);
void mt_own_unmapped(const void *base, size_t bytes);

#endif
