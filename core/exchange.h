/* The machine of one call: owns the request, its key, the retries and the deadline; does no I/O and calls nobody.
 *
 *            ┌──────────── WAIT (retry, pace) ◀───────────┐
 *            ▼                                            │ again
 *   new ──▶ SEND ──driver fills the response──▶ step ─────┤
 *            │                                            │ enough
 *            └── usage error, cancelled ──▶ DONE ◀────────┘ */
#ifndef PS_EXCHANGE_H
#define PS_EXCHANGE_H

#include "download.h"
#include "request.h"
#include "result.h"
#include "retry.h"

/* Time and chance, so that a test can own them. Monotonic milliseconds; Unix seconds; [0, 1). */
typedef struct ps_clock {
  int64_t (*now_ms)(void *context);
  int64_t (*unix_time)(void *context);
  double (*dice)(void *context);
  void (*sleep)(void *context, int64_t ms); /* NULL: the driver waits in its own way */
  void *context;
} ps_clock;

extern const ps_clock ps_system_clock;

typedef struct ps_header_row {
  struct ps_header_row *next;
  ps_http_header header;
} ps_header_row;

struct ps_http_response {
  int status;
  ps_arena *arena; /* of the headers, then of the result; NULL: no memory */
  ps_header_row *first_header, **last_header;
  size_t header_count;
  ps_buf body;
  int64_t max_body;
  ps_download *download; /* takes the body of a success, or NULL */
  ps_fault failure;
  bool is_final; /* whatever it says, the request is not sent again */
};

/* Whether the window of a download is full: writing waits until its reader has taken what lies there. */
bool ps_http_response_full(const ps_http_response *response);

/* As ps_http_response_header, of a name and a value that no NUL ends. */
void ps_http_response_headern(ps_http_response *response, const char *name, size_t name_length, const char *value,
                              size_t value_length);

/* What a client lends to its exchanges. */
typedef struct ps_exchange_host {
  ps_client *client; /* given to hold and release only */
  ps_client *(*hold)(ps_client *client);
  void (*release)(ps_client *client);
  /* Milliseconds until a request with this key may go, counting it; -1: not before its deadline. NULL: no limit. */
  int64_t (*pace)(ps_client *client, const char *api_key, int64_t now_ms, int64_t left_ms);
  ps_clock clock;
  const ps_settings *defaults; /* the client's settings */
  const ps_fault *fault;       /* the client's own, or NULL */
} ps_exchange_host;

/* Copies what it needs. `fault`, if any, is what the exchange ends with at once. Never NULL: a static one for no memory. */
ps_exchange *ps_exchange_create(const ps_exchange_host *host, const ps_target *target, const ps_value *params,
                                const ps_call_options *options, const ps_fault *fault);
/* Frees `r` (NULL: nothing), whose memory the first response of a new exchange is read into: large blocks, asked of the system
 * for each page of a list anew, would cost more than reading them. */
void ps_exchange_reuse(ps_exchange *x, ps_result *r);
/* What a driver keeps beside an exchange: freed through `dispose` before the exchange is. */
void ps_exchange_attach(ps_exchange *x, void *driver, void (*dispose)(void *driver));
void *ps_exchange_attached(const ps_exchange *x);
/* Who interrupts a wait when the exchange is cancelled, from any thread; NULL: nobody. */
void ps_exchange_set_waker(ps_exchange *x, void (*wake)(void *context), void *context);
/* For a driver whose client listens to none: their texts are never made. */
void ps_exchange_skip_events(ps_exchange *x);
ps_client *ps_exchange_client(const ps_exchange *x);
bool ps_exchange_cancelled(const ps_exchange *x);
int64_t ps_exchange_now(const ps_exchange *x);
ps_step ps_exchange_state(const ps_exchange *x);
/* The request under way, for the driver: whether it is an upload or download. */
bool ps_exchange_is_transfer(const ps_exchange *x);
/* Whether a refusal with this status says nothing of what was sent: "not now", or "not with this key". */
bool ps_status_may_pass(int status);
/* Moves the deadline: `ms` have passed in which nobody waited for this exchange (a prefetch). */
void ps_exchange_pause(ps_exchange *x, int64_t ms);

#endif
