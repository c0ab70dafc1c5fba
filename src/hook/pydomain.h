/* pydomain.h: the wrapper functions of one Python allocator domain, and the C API structs they are made of.
 *
 * Invariant: the ctx we install is the original's. PyMem_SetAllocator stores five words one after another and readers
 * take no lock, so a reader may see our function with the old ctx or the reverse: while we install or leave, every mixture
 * is valid. So a fast path hands on the ctx it was called with (one instruction less a call). When somebody else replaces
 * us, a reader without Python's lock may bring us his ctx, as it would have brought it to the original without us.
 * Layers: what was wrapped may be wrapped again later (somebody restored or replaced the allocator); each layer has its own
 * functions and its own saved original, which is never changed once the layer is published.
 */
#ifndef MT_HOOK_PYDOMAIN_H
#define MT_HOOK_PYDOMAIN_H

#include "wire/format.h"

#include <stddef.h>

/* PyMemAllocatorEx */
struct mt_python_allocator {
    void *ctx;
    void *(*malloc)(void *ctx, size_t size);
    void *(*calloc)(void *ctx, size_t count, size_t size);
    void *(*realloc)(void *ctx, void *ptr, size_t size);
    void (*free)(void *ctx, void *ptr);
};

/* Layers of two kinds. A plain layer serves allocators that hand out malloc's own pointers for what they do not serve
 * themselves. A guarding layer serves Python's debug hooks: their blocks begin 16 bytes into what malloc returned, so
 * malloc's hook cannot keep the books of any of them. All are counted by the layer, and its real calls are guarded. */
enum { MT_PYTHON_PLAIN_LAYERS = 3, MT_PYTHON_GUARDING_LAYERS = 2, MT_PYTHON_LAYERS = 5 };
/* Of the domains counted here; order of PyMemAllocatorDomain minus RAW. */
enum mt_python_domain { MT_PYTHON_MEM, MT_PYTHON_OBJECT, MT_PYTHON_DOMAIN__COUNT };

/* What a wrapper forwards to. */
struct mt_python_layer {
    struct mt_python_allocator original;
    size_t largest; /* sizes up to this are counted here, larger ones by malloc's hook */
    enum mt_allocator allocator;
    unsigned headers; /* at most so many headers of 16 bytes lie between malloc's block and the one handed out */
};

extern struct mt_python_layer mt_g_python_layers[MT_PYTHON_LAYERS][MT_PYTHON_DOMAIN__COUNT];
/* The wrappers of a layer and domain; ctx is left for the caller to fill in. */
struct mt_python_allocator mt_python_wrappers(unsigned layer, enum mt_python_domain domain);

#endif
