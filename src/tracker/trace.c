#include "tracker/private.h"
int mt_tracker_write_trace(struct mt_tracker *tracker, const char *path, bool native_stacks)
{
    (void)tracker; (void)path; (void)native_stacks;
    return MT_TRACKER_IO;
}
