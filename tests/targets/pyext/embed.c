/* Runs Python inside and ends it, as a program that is not Python; built by the tests for an interpreter with a library.
 *
 *     embed FILE [BYTES]        FILE is run as __main__; BYTES: held after Python has gone, in one block
 */
#include <Python.h>
#include <stdio.h>
#include <stdlib.h>

void *volatile g_held;

__attribute__((noinline)) static void case_go_on(size_t bytes)
{
    g_held = malloc(bytes);
}

int main(int argc, char **argv)
{
    FILE *file = argc > 1 ? fopen(argv[1], "r") : NULL;
    if (file == NULL) {
        return 2;
    }
    Py_Initialize();
    int failed = PyRun_SimpleFile(file, argv[1]);
    fclose(file);
    if (Py_FinalizeEx() < 0) {
        return 3;
    }
    if (argc > 2) {
        case_go_on((size_t)strtoul(argv[2], NULL, 10));
    }
    return failed;
}
