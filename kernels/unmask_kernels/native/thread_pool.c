#define _GNU_SOURCE

#include "thread_pool.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOST_THREADS 255
#define MOST_PARTS INT32_MAX
#define PAUSES_AWAKE 1000   /* of a thread before it sleeps, some 20 microseconds */
#define PAUSES_PATIENT 2000 /* of a caller before it yields, while others finish parts */

/* An offer of work packed in a word: its number, its most threads, the parts not taken yet. */
typedef uint64_t Offer;

static Offer make_offer(uint64_t number, uint64_t threads, uint64_t left)
{
    return number << 40 | threads << 32 | left;
}

static uint32_t left_of(Offer offer) { return (uint32_t)offer; }

static int threads_of(Offer offer) { return offer >> 32 & 0xff; }

static struct {
    pthread_mutex_t owner; /* guards all fields */
    _Atomic Offer offer;
    _Atomic int64_t done;
    Part *run; /* these three are read only by threads with an unfinished part */
    const void *work;
    int64_t parts;
    uint64_t number;
    _Atomic uint32_t bell; /* changes with each offer */
    _Atomic int sleeping;
    int threads; /* created ones and the caller */
    int is_prepared;
} pool = {.owner = PTHREAD_MUTEX_INITIALIZER, .threads = 1};

static void futex(int operation, uint32_t value)
{
    syscall(SYS_futex, &pool.bell, operation | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

/* Take parts until none are left for this thread. */
static void take_parts(int thread)
{
    Offer offer = atomic_load_explicit(&pool.offer, memory_order_acquire);
    while (left_of(offer) > 0 && thread < threads_of(offer)) {
        if (!atomic_compare_exchange_weak(&pool.offer, &offer, offer - 1)) continue;
        pool.run(pool.work, pool.parts - left_of(offer), thread);
        atomic_fetch_add_explicit(&pool.done, 1, memory_order_release);
        offer = atomic_load_explicit(&pool.offer, memory_order_acquire);
    }
}

static int has_work(int thread)
{
    Offer offer = atomic_load_explicit(&pool.offer, memory_order_relaxed);
    return left_of(offer) > 0 && thread < threads_of(offer);
}

static void *serve(void *number)
{
    int thread = (int)(intptr_t)number;
    for (;;) {
        uint32_t bell = atomic_load(&pool.bell);
        for (int i = 0; i < PAUSES_AWAKE && !has_work(thread); i++) __builtin_ia32_pause();
        if (!has_work(thread)) {
            atomic_fetch_add(&pool.sleeping, 1);
            futex(FUTEX_WAIT, bell);
            atomic_fetch_sub(&pool.sleeping, 1);
        }
        take_parts(thread);
    }
    return NULL;
}

/* A child has none of its parent's threads. */
static void forget_threads(void)
{
    pthread_mutex_init(&pool.owner, NULL);
    pool.threads = 1;
    atomic_store(&pool.offer, 0);
    atomic_store(&pool.sleeping, 0);
}

/* Create threads up to `threads`, with signals blocked; fewer if the system has no more. */
static void make_threads(int threads)
{
    sigset_t all, before;
    if (!pool.is_prepared) pool.is_prepared = pthread_atfork(NULL, NULL, forget_threads) == 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (pthread_t thread; pool.threads < threads; pool.threads++) {
        if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)pool.threads) != 0) break;
        pthread_detach(thread);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void run_parts(Part *run, const void *work, int64_t parts, int threads)
{
    if (threads > parts) threads = parts;
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    /* Run alone while another caller owns the pool. */
    if (threads < 2 || parts > MOST_PARTS || pthread_mutex_trylock(&pool.owner) != 0) {
        for (int64_t part = 0; part < parts; part++) run(work, part, 0);
        return;
    }
    if (pool.threads < threads) make_threads(threads);
    pool.run = run;
    pool.work = work;
    pool.parts = parts;
    atomic_store(&pool.done, 0);
    atomic_store(&pool.offer, make_offer(++pool.number, threads, parts));
    atomic_fetch_add(&pool.bell, 1);
    if (atomic_load(&pool.sleeping) > 0) futex(FUTEX_WAKE, threads - 1);
    take_parts(0);
    for (int i = 0; atomic_load_explicit(&pool.done, memory_order_acquire) < parts; i++)
        if (i < PAUSES_PATIENT)
            __builtin_ia32_pause();
        else
            sched_yield();
    pthread_mutex_unlock(&pool.owner);
}
