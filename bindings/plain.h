/* The plain door of the bindings: the core's functions that take varargs, structs or arrays, said with opaque values
 * alone. Options are a map by their names (options.def), ids a list of strings. */
#ifndef PS_PLAIN_H
#define PS_PLAIN_H

#include "pinstripe.h"

/* What is wrong with a client's options, to be freed with free(); NULL: nothing. */
char *ps_plain_client_misuse(const ps_value *options);
/* A client as ps_client_new makes it. `transport`: its requests are carried by the language, so that nothing but
 * ps_exchange_step may drive its calls. */
ps_client *ps_plain_client(const char *api_key, const ps_value *options, const char *lang, bool transport);
/* A call whose misuse, of an option too, is its result. */
ps_exchange *ps_plain_call(ps_client *client, const char *operation, const ps_value *ids, const ps_value *params,
                           const ps_value *options);
/* The same for a language that lists ids by itself, ended by NULL. */
ps_exchange *ps_plain_begin(ps_client *client, const char *operation, const char *const *ids, const ps_value *params,
                            const ps_value *options);
ps_exchange *ps_plain_request(ps_client *client, const char *method, const char *path, const ps_value *params,
                              const ps_value *options);
ps_exchange *ps_plain_download(ps_client *client, const char *url, const ps_value *options);
/* Whether it is done. */
bool ps_plain_run(ps_exchange *x, int64_t max_ms);
/* Of a language's own transport: that no answer came, whether the request was certainly not sent, and whether it is not to
 * be sent again. */
void ps_plain_fail(ps_exchange *x, const char *reason, bool timeout, bool not_sent, bool final);
/* Webhooks, with one secret or a list of them: the signature alone; a snapshot event or a thin one. */
ps_result *ps_plain_verify(const char *body, size_t length, const char *header, const ps_value *secrets,
                           int64_t tolerance, int64_t now);
ps_result *ps_plain_event(const char *body, size_t length, const char *header, const ps_value *secrets,
                          int64_t tolerance, int64_t now, bool thin);
ps_result *ps_plain_event_unverified(const char *body, size_t length, bool thin);
/* To be freed with free(). */
char *ps_plain_json(const ps_value *v);

#endif
