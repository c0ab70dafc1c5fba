/* stream.h: connections that hear of new data, as server-sent events. Private to serve/.
 *
 * Decides: an event says the version and no more; the data is fetched, by all the same way. A connection with nothing to be told
 * sleeps (it is suspended); every quarter of a minute it is sent a comment, so that those that are gone are noticed.
 * Context: [tool]; _locked: under the lock of struct mt_feed. */
#ifndef MT_SERVE_STREAM_H
#define MT_SERVE_STREAM_H

#include "serve/library.h"
#include "serve/feed.h"

enum { MT_STREAMS_MAX = 256 };

/* Who lets go of a block. */
struct mt_stream_end {
    struct mt_feed *feed;
    struct mt_block *block;
};

/* Is somebody told of this target? */
bool mt_streams_watch_locked(const struct mt_feed *feed, size_t target);
void mt_streams_wake_locked(struct mt_feed *feed);
/* A response that goes on; NULL: there are too many. */
struct MHD_Response *mt_stream_begin(struct mt_feed *feed, struct MHD_Connection *connection, size_t target);

#endif
