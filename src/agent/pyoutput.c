/* pyoutput.c: what an eval prints, on its way to who asked.
 *
 * Decides: a ring of 256 KiB between one writer and one reader, of pieces: stream, length, bytes. Who prints faster than the
 * other side takes waits, without the GIL (pycalls.c); nothing is cut. Pieces of one stream that lie behind each other are
 * handed over together: print makes two of every line.
 * Pairing P2: bytes are written before the release store of `written` and read after its acquire load; room is given back by
 * the release store of `taken` after the last read.
 */
#include "agent/pyeval_private.h"
#include "base/atomic.h"
#include "base/os.h"

#include <string.h>

enum { RING_BYTES = 256 * 1024, PIECE_MAX = 64 * 1024, TOGETHER_BYTES = 32 * 1024 };

struct piece {
    uint32_t stream, bytes;
};

static struct {
    char *base;
    uint64_t written, taken; /* since it was emptied; written by the eval's thread, taken by who waits */
    char together[TOGETHER_BYTES];
} g_ring;

bool mt_pyoutput_open(void)
{
    void *base = g_ring.base;
    if (base == NULL && mt_os_map_anonymous(RING_BYTES, &base) != MT_OK) {
        return false;
    }
    g_ring.base = base;
    g_ring.written = g_ring.taken = 0;
    return true;
}

void mt_pyoutput_close(void)
{
    mt_os_discard(g_ring.base, RING_BYTES);
}

static void copy_in(uint64_t at, const void *from, size_t bytes)
{
    size_t place = at % RING_BYTES;
    size_t first = bytes < RING_BYTES - place ? bytes : RING_BYTES - place;
    memcpy(g_ring.base + place, from, first);
    memcpy(g_ring.base, (const char *)from + first, bytes - first);
}

static void copy_out(uint64_t at, void *ret, size_t bytes)
{
    size_t place = at % RING_BYTES;
    size_t first = bytes < RING_BYTES - place ? bytes : RING_BYTES - place;
    memcpy(ret, g_ring.base + place, first);
    memcpy((char *)ret + first, g_ring.base, bytes - first);
}

size_t mt_pyoutput_put(int stream, const char *text, size_t bytes)
{
    uint64_t at = g_ring.written;
    uint64_t room = RING_BYTES - (at - mt_load_acquire(&g_ring.taken));
    if (room <= sizeof(struct piece)) {
        return 0;
    }
    size_t fits = room - sizeof(struct piece);
    fits = fits < PIECE_MAX ? fits : PIECE_MAX;
    const struct piece piece = { .stream = (uint32_t)stream, .bytes = (uint32_t)(bytes < fits ? bytes : fits) };
    copy_in(at, &piece, sizeof piece);
    copy_in(at + sizeof piece, text, piece.bytes);
    mt_store_release(&g_ring.written, at + sizeof piece + piece.bytes);
    return piece.bytes;
}

/* Says what has been put together when the next piece is not to be added to it. */
static size_t say_together(const struct mt_eval_asker *asker, uint32_t stream, size_t bytes)
{
    if (bytes > 0) {
        asker->say(asker->context, (int)stream, g_ring.together, bytes);
    }
    return 0;
}

void mt_pyoutput_take(const struct mt_eval_asker *asker)
{
    uint64_t at = g_ring.taken, end = mt_load_acquire(&g_ring.written);
    uint32_t stream = 0;
    size_t held = 0;
    while (at < end) {
        struct piece piece;
        copy_out(at, &piece, sizeof piece);
        at += sizeof piece;
        held = piece.stream != stream ? say_together(asker, stream, held) : held;
        stream = piece.stream;
        for (size_t left = piece.bytes, part; left > 0; left -= part, at += part, held += part) {
            held = held == TOGETHER_BYTES ? say_together(asker, stream, held) : held;
            part = left < TOGETHER_BYTES - held ? left : TOGETHER_BYTES - held;
            copy_out(at, g_ring.together + held, part);
        }
        mt_store_release(&g_ring.taken, at);
    }
    (void)say_together(asker, stream, held);
}
