/* The one retry table. Pure: an attempt and what came of it in, stop or wait out. */
#ifndef PS_RETRY_H
#define PS_RETRY_H

#include "error.h"

typedef struct ps_attempt {
  int number; /* from 1 */
  int max_retries;
  int status;               /* 0: no reply */
  const char *should_retry; /* Stripe-Should-Retry, or NULL */
  const char *retry_after;  /* Retry-After, or NULL */
  ps_error failure;         /* what came of it */
  ps_outcome outcome;       /* without a reply: not_sent or unknown */
  bool only_if_not_sent;    /* OAuth, a body without rewind */
  int64_t unix_time;        /* for a Retry-After that is a date */
  double dice;              /* uniform in [0, 1) */
  int64_t left_ms;          /* until the deadline; negative: no deadline */
} ps_attempt;

/* Milliseconds to wait before the next attempt, or -1: stop. */
int64_t ps_retry_wait(const ps_attempt *a);
/* That wait by itself, for whoever has decided to try again: it grows with the attempt's number, and is not shorter than what
 * Retry-After says. */
int64_t ps_retry_pause(const ps_attempt *a);
/* Seconds of a Retry-After value (RFC 9110, 10.2.3: seconds or a date), 0 if it is neither or past. */
int64_t ps_retry_after(const char *value, int64_t unix_time);

/* Requests a second for each key. */
typedef struct ps_pace {
  double interval_ms; /* 0: no limit */
  double next_ms;     /* when the next request may go, on the monotonic clock */
} ps_pace;
/* Milliseconds that the next request must wait, and counts it; -1, counting nothing, if that is not before its deadline,
 * `left_ms` from now (negative: it has none). */
int64_t ps_pace_wait(ps_pace *p, int64_t now_ms, int64_t left_ms);

#endif
