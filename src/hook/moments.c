/* moments.c: see moments.h. */
#include "hook/moments.h"

#include "base/os.h"
#include "heap/engine.h"
#include "hook/elf.h"
#include "hook/patch.h"

#include <string.h>

enum { MOMENTS_MAX = 32 };

enum moment { MAIN_ENDS, PYTHON_BEGINS, PYTHON_ENDS, PYTHON_ENDS_FOR_GOOD, PYTHON_LACKS_MEMORY };

/* beside: what else the object must define: others may have functions of these names. */
static const struct {
    const char *name, *beside;
    enum moment moment;
} g_functions[] = {
    { "exit", "__libc_start_main", MAIN_ENDS },
    { "Py_RunMain", "_PyRuntime", PYTHON_BEGINS },
    { "Py_BytesMain", "_PyRuntime", PYTHON_BEGINS },
    { "Py_Main", "_PyRuntime", PYTHON_BEGINS },
    { "Py_FinalizeEx", "_PyRuntime", PYTHON_ENDS },
    { "Py_Finalize", "_PyRuntime", PYTHON_ENDS },
    { "Py_Exit", "_PyRuntime", PYTHON_ENDS_FOR_GOOD },
    { "PyErr_NoMemory", "_PyRuntime", PYTHON_LACKS_MEMORY },
};
enum { FUNCTIONS = sizeof g_functions / sizeof g_functions[0], SLOTS_BYTES = FUNCTIONS * MT_PATCH_SLOT_BYTES };

/* Written before the entry that leads here is patched. */
static struct {
    enum moment moment;
    uint64_t moved; /* where the real function goes on */
} g_moments[MOMENTS_MAX];
static uint32_t g_count;

/* What mt_moment_entry leaves on the stack. */
struct entry_frame {
    uint64_t bp; /* the caller's */
    uint64_t number;
    uint64_t return_address;
    uint64_t above[]; /* the caller's frame */
};

uint64_t mt_moment_reached(uint64_t number, uint64_t argument, const struct entry_frame *frame) MT_HIDDEN;
extern char mt_moment_entry[] MT_HIDDEN;

/* Entered by a jump in the place of a call, with a number pushed. Registers that may hold arguments are kept (none of these
 * functions has any in vector registers); r11 is nobody's at a call. */
__asm__(".text\n"
        ".type mt_moment_entry, @function\n"
        ".hidden mt_moment_entry\n"
        ".globl mt_moment_entry\n"
        "mt_moment_entry:\n"
        ".cfi_startproc\n"
        ".cfi_def_cfa_offset 16\n" /* the number, then the return address */
        "push %rbp\n"
        ".cfi_def_cfa_offset 24\n"
        ".cfi_offset rbp, -24\n"
        "mov %rsp, %rbp\n"
        ".cfi_def_cfa_register rbp\n"
        "push %rax; push %rcx; push %rdx; push %rsi; push %rdi; push %r8; push %r9; push %r10\n"
        "mov %rdi, %rsi\n"
        "mov 8(%rbp), %rdi\n"
        "mov %rbp, %rdx\n"
        "and $-16, %rsp\n"
        "call mt_moment_reached\n"
        "mov %rax, %r11\n"
        "lea -64(%rbp), %rsp\n"
        "pop %r10; pop %r9; pop %r8; pop %rdi; pop %rsi; pop %rdx; pop %rcx; pop %rax\n"
        "pop %rbp\n"
        ".cfi_def_cfa rsp, 16\n"
        ".cfi_restore rbp\n"
        "lea 8(%rsp), %rsp\n"
        ".cfi_def_cfa_offset 8\n"
        "jmp *%r11\n"
        ".cfi_endproc\n"
        ".size mt_moment_entry, .-mt_moment_entry\n");

static void (*g_before_python_ends)(void);

static void python_ends(void)
{
    if (g_before_python_ends != NULL) {
        mt_engine_enter();
        g_before_python_ends();
        mt_engine_leave();
    }
    mt_engine_python_ends();
}

static void memory_error(const struct entry_frame *frame)
{
    const struct mt_frame_regs caller = {
        .pc = frame->return_address, .sp = (uint64_t)(uintptr_t)frame->above, .bp = frame->bp
    };
    mt_engine_memory_error(&caller);
}

__attribute__((used)) uint64_t mt_moment_reached(uint64_t number, uint64_t argument, const struct entry_frame *frame)
{
    switch (g_moments[number].moment) {
    case MAIN_ENDS:
        mt_engine_main_ends((int)argument);
        break;
    case PYTHON_BEGINS:
        mt_engine_python_begins();
        break;
    case PYTHON_ENDS_FOR_GOOD:
        mt_engine_python_begins();
        python_ends();
        break;
    case PYTHON_LACKS_MEMORY:
        memory_error(frame);
        break;
    case PYTHON_ENDS:
    default:
        python_ends();
        break;
    }
    return g_moments[number].moved;
}

/* ---- patching --------------------------------------------------------------------------------------------------------- */

static bool defines(const struct mt_elf_object *object, const char *name)
{
    return mt_elf_find(object, name, mt_elf_gnu_hash(name)) != 0;
}

/* push $number; jmp *address_of(mt_moment_entry) */
static void write_stub(uint8_t *slot, uint32_t number)
{
    static const uint8_t jump_to_next_word[] = { 0xFF, 0x25, 0, 0, 0, 0 };
    uint64_t entry = (uint64_t)(uintptr_t)mt_moment_entry;
    *slot++ = 0x68;
    memcpy(slot, &number, sizeof number);
    memcpy(slot + sizeof number, jump_to_next_word, sizeof jump_to_next_word);
    memcpy(slot + sizeof number + sizeof jump_to_next_word, &entry, sizeof entry);
}

/* Prepares the function of the object if it has it. */
static bool prepare(const struct mt_elf_object *object, size_t function, uint8_t *slot, struct mt_patch *ret)
{
    const char *name = g_functions[function].name;
    const ElfW(Sym) *symbol = &object->symbols[mt_elf_find(object, name, mt_elf_gnu_hash(name))];
    if (symbol == object->symbols || !defines(object, g_functions[function].beside) ||
        ELF64_ST_TYPE(symbol->st_info) != STT_FUNC || symbol->st_size == 0 ||
        !mt_patch_plan(object->base + symbol->st_value, symbol->st_size, slot, ret)) {
        return false;
    }
    write_stub(slot, g_count);
    g_moments[g_count].moment = g_functions[function].moment;
    g_moments[g_count].moved = (uint64_t)(uintptr_t)slot + MT_PATCH_MOVED_AT;
    return true;
}

static void patch(const struct dl_phdr_info *info, const struct mt_elf_object *object)
{
    static struct mt_patch patches[FUNCTIONS];
    uint8_t *slots = mt_patch_map_near(info, SLOTS_BYTES);
    uint32_t before = g_count;
    size_t count = 0;
    if (slots == NULL) {
        return;
    }
    for (size_t i = 0; i < FUNCTIONS && g_count < MOMENTS_MAX; i++) {
        if (prepare(object, i, slots + count * MT_PATCH_SLOT_BYTES, &patches[count])) {
            g_count++;
            count++;
        }
    }
    if (count == 0 || !mt_os_make_executable(slots, SLOTS_BYTES) || !mt_patch_write(patches, count)) {
        g_count = before;
        mt_os_unmap(slots, SLOTS_BYTES);
    }
}

void mt_moments_before_python_ends(void (*callback)(void))
{
    g_before_python_ends = callback;
}

void mt_moments_patch(const struct dl_phdr_info *info)
{
    struct mt_elf_object object;
    if (!mt_elf_from_phdr(info, &object)) {
        return;
    }
    if (defines(&object, "__libc_start_main") || defines(&object, "_PyRuntime")) {
        patch(info, &object);
    }
}
