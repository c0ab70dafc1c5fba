/* eval_range.h: where a function of the interpreter ends. Context: [agent]; takes the loader's lock. */
#ifndef MT_PYSTACK_EVAL_RANGE_H
#define MT_PYSTACK_EVAL_RANGE_H

#include <stdint.h>

/* One past the last byte of the function that starts at address (padding included); 0 when it cannot be told. */
uint64_t mt_py_function_end(uint64_t address);

#endif
