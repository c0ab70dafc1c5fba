/* pack_lines.h: line tables cut down to the instructions that stacks name. Private to wire/pack*.c.
 *
 * Decides: what of a code object's line table a finished trace still needs. Only PYTHON_NODE records ask a table anything,
 * and all of them are known by then: about one instruction in fifty, so the tables, half of a small capture, become a
 * twentieth. The result is a table of kind 2 (3.10's, the smallest), which every reader knows. Context: [tool].
 */
#ifndef MT_WIRE_PACK_LINES_H
#define MT_WIRE_PACK_LINES_H

#include "wire/decode.h"
#include "wire/pack.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The instructions that nodes name: code number << 32 | offset in bytes. All zero at first. */
struct mt_used_lines {
    uint64_t *keys; /* sorted, each once, after mt_used_lines_settle */
    size_t count, capacity;
};

/* Notes what the record of a Python node names, the only one that names anything. False: out of memory. */
bool mt_used_lines_add(struct mt_used_lines *u, struct mt_bytes payload) MT_CHECKED;
void mt_used_lines_settle(struct mt_used_lines *u);
void mt_used_lines_fini(struct mt_used_lines *u);

/* Writes the payload of a CODE record anew, for every instruction used with the line that lines_of gives it. out has room
 * for the payload's bytes; returns how many were written, 0 when the record stays as it is (it is not one, or no
 * smaller). */
size_t mt_used_lines_reduce(const struct mt_used_lines *u, mt_lines_of *lines_of, struct mt_bytes payload, uint8_t *out);

#endif
