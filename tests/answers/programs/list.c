/* list.c: a queue of messages behind the program's own xmalloc; what is read is not taken out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct message {
    struct message *next;
    char text[];
};

static struct message *g_queue;

static void *xmalloc(size_t bytes)
{
    void *block = malloc(bytes);
    if (block == NULL) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    return block;
}

static void post(const char *text)
{
    size_t bytes = strlen(text) + 1;
    struct message *m = xmalloc(sizeof *m + bytes); /* the leak */
    memcpy(m->text, text, bytes);
    m->next = g_queue;
    g_queue = m;
}

int main(void)
{
    char text[1024];
    size_t total = 0;
    for (int number = 0; number < 5000; number++) {
        memset(text, 'a' + number % 26, sizeof text - 1);
        text[sizeof text - 1] = '\0';
        char *copy = strdup(text);
        post(copy);
        total += strlen(copy);
        free(copy);
    }
    printf("%zu\n", total);
}
