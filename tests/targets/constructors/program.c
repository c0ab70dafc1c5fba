/* program.c: allocates before any constructor (.preinit_array), in a constructor and in main; with library.cpp. */
#include <stdlib.h>
#include <unistd.h>

#define CASE __attribute__((noinline, noclone, used))

extern const void *library_blocks(void);
static void *g_kept[3];

CASE static void case_preinit(void)
{
    g_kept[0] = malloc(777);
}

CASE static void case_program_constructor(void)
{
    g_kept[1] = malloc(888);
}

CASE static void case_main(void)
{
    g_kept[2] = malloc(999);
}

static void preinit(void)
{
    case_preinit();
}
__attribute__((section(".preinit_array"), used)) static void (*const g_preinit)(void) = preinit;

__attribute__((constructor)) static void construct(void)
{
    case_program_constructor();
}

#define ROW(name, count, bytes)                                                                                        \
    "\"" name "\": {\"allocations\": " #count ", \"bytes\": " #bytes ", \"frees\": 0, \"live\": " #count              \
    ", \"live_bytes\": " #bytes "}"
static const char TRUTH[] = "{" ROW("case_preinit", 1, 777) ", " ROW("case_program_constructor", 1, 888) ", "
    ROW("case_main", 1, 999) ", " ROW("case_library_static", 1, 4321) ", "
    ROW("case_library_constructor", 100, 100000) "}\n";

int main(void)
{
    case_main();
    return library_blocks() != NULL && write(1, TRUTH, sizeof TRUTH - 1) > 0 ? 0 : 1;
}
