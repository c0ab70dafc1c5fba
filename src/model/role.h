/* role.h: what a frame is to the person whose program it is.
 *
 * Decides, by name, file and binary alone: who only hands memory on (operator new, std::, zmalloc, PyMem_Malloc, Rust's
 * alloc::), who brings code in or starts it (the import system, runpy, a thread's first functions, what runs before main),
 * what is a library (Python's standard library, installed packages, the system's libraries), and what is left: the program.
 * The tables stand in role.c; people add wrappers of their own by name. Nothing here looks at the machine it runs on: a
 * trace may come from another one. Context: [tool], pure.
 */
#ifndef MT_MODEL_ROLE_H
#define MT_MODEL_ROLE_H

#include "model/frames.h"

enum mt_role {
    MT_ROLE_PROGRAM, /* a line that a person of this program would edit */
    MT_ROLE_LIBRARY,
    MT_ROLE_WRAPPER, /* hands memory on to its caller */
    MT_ROLE_IMPORT,  /* part of Python's import system, or what stands for it */
    MT_ROLE_RUNPY,   /* `python -m`, runpy.run_path */
    MT_ROLE_THREAD,  /* starts a thread, a worker or a child */
    MT_ROLE_START,   /* what runs before main */
    MT_ROLE_MEMTAP,  /* memtap's own */
    MT_ROLE_MARKER,
};

enum mt_role mt_role_of(const struct mt_frame *frame);
/* Is a frame of Python's own binary or library; is it of the C library or the loader? */
bool mt_role_is_interpreter(const struct mt_frame *frame);
bool mt_role_is_c_library(const struct mt_frame *frame);
/* Python code that runs before the program's: its paths, encodings, site. */
bool mt_role_starts_python(const struct mt_frame *frame);
/* The same of a frame of a resolver, remembered. */
enum mt_role mt_frames_role(struct mt_frames *frames, uint32_t id);

/* The name of a function without its return type, template arguments and parameters: "std::vector::push_back" of
 * "void std::vector<int, std::allocator<int> >::push_back(int const&)". malloc'ed. */
char *mt_role_short_name(const char *function);

/* What is shown of a frame's function: the short name of native code, a Python function's without "<locals>". malloc'ed. */
char *mt_role_shown_name(const struct mt_frame *frame);

/* The dotted name of the module in a Python file: "numpy.core.numeric", "json", "app" (of /home/me/app.py). malloc'ed;
 * NULL where a file is none ("<string>"). */
char *mt_role_module_name(const char *file);

/* The part of a file's path that says where in a library it is: "numpy/core/numeric.py", "json/decoder.py"; NULL for files
 * that are of no library. Borrowed from file. */
const char *mt_role_library_path(const char *file);

#endif
