/* target.c: see target.h. */
#include "cli/target.h"

#include "util/exitcode.h"
#include "util/human.h"

mt_status mt_target_pid(const struct mt_operands *operands, pid_t *ret, struct mt_error *err)
{
    uint64_t pid = 0;
    if (operands->count != 1) {
        return mt_error_set(err, MT_E_INVAL, "give one PID");
    }
    if (!mt_parse_count(operands->items[0], &pid) || pid == 0 || pid > INT32_MAX) {
        return mt_error_set(err, MT_E_INVAL, "\"%s\" is no process id", operands->items[0]);
    }
    *ret = (pid_t)pid;
    return MT_OK;
}

int mt_target_exit_code(mt_status status)
{
    return status == MT_E_BUSY ? MT_EXIT_TIMEOUT : status == MT_E_INVAL ? MT_EXIT_USAGE : MT_EXIT_UNREACHABLE;
}
