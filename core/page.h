/* The pager: which request comes next, which item is next, where to resume. No I/O: the exchange that it hands out is
 * driven by whoever drives exchanges.
 *
 *   item ... item │ no item left ──▶ exchange ──driver──▶ feed ──▶ item ... ──▶ end
 *                 └ a failed page leaves everything as it was: the next exchange asks for it again */
#ifndef PS_PAGE_H
#define PS_PAGE_H

#include "exchange.h"

ps_iter *ps_iter_create(const ps_exchange_host *host, const ps_target *target, const ps_value *params,
                        const ps_call_options *options, const ps_fault *fault);
ps_iter *ps_iter_create_from(const ps_exchange_host *host, const ps_result *r, const ps_value *list);
ps_iter *ps_iter_create_resumed(const ps_exchange_host *host, const char *cursor);
/* Whether half of the page has been taken, there is a next one, it is wanted early and not yet begun. */
bool ps_iter_wants_prefetch(const ps_iter *it);
/* The exchange under way, or NULL; ps_iter_exchange makes one. */
ps_exchange *ps_iter_pending(ps_iter *it);
void ps_iter_drop_pending(ps_iter *it);

#endif
