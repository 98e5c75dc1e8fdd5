/* Configuration, the pool of transport handles, and the blocking driver.
 *
 *   client ──atomic──▶ pool {pid, mutex, idle handles, pace per key}
 *
 * A child after fork sees a pid that is not its own before it touches any lock, and swaps in a pool of its own; the old
 * one stays reachable and is never touched again. */
#ifndef PS_CLIENT_H
#define PS_CLIENT_H

#include "http.h"
#include "page.h"

/* Replaces time and chance, for tests: before the first call. */
void ps_client_set_clock(ps_client *client, const ps_clock *clock);
/* What the client lends to its exchanges. */
void ps_client_host(ps_client *client, ps_exchange_host *host);
/* Runs to the end, and frees `x`. What waits to be fed, or its window emptied, would wait for ever, and is cancelled: nobody can
 * do that here. */
ps_result *ps_exchange_finish(ps_exchange *x);

#endif
