/* config.h: the agent's configuration as both sides see it: config.def as a struct, as a table, and read from variables.
 *
 * Decides: nothing that config.def does not say. The tool writes the variables by the table (launch/environment.c), the
 * agent reads them with mt_config_read. Context: any; calls nothing that allocates.
 */
#ifndef MT_WIRE_CONFIG_H
#define MT_WIRE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MT_CONFIG_PREFIX "MEMTAP_"
#define MT_RATE_DEFAULT ((uint64_t)512 * 1024)
#define MT_RATE_MAX ((uint64_t)1 << 50)
/* AddressSanitizer's runtime refuses to start behind a preloaded library, and is recorded well there. */
#define MT_CONFIG_ASAN_OPTION "verify_asan_link_order=0"
/* Variables that the program was not given by whoever executed it: the agent takes all of its own out again at the start. */
#define MT_CONFIG_CARRIED MT_CONFIG_PREFIX "CARRIED=1"
enum { MT_CONFIG_PATH_BYTES = 4096 };

/* How allocations become records. The numbers are those of include/memtap/agent.h. */
#define MT_MODE_TABLE(X)                                                                                               \
    X(OFF, "off")                                                                                                      \
    X(SAMPLE, "sample")                                                                                                \
    X(EXACT, "exact")                                                                                                  \
    X(AGGREGATE, "aggregate")

enum mt_engine_mode {
#define MT_MODE_ENUM(name, word) MT_MODE_##name,
    MT_MODE_TABLE(MT_MODE_ENUM)
#undef MT_MODE_ENUM
        MT_MODE__COUNT
};

struct mt_config {
#define MT_CONFIG_MEMBER_PATH(member) char member[MT_CONFIG_PATH_BYTES];
#define MT_CONFIG_MEMBER_NUMBER(member) uint64_t member;
#define MT_CONFIG_MEMBER_SWITCH(member) bool member;
#define MT_CONFIG_MEMBER_MODE(member) enum mt_engine_mode member;
#define MT_CONFIG(kind, member, name, otherwise, least, most, text) MT_CONFIG_MEMBER_##kind(member)
#include "wire/config.def"
};

enum mt_config_kind { MT_CONFIG_PATH, MT_CONFIG_NUMBER, MT_CONFIG_SWITCH, MT_CONFIG_MODE };

enum {
#define MT_CONFIG(kind, member, name, otherwise, least, most, text) MT_CONFIG_AT_##name,
#include "wire/config.def"
    MT_CONFIG__COUNT
};

struct mt_config_field {
    char name[24]; /* without the prefix; in place, so that the agent needs no relocation for it */
    enum mt_config_kind kind;
    uint32_t offset; /* in struct mt_config */
    uint64_t otherwise, least, most;
};
extern const struct mt_config_field mt_config_fields[MT_CONFIG__COUNT];

void mt_config_default(struct mt_config *ret);
/* envp: NULL-terminated NAME=VALUE strings, or NULL. */
void mt_config_read(char *const *envp, struct mt_config *ret);
/* The setting that a NAME=VALUE string is about, or NULL. */
const struct mt_config_field *mt_config_field_of(const char *variable);
/* Of a setting that is not a PATH: its value as a number. */
uint64_t mt_config_number(const struct mt_config *config, const struct mt_config_field *field);
/* "exact" and so on; NULL for a number that is no mode. */
const char *mt_mode_word(unsigned mode);

#endif
