/* clocks.h: the clocks of the events of a block, without the events.
 *
 * Decides: what is given are runs, clocks that go up by one from event to event, because that is what most clocks of a program
 * with one thread do. Where block headers or columns say enough, no record is decoded: a block whose clocks go up by as much
 * as it has events is one run, and in columns all is in the tags and the column of clocks. The clocks are those that mt_decode_events
 * would deliver, but for changes of rate and label, which a packer says elsewhere.
 * Context: [tool].
 */
#ifndef MT_WIRE_CLOCKS_H
#define MT_WIRE_CLOCKS_H

#include "wire/decode_file.h"

/* Events had the clocks first, first + 1, … last, or some of them. Runs come in order, of what is read of a block. */
typedef void mt_clock_run(void *context, uint64_t first, uint64_t last);

/* Gives the runs of a block of events; of a damaged one those before the damage, of one that cannot be read none. payload: to be
 * reused; what it holds afterwards is of no use. */
void mt_clocks_of_block(const struct mt_reader *reader, const struct mt_extent *extent, struct mt_payload *payload,
                        mt_clock_run *run, void *context);

#endif
