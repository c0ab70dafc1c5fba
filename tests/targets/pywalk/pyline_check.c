/* pyline_check.c: compares mt_pyline_lookup with the rows that lines.py wrote. `pyline_check FILE` prints how many code
 * objects and look-ups agreed, or the first that did not and fails. */
#include "symbol/pyline.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct head {
    uint32_t kind, first_line, table_bytes, rows;
};

struct row {
    int32_t lasti;
    uint32_t line;
};

static int check_row(const struct head *head, const uint8_t *table, const struct row *row)
{
    uint32_t line = mt_pyline_lookup(head->kind, table, head->table_bytes, head->first_line, row->lasti);
    if (line != row->line) {
        printf("kind %u, first line %u, lasti %d: line %u, expected %u; table", head->kind, head->first_line,
               row->lasti, line, row->line);
        for (uint32_t i = 0; i < head->table_bytes; i++) {
            printf(" %02x", table[i]);
        }
        printf("\n");
    }
    return line == row->line;
}

static int check_code(FILE *file, const struct head *head)
{
    uint8_t *table = malloc(head->table_bytes + 1);
    struct row *rows = calloc(head->rows + 1, sizeof *rows);
    int good = table != NULL && rows != NULL && fread(table, 1, head->table_bytes, file) == head->table_bytes &&
               fread(rows, sizeof *rows, head->rows, file) == head->rows;
    for (uint32_t i = 0; good && i < head->rows; i++) {
        good = check_row(head, table, &rows[i]);
    }
    free(table);
    free(rows);
    return good;
}

int main(int argc, char **argv)
{
    FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;
    uint64_t codes = 0, lookups = 0;
    struct head head;
    while (file != NULL && fread(&head, sizeof head, 1, file) == 1) {
        if (!check_code(file, &head)) {
            return 1;
        }
        codes++;
        lookups += head.rows;
    }
    printf("ok %" PRIu64 " code objects, %" PRIu64 " look-ups\n", codes, lookups);
    return codes > 0 ? 0 : 2;
}
