/* bank1.c: the second bank of hooks: for slots bound to another definition than bank 0's (bank.h). */
#define MT_BANK 1
#include "hook/bank.h"
