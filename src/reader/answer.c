/* answer.c: the rows of a query, kept: mt_recording_query of memtap/profile.h. The tables' rows stay with the recording for the
 * queries that follow, as long as it is the same. Context: [tool]. */
#include "reader/failure.h"
#include "reader/recording.h"
#include "util/memory.h"
#include "util/strlist.h"

#include <stdlib.h>
#include <string.h>

struct cell {
    enum mt_answer_type type;
    uint32_t bytes; /* of a text */
    union {
        int64_t integer;
        double real;
        size_t at; /* in the texts */
    };
};

struct mt_answer {
    struct mt_strlist names;
    struct cell *cells; /* row by row */
    size_t cell_count, cell_capacity;
    char *texts;
    size_t text_bytes, text_capacity;
};

static struct cell text_cell(struct mt_answer *a, const struct mt_sql_value *value)
{
    struct cell cell = { .type = MT_ANSWER_TEXT, .bytes = (uint32_t)value->bytes, .at = a->text_bytes };
    a->texts = mt_alloc_grow(a->texts, &a->text_capacity, a->text_bytes + value->bytes + 1, 1);
    memcpy(a->texts + a->text_bytes, value->text, value->bytes);
    a->text_bytes += value->bytes;
    a->texts[a->text_bytes++] = '\0';
    return cell;
}

static struct cell cell_of(struct mt_answer *a, const struct mt_sql_value *value)
{
    switch (value->type) {
    case MT_SQL_INTEGER:
        return (struct cell){ .type = MT_ANSWER_INTEGER, .integer = value->integer };
    case MT_SQL_REAL:
        return (struct cell){ .type = MT_ANSWER_REAL, .real = value->real };
    case MT_SQL_TEXT:
        return text_cell(a, value);
    case MT_SQL_NULL:
    default:
        return (struct cell){ .type = MT_ANSWER_NULL };
    }
}

static mt_status collect(struct mt_answer *a, struct mt_sql_rows *rows, struct mt_error *err)
{
    size_t columns = mt_sql_column_count(rows);
    bool more;
    mt_status status;
    for (size_t i = 0; i < columns; i++) {
        mt_strlist_add(&a->names, mt_sql_column_name(rows, i));
    }
    while ((status = mt_sql_next(rows, &more, err)) == MT_OK && more) {
        a->cells = mt_alloc_grow(a->cells, &a->cell_capacity, a->cell_count + columns, sizeof *a->cells);
        for (size_t i = 0; i < columns; i++) {
            struct mt_sql_value value = mt_sql_value(rows, i);
            a->cells[a->cell_count++] = cell_of(a, &value);
        }
    }
    return status;
}

struct asking {
    struct mt_recording *recording;
    const char *sql;
    bool (*interrupted)(void *context);
    void *context;
    struct mt_answer *answer;
};

static mt_status open_sql(struct mt_recording *r, struct mt_error *err)
{
    struct mt_frames *frames;
    mt_status status = mt_recording_refresh(r, true, err);
    if (status == MT_OK && r->sql == NULL) {
        status = mt_recording_frames(r, false, false, &frames, err);
        status = status == MT_OK ? mt_sql_open(&r->set, frames, &r->sql, err) : status;
    }
    return status;
}

static mt_status query_body(void *context, struct mt_error *err)
{
    struct asking *a = context;
    struct mt_sql_rows *rows;
    mt_status status = open_sql(a->recording, err);
    if (status != MT_OK) {
        return status;
    }
    a->answer = mt_alloc_zero(1, sizeof *a->answer);
    mt_sql_set_question(a->recording->sql, a->interrupted, a->context);
    a->recording->sql_runs = true;
    status = mt_sql_ask(a->recording->sql, a->sql, &rows, err);
    if (status == MT_OK) {
        status = collect(a->answer, rows, err);
        mt_sql_rows_free(rows);
    }
    a->recording->sql_runs = false;
    mt_sql_set_question(a->recording->sql, NULL, NULL);
    return status;
}

int mt_recording_query(struct mt_recording *recording, const char *sql, bool (*interrupted)(void *context), void *context,
                       struct mt_answer **ret, struct mt_profile_failure *failure)
{
    struct asking asking = { .recording = recording, .sql = sql, .interrupted = interrupted, .context = context };
    int code = mt_recording_call(recording, query_body, &asking, failure);
    if (code == MT_PROFILE_OK) {
        *ret = asking.answer;
    } else if (code != MT_PROFILE_NO_MEMORY) {
        mt_answer_free(asking.answer);
    }
    return code;
}

void mt_answer_free(struct mt_answer *answer)
{
    if (answer != NULL) {
        mt_strlist_clear(&answer->names);
        free(answer->cells);
        free(answer->texts);
        free(answer);
    }
}

size_t mt_answer_columns(const struct mt_answer *answer)
{
    return answer->names.count;
}

size_t mt_answer_rows(const struct mt_answer *answer)
{
    return answer->names.count > 0 ? answer->cell_count / answer->names.count : 0;
}

const char *mt_answer_column(const struct mt_answer *answer, size_t column)
{
    return answer->names.items[column];
}

struct mt_answer_value mt_answer_value(const struct mt_answer *answer, size_t row, size_t column)
{
    const struct cell *cell = &answer->cells[row * answer->names.count + column];
    struct mt_answer_value value = { .type = cell->type };
    if (cell->type == MT_ANSWER_INTEGER) {
        value.integer = cell->integer;
    } else if (cell->type == MT_ANSWER_REAL) {
        value.real = cell->real;
    } else if (cell->type == MT_ANSWER_TEXT) {
        value.text = answer->texts + cell->at;
        value.bytes = cell->bytes;
    }
    return value;
}
