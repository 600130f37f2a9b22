/* Work in parts, shared among threads.

   Whoever calls takes part after part, and so do the other threads that are awake: nobody is waited
   for who has not begun, so that a thread whose core is busy with something else costs nothing.
   OpenMP's threads all have to arrive, for each product anew. */

#ifndef PARTS_H
#define PARTS_H

#include <stdint.h>

#define FEWEST_ROWS 64 /* that threads share, where little is done with each */

/* Part `part` of a work, by a thread with this number, from 0. */
typedef void Part(const void *work, int64_t part, int thread);

/* Have all parts done, by up to so many threads. */
void run_parts(Part *run, const void *work, int64_t parts, int threads);

#endif
