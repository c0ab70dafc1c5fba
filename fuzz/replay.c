/* replay.c: runs a fuzz target over files: `decode_replay FILE…`. Prints each name first, so that the last line before
 * a crash names the input. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        perror(path);
        return 1;
    }
    (void)fseek(f, 0, SEEK_END);
    long bytes = ftell(f);
    rewind(f);
    uint8_t *data = malloc(bytes > 0 ? (size_t)bytes : 1);
    size_t got = data != NULL ? fread(data, 1, (size_t)bytes, f) : 0;
    (void)fclose(f);
    (void)printf("%s: %zu bytes\n", path, got);
    (void)fflush(stdout);
    (void)LLVMFuzzerTestOneInput(data, got);
    free(data);
    return 0;
}

int main(int argc, char **argv)
{
    int failures = 0;
    for (int i = 1; i < argc; i++) {
        failures += replay(argv[i]);
    }
    return failures > 0;
}
