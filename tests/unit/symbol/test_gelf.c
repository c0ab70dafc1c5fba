/* The stand-in for libelf (symbol/gelf/): this very program is the file that is read, so the truth is in memory. Built from
 * its source here, because a build that has libelf leaves it out. */
#include "harness.h"

#include "symbol/gelf/gelf.c" // NOLINT: see above

#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int mt_gelf_landmark(int value);
__attribute__((noinline)) int mt_gelf_landmark(int value)
{
    __asm__ volatile("" : "+r"(value));
    return value + 1;
}

struct image {
    char *data;
    size_t bytes;
};

static struct image read_self(void)
{
    struct stat info;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    assert_int_equal(fstat(fd, &info), 0);
    struct image image = {malloc((size_t)info.st_size), (size_t)info.st_size};
    size_t got = 0;
    while (got < image.bytes) {
        ssize_t now = read(fd, image.data + got, image.bytes - got);
        assert_true(now > 0);
        got += (size_t)now;
    }
    close(fd);
    return image;
}

/* What the loader knows of this program. */
struct truth {
    uint64_t bias;
    const uint8_t *build_id;
    size_t build_id_bytes;
    size_t segments;
};

static int take_truth(struct dl_phdr_info *info, size_t bytes, void *context)
{
    struct truth *truth = context;
    (void)bytes;
    truth->bias = info->dlpi_addr;
    truth->segments = info->dlpi_phnum;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        const char *at = (const char *)(info->dlpi_addr + header->p_vaddr); // NOLINT: the loader gives numbers
        const char *end = at + header->p_memsz;
        while (header->p_type == PT_NOTE && header->p_align == 4 && at < end) {
            Elf64_Nhdr note;
            memcpy(&note, at, sizeof note);
            if (note.n_type == NT_GNU_BUILD_ID && memcmp(at + sizeof note, "GNU", 4) == 0) {
                truth->build_id = (const uint8_t *)at + sizeof note + 4;
                truth->build_id_bytes = note.n_descsz;
            }
            at += sizeof note + ((note.n_namesz + 3u) & ~3u) + ((note.n_descsz + 3u) & ~3u);
        }
    }
    return 1; /* the first is the program */
}

static Elf_Scn *section_of(Elf *elf, const char *name)
{
    size_t names = 0;
    Elf_Scn *section = NULL;
    assert_int_equal(elf_getshdrstrndx(elf, &names), 0);
    while ((section = elf_nextscn(elf, section)) != NULL) {
        GElf_Shdr header;
        assert_non_null(gelf_getshdr(section, &header));
        const char *found = elf_strptr(elf, names, header.sh_name);
        if (found != NULL && strcmp(found, name) == 0) {
            return section;
        }
    }
    return NULL;
}

static void test_own_function_is_in_the_symbol_table(void **state)
{
    (void)state;
    struct image image = read_self();
    struct truth truth = {0};
    dl_iterate_phdr(take_truth, &truth);
    Elf *elf = elf_memory(image.data, image.bytes);
    Elf_Scn *section = section_of(elf, ".symtab");
    assert_non_null(section);
    GElf_Shdr header;
    GElf_Sym symbol;
    gelf_getshdr(section, &header);
    Elf_Data *data = elf_getdata(section, NULL);
    uint64_t found = 0;
    for (int i = 0; gelf_getsym(data, i, &symbol) != NULL; i++) {
        const char *name = elf_strptr(elf, header.sh_link, symbol.st_name);
        if (name != NULL && strcmp(name, "mt_gelf_landmark") == 0) {
            found = symbol.st_value;
        }
    }
    assert_int_equal(found + truth.bias, (uint64_t)(uintptr_t)mt_gelf_landmark);
    elf_end(elf);
    free(image.data);
}

static void test_build_id_and_segments_are_those_the_loader_sees(void **state)
{
    (void)state;
    struct image image = read_self();
    struct truth truth = {0};
    size_t segments = 0, name_at = 0, desc_at = 0;
    dl_iterate_phdr(take_truth, &truth);
    Elf *elf = elf_memory(image.data, image.bytes);
    assert_int_equal(elf_getphdrnum(elf, &segments), 0);
    assert_int_equal(segments, truth.segments);
    Elf_Data *data = elf_getdata(section_of(elf, ".note.gnu.build-id"), NULL);
    GElf_Nhdr note;
    assert_int_equal(gelf_getnote(data, 0, &note, &name_at, &desc_at), data->d_size);
    assert_int_equal(note.n_descsz, truth.build_id_bytes);
    assert_memory_equal((char *)data->d_buf + desc_at, truth.build_id, truth.build_id_bytes);
    elf_end(elf);
    free(image.data);
}

static void test_other_files_are_refused(void **state)
{
    (void)state;
    struct image image = read_self();
    assert_null(elf_memory(image.data, sizeof(Elf64_Ehdr) - 1));
    image.data[EI_CLASS] = ELFCLASS32;
    assert_null(elf_memory(image.data, image.bytes));
    image.data[EI_CLASS] = ELFCLASS64;
    image.data[0] = 'E';
    assert_null(elf_memory(image.data, image.bytes));
    free(image.data);
}

/* Everything that can be asked; returns a sum so that all of it is read. */
static uint64_t read_everything(Elf *elf)
{
    uint64_t sum = 0;
    size_t names = 0, segments = 0;
    (void)elf_getshdrstrndx(elf, &names);
    (void)elf_getphdrnum(elf, &segments);
    GElf_Phdr segment;
    for (size_t i = 0; i < segments && i < 1000; i++) {
        sum += gelf_getphdr(elf, (int)i, &segment) != NULL ? segment.p_offset : 0;
    }
    Elf_Scn *section = NULL;
    while ((section = elf_nextscn(elf, section)) != NULL) {
        GElf_Shdr header;
        GElf_Sym symbol;
        gelf_getshdr(section, &header);
        const char *name = elf_strptr(elf, names, header.sh_name);
        sum += name != NULL ? strlen(name) : 0;
        Elf_Data *data = elf_getdata(section, NULL);
        if (data == NULL) {
            continue;
        }
        size_t at = 0, name_at, desc_at;
        GElf_Nhdr note;
        for (size_t next; (next = gelf_getnote(data, at, &note, &name_at, &desc_at)) > at; at = next) {
            for (size_t i = 0; i < note.n_descsz; i++) {
                sum += ((const uint8_t *)data->d_buf)[desc_at + i];
            }
        }
        for (int i = 0; i < 64 && gelf_getsym(data, i, &symbol) != NULL; i++) {
            const char *text = elf_strptr(elf, header.sh_link, symbol.st_name);
            sum += text != NULL ? strlen(text) : 0;
        }
    }
    return sum;
}

/* Under AddressSanitizer (make asan) the image ends where its allocation ends. */
static void test_changed_headers_never_read_outside(void **state)
{
    (void)state;
    unsigned seed = (unsigned)getpid();
    printf("seed %u\n", seed);
    struct image image = read_self();
    Elf64_Ehdr header;
    memcpy(&header, image.data, sizeof header);
    size_t opened = 0;
    for (int round = 0; round < 300; round++) {
        char *copy = malloc(image.bytes);
        memcpy(copy, image.data, image.bytes);
        for (int change = 0; change < 8; change++) {
            bool in_header = rand_r(&seed) % 4 == 0;
            size_t table = header.e_shnum * sizeof(Elf64_Shdr);
            size_t at = in_header ? EI_NIDENT + (size_t)rand_r(&seed) % (sizeof header - EI_NIDENT)
                                  : header.e_shoff + (size_t)rand_r(&seed) % table;
            copy[at] = (char)rand_r(&seed);
        }
        Elf *elf = elf_memory(copy, image.bytes);
        if (elf != NULL) {
            opened += read_everything(elf) != 0;
            elf_end(elf);
        }
        free(copy);
    }
    assert_true(opened > 100); /* most changes leave a file that opens: else nothing was tested */
    free(image.data);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_own_function_is_in_the_symbol_table),
    cmocka_unit_test(test_build_id_and_segments_are_those_the_loader_sees),
    cmocka_unit_test(test_other_files_are_refused),
    cmocka_unit_test(test_changed_headers_never_read_outside),
};

MT_TEST_MAIN(tests)
