/* lsan.h: what a program says to LeakSanitizer, read from its file.
 *
 * Decides: __lsan_default_suppressions of an executable returns a text; nothing of a program is run to get it. A function that
 * does no more than return the address of a constant text, which is how it is written, is understood (x86-64); of any other
 * it is only known that it is there. Context: [tool].
 */
#ifndef MT_SYMBOL_LSAN_H
#define MT_SYMBOL_LSAN_H

#include "symbol/symbol.h"

enum mt_lsan_found {
    MT_LSAN_NONE,    /* the program has no such function, or its file is not here */
    MT_LSAN_TEXT,    /* *ret_text is what it returns; the caller frees */
    MT_LSAN_UNKNOWN, /* it has one that is not understood */
};

enum mt_lsan_found mt_lsan_default_suppressions(const struct mt_module_ref *program, char **ret_text) MT_CHECKED;

#endif
