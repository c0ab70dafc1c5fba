/* rate.h: the sampling rate of a recording that is under way (mt_engine_set_rate, mt_engine_pause, mt_engine_rate in engine.h).
 * Context: [agent], [hook] with the guard set.
 */
#ifndef MT_HEAP_RATE_H
#define MT_HEAP_RATE_H

/* Every thread looks at its next allocation whatever its countdown says. */
void mt_rate_end_countdowns(void);

#endif
