/* Whether and when a request is sent again. WIRE's table, in its order:
 *
 *   session expired         no, whatever the status: only another token helps
 *   Stripe-Should-Retry     true: yes, false: no
 *   409, 429, 500 and above yes
 *   other status            no
 *   connection, timeout     yes; with the same key if it may have been sent
 *   everything else         no (certificate, size, cancelled, not JSON) */
#include "retry.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RETRY_AFTER_CAP = 60 };

static const double longest_wait_ms = 1e15; /* what a rate of next to nothing comes to */

static bool is_wanted(const ps_attempt *a) {
  if (a->failure == PS_ERROR_TEMPORARY_SESSION_EXPIRED) return false;
  if (a->status == 0) return a->failure == PS_ERROR_CONNECTION || a->failure == PS_ERROR_TIMEOUT;
  if (a->should_retry && strcmp(a->should_retry, "true") == 0) return true;
  if (a->should_retry && strcmp(a->should_retry, "false") == 0) return false;
  return a->status == 409 || a->status == 429 || a->status >= 500;
}

static bool is_allowed(const ps_attempt *a) {
  if (a->number > a->max_retries) return false;
  return !a->only_if_not_sent || (a->status == 0 && a->outcome == PS_OUTCOME_NOT_SENT);
}

/* Only the form that RFC 9110 lets senders use: "Sun, 06 Nov 1994 08:49:37 GMT". Without strptime, which has a locale. */
static int64_t parse_date(const char *value) {
  static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  struct tm date = {0};
  char month[4];
  if (sscanf(value, "%*3s, %2d %3s %4d %2d:%2d:%2d GMT", &date.tm_mday, month, &date.tm_year, &date.tm_hour,
             &date.tm_min, &date.tm_sec) != 6)
    return 0;
  const char *found = strlen(month) == 3 ? strstr(months, month) : NULL;
  if (!found || (found - months) % 3 != 0) return 0;
  date.tm_mon = (int)(found - months) / 3;
  date.tm_year -= 1900;
  return (int64_t)timegm(&date);
}

int64_t ps_retry_after(const char *value, int64_t unix_time) {
  char *end;
  long long seconds = strtoll(value, &end, 10);
  if (end != value && *end == '\0') return seconds > 0 ? seconds : 0;
  int64_t date = parse_date(value);
  return date > unix_time ? date - unix_time : 0;
}

static int64_t backoff_ms(const ps_attempt *a) {
  double longest = fmin(0.5 * pow(2, a->number), 5);
  return (int64_t)(longest * (0.5 + 0.5 * a->dice) * 1000);
}

int64_t ps_retry_pause(const ps_attempt *a) {
  int64_t wait = backoff_ms(a);
  int64_t asked = a->retry_after ? ps_retry_after(a->retry_after, a->unix_time) : 0;
  if (asked > RETRY_AFTER_CAP) asked = RETRY_AFTER_CAP;
  return asked * 1000 > wait ? asked * 1000 : wait;
}

int64_t ps_retry_wait(const ps_attempt *a) {
  if (!is_wanted(a) || !is_allowed(a)) return -1;
  int64_t wait = ps_retry_pause(a);
  return a->left_ms >= 0 && wait >= a->left_ms ? -1 : wait;
}

int64_t ps_pace_wait(ps_pace *p, int64_t now_ms, int64_t left_ms) {
  if (p->interval_ms <= 0) return 0;
  double now = (double)now_ms, begin = fmax(now, p->next_ms), wait = fmin(ceil(begin - now), longest_wait_ms);
  if (left_ms >= 0 && wait > 0 && wait >= (double)left_ms) return -1;
  p->next_ms = begin + p->interval_ms;
  return (int64_t)wait;
}
