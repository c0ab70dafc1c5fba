/* pysource.c: eval.py, inside the agent. Context: any. */
#include "agent/pyeval_private.h"

/* MT_EVAL_SOURCE is the path of src/agent/eval.py, from CMake. */
__asm__(".pushsection .rodata.mt_eval_source,\"a\",@progbits\n"
        ".globl mt_eval_source\n"
        ".hidden mt_eval_source\n"
        "mt_eval_source:\n"
        ".incbin \"" MT_EVAL_SOURCE "\"\n"
        ".byte 0\n"
        ".popsection\n");
