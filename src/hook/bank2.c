/* bank2.c: the third bank of hooks: for slots bound to a third definition (bank.h). */
#define MT_BANK 2
#include "hook/bank.h"
