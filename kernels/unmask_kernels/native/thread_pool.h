/* Work in parts, shared among threads.

   The caller takes part after part, and so do the other threads that are awake. Threads that have
   not begun are not waited for, so that a thread on a busy core costs nothing. With OpenMP all
   threads have to arrive, for every product. */

#ifndef THREAD_POOL_H
#define THREAD_POOL_H

#include <stdint.h>

#define FEWEST_ROWS 64 /* for several threads, if a row is little work */

/* Runs part `part` of `work` on the thread of this number, from 0. */
typedef void Part(const void *work, int64_t part, int thread);

/* Run all parts on up to `threads` threads. */
void run_parts(Part *run, const void *work, int64_t parts, int threads);

#endif
