/* torch.h: rows of a training loop, as TORCH records of the metadata stream.
 *
 * Decides: a row is in the trace before the loop goes on. It is nobody's allocation and stands outside the order of events; a row
 * that finds no room is lost and counted. Contexts: [agent], any thread of the program.
 */
#ifndef MT_HEAP_TORCH_H
#define MT_HEAP_TORCH_H

#include "wire/records.h"

#include <stdbool.h>
#include <stdint.h>

/* Names of a row; UTF-8, ended by NUL. */
struct mt_torch_names {
    const char *module, *stage, *source;
};

/* Differs for every trace of every process; 0: this process has none at the moment. */
uint64_t mt_torch_recording(void);
/* row: all but the clock and the numbers of its names, which are filled in. False: there is no trace, or no room in it. */
bool mt_torch_row(const struct mt_record_torch *row, const struct mt_torch_names *names);

#endif
