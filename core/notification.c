/* Thin events at work: fetching what they are about, and a handler that gives each to the function of its type. Calls made
 * for an event go in that event's own context, or in none: never in the client's own context or account, which may be
 * another's. */
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "client.h"

/* ---- Fetching ---- */

typedef struct fetch {
  ps_call_options options;
  ps_value *headers; /* to be freed */
} fetch;

static fetch prepare(const ps_value *notification) {
  fetch f = {PS_CALL_OPTIONS_INIT, ps_value_new()};
  ps_fault no_memory = {.kind = PS_ERROR_NONE};
  ps_buf trigger = PS_BUF_INIT;
  ps_buf_str(&trigger, "event=");
  ps_buf_str(&trigger, ps_str(notification, "id"));
  ps_value_set_str(ps_map_set(f.headers, "Stripe-Request-Trigger"), ps_buf_text(&trigger));
  ps_fault_memory(&no_memory);
  if (trigger.failed) ps_value_poison(f.headers, &no_memory);
  ps_buf_dispose(&trigger);
  f.options.headers = f.headers;
  f.options.stripe_account = "";
  f.options.stripe_context = ps_str(notification, "context");
  return f;
}

ps_exchange *ps_exchange_new_event(ps_client *client, const ps_value *notification) {
  fetch f = prepare(notification);
  const char *ids[] = {ps_str(notification, "id"), NULL};
  ps_exchange *x = ps_exchange_new(client, PS_V2_CORE_EVENTS_RETRIEVE, ids, NULL, &f.options);
  ps_value_free(f.headers);
  return x;
}

ps_exchange *ps_exchange_new_related_object(ps_client *client, const ps_value *notification) {
  fetch f = prepare(notification);
  const char *url = ps_str(notification, "related_object.url");
  if (!*url) ps_value_fail(f.headers, "this event has no related_object: nothing can be fetched");
  ps_exchange *x = ps_exchange_new_request(client, "GET", url, NULL, &f.options);
  ps_value_free(f.headers);
  return x;
}

ps_result *ps_notification_event(ps_client *client, const ps_value *notification) {
  return ps_exchange_finish(ps_exchange_new_event(client, notification));
}

ps_result *ps_notification_related_object(ps_client *client, const ps_value *notification) {
  return ps_exchange_finish(ps_exchange_new_related_object(client, notification));
}

/* ---- Handling ---- */

typedef struct row {
  char *type;
  ps_notification_fn run;
} row;

struct ps_handler {
  ps_client *client;
  row *rows;
  size_t count;
  ps_notification_veto pre_handle;
  ps_notification_fallback fallback;
  void *context;
  bool closed; /* it has handled an event: no registration any more */
};

ps_handler *ps_handler_new(ps_client *client, ps_notification_fallback fallback, void *context) {
  ps_handler *h = calloc(1, sizeof *h);
  if (h) *h = (ps_handler){.client = ps_client_hold(client), .fallback = fallback, .context = context};
  return h;
}

void ps_handler_free(ps_handler *h) {
  if (!h) return;
  for (size_t i = 0; i < h->count; i++) free(h->rows[i].type);
  free(h->rows);
  ps_client_free(h->client);
  free(h);
}

static const row *find(const ps_handler *h, const char *type) {
  for (size_t i = 0; i < h->count; i++) {
    if (strcmp(h->rows[i].type, type) == 0) return &h->rows[i];
  }
  return NULL;
}

static const char *const closed = "the handler has handled an event: register before that";

const char *ps_handler_on(ps_handler *h, const char *type, ps_notification_fn run) {
  if (h->closed) return closed;
  if (find(h, type)) return "this type has a function already";
  row *grown = realloc(h->rows, (h->count + 1) * sizeof *grown);
  if (grown) h->rows = grown;
  char *copy = grown ? strdup(type) : NULL;
  if (!copy) return "no memory";
  grown[h->count++] = (row){copy, run};
  return NULL;
}

const char *ps_handler_pre_handle(ps_handler *h, ps_notification_veto pre_handle) {
  if (h->closed) return closed;
  if (h->pre_handle) return "the handler has a pre_handle already";
  h->pre_handle = pre_handle;
  return NULL;
}

static ps_result *handle(ps_handler *h, ps_result *r) {
  h->closed = true;
  if (!ps_result_ok(r)) return r;
  const ps_value *notification = ps_data(r);
  const char *type = ps_str(notification, "type");
  const row *own = find(h, type);
  ps_client *client = ps_client_scoped(h->client, ps_str(notification, "context"));
  bool wanted = !h->pre_handle || h->pre_handle(h->context, client, notification);
  if (wanted && own) own->run(h->context, client, notification);
  else if (wanted) h->fallback(h->context, client, notification, ps_event_find(type) != NULL);
  ps_client_free(client);
  return r;
}

ps_result *ps_handler_handle(ps_handler *h, const char *body, size_t length, const char *header,
                             const char *const *secrets, int64_t tolerance, int64_t now) {
  return handle(h, ps_notification_parse(body, length, header, secrets, tolerance, now));
}

ps_result *ps_handler_handle_without_verification(ps_handler *h, const char *body, size_t length) {
  return handle(h, ps_notification_parse_without_verification(body, length));
}
