/* environment.c: see environment.h. */
#include "hook/environment.h"

#include "base/os.h"
#include "wire/config.h"

#include <string.h>

static const char PRELOAD[] = "LD_PRELOAD=";
static const char ASAN[] = "ASAN_OPTIONS=";
static const char OUTPUT[] = MT_CONFIG_PREFIX "OUTPUT=";
static const char FILTERS[] = MT_CONFIG_PREFIX "FILTERS=";
static const char ASAN_OURS[] = MT_CONFIG_ASAN_OPTION;
enum { VARIABLES_MAX = 1 << 16 };

static bool is_of(const char *variable, const char *name)
{
    return strncmp(variable, name, strlen(name)) == 0;
}

/* The next item of LD_PRELOAD's value; *at moves behind it. False: there is none. */
static bool next_item(const char **at, const char **ret_item, size_t *ret_bytes)
{
    *at += strspn(*at, ": ");
    *ret_item = *at;
    *ret_bytes = strcspn(*at, ": ");
    *at += *ret_bytes;
    return *ret_bytes > 0;
}

static bool is_agent(const char *item, size_t bytes, const char *agent)
{
    return strncmp(item, agent, bytes) == 0 && agent[bytes] == '\0';
}

static bool names_agent(const char *value, const char *agent)
{
    const char *item;
    size_t bytes;
    while (next_item(&value, &item, &bytes)) {
        if (is_agent(item, bytes, agent)) {
            return true;
        }
    }
    return false;
}

/* Is our option the last one? */
static bool ends_with_option(const char *value)
{
    size_t length = strlen(value);
    return length >= sizeof ASAN_OURS - 1 && strcmp(value + length - (sizeof ASAN_OURS - 1), ASAN_OURS) == 0;
}

/* Pages are asked about once when several strings of a row lie in one; *page: the one asked last, UINT64_MAX at first. */
static bool is_there(const void *at, uint64_t *page)
{
    uint64_t address = (uint64_t)(uintptr_t)at;
    uint64_t its_page = address & ~(uint64_t)(mt_os_page_bytes() - 1);
    if (its_page != *page && !mt_os_is_mapped(address)) {
        return false;
    }
    *page = its_page;
    return true;
}

static void take_note(const char *variable, struct mt_env_change *change)
{
    if (is_of(variable, PRELOAD)) {
        change->preload = variable + sizeof PRELOAD - 1;
        change->has_agent = names_agent(change->preload, change->agent);
    } else if (is_of(variable, ASAN)) {
        change->asan_options = variable + sizeof ASAN - 1;
        change->has_asan_option = ends_with_option(change->asan_options);
    } else if (is_of(variable, OUTPUT)) {
        change->has_settings = true;
    }
}

bool mt_env_look(char *const *envp, struct mt_env_change *change)
{
    uint64_t array_page = UINT64_MAX, text_page = UINT64_MAX;
    change->has_agent = change->has_settings = change->has_asan_option = false;
    change->preload = change->asan_options = NULL;
    for (size_t i = 0; envp != NULL; i++) {
        if (i == VARIABLES_MAX || !is_there(&envp[i], &array_page)) {
            return false;
        }
        if (envp[i] == NULL) {
            break;
        }
        if (!is_there(envp[i], &text_page)) {
            return false;
        }
        take_note(envp[i], change);
    }
    return true;
}

bool mt_env_is_complete(const struct mt_env_change *change)
{
    return change->has_agent && change->has_settings && change->has_asan_option && change->filters == 0;
}

/* ---- building --------------------------------------------------------------------------------------------------------- */

struct building {
    const struct mt_env_room *room;
    size_t items, text;
    bool full;
};

/* Room for the terminator stays. */
static void add_item(struct building *b, char *variable)
{
    if (b->items + 1 < b->room->capacity) {
        b->room->items[b->items++] = variable;
    } else {
        b->full = true;
    }
}

static void add_text(struct building *b, const char *text, size_t bytes)
{
    if (bytes < b->room->text_bytes - b->text) {
        memcpy(b->room->text + b->text, text, bytes);
        b->text += bytes;
        b->room->text[b->text] = '\0';
    } else {
        b->full = true;
    }
}

/* Ends the variable that began at `from` in the text. */
static void end_variable(struct building *b, size_t from)
{
    add_item(b, b->room->text + from);
    b->text++;
    b->full = b->full || b->text >= b->room->text_bytes;
    b->text = b->full ? from : b->text;
}

static void add_preload(struct building *b, const struct mt_env_change *change)
{
    size_t from = b->text;
    add_text(b, PRELOAD, sizeof PRELOAD - 1);
    add_text(b, change->agent, strlen(change->agent));
    if (change->preload != NULL && change->preload[0] != '\0') {
        add_text(b, ":", 1);
        add_text(b, change->preload, strlen(change->preload));
    }
    end_variable(b, from);
}

/* The program's own libraries, if there are any. */
static void add_preload_without_agent(struct building *b, const struct mt_env_change *change)
{
    const char *at = change->preload;
    const char *item;
    size_t bytes, from = b->text, others = 0;
    add_text(b, PRELOAD, sizeof PRELOAD - 1);
    while (next_item(&at, &item, &bytes)) {
        if (!is_agent(item, bytes, change->agent)) {
            add_text(b, ":", others++ > 0);
            add_text(b, item, bytes);
        }
    }
    if (others > 0) {
        end_variable(b, from);
    } else {
        b->text = from;
    }
}

static void add_asan_option(struct building *b, const struct mt_env_change *change)
{
    size_t from = b->text;
    add_text(b, ASAN, sizeof ASAN - 1);
    if (change->asan_options != NULL && change->asan_options[0] != '\0') {
        add_text(b, change->asan_options, strlen(change->asan_options));
        add_text(b, ":", 1);
    }
    add_text(b, ASAN_OURS, sizeof ASAN_OURS - 1);
    end_variable(b, from);
}

static bool is_replaced(const char *variable, const struct mt_env_change *change)
{
    if (is_of(variable, PRELOAD)) {
        return change->drop_agent || !change->has_agent;
    }
    if ((change->filters != 0 && is_of(variable, FILTERS)) || strcmp(variable, MT_CONFIG_CARRIED) == 0) {
        return true;
    }
    return !change->drop_agent && ((!change->has_asan_option && is_of(variable, ASAN)) ||
                                   (!change->has_settings && mt_config_field_of(variable) != NULL));
}

static void add_filters(struct building *b, uint64_t filters)
{
    char digits[24];
    size_t from = b->text, at = sizeof digits;
    do {
        digits[--at] = (char)('0' + filters % 10);
    } while ((filters /= 10) != 0);
    add_text(b, FILTERS, sizeof FILTERS - 1);
    add_text(b, digits + at, sizeof digits - at);
    end_variable(b, from);
}

static void add_missing(struct building *b, const struct mt_env_change *change)
{
    static char carried[] = MT_CONFIG_CARRIED;
    if (!change->has_agent || !change->has_settings) {
        add_item(b, carried);
    }
    if (!change->has_agent) {
        add_preload(b, change);
    }
    if (!change->has_asan_option) {
        add_asan_option(b, change);
    }
    for (size_t i = 0; i < change->count && !change->has_settings; i++) {
        union {
            const char *kept;
            char *item; /* the kernel's word for it; nobody writes to it */
        } setting = { change->settings[i] };
        if (change->filters == 0 || !is_of(setting.kept, FILTERS)) {
            add_item(b, setting.item);
        }
    }
    if (change->filters != 0) {
        add_filters(b, change->filters);
    }
}

bool mt_env_build(char *const *envp, const struct mt_env_change *change, const struct mt_env_room *room)
{
    struct building b = { room, 0, 0, false };
    for (; envp != NULL && *envp != NULL && !b.full; envp++) {
        if (!is_replaced(*envp, change)) {
            add_item(&b, *envp);
        }
    }
    if (change->drop_agent) {
        add_preload_without_agent(&b, change);
    } else {
        add_missing(&b, change);
    }
    room->items[b.items] = NULL;
    return !b.full;
}
