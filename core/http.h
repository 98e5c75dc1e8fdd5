/* Carries out one SEND. The only file that knows libcurl: a handle is a multi with one easy in it, so that a wait can be
 * cut short (curl_multi_wakeup) and continued. Used by one thread at a time, but for ps_http_wake. */
#ifndef PS_HTTP_H
#define PS_HTTP_H

#include "exchange.h"

typedef struct ps_http ps_http;

typedef struct ps_http_config {
  const char *proxy, *ca_file, *ca_path, *ca_data; /* NULL: the environment's, the system's */
} ps_http_config;

/* `config` is borrowed. NULL: no memory. */
ps_http *ps_http_new(const ps_http_config *config);
/* Gives up what is under way; its response is left as it is. */
void ps_http_free(ps_http *h); /* NULL: nothing */
/* Starts sending; the request and response stay the caller's and must outlive the transfer. A failure is in `response`,
 * and the next ps_http_perform returns true. `transfer`: see ps_exchange_is_transfer. */
void ps_http_begin(ps_http *h, const ps_http_request *request, ps_http_response *response, bool transfer);
/* Carries on for at most `max_ms` (negative: to the end; 0: what can be done without waiting). True: done. The request's
 * clocks run only in here. */
bool ps_http_perform(ps_http *h, int64_t max_ms);
/* Whether it stands still until the body is fed, or the window of the response emptied; the next perform goes on. */
bool ps_http_stalled(const ps_http *h);
/* Ends what is under way with PS_ERROR_CANCELLED in the response. */
void ps_http_cancel(ps_http *h);
/* Waits, or until woken. */
void ps_http_wait(ps_http *h, int64_t ms);
/* Any thread: cuts a perform or wait short, now or as soon as it begins. */
void ps_http_wake(void *http);
/* False after an error: drop the handle. */
bool ps_http_reusable(const ps_http *h);
/* "libcurl/7.88.1" */
const char *ps_http_library(void);

#endif
