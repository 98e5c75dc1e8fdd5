/* The core as SWIG sees it, for any language: opaque handles and functions over them, without varargs, callbacks or
 * struct fields (plain.h has what the core's own header says in those). A language adds what turns its values into
 * ps_value and back, in typemaps of its own; without any it has ps_value_parse and ps_json. */
%module _core

%{
#include "plain.h"
%}

%rename("%(strip:[ps_])s") "";

#ifdef SWIGPYTHON
%include "python/typemaps.i"
#endif

typedef long long int64_t;

typedef struct ps_value ps_value;
typedef struct ps_client ps_client;
typedef struct ps_exchange ps_exchange;
typedef struct ps_result ps_result;
typedef struct ps_iter ps_iter;
typedef struct ps_meter ps_meter;

const char *ps_version(void);
const char *ps_api_version(void);
const char *ps_api_nearest_operation(const char *id);

/* Values, for a language without converters of its own. */
%newobject ps_value_parse;
%newobject ps_json;
ps_value *ps_value_parse(const char *json, size_t length);
char *ps_plain_json(const ps_value *v);
const char *ps_str(const ps_value *v, const char *path);
int64_t ps_int(const ps_value *v, const char *path);
void ps_value_free(ps_value *v);

/* Clients. */
char *ps_plain_client_misuse(const ps_value *options);
ps_client *ps_plain_client(const char *api_key, const ps_value *options, const char *lang, bool transport);
const char *ps_client_error(const ps_client *client);
void ps_client_free(ps_client *client);

/* Calls: a machine that is run in slices, so that a language may look at its signals in between. */
ps_exchange *ps_plain_call(ps_client *client, const char *operation, const ps_value *ids, const ps_value *params,
                           const ps_value *options);
ps_exchange *ps_plain_request(ps_client *client, const char *method, const char *path, const ps_value *params,
                              const ps_value *options);
ps_exchange *ps_plain_download(ps_client *client, const char *url, const ps_value *options);
bool ps_plain_run(ps_exchange *x, int64_t max_ms);
bool ps_exchange_carry(ps_exchange *x, int64_t max_ms);
void ps_plain_fail(ps_exchange *x, const char *reason, bool timeout, bool not_sent, bool final);
int ps_exchange_step(ps_exchange *x);
int64_t ps_exchange_wait(const ps_exchange *x);
void ps_exchange_cancel(ps_exchange *x);
ps_result *ps_exchange_result(ps_exchange *x);
void ps_exchange_free(ps_exchange *x);

/* The bytes of an upload, given piece by piece, and those of a download, as they come. */
int ps_exchange_hungry(const ps_exchange *x);
void ps_exchange_feed(ps_exchange *x, const char *body, size_t length);
const char *ps_exchange_take(ps_exchange *x, size_t *length);
void ps_exchange_progress(const ps_exchange *x, int64_t *done, int64_t *total);

/* A meter's queue of events. */
ps_meter *ps_meter_new(ps_client *client, double max_age, int64_t max_pending);
const char *ps_meter_add(ps_meter *m, const ps_value *event);
size_t ps_meter_pending(const ps_meter *m);
int64_t ps_meter_wait(const ps_meter *m);
int64_t ps_meter_pause(const ps_meter *m);
ps_exchange *ps_meter_exchange(ps_meter *m);
bool ps_meter_feed(ps_meter *m);
bool ps_meter_set_aside(ps_meter *m);
const ps_result *ps_meter_result(const ps_meter *m);
ps_value *ps_meter_skip(ps_meter *m);
void ps_meter_free(ps_meter *m);

/* Webhooks. */
ps_result *ps_plain_verify(const char *body, size_t length, const char *header, const ps_value *secrets, int64_t tolerance,
                           int64_t now);
ps_result *ps_plain_event(const char *body, size_t length, const char *header, const ps_value *secrets, int64_t tolerance,
                          int64_t now, bool thin);
ps_result *ps_plain_event_unverified(const char *body, size_t length, bool thin);
%newobject ps_webhook_sign;
char *ps_webhook_sign(const char *body, size_t length, const char *secret, int64_t timestamp);
ps_exchange *ps_exchange_new_event(ps_client *client, const ps_value *notification);
ps_exchange *ps_exchange_new_related_object(ps_client *client, const ps_value *notification);
ps_client *ps_client_scoped(ps_client *client, const char *stripe_context);

/* OAuth's address, of which nothing is sent. */
ps_result *ps_oauth_authorize_url(ps_client *client, const ps_value *params, bool express);

/* Results. */
bool ps_result_ok(const ps_result *r);
const ps_value *ps_data(const ps_result *r);
const char *ps_error_message(const ps_result *r);
void ps_result_free(ps_result *r);
