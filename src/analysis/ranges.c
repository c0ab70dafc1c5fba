/* ranges.c: see ranges.h. Context: [tool]. */
#include "analysis/ranges.h"

#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

enum { LEAF_PIECES = 128 };

struct piece {
    uint64_t low, high;
    uint32_t mapping;
    uint32_t state; /* bits of mt_piece_state */
};

struct mt_range_leaf {
    size_t count;
    struct piece pieces[LEAF_PIECES];
};

/* A place between pieces: leaf and position in it. */
struct place {
    size_t leaf, at;
};

static uint64_t end_of(uint64_t low, uint64_t bytes)
{
    return low + bytes < low ? UINT64_MAX : low + bytes;
}

/* The first piece that ends after addr. */
static struct place find(const struct mt_ranges *r, uint64_t addr)
{
    size_t low = 0, high = r->leaf_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct mt_range_leaf *leaf = r->leaves[middle];
        if (leaf->pieces[leaf->count - 1].high <= addr) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    struct place p = { low, 0 };
    if (low < r->leaf_count) {
        const struct mt_range_leaf *leaf = r->leaves[low];
        while (leaf->pieces[p.at].high <= addr) {
            p.at++;
        }
    }
    return p;
}

static void insert_leaf(struct mt_ranges *r, size_t at, struct mt_range_leaf *leaf)
{
    r->leaves = mt_alloc_grow(r->leaves, &r->leaf_capacity, r->leaf_count + 1, sizeof(struct mt_range_leaf *));
    memmove(r->leaves + at + 1, r->leaves + at, (r->leaf_count - at) * sizeof(struct mt_range_leaf *));
    r->leaves[at] = leaf;
    r->leaf_count++;
}

static void split_leaf(struct mt_ranges *r, size_t at)
{
    struct mt_range_leaf *full = r->leaves[at];
    struct mt_range_leaf *right = mt_alloc(sizeof *right);
    right->count = LEAF_PIECES / 2;
    full->count -= right->count;
    memcpy(right->pieces, full->pieces + full->count, right->count * sizeof *right->pieces);
    insert_leaf(r, at + 1, right);
}

static void insert_piece(struct mt_ranges *r, struct place p, struct piece piece)
{
    if (p.leaf == r->leaf_count) {
        if (p.leaf == 0) {
            struct mt_range_leaf *leaf = mt_alloc(sizeof *leaf);
            leaf->count = 0;
            insert_leaf(r, 0, leaf);
        } else {
            p.leaf--;
            p.at = r->leaves[p.leaf]->count;
        }
    }
    if (r->leaves[p.leaf]->count == LEAF_PIECES) {
        split_leaf(r, p.leaf);
        size_t left = r->leaves[p.leaf]->count;
        if (p.at > left) {
            p.leaf++;
            p.at -= left;
        }
    }
    struct mt_range_leaf *leaf = r->leaves[p.leaf];
    memmove(leaf->pieces + p.at + 1, leaf->pieces + p.at, (leaf->count - p.at) * sizeof piece);
    leaf->pieces[p.at] = piece;
    leaf->count++;
}

/* Removes the piece at p; p is then the place of the next one. */
static void remove_piece(struct mt_ranges *r, struct place *p)
{
    struct mt_range_leaf *leaf = r->leaves[p->leaf];
    leaf->count--;
    memmove(leaf->pieces + p->at, leaf->pieces + p->at + 1, (leaf->count - p->at) * sizeof *leaf->pieces);
    if (leaf->count == 0) {
        free(leaf);
        r->leaf_count--;
        memmove(r->leaves + p->leaf, r->leaves + p->leaf + 1,
                (r->leaf_count - p->leaf) * sizeof(struct mt_range_leaf *));
        p->at = 0;
    } else if (p->at == leaf->count) {
        p->leaf++;
        p->at = 0;
    }
}

static uint32_t new_mapping(struct mt_ranges *r, struct mt_mapping mapping)
{
    uint32_t at;
    if (r->free_mapping != 0) {
        at = r->free_mapping - 1;
        r->free_mapping = r->mappings[at].site;
    } else {
        r->mappings = mt_alloc_grow(r->mappings, &r->mapping_capacity, r->mapping_count + 1, sizeof *r->mappings);
        at = (uint32_t)r->mapping_count++;
    }
    r->mappings[at] = mapping;
    return at;
}

static void lose(struct mt_ranges *r, uint32_t mapping, uint64_t lost,
                 void (*gone)(void *, const struct mt_mapping *, uint64_t), void *context)
{
    struct mt_mapping *m = &r->mappings[mapping];
    m->mapped -= lost;
    gone(context, m, lost);
    if (m->mapped == 0) {
        m->site = r->free_mapping;
        r->free_mapping = mapping + 1;
    }
}

uint64_t mt_ranges_unmap(struct mt_ranges *r, uint64_t low, uint64_t bytes,
                         void (*gone)(void *context, const struct mt_mapping *mapping, uint64_t lost), void *context)
{
    uint64_t high = end_of(low, bytes);
    uint64_t total = 0;
    if (low == high) {
        return 0;
    }
    struct place p = find(r, low);
    while (p.leaf < r->leaf_count && r->leaves[p.leaf]->pieces[p.at].low < high) {
        struct piece *hit = &r->leaves[p.leaf]->pieces[p.at];
        struct piece old = *hit;
        uint64_t cut_low = old.low > low ? old.low : low;
        uint64_t cut_high = old.high < high ? old.high : high;
        if (old.low < cut_low && cut_high < old.high) { /* a hole in the middle */
            hit->high = cut_low;
            p.at++;
            insert_piece(r, p, (struct piece){ cut_high, old.high, old.mapping, old.state });
            lose(r, old.mapping, cut_high - cut_low, gone, context);
            return cut_high - cut_low;
        }
        if (old.low < cut_low) { /* its end */
            hit->high = cut_low;
            p.at++;
            if (p.at == r->leaves[p.leaf]->count) {
                p.leaf++;
                p.at = 0;
            }
        } else if (cut_high < old.high) { /* its beginning */
            hit->low = cut_high;
        } else {
            remove_piece(r, &p);
        }
        lose(r, old.mapping, cut_high - cut_low, gone, context);
        total += cut_high - cut_low;
        if (cut_high == high) {
            break;
        }
    }
    return total;
}

bool mt_ranges_map(struct mt_ranges *r, uint64_t low, uint64_t bytes, struct mt_mapping mapping)
{
    uint64_t high = low + bytes;
    if (high <= low) {
        return false;
    }
    mapping.bytes = bytes;
    mapping.mapped = bytes;
    uint32_t number = new_mapping(r, mapping);
    insert_piece(r, find(r, low), (struct piece){ low, high, number, 0 });
    return true;
}

/* ---- parts of what is mapped ---------------------------------------------------------------------------------------- */

static bool is_before(const struct mt_ranges *r, struct place p, uint64_t high)
{
    return p.leaf < r->leaf_count && r->leaves[p.leaf]->pieces[p.at].low < high;
}

static struct place next_place(const struct mt_ranges *r, struct place p)
{
    bool last = p.at + 1 == r->leaves[p.leaf]->count;
    return last ? (struct place){ p.leaf + 1, 0 } : (struct place){ p.leaf, p.at + 1 };
}

/* Sees to it that no piece goes across addr. */
static void split_piece(struct mt_ranges *r, uint64_t addr)
{
    struct place p = find(r, addr);
    if (!is_before(r, p, addr)) {
        return;
    }
    struct piece *left = &r->leaves[p.leaf]->pieces[p.at];
    struct piece right = { addr, left->high, left->mapping, left->state };
    left->high = addr;
    p.at++;
    insert_piece(r, p, right);
}

void mt_ranges_mark(struct mt_ranges *r, uint64_t low, uint64_t bytes, unsigned clear, unsigned set)
{
    uint64_t high = end_of(low, bytes);
    split_piece(r, low);
    split_piece(r, high);
    for (struct place p = find(r, low); is_before(r, p, high); p = next_place(r, p)) {
        struct piece *piece = &r->leaves[p.leaf]->pieces[p.at];
        piece->state = (piece->state & ~clear) | set;
    }
}

static bool is_chosen(const struct mt_ranges *r, const struct piece *piece, struct mt_piece_choice choice)
{
    return choice.chosen(choice.context, &r->mappings[piece->mapping], piece->state);
}

uint64_t mt_ranges_chosen(const struct mt_ranges *r, uint64_t low, uint64_t bytes, struct mt_piece_choice choice)
{
    uint64_t high = end_of(low, bytes);
    uint64_t total = 0;
    for (struct place p = find(r, low); is_before(r, p, high); p = next_place(r, p)) {
        const struct piece *piece = &r->leaves[p.leaf]->pieces[p.at];
        if (is_chosen(r, piece, choice)) {
            total += (piece->high < high ? piece->high : high) - (piece->low > low ? piece->low : low);
        }
    }
    return total;
}

void mt_ranges_give(struct mt_ranges *r, uint64_t low, uint64_t bytes, struct mt_piece_choice choice,
                    struct mt_mapping mapping,
                    void (*gone)(void *context, const struct mt_mapping *mapping, uint64_t lost), void *context)
{
    uint64_t high = end_of(low, bytes);
    mapping.bytes = mapping.mapped = mt_ranges_chosen(r, low, bytes, choice);
    if (mapping.bytes == 0) {
        return;
    }
    split_piece(r, low);
    split_piece(r, high);
    uint32_t number = new_mapping(r, mapping);
    for (struct place p = find(r, low); is_before(r, p, high); p = next_place(r, p)) {
        struct piece *piece = &r->leaves[p.leaf]->pieces[p.at];
        if (piece->mapping != number && is_chosen(r, piece, choice)) {
            uint32_t old = piece->mapping;
            piece->mapping = number;
            lose(r, old, piece->high - piece->low, gone, context);
        }
    }
}

void mt_ranges_each(const struct mt_ranges *r, void (*each)(void *context, const struct mt_mapping *mapping),
                    void *context)
{
    for (size_t i = 0; i < r->mapping_count; i++) {
        if (r->mappings[i].mapped > 0) {
            each(context, &r->mappings[i]);
        }
    }
}

void mt_ranges_fini(struct mt_ranges *r)
{
    for (size_t i = 0; i < r->leaf_count; i++) {
        free(r->leaves[i]);
    }
    free(r->leaves);
    free(r->mappings);
    *r = (struct mt_ranges){ 0 };
}
