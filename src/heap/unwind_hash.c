/* unwind_hash.c: powers of the hash's multiplier, see unwind_hash.h. Contexts: any. */
#include "heap/unwind_hash.h"

uint64_t mt_stack_hash_power(uint32_t exponent)
{
    static const uint64_t squares[] = { /* K^(2^i) mod p */
        0x243F6A8885A308D,  0x1245B7995C62156A, 0x6C4D01D01A43E96,  0x40B285EF8E7E2FD,  0x1D7CA99D504D4E55,
        0x8F28FA27EDD02E0,  0x9CCA792B4AD1B39,  0x165389787795EF7F, 0x1EB0E8A1CFD02990, 0x1B4B19CF6581283A,
        0xE3CF882610D3D37,  0x18F5928C7BF7BC89, 0x7BC31226179B189,  0x7DB507CAB0BE58,   0x5402D0B738669E4,
    };
    uint64_t power = 1;
    for (uint32_t i = 0; i < MT_COUNTOF(squares) && exponent >> i != 0; i++) {
        if ((exponent >> i & 1) != 0) {
            power = mt_stack_hash_multiply(power, squares[i]);
        }
    }
    return mt_stack_hash_reduce(power);
}
