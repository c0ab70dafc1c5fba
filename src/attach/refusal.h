/* refusal.h: whether memtap may and can join a running process, and if not, why and what to do.
 *
 * Decides: everything that can be known from outside is asked before the process is touched; each refusal is one sentence with
 * the sysctl, capability or command that changes it. Context: [tool].
 */
#ifndef MT_ATTACH_REFUSAL_H
#define MT_ATTACH_REFUSAL_H

#include "attach/object.h"

/* What /proc says about a process. */
struct mt_process_facts {
    pid_t pid;
    pid_t alive;  /* a thread of it by whose number /proc still shows memory and files: the first one may have ended before the others */
    long group;   /* the process it is a thread of */
    long tracer;  /* 0: none */
    long parent;
    long user;    /* real; -1: unknown */
    long filters; /* seccomp filters in force; -1: the kernel does not say */
    long seccomp; /* 0: no filter */
    char state;   /* of that thread, as in ps; 0: unknown */
    bool kernel_thread;
    bool shadow_stack;
    bool is_vforked; /* its memory is its parent's, until it executes a program of its own */
    bool stopped; /* by a signal: state T */
};

/* What is known of a process that may be joined. */
struct mt_subject {
    struct mt_process_facts facts;
    uint64_t image; /* mt_process_image at the beginning */
    struct mt_remote remote;
    struct mt_mappings mappings;
    struct mt_objects objects;
    const struct mt_object *libc, *loader;
};

/* A machine's answers, so that tests can give others. */
struct mt_ptrace_rules {
    int yama_scope;       /* kernel.yama.ptrace_scope; 0 also where there is no Yama */
    bool may_trace_any;   /* CAP_SYS_PTRACE */
    long user;            /* effective */
    long filters;         /* of memtap itself */
};
void mt_ptrace_rules_here(struct mt_ptrace_rules *ret);

/* Reads /proc/PID/status. MT_E_NOENT: there is no such process. */
mt_status mt_process_facts_read(pid_t pid, struct mt_process_facts *ret, struct mt_error *err) MT_CHECKED;
/* Also when its parent has not asked for its exit code yet. */
bool mt_process_has_ended(pid_t pid);
/* What these facts forbid. MT_OK: nothing. */
mt_status mt_process_facts_judge(const struct mt_process_facts *facts, const struct mt_ptrace_rules *rules,
                                 struct mt_error *err) MT_CHECKED;
/* Why the kernel said no, in words. */
mt_status mt_refusal_of_kernel(const struct mt_process_facts *facts, const struct mt_ptrace_rules *rules,
                               struct mt_error *err);
/* All of it; on success *ret is to be closed. MT_E_INTERRUPTED: it is only being started, its libc is not there yet. */
mt_status mt_subject_open(pid_t pid, struct mt_subject *ret, struct mt_error *err) MT_CHECKED;
/* Whether a stopped thread is of the image that the subject was opened for: of another one nothing is true. MT_E_INTERRUPTED. */
mt_status mt_subject_check_image(const struct mt_subject *subject, pid_t tid, struct mt_error *err) MT_CHECKED;
void mt_subject_close(struct mt_subject *subject);

#endif
