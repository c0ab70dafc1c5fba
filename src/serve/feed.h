/* feed.h: the data of pages, made once for all who look, and who is told when there is new data.
 *
 * Decides: a target's data is made by one thread, every second, or less often where that would be more than a fifth of a processor; whoever asks gets the
 * bytes of the last time. Viewers hear of a new version by server-sent events, whose connections sleep in between. Nobody looks: nothing
 * is made. A trace that grows is read while it is written to; its process does not notice. Context: [tool], any thread.
 */
#ifndef MT_SERVE_FEED_H
#define MT_SERVE_FEED_H

#include "serve/targets.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

struct mt_request;
struct mt_server;

/* Data as it was sent or will be; shared, never changed. */
struct mt_block {
    char *bytes;
    size_t count;
    uint64_t version;
    size_t users; /* under the lock */
};

/* Of one place among the targets. */
struct mt_feed_target {
    size_t number;          /* the target that has the place */
    struct mt_block *block; /* NULL: not made yet */
    bool is_made_now;       /* somebody does */
    bool is_growing;
    uint64_t next_ns;       /* not before */
    uint64_t versions;
    struct mt_target_version file; /* that the block is of */
    struct mt_profile_failure failure; /* of the last time; code 0: none */
};

struct mt_stream;

struct mt_feed {
    pthread_mutex_t lock;
    struct mt_feed_target targets[MT_TARGETS_MAX];
    struct mt_stream *streams;
    size_t stream_count;
};

void mt_feed_init(struct mt_feed *feed);
/* Once a second: makes what is old and looked at, and wakes who waits for it. */
void mt_feed_tick(struct mt_server *server);
size_t mt_feed_streams(struct mt_feed *feed);

#endif
