/* micro.h: what every micro workload shares: clocks, a fast generator, the result line.
 *
 * A workload times only its loop, by the CPU clock of the whole process (so that helper threads of a profiler are
 * counted), and prints one line `BENCH {json}` that bench/suite/measure.py reads. Everything the loop does besides
 * allocating is kept to a few nanoseconds and is the same under every profiler.
 */
#ifndef BENCH_MICRO_H
#define BENCH_MICRO_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))

static inline uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* xorshift64* (Vigna 2014): 1 ns a number, period 2^64 - 1, seeded by the caller with anything but 0. */
static inline uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545F4914F6CDD1Du;
}

/* A number in [0, bound) without division (Lemire 2019); the bias of bound / 2^32 does not matter here. */
static inline uint32_t random_below(uint64_t *state, uint32_t bound)
{
    return (uint32_t)(((next_random(state) >> 32) * bound) >> 32);
}

/* Keeps the compiler from removing a malloc/free pair. */
static inline void escape(void *pointer)
{
    __asm__ volatile("" : : "r"(pointer) : "memory");
}

static inline uint64_t parse_count(int argc, char **argv, int index, uint64_t otherwise)
{
    return argc > index ? strtoull(argv[index], NULL, 10) : otherwise;
}

/* Resident memory of this process, -1 if it cannot be read. Without stdio, which would allocate. */
static inline long resident_kib(void)
{
    char text[128] = "";
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t bytes = read(fd, text, sizeof text - 1);
    close(fd);
    char *second = bytes > 0 ? strchr(text, ' ') : NULL;
    return second != NULL ? strtol(second, NULL, 10) * (sysconf(_SC_PAGESIZE) / 1024) : -1;
}

struct timer {
    uint64_t cpu_ns;
    uint64_t wall_ns;
};

static inline void timer_start(struct timer *timer)
{
    timer->wall_ns = clock_ns(CLOCK_MONOTONIC);
    timer->cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static inline void timer_stop(struct timer *timer)
{
    timer->cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - timer->cpu_ns;
    timer->wall_ns = clock_ns(CLOCK_MONOTONIC) - timer->wall_ns;
}

static inline void print_result(const char *name, const struct timer *timer, uint64_t ops)
{
    double per_op = ops == 0 ? 0.0 : (double)timer->cpu_ns / (double)ops;
    double wall_per_op = ops == 0 ? 0.0 : (double)timer->wall_ns / (double)ops;
    printf("BENCH {\"bench\": \"%s\", \"ops\": %llu, \"cpu_s\": %.9f, \"ns_per_op\": %.4f, \"wall_ns_per_op\": %.4f}\n",
           name, (unsigned long long)ops, (double)timer->cpu_ns / 1e9, per_op, wall_per_op);
}

#endif
