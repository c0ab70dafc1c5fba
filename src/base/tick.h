/* tick.h: the page that `memtap run` shares with the programs it records: u64 words in a memfd
 * that cannot become shorter (sealed).
 *
 * The tool writes the time every few milliseconds; a program with one thread reads it there, at the price of a load. Where
 * the processor's counter is a clock, the time of a run is a line over it (base/tsc.h), drawn once before the first program
 * starts: the tick and every process's own readings are points of that line and can be compared. Context: any.
 */
#ifndef MT_BASE_TICK_H
#define MT_BASE_TICK_H

enum mt_tick_word {
    MT_TICK_CLOCK = 0,      /* ns, a multiple of 8; writer: the tool, every 4 ms */
    MT_TICK_STOP = 1,       /* 1: stop recording; writer: the tool */
    MT_TICK_TOOL_PID = 2,   /* writer: the tool, once */
    MT_TICK_LINE_TICKS = 3, /* struct mt_tsc_line; writer: the tool, before the program starts */
    MT_TICK_LINE_NS = 4,
    MT_TICK_LINE_SCALE = 5, /* 0: the counter is no clock here, times are CLOCK_MONOTONIC */
    MT_TICK_SNAPSHOTS = 6,  /* how many were asked for; writer: the tool */
    MT_TICK_LOW = 7,        /* how often memory became low; writer: the tool, after the next two */
    MT_TICK_LOW_LEFT = 8,   /* bytes that were left then */
    MT_TICK_LOW_TEXT = 16,  /* of what: text that ends with NUL within MT_TICK_TEXT_BYTES */
};
enum { MT_TICK_TEXT_BYTES = 512 };
#define MT_TICK_NAME "memtap-tick" /* of the memfd */
enum { MT_TICK_BYTES = 4096, MT_TICK_PERIOD_NS = 4000000 };

#endif
