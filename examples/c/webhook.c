/* A webhook endpoint, on libmicrohttpd: each delivery is verified, and answered with 200 only after its event has been
 * handled; each event is handled once, however often and in whatever order it is delivered.
 *
 *   cc webhook.c $(pkg-config --cflags --libs pinstripe libmicrohttpd)
 *   STRIPE_WEBHOOK_SECRET=whsec_... ./a.out 8080
 *
 * What is answered with a 500, or not at all, Stripe sends again, for days. The ids of what has been handled are kept in memory
 * here; a shop keeps them in its database, in the transaction that does the work. Work that takes long goes into a queue
 * that outlives the process: one thread answers here, and Stripe waits for some seconds. */
#include <microhttpd.h>
#include <pinstripe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BYTES = 1 << 20, MOST_EVENTS = 10000 };

typedef struct delivery {
  char *body;
  size_t length;
  bool too_large;
} delivery;

/* The last events that have been handled, a ring. */
static struct {
  ps_result *events[MOST_EVENTS];
  size_t next;
} handled;

static const char *secrets[] = {NULL, NULL, NULL}; /* the endpoint's, and while one is replaced, the other */

static bool is_known(const char *id) {
  for (size_t i = 0; i < MOST_EVENTS && handled.events[i]; i++) {
    if (strcmp(ps_str(ps_data(handled.events[i]), "id"), id) == 0) return true;
  }
  return false;
}

/* Instead of the oldest. */
static void remember(ps_result *event) {
  ps_result_free(handled.events[handled.next]);
  handled.events[handled.next] = event;
  handled.next = (handled.next + 1) % MOST_EVENTS;
}

/* The work; false: it could not be done. Events come in no order: what counts is in the object, whose state may be asked for. */
static bool handle(const ps_value *event) {
  const ps_value *object = ps_get(event, "data.object");
  return printf("%s %s %s\n", ps_str(event, "id"), ps_str(event, "type"), ps_str(object, "id")) > 0 &&
         fflush(stdout) == 0;
}

/* The status of the answer. */
static unsigned take(ps_result *event) {
  bool known = is_known(ps_str(ps_data(event), "id")), good = known || handle(ps_data(event));
  if (good && !known) remember(event);
  else ps_result_free(event);
  return good ? MHD_HTTP_OK : MHD_HTTP_INTERNAL_SERVER_ERROR;
}

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *text) {
  struct MHD_Response *response =
    MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
  enum MHD_Result queued = MHD_queue_response(connection, status, response);
  MHD_destroy_response(response);
  return queued;
}

static enum MHD_Result receive(struct MHD_Connection *connection, const delivery *d) {
  const char *header = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Stripe-Signature");
  ps_result *event = ps_event_parse(d->body ? d->body : "", d->length, header, secrets, -1, -1);
  if (ps_result_ok(event)) return answer(connection, take(event), "");
  enum MHD_Result queued = answer(connection, MHD_HTTP_BAD_REQUEST, ps_error_message(event));
  ps_result_free(event);
  return queued;
}

static void gather(delivery *d, const char *bytes, size_t length) {
  char *grown = d->length + length <= MOST_BYTES ? realloc(d->body, d->length + length) : NULL;
  if (grown) {
    memcpy(grown + d->length, bytes, length);
    d->body = grown;
    d->length += length;
  } else {
    d->too_large = true;
  }
}

/* Called once for the headers, then for each piece of the body, then once more. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *bytes, size_t *length, void **own) {
  (void)context, (void)url, (void)version;
  delivery *d = *own;
  if (!d) return (*own = calloc(1, sizeof *d)) ? MHD_YES : MHD_NO;
  if (*length > 0) {
    gather(d, bytes, *length);
    *length = 0;
    return MHD_YES;
  }
  if (strcmp(method, "POST") != 0) return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "POST only\n");
  if (d->too_large) return answer(connection, MHD_HTTP_CONTENT_TOO_LARGE, "too large\n");
  return receive(connection, d);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **own,
                         enum MHD_RequestTerminationCode how) {
  delivery *d = *own;
  (void)context, (void)connection, (void)how;
  if (d) free(d->body);
  free(d);
}

int main(int argc, char **argv) {
  secrets[0] = getenv("STRIPE_WEBHOOK_SECRET");
  secrets[1] = secrets[0] ? getenv("STRIPE_WEBHOOK_SECRET_OLD") : NULL;
  int port = argc > 1 ? atoi(argv[1]) : 8080;
  if (!secrets[0] || port <= 0 || port > 65535) {
    fprintf(stderr, "usage: STRIPE_WEBHOOK_SECRET=whsec_... webhook PORT\n");
    return 2;
  }
  struct MHD_Daemon *daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, (uint16_t)port, NULL, NULL, on_request,
                                               NULL, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);
  if (!daemon) {
    fprintf(stderr, "cannot listen on port %d\n", port);
    return 1;
  }
  printf("listening on port %d\n", port);
  fflush(stdout);
  while (getchar() != EOF) continue; /* until its input ends */
  MHD_stop_daemon(daemon);
  return 0;
}
