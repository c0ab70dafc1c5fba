/* bank0.c: bank 0 without the exported names, so that a test program keeps libc's malloc for itself. */
#define MT_BANK 0
#include "hook/bank.h"
