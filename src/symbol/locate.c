/* locate.c: the search described in locate.h. */
#include "symbol/locate.h"

#include "symbol/build_id_scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SYSTEM_DEBUG_DIR "/usr/lib/debug"

struct mt_locator {
    char **dirs;
    size_t dir_count;
    struct mt_build_id_scan scan;
    bool scanned;
};

/* One search: what is wanted, and who wants it. */
struct search {
    struct mt_locator *locator;
    const struct mt_module_ref *module;
    mt_locate_sink sink;
    void *context;
};

mt_status mt_locator_new(const char *const *dirs, struct mt_locator **ret)
{
    struct mt_locator *locator = calloc(1, sizeof *locator);
    size_t count = 0;
    while (dirs != NULL && dirs[count] != NULL) {
        count++;
    }
    if (locator != NULL) {
        locator->dirs = calloc(count + 1, sizeof *locator->dirs);
    }
    if (locator == NULL || locator->dirs == NULL) {
        free(locator);
        return MT_E_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        locator->dirs[i] = strdup(dirs[i]);
        if (locator->dirs[i] == NULL) {
            mt_locator_free(locator);
            return MT_E_NOMEM;
        }
        locator->dir_count++;
    }
    *ret = locator;
    return MT_OK;
}

void mt_locator_free(struct mt_locator *locator)
{
    if (locator == NULL) {
        return;
    }
    for (size_t i = 0; i < locator->dir_count; i++) {
        free(locator->dirs[i]);
    }
    free(locator->dirs);
    mt_build_id_scan_fini(&locator->scan);
    free(locator);
}

static struct mt_elf_file *open_path(char *take_path)
{
    struct mt_elf_file *file = NULL;
    if (take_path != NULL && mt_elf_open(take_path, &file) != MT_OK) {
        file = NULL;
    }
    free(take_path);
    return file;
}

static char *join(const char *dir, const char *middle, const char *name)
{
    char *path = NULL;
    return asprintf(&path, "%s%s%s", dir, middle, name) >= 0 ? path : NULL;
}

/* dir/.build-id/ab/cdef….debug, the layout of distributions and debuginfod; NULL for ids too short to split. */
static char *build_id_path(const char *dir, const char *middle, const uint8_t *build_id, size_t bytes,
                           const char *suffix)
{
    char hex[2 * MT_ELF_BUILD_ID_MAX + 1];
    if (bytes < 2 || bytes > MT_ELF_BUILD_ID_MAX) {
        return NULL;
    }
    for (size_t i = 0; i < bytes; i++) {
        snprintf(hex + 2 * i, 3, "%02x", build_id[i]);
    }
    char *path = NULL;
    return asprintf(&path, "%s%s%.2s/%s%s", dir, middle, hex, hex + 2, suffix) >= 0 ? path : NULL;
}

/* Hands the file over if it passes the test; true when the sink has enough. */
static bool offer(const struct search *search, struct mt_elf_file *file)
{
    if (file == NULL) {
        return false;
    }
    if (!mt_elf_has_build_id(file, search->module->build_id, search->module->build_id_bytes)) {
        mt_elf_close(file);
        return false;
    }
    return search->sink(search->context, file);
}

static bool offer_build_id_dir(const struct search *search, const char *dir)
{
    static const char *const layouts[][2] = {
        {"/.build-id/", ".debug"}, {"/.build-id/", ""}, {"/", ".debug"}, {"/", ""}};
    const struct mt_module_ref *module = search->module;
    for (size_t i = 0; i < MT_COUNTOF(layouts) && module->build_id_bytes > 0; i++) {
        char *path = build_id_path(dir, layouts[i][0], module->build_id, module->build_id_bytes, layouts[i][1]);
        if (offer(search, open_path(path))) {
            return true;
        }
    }
    return false;
}

/* CRC-32 (ISO 3309, reflected 0xEDB88320), as .gnu_debuglink stores it of the debug file. */
static uint32_t crc32_of(const uint8_t *data, size_t bytes)
{
    uint32_t table[256];
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; bit++) {
            value = (value >> 1) ^ (0xEDB88320u & (0u - (value & 1u)));
        }
        table[i] = value;
    }
    uint32_t crc = ~0u;
    for (size_t i = 0; i < bytes; i++) {
        crc = (crc >> 8) ^ table[(crc ^ data[i]) & 0xFF];
    }
    return ~crc;
}

/* The name and the checksum in .gnu_debuglink: NUL-terminated name, padding to 4 bytes, u32. */
static const char *debug_link(const struct mt_elf_file *image, uint32_t *ret_crc)
{
    size_t bytes = 0;
    const uint8_t *data = mt_elf_section_data(image, ".gnu_debuglink", &bytes);
    const uint8_t *end = data != NULL ? memchr(data, '\0', bytes) : NULL;
    if (end == NULL || end == data || memchr(data, '/', (size_t)(end - data)) != NULL) {
        return NULL;
    }
    size_t crc_at = ((size_t)(end - data) + 4) & ~(size_t)3;
    if (crc_at + 4 > bytes) {
        return NULL;
    }
    memcpy(ret_crc, data + crc_at, 4);
    return (const char *)data;
}

/* A linked debug file must have the image's build-id or, where there is none, the checksum. */
static bool offer_linked(const struct search *search, char *take_path, uint32_t crc)
{
    struct mt_elf_file *file = open_path(take_path);
    if (file != NULL && search->module->build_id_bytes == 0 && crc32_of(file->image, file->bytes) != crc) {
        mt_elf_close(file);
        return false;
    }
    return offer(search, file);
}

static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? strdup(".") : strndup(path, (size_t)(slash - path));
}

/* Beside the image, in .debug beside it, and under the system's debug directory. */
static bool offer_debug_links(const struct search *search, const char *image_path)
{
    struct mt_elf_file *image = NULL;
    if (mt_elf_open(image_path, &image) != MT_OK) {
        return false;
    }
    uint32_t crc = 0;
    const char *name = debug_link(image, &crc);
    char *dir = directory_of(image_path);
    bool enough = false;
    if (name != NULL && dir != NULL &&
        mt_elf_has_build_id(image, search->module->build_id, search->module->build_id_bytes)) {
        char *system_dir = join(SYSTEM_DEBUG_DIR, dir, "");
        enough = offer_linked(search, join(dir, "/", name), crc) ||
                 offer_linked(search, join(dir, "/.debug/", name), crc) ||
                 (system_dir != NULL && offer_linked(search, join(system_dir, "/", name), crc));
        free(system_dir);
    }
    free(dir);
    mt_elf_close(image);
    return enough;
}

static void scan_once(struct mt_locator *locator)
{
    for (size_t i = 0; i < locator->dir_count && !locator->scanned; i++) {
        mt_build_id_scan_add(&locator->scan, locator->dirs[i]);
    }
    locator->scanned = true;
}

static bool entry_matches(const struct mt_build_id_entry *entry, const uint8_t *build_id, size_t bytes)
{
    return entry->bytes == bytes && memcmp(entry->build_id, build_id, bytes) == 0;
}

static bool offer_scanned(const struct search *search)
{
    struct mt_locator *locator = search->locator;
    scan_once(locator);
    for (size_t i = 0; i < locator->scan.count; i++) {
        const struct mt_build_id_entry *entry = &locator->scan.entries[i];
        if (!entry_matches(entry, search->module->build_id, search->module->build_id_bytes)) {
            continue;
        }
        if (offer(search, open_path(strdup(entry->path))) || offer_debug_links(search, entry->path)) {
            return true;
        }
    }
    return false;
}

static bool offer_search_dirs(const struct search *search, const char *path)
{
    if (search->module->build_id_bytes == 0) {
        return false; /* a name is no proof */
    }
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    for (size_t i = 0; i < search->locator->dir_count; i++) {
        const char *dir = search->locator->dirs[i];
        char *plain = join(dir, "/", name), *debug = plain != NULL ? join(plain, "", ".debug") : NULL;
        bool enough = offer(search, open_path(debug)) || offer_build_id_dir(search, dir);
        if (!enough && plain != NULL) {
            enough = offer(search, open_path(strdup(plain))) || offer_debug_links(search, plain);
        }
        free(plain);
        if (enough) {
            return true;
        }
    }
    return offer_scanned(search);
}

/* The kernel marks the path of a file that was removed or replaced while mapped. */
static char *without_deleted(const char *path)
{
    static const char mark[] = " (deleted)";
    size_t bytes = strlen(path), mark_bytes = sizeof mark - 1;
    bool marked = bytes > mark_bytes && memcmp(path + bytes - mark_bytes, mark, mark_bytes) == 0;
    return strndup(path, marked ? bytes - mark_bytes : bytes);
}

void mt_locate(struct mt_locator *locator, const struct mt_module_ref *module, mt_locate_sink sink, void *context)
{
    struct search search = {.locator = locator, .module = module, .sink = sink, .context = context};
    char *path = without_deleted(module->path);
    if (path != NULL && path[0] == '/') {
        (void)(offer(&search, open_path(strdup(path))) || offer_build_id_dir(&search, SYSTEM_DEBUG_DIR) ||
               offer_debug_links(&search, path) || offer_search_dirs(&search, path));
    } else if (path != NULL) {
        (void)(offer_build_id_dir(&search, SYSTEM_DEBUG_DIR) || offer_search_dirs(&search, path));
    }
    free(path);
}

bool mt_locate_is_replaced(const struct mt_module_ref *module)
{
    char *path = without_deleted(module->path);
    struct mt_elf_file *file = path != NULL && path[0] == '/' ? open_path(strdup(path)) : NULL;
    bool replaced = file != NULL && !mt_elf_has_build_id(file, module->build_id, module->build_id_bytes);
    mt_elf_close(file);
    free(path);
    return replaced;
}

static struct mt_elf_file *open_matching(char *take_path, const uint8_t *build_id, size_t bytes)
{
    struct mt_elf_file *file = open_path(take_path);
    if (file != NULL && (bytes == 0 || !mt_elf_has_build_id(file, build_id, bytes))) {
        mt_elf_close(file);
        file = NULL;
    }
    return file;
}

struct mt_elf_file *mt_locate_alt(struct mt_locator *locator, const struct mt_elf_file *file, const char *name,
                                  const uint8_t *build_id, size_t build_id_bytes)
{
    char *real = realpath(file->path, NULL); /* .build-id/ab/cd.debug may be a link; the name is relative to its target */
    char *dir = directory_of(real != NULL ? real : file->path);
    char *beside = name[0] == '/' ? strdup(name) : dir != NULL ? join(dir, "/", name) : NULL;
    free(real);
    free(dir);
    struct mt_elf_file *found = open_matching(beside, build_id, build_id_bytes);
    if (found == NULL) {
        char *system = build_id_path(SYSTEM_DEBUG_DIR, "/.build-id/", build_id, build_id_bytes, ".debug");
        found = open_matching(system, build_id, build_id_bytes);
    }
    for (size_t i = 0; i < locator->dir_count && found == NULL; i++) {
        char *path = build_id_path(locator->dirs[i], "/.build-id/", build_id, build_id_bytes, ".debug");
        found = open_matching(path, build_id, build_id_bytes);
    }
    if (found != NULL || locator->dir_count == 0) {
        return found;
    }
    scan_once(locator);
    for (size_t i = 0; i < locator->scan.count && found == NULL; i++) {
        if (entry_matches(&locator->scan.entries[i], build_id, build_id_bytes)) {
            found = open_matching(strdup(locator->scan.entries[i].path), build_id, build_id_bytes);
        }
    }
    return found;
}
