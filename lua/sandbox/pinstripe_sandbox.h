/* An offline stand-in for the Stripe API, with state, on loopback, in your own process: a program that moves money can be
 * tried before it has an account, in tests, without a network.
 *
 *   ps_sandbox *sandbox = ps_sandbox_start(NULL);
 *   if (*ps_sandbox_error(sandbox)) fprintf(stderr, "%s\n", ps_sandbox_error(sandbox));
 *
 *   ps_client_options options = PS_CLIENT_OPTIONS_INIT;    (pinstripe.h; any other client of the API will do)
 *   options.api_base = options.files_base = ps_sandbox_url(sandbox);
 *   ps_client *stripe = ps_client_new(ps_sandbox_key(sandbox), &options);
 *   ...
 *   ps_client_free(stripe);
 *   ps_sandbox_close(sandbox);
 *
 * A sandbox answers every operation, keeps what was created until it is closed, takes payments with the test cards, sends
 * signed webhooks, serves files. Each runs on one thread of its own, and several may run at once; they share nothing.
 *
 * What else it does on demand is asked by requests to paths below /_sandbox/, with the same client, so that its thread
 * alone touches the state:
 *
 *   ps_result *r = ps_request(stripe, "POST", "/_sandbox/reset", NULL, NULL);
 *
 * docs/sandbox.md lists them: reset, snapshot and restore, the clock, faults on the wire, the log of requests, webhooks.
 *
 * Rules: no function returns NULL, and none takes it but where that is said. Running out of memory is an ordinary error. The
 * library prints nothing, ends nothing, writes nothing to disk, and takes no signals: those of the process never reach its
 * threads. It needs no other library of pinstripe. */
#ifndef PINSTRIPE_SANDBOX_H
#define PINSTRIPE_SANDBOX_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) && !defined(PS_SANDBOX_API)
#define PS_SANDBOX_API __attribute__((visibility("default")))
#elif !defined(PS_SANDBOX_API)
#define PS_SANDBOX_API
#endif

typedef struct ps_sandbox ps_sandbox;

/* Begin with PS_SANDBOX_OPTIONS_INIT and set what you need. A negative number and a NULL pointer mean "not set". Strings
 * are copied. */
typedef struct ps_sandbox_options {
  size_t size; /* set by _INIT */
  const char
    *listen;    /* the numeric address to listen on; default 127.0.0.1, which nobody outside this machine reaches */
  int64_t port; /* default, and 0: any that is free */
  int64_t seed; /* the same seed and the same requests give the same ids, times and chances; default: random */
} ps_sandbox_options;

static inline ps_sandbox_options ps_sandbox_options_init(void) {
  ps_sandbox_options options = {sizeof options, NULL, -1, -1};
  return options;
}
#define PS_SANDBOX_OPTIONS_INIT ps_sandbox_options_init()

/* Starts a sandbox; `options` may be NULL. When it returns, the sandbox takes requests. Never fails by itself:
 * ps_sandbox_error tells. */
PS_SANDBOX_API ps_sandbox *ps_sandbox_start(const ps_sandbox_options *options);
/* "" or why it could not be started: then it has no URL, and is still to be closed. Borrowed until closed. */
PS_SANDBOX_API const char *ps_sandbox_error(const ps_sandbox *sandbox);
/* "http://127.0.0.1:40001"; "" if it could not be started. Borrowed until closed. */
PS_SANDBOX_API const char *ps_sandbox_url(const ps_sandbox *sandbox);
/* A key that it takes. It takes every secret or restricted test key, and keeps the state of each apart. */
PS_SANDBOX_API const char *ps_sandbox_key(const ps_sandbox *sandbox);
/* Ends the sandbox with its threads and connections and frees all that it held; NULL: nothing. From any thread, once. In a
 * child process made by fork, where its threads do not exist, this does nothing. */
PS_SANDBOX_API void ps_sandbox_close(ps_sandbox *sandbox);

#ifdef __cplusplus
}
#endif

#endif
