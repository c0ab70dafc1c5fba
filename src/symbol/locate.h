/* locate.h: which files on this machine speak for a module of a trace.
 *
 * Decides: the order of candidates (symbol.h) and the test each must pass. With a recorded build-id, only files that carry
 * the same one. Without: only the recorded path, if that file has none either, and the debug file it names by
 * .gnu_debuglink, if the checksum stored there holds. A module of a trace comes from another machine as often as not, so a
 * file of the right name proves nothing. The directories a user gives are read once, whole, the first time a build-id is
 * not found by name. Context: [tool].
 */
#ifndef MT_SYMBOL_LOCATE_H
#define MT_SYMBOL_LOCATE_H

#include "symbol/elf_file.h"
#include "symbol/symbol.h"

struct mt_locator;

/* dirs: NULL-terminated, may be NULL; copied. */
mt_status mt_locator_new(const char *const *dirs, struct mt_locator **ret) MT_CHECKED;
void mt_locator_free(struct mt_locator *locator);

/* Receives a file that passed the test; takes it. Returns true when no more are needed. */
typedef bool (*mt_locate_sink)(void *context, struct mt_elf_file *take_file);

/* Gives every candidate in order until the sink has enough. */
void mt_locate(struct mt_locator *locator, const struct mt_module_ref *module, mt_locate_sink sink, void *context);
/* Is a file at the recorded path that is not the recorded one: another build-id, or one where none was recorded? */
bool mt_locate_is_replaced(const struct mt_module_ref *module);
/* The alternate debug file named by `file`, with this build-id; NULL when it is not here. The caller closes it. */
struct mt_elf_file *mt_locate_alt(struct mt_locator *locator, const struct mt_elf_file *file, const char *name,
                                  const uint8_t *build_id, size_t build_id_bytes);

#endif
