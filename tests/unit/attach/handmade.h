/* handmade.h: a stopped thread made by hand: two objects with call frame information, a stack, registers. All of it lies in this
 * process, which is read as another one is. */
#ifndef MT_TESTS_ATTACH_HANDMADE_H
#define MT_TESTS_ATTACH_HANDMADE_H

#include "attach/safepoint.h"

#include "harness.h"

#include <dwarf.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum {
    OBJECT_BYTES = 16384,
    CODE_AT = 4096,       /* of an object */
    CIE_AT = 1024,
    FDE_AT = 1088,
    FDE_BYTES = 32,
    FUNCTION_BYTES = 64,
    FUNCTIONS = 16,       /* all but the last are of frames of 32 bytes, or as they are told */
    FRAME_WORDS = 4,      /* of such a frame; the last is the return address */
    STACK_WORDS = 2048,
    INTERRUPTED = -512,   /* ERESTARTSYS */
};

struct handmade {
    unsigned char *libc, *program; /* OBJECT_BYTES each, with nothing around */
    uint64_t *stack;
    size_t top;                    /* the next word of the stack to be laid */
    struct mt_object objects[2];
    struct mt_subject subject;
    struct mt_hazards hazards;
    struct mt_hazard_range ranges[8];
    uint64_t waits[2];
    struct mt_tables tables;
    struct mt_thread thread;
};

static inline void put_bytes(unsigned char *at, uint64_t value, size_t bytes)
{
    memcpy(at, &value, bytes);
}

/* What the function of this number says of its frame. */
static inline void put_rules(unsigned char *object, unsigned number, const unsigned char *rules, size_t bytes)
{
    assert_true(bytes <= FDE_BYTES - 17);
    memset(object + FDE_AT + number * FDE_BYTES + 17, DW_CFA_nop, FDE_BYTES - 17);
    memcpy(object + FDE_AT + number * FDE_BYTES + 17, rules, bytes);
}

static inline void put_function(unsigned char *object, unsigned number)
{
    static const unsigned char frame[] = { DW_CFA_def_cfa_offset, FRAME_WORDS * 8 }, last[] = { DW_CFA_undefined, 16 };
    unsigned char *fde = object + FDE_AT + number * FDE_BYTES, *entry = object + 12 + number * 8;
    uint64_t code = CODE_AT + number * FUNCTION_BYTES;
    put_bytes(entry, code, 4);
    put_bytes(entry + 4, (uint64_t)(fde - object), 4);
    put_bytes(fde, FDE_BYTES - 4, 4);
    put_bytes(fde + 4, (uint64_t)(fde + 4 - (object + CIE_AT)), 4);
    put_bytes(fde + 8, code - (uint64_t)(fde + 8 - object), 4);
    put_bytes(fde + 12, FUNCTION_BYTES, 4);
    fde[16] = 0;
    put_rules(object, number, number + 1 < FUNCTIONS ? frame : last, 2);
}

static inline void put_object(unsigned char *object)
{
    static const unsigned char cie[] = { 20, 0, 0, 0, 0, 0, 0, 0, 1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x1B, DW_CFA_def_cfa, 7, 8, DW_CFA_offset | 16, 1, 0, 0 };
    put_bytes(object, 0x3B031B01, 4); /* version 1, pcrel sdata4, udata4, datarel sdata4 */
    put_bytes(object + 4, CIE_AT - 4, 4);
    put_bytes(object + 8, FUNCTIONS, 4);
    memcpy(object + CIE_AT, cie, sizeof cie);
    for (unsigned i = 0; i < FUNCTIONS; i++) {
        put_function(object, i);
    }
}

static inline struct mt_object object_at(unsigned char *bytes, const char *name)
{
    uint64_t low = (uint64_t)(uintptr_t)bytes;
    struct mt_object object = { .bias = low, .low = low, .high = low + OBJECT_BYTES, .unwind = low, .unwind_low = low,
                                .unwind_high = low + CODE_AT, .path = "" };
    (void)snprintf(object.soname, sizeof object.soname, "%s", name);
    return object;
}

/* A place in a function of an object. */
static inline uint64_t in(const unsigned char *object, unsigned number)
{
    return (uint64_t)(uintptr_t)object + CODE_AT + number * FUNCTION_BYTES + 16;
}

/* One more caller: the innermost function first. */
static inline void lay_caller(struct handmade *h, uint64_t return_address)
{
    h->top += FRAME_WORDS;
    h->stack[h->top - 1] = return_address;
}

static inline void make(struct handmade *h)
{
    unsigned char *room = mmap(NULL, 5 * OBJECT_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct mt_error err = { 0 };
    *h = (struct handmade){ .libc = room + OBJECT_BYTES, .program = room + 3 * OBJECT_BYTES };
    assert_int_equal(mprotect(h->libc, OBJECT_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC), 0);
    assert_int_equal(mprotect(h->program, OBJECT_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC), 0);
    put_object(h->libc);
    put_object(h->program);
    h->objects[0] = object_at(h->libc, "libc.so.6");
    h->objects[1] = object_at(h->program, "");
    h->stack = mmap(NULL, STACK_WORDS * 8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    h->top = STACK_WORDS / 2;
    h->subject.objects = (struct mt_objects){ h->objects, 2, 2 };
    h->subject.libc = &h->objects[0];
    h->subject.facts.pid = h->subject.facts.alive = getpid();
    assert_int_equal(mt_remote_open(getpid(), &h->subject.remote, &err), MT_OK);
    h->objects[0].print = mt_object_print(&h->subject.remote, h->objects[0].low);
    h->objects[1].print = mt_object_print(&h->subject.remote, h->objects[1].low);
    assert_int_equal(mt_mappings_read(getpid(), &h->subject.mappings, &err), MT_OK);
    mt_tables_open(&h->subject.remote, &h->subject.objects, &h->tables);
    h->hazards = (struct mt_hazards){ .items = h->ranges, .waits = h->waits };
    h->thread = (struct mt_thread){ .process = getpid(), .tid = getpid() + 1 };
    h->thread.registers.rsp = (uint64_t)(uintptr_t)&h->stack[h->top];
    h->thread.registers.fs_base = (uint64_t)(uintptr_t)&h->stack[STACK_WORDS - 1];
    h->thread.registers.orig_rax = SYS_futex;
    h->thread.registers.rax = (uint64_t)(int64_t)INTERRUPTED;
}

static inline void unmake(struct handmade *h)
{
    mt_tables_close(&h->tables);
    mt_mappings_clear(&h->subject.mappings);
    mt_remote_close(&h->subject.remote);
    (void)munmap(h->stack, STACK_WORDS * 8);
    (void)munmap(h->libc - OBJECT_BYTES, 5 * OBJECT_BYTES);
}

#endif
