/* syslib.h: the libraries that belong to the system and not to a program, known by the names of their files.
 *
 * Decides: what glibc, musl and the GNU C++ library are called, old and new ("libc.so.6", "libc-2.31.so"), in any folder.
 */
#ifndef MT_UTIL_SYSLIB_H
#define MT_UTIL_SYSLIB_H

enum mt_syslib {
    MT_SYSLIB_NONE,
    MT_SYSLIB_C,      /* with what was in files of its own before glibc 2.34 */
    MT_SYSLIB_LOADER, /* the dynamic loader */
    MT_SYSLIB_CXX,
};

enum mt_syslib mt_syslib_of(const char *path);

#endif
