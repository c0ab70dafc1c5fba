/* fold.h: a run whose memtap was killed becomes one file after all.
 *
 * Decides: what lies in FILE.d goes into FILE as it would have at the end of the run, or behind a packed copy of it elsewhere;
 * then FILE.d stays as it is. What is in both already is taken once. Nothing is touched while a process of the run, or another memtap, still
 * writes. Context: [tool].
 */
#ifndef MT_LAUNCH_FOLD_H
#define MT_LAUNCH_FOLD_H

#include "util/error.h"
#include "wire/pack.h"

/* FILE and FILE.d can be packed now. MT_E_BUSY: not yet, with a sentence. Finishes what a killed memtap began in FILE itself. */
mt_status mt_fold_prepare(const char *file, struct mt_error *err) MT_CHECKED;
/* Packs what is in FILE.d and puts it behind the traces in `output`, which FILE has been packed into (NULL: FILE itself, and
 * FILE.d goes). options: as for FILE. ret_bytes: what the traces took before and take now is added. */
mt_status mt_fold_rest(const char *file, const char *output, const struct mt_pack_options *options,
                       struct mt_pack_result *ret_bytes, struct mt_error *err) MT_CHECKED;

#endif
