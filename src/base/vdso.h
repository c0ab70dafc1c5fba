/* vdso.h: functions of the page that the kernel maps into every process.
 *
 * Libraries that change a program's time (libfaketime) stand in front of libc's clock_gettime; times of a trace are the
 * machine's. Context: any, async-signal safe.
 */
#ifndef MT_BASE_VDSO_H
#define MT_BASE_VDSO_H

/* Address of the kernel's function of that name, NULL: there is none. About a microsecond. */
void *mt_vdso_find(const char *name);

#endif
