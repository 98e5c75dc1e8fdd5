/* Memory that runs out when the test says so. Include it once, in a test whose name ends in _oom: such a test is linked
 * with --wrap=malloc,--wrap=calloc,--wrap=realloc, so that the library's own calls come here (those inside libc, libcurl
 * and other shared libraries do not).
 *
 *   oom_each(run, context)   calls `run` again and again: with the first allocation failing, then with the first and all
 *                            after it, then with the second, ... until nothing fails any more */
#ifndef PS_TEST_OOM_H
#define PS_TEST_OOM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

static atomic_size_t oom_count;  /* allocations since oom_fail_at */
static atomic_size_t oom_first;  /* which one fails, from 1; 0: none */
static atomic_bool oom_for_good; /* and all after it */

static inline void oom_fail_at(size_t n, bool for_good) {
  oom_first = 0;
  oom_for_good = for_good;
  oom_count = 0;
  oom_first = n;
}

/* Memory is there again. How many allocations were asked for since oom_fail_at. */
static inline size_t oom_stop(void) {
  oom_first = 0;
  return oom_count;
}

static bool oom_now(void) {
  size_t first = oom_first, count = ++oom_count;
  return first > 0 && (count == first || (oom_for_good && count > first));
}

void *__wrap_malloc(size_t size) { return oom_now() ? NULL : __real_malloc(size); }

void *__wrap_calloc(size_t count, size_t size) { return oom_now() ? NULL : __real_calloc(count, size); }

void *__wrap_realloc(void *memory, size_t size) { return oom_now() ? NULL : __real_realloc(memory, size); }

/* `run` does its work and asserts what it may when `failing`: then an allocation may have failed, else none has. Returns
 * how many allocations were failed in turn. */
static inline size_t oom_each(void (*run)(void *context, bool failing), void *context) {
  for (size_t n = 1;; n++) {
    for (int for_good = 0; for_good <= 1; for_good++) {
      oom_fail_at(n, for_good);
      run(context, true);
      if (oom_stop() >= n) continue;
      run(context, false);
      return n - 1;
    }
  }
}

#endif
