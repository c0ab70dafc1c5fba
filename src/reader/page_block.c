/* page_block.c: the data of a page of a recording, finished or not. Context: [tool]. */
#include "page/bundle.h"
#include "page/page.h"
#include "reader/reports.h"
#include "reader/texts.h"

struct making {
    struct mt_recording *recording;
    uint64_t max_bytes;
    unsigned char *packed;
    size_t bytes;
};

static mt_status make_body(void *context, struct mt_error *err)
{
    struct making *m = context;
    struct mt_report_job job = { .recording = m->recording, .page_bytes = m->max_bytes, .shown = { .format = MT_FORMAT_JSON } };
    mt_status status = mt_recording_refresh(m->recording, true, err);
    if (status == MT_OK) {
        status = mt_page_load(&job, err);
    }
    if (status == MT_OK) {
        const struct mt_page_input input = { .report = &job.shown, .edges_ns = job.loaded.edges_ns, .max_bytes = m->max_bytes };
        status = mt_page_pack(&input, mt_page_bundle().bytes, &m->packed, &m->bytes, err);
    }
    mt_report_job_fini(&job);
    return status;
}

int mt_recording_page_block(struct mt_recording *recording, uint64_t max_bytes, char **ret_packed, size_t *ret_bytes,
                            struct mt_profile_failure *failure)
{
    struct making making = { .recording = recording, .max_bytes = max_bytes };
    int code = mt_recording_call(recording, make_body, &making, failure);
    if (code == MT_PROFILE_OK) {
        *ret_packed = (char *)making.packed;
        *ret_bytes = making.bytes;
    }
    return code;
}
