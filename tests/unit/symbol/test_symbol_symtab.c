/* Tables of symbols that were added in any order, several names for an address. */
#include "harness.h"

#include "symbol/symtab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLACES = 300, NAMES = 4, STEP = 32, SIZE = 8, LONGER = 24, NAME_BYTES = 32 };

static uint64_t g_state = 1;

static uint32_t draw(uint32_t below)
{
    g_state = g_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(g_state >> 33) % below;
}

/* The names of a place, the best one first: exported before local, then fewer underscores, then shorter. */
static struct mt_symtab_entry name_of(uint32_t place, uint32_t name, char text[NAME_BYTES])
{
    static const char *const before[NAMES] = { "f", "f", "__f", "l" }, *const behind[NAMES] = { "", "_other", "", "" };
    (void)snprintf(text, NAME_BYTES, "%s%u%s", before[name], place, behind[name]);
    uint64_t low = 4096 + (uint64_t)place * STEP;
    return (struct mt_symtab_entry){ .low = low,
                                     .high = low + (name == 2 ? LONGER : SIZE),
                                     .limit = UINT64_MAX,
                                     .raw = text,
                                     .local = name == 3,
                                     .typed = true };
}

static void shuffle(uint32_t *numbers, uint32_t count)
{
    for (uint32_t i = count; i > 1; i--) {
        uint32_t at = draw(i), last = numbers[i - 1];
        numbers[i - 1] = numbers[at];
        numbers[at] = last;
    }
}

/* Of places with an even number all names are there, of others the local one alone. */
static bool is_there(uint32_t place, uint32_t name)
{
    return place % 2 == 0 || name == 3;
}

static void check(struct mt_symtab *table, struct mt_names *names, uint32_t place)
{
    char wanted[NAME_BYTES];
    uint64_t low = name_of(place, place % 2 == 0 ? 0 : 3, wanted).low, bytes = place % 2 == 0 ? LONGER : SIZE;
    assert_string_equal(mt_symtab_find(table, low, names), wanted);
    assert_string_equal(mt_symtab_find(table, low + bytes - 1, names), wanted);
    assert_null(mt_symtab_find(table, low + bytes, names));
}

static void test_an_address_has_its_best_name_whatever_the_order(void **state)
{
    (void)state;
    static char texts[PLACES * NAMES][NAME_BYTES];
    uint32_t numbers[PLACES * NAMES];
    for (uint32_t round = 0; round < 20; round++) {
        struct mt_symtab table = { 0 };
        struct mt_names names;
        mt_names_init(&names);
        for (uint32_t i = 0; i < PLACES * NAMES; i++) {
            numbers[i] = i;
        }
        shuffle(numbers, PLACES * NAMES);
        for (uint32_t i = 0; i < PLACES * NAMES; i++) {
            struct mt_symtab_entry entry = name_of(numbers[i] / NAMES, numbers[i] % NAMES, texts[i]);
            assert_true(!is_there(numbers[i] / NAMES, numbers[i] % NAMES) || mt_symtab_append(&table, &entry) == MT_OK);
        }
        assert_int_equal(mt_symtab_index(&table), MT_OK);
        for (uint32_t place = 0; place < PLACES; place++) {
            check(&table, &names, place);
        }
        mt_symtab_fini(&table);
        mt_names_fini(&names);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_an_address_has_its_best_name_whatever_the_order),
};

MT_TEST_MAIN(tests)
