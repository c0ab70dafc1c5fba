/* place.h: whose memory it is: the line of the program behind an allocation, and what allocated there.
 *
 * Decides: the place of a stack is its innermost frame of the program (role.h). Wrappers belong to who called them, and so
 * do libraries: the standard library, installed packages, the system's. What importing a module allocated belongs to the
 * import at the program's line. A stack with no frame of the program belongs to its innermost frame that is no wrapper; the
 * interpreter's own to the outermost, so that starting Python is one place. What allocated is what the program's line
 * called or, where it allocated itself, the kind of Python object, read from the interpreter's functions in the native
 * stack. With all frames wanted every stack belongs to its innermost frame, and nothing stands behind it. Context: [tool].
 */
#ifndef MT_MODEL_PLACE_H
#define MT_MODEL_PLACE_H

#include "model/frames.h"

struct mt_places;

struct mt_places_options {
    const char *const *wrappers; /* NULL-terminated names of more functions that hand memory on ('*' at the end: all that
                                    begin so); borrowed; may be NULL */
    bool all_frames;
};

/* options may be NULL. The resolver must outlive it. */
struct mt_places *mt_places_new(struct mt_frames *frames, const struct mt_places_options *options);
void mt_places_free(struct mt_places *places); /* NULL is fine */
struct mt_frames *mt_places_frames(const struct mt_places *places);

/* Positions in a list of frames. */
struct mt_place {
    size_t at;   /* whose line */
    size_t by;   /* what that line called; `at` when it allocated itself */
    size_t code; /* the innermost frame that is no wrapper: which binary or package it is in */
    bool import; /* at is an import */
};
struct mt_place mt_places_find(struct mt_places *places, const struct mt_frame_list *list);

/* What allocated, in words: "json.loads", "operator new", "bytearray"; NULL when nothing but the place is known. list: the
 * frames of that stack, place: found in it. malloc'ed. */
char *mt_places_by(struct mt_places *places, size_t trace_idx, uint32_t stack, const struct mt_frame_list *list,
                   const struct mt_place *place);

/* The kind of Python object that a function of the interpreter makes: "bytearray" of PyByteArray_Resize; NULL: none. */
const char *mt_place_object(const char *function);

#endif
