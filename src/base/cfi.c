/* cfi.c: finding and reading the FDE and CIE that cover an address.
 *
 * Lazy on purpose: a binary search in .eh_frame_hdr and one interpretation cost 250-550 ns a pc, and only the first
 * time (rowcache.h); tables for all of a torch process would be 47 MB and 0.3-0.9 s (docs/decisions/0002-unwinder.md).
 * Every pointer read from a table is checked against the image before it is followed, so damaged or hostile tables give
 * a status and never a fault.
 */
#include "base/cfi.h"

#include "base/cfi_program.h"

enum { REGISTER_RA = 16, HDR_BYTES = 4 + 8 + 8 /* at most */, LENGTH_BYTES = 4 + 8 };

/* One function's entry: its reader stands at the instructions. */
struct entry {
    struct mt_cfi_common common;
    struct mt_cfi_reader program;
    uint64_t start;
};

struct search_table {
    const struct mt_cfi_image *image;
    const uint8_t *entries; /* pairs of int32: first address, FDE; both relative to hdr; sorted */
    uint64_t count;
    uint64_t hdr;
};

/* What of [at, at + bytes) lies in the image is there. */
static bool is_there(const struct mt_cfi_image *image, uint64_t at, uint64_t bytes)
{
    if (image->fill == NULL || at < image->low || at >= image->high) {
        return true; /* outside nothing is read */
    }
    return image->fill(image->context, at, bytes < image->high - at ? bytes : image->high - at);
}

static int32_t entry_word(const struct search_table *table, uint64_t idx, size_t word)
{
    int32_t value;
    memcpy(&value, table->entries + idx * 8 + word * 4, sizeof value);
    return value;
}

static mt_status open_table(const struct mt_cfi_image *image, struct search_table *ret_table)
{
    if (image->hdr < image->low || image->hdr >= image->high || !is_there(image, image->hdr, HDR_BYTES)) {
        return MT_E_CORRUPT;
    }
    struct mt_cfi_reader r = mt_cfi_reader_at(image->hdr, image->high);
    uint8_t version = mt_cfi_u8(&r);
    uint8_t frame_encoding = mt_cfi_u8(&r);
    uint8_t count_encoding = mt_cfi_u8(&r);
    uint8_t table_encoding = mt_cfi_u8(&r);
    if (r.bad) {
        return MT_E_CORRUPT;
    }
    if (version != 1 || count_encoding == MT_EH_OMIT || table_encoding != (MT_EH_DATAREL | MT_EH_SDATA4)) {
        return MT_E_UNSUPPORTED;
    }
    (void)mt_cfi_encoded_value(&r, frame_encoding);
    uint64_t count = mt_cfi_encoded_value(&r, count_encoding);
    if (r.bad || count > mt_cfi_left(&r) / 8) {
        return MT_E_CORRUPT;
    }
    *ret_table = (struct search_table){ image, r.at, count, image->hdr };
    return MT_OK;
}

/* Address of the last FDE that starts at or before address; 0 when there is none. */
static uint64_t search(const struct search_table *table, uint64_t address)
{
    int64_t wanted = (int64_t)(address - table->hdr);
    uint64_t low = 0;
    uint64_t high = table->count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (!is_there(table->image, (uint64_t)(uintptr_t)table->entries + middle * 8, 8)) {
            return 0;
        }
        if (entry_word(table, middle, 0) <= wanted) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool found = low > 0 && is_there(table->image, (uint64_t)(uintptr_t)table->entries + (low - 1) * 8, 8);
    return found ? table->hdr + (uint64_t)(int64_t)entry_word(table, low - 1, 1) : 0;
}

/* Opens the entry at `at`: a reader over its content after the length, or bad. */
static struct mt_cfi_reader open_entry(const struct mt_cfi_image *image, uint64_t at)
{
    struct mt_cfi_reader r = mt_cfi_reader_at(at, image->high);
    r.bad |= at < image->low || !is_there(image, at, LENGTH_BYTES);
    uint64_t bytes = mt_cfi_fixed(&r, 4);
    if (bytes == 0xFFFFFFFF) {
        bytes = mt_cfi_fixed(&r, 8);
    }
    if (bytes == 0 || bytes > mt_cfi_left(&r) || !is_there(image, (uint64_t)(uintptr_t)r.at, bytes)) {
        r.bad = true;
        return r;
    }
    r.end = r.at + bytes;
    return r;
}

static const char *take_string(struct mt_cfi_reader *r)
{
    const char *text = (const char *)r->at;
    while (mt_cfi_u8(r) != 0) {
    }
    return r->bad ? "" : text;
}

static mt_status read_augmentation(struct mt_cfi_reader *r, const char *letters, struct mt_cfi_common *common)
{
    if (letters[0] == '\0') {
        return MT_OK;
    }
    if (letters[0] != 'z') {
        return MT_E_UNSUPPORTED; /* "eh" of GCC 2.x */
    }
    common->augmented = true;
    uint64_t bytes = mt_cfi_uleb(r);
    struct mt_cfi_reader data = *r;
    mt_cfi_skip(r, bytes);
    if (r->bad) {
        return MT_E_CORRUPT;
    }
    data.end = r->at;
    for (letters++; *letters != '\0'; letters++) {
        if (*letters == 'R') {
            common->address_encoding = mt_cfi_u8(&data);
        } else if (*letters == 'P') {
            uint8_t encoding = mt_cfi_u8(&data);
            (void)mt_cfi_encoded_value(&data, encoding);
        } else if (*letters == 'L') {
            (void)mt_cfi_u8(&data);
        } else if (*letters == 'S') {
            common->signal_frame = true;
        } else {
            return MT_E_UNSUPPORTED;
        }
    }
    return data.bad ? MT_E_CORRUPT : MT_OK;
}

static mt_status read_common(const struct mt_cfi_image *image, uint64_t at, struct mt_cfi_common *ret_common)
{
    struct mt_cfi_reader r = open_entry(image, at);
    uint64_t id = mt_cfi_fixed(&r, 4);
    uint8_t version = mt_cfi_u8(&r);
    const char *letters = take_string(&r);
    if (r.bad || id != 0) {
        return MT_E_CORRUPT;
    }
    if (version != 1 && version != 3) {
        return MT_E_UNSUPPORTED;
    }
    *ret_common = (struct mt_cfi_common){ .address_encoding = MT_EH_ABSPTR };
    ret_common->code_align = mt_cfi_uleb(&r);
    ret_common->data_align = mt_cfi_sleb(&r);
    uint64_t return_register = version == 1 ? mt_cfi_u8(&r) : mt_cfi_uleb(&r);
    mt_status status = read_augmentation(&r, letters, ret_common);
    if (status != MT_OK) {
        return status;
    }
    ret_common->program = r;
    if (r.bad) {
        return MT_E_CORRUPT;
    }
    return return_register == REGISTER_RA ? MT_OK : MT_E_UNSUPPORTED;
}

/* The entry whose code holds address. */
static mt_status find_entry(const struct mt_cfi_image *image, uint64_t address, struct entry *ret)
{
    struct search_table table;
    mt_status status = open_table(image, &table);
    if (status != MT_OK) {
        return status;
    }
    uint64_t at = search(&table, address);
    if (at == 0) {
        return MT_E_NOENT;
    }
    struct mt_cfi_reader fde = open_entry(image, at);
    uint64_t id_position = (uint64_t)(uintptr_t)fde.at;
    uint64_t back = mt_cfi_fixed(&fde, 4);
    if (fde.bad || back == 0 || back > id_position) {
        return MT_E_CORRUPT;
    }
    status = read_common(image, id_position - back, &ret->common);
    if (status != MT_OK) {
        return status;
    }
    ret->start = mt_cfi_encoded_address(&fde, ret->common.address_encoding, image->hdr);
    uint64_t bytes = mt_cfi_encoded_value(&fde, ret->common.address_encoding);
    if (ret->common.augmented) {
        mt_cfi_skip(&fde, mt_cfi_uleb(&fde));
    }
    if (fde.bad) {
        return MT_E_CORRUPT;
    }
    ret->program = fde;
    return address < ret->start || address - ret->start >= bytes ? MT_E_NOENT : MT_OK;
}

mt_status mt_cfi_find_row(const struct mt_cfi_image *image, uint64_t address, struct mt_cfi_row *ret_row)
{
    struct entry entry;
    struct mt_cfi_state state;
    mt_status status = find_entry(image, address, &entry);
    if (status == MT_OK) {
        status = mt_cfi_run(&entry.common, entry.program, entry.start, address, &state);
    }
    if (status == MT_OK) {
        *ret_row = mt_cfi_row_of_state(&state, entry.common.signal_frame);
    }
    return status;
}

mt_status mt_cfi_find_start(const struct mt_cfi_image *image, uint64_t address, uint64_t *ret_start)
{
    struct entry entry;
    mt_status status = find_entry(image, address, &entry);
    if (status == MT_OK) {
        *ret_start = entry.start;
    }
    return status;
}
