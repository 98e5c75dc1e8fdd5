/* HTTP: requests are gathered until their bodies are complete, given to the behaviour, and answered now or later.
 *
 *   RECEIVING ──complete──▶ behaviour ──▶ READY ──▶ SENDING ──completed──▶ RECEIVING, for the next on this connection
 *                              │            ▲         │  ▲
 *                              └──▶ HELD ───┘         └──┘ held between the pieces of a slow body
 *
 * libmicrohttpd runs without a thread of its own, inside front_run; while a connection is held, it is suspended. */
#include "server.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_CONNECTIONS = 1000, KEPT_BYTES = 64 * 1024 };

/* ---- Held connections ---- */

static void unlist(request *r) {
  request **place = &r->sandbox->front.held;
  if (!r->listed) return;
  while (*place != r) place = &(*place)->next;
  *place = r->next;
  r->listed = false;
}

void front_hold(request *r, int64_t due) {
  request **place = &r->sandbox->front.held;
  if (!r->listed) MHD_suspend_connection(r->connection);
  unlist(r);
  while (*place && (*place)->due <= due) place = &(*place)->next;
  r->next = *place;
  r->due = due;
  r->listed = true;
  *place = r;
}

static void resume(request *r) {
  unlist(r);
  if (r->state == HELD) r->state = READY;
  MHD_resume_connection(r->connection);
}

request *front_awaited(struct ps_sandbox *s, const char *key) {
  for (request *r = s->front.held; r; r = r->next) {
    if (r->reply.key && strcmp(r->reply.key, key) == 0) return r;
  }
  return NULL;
}

/* ---- Answering ---- */

/* Linux answers this with a reset of the connection, whatever is unsent or unread. */
static void reset_connection(const request *r) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
  if (info) (void)connect(info->connect_fd, &nobody, sizeof nobody);
}

static enum MHD_Result send_reply(request *r) {
  reply *p = &r->reply;
  r->state = SENDING;
  if (p->reset) reset_connection(r);
  if (!p->response) return MHD_NO;
  return MHD_queue_response(r->connection, p->status, p->response);
}

static enum MHD_Result answer(request *r) {
  if (r->too_large) {
    reply_refuse(&r->reply, 413, "invalid_request_error", "The body of the request is larger than 64 MiB.");
  } else {
    behaviour_handle(r);
  }
  if (!r->reply.key && r->reply.delay <= 0) return send_reply(r);
  r->state = HELD;
  front_hold(r, r->reply.key ? INT64_MAX : clock_after(r->reply.delay));
  return MHD_YES;
}

/* ---- Gathering ---- */

static enum MHD_Result note_header(void *context, enum MHD_ValueKind kind, const char *name, size_t name_length,
                                   const char *value, size_t value_length) {
  request *r = context;
  (void)kind;
  if (!value) value_length = 0;
  while (value_length > 0 && (value[value_length - 1] == ' ' || value[value_length - 1] == '\t')) value_length--;
  const front_header header = {name, value ? value : "", name_length, value_length};
  ps_buf_add(&r->headers, (const char *)&header, sizeof header);
  return MHD_YES;
}

static size_t most_body(request *r) {
  static const char control[] = "/_sandbox/";
  return strncmp(ps_buf_text(&r->uri), control, sizeof control - 1) == 0 ? MOST_CONTROL_BODY : MOST_BODY;
}

static void take(request *r, const char *bytes, size_t length) {
  if (r->body.length + length > most_body(r)) r->too_large = true;
  if (r->too_large) ps_buf_dispose(&r->body);
  else ps_buf_add(&r->body, bytes, length);
}

/* Makes room for a body whose length is announced. False: it is too large, and its client waits for leave to send it. One
 * that sends at once gets the same answer after it, for it reads none before. */
static bool expect(request *r) {
  const char *length = MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, "Content-Length");
  unsigned long long bytes = length ? strtoull(length, NULL, 10) : 0;
  r->too_large = bytes > most_body(r);
  if (!r->too_large && bytes > KEPT_BYTES) ps_buf_reserve(&r->body, (size_t)bytes);
  return !r->too_large || !MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, "Expect");
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *data, size_t *size, void **connection_context) {
  request *r = *connection_context;
  (void)context, (void)connection, (void)url, (void)version;
  if (!r || r->uri.failed || r->body.failed || r->headers.failed) return MHD_NO;
  if (r->state == READY) return send_reply(r);
  if (!r->method) {
    r->method = strcmp(method, "HEAD") == 0 ? "GET" : method; /* libmicrohttpd leaves the body of the answer out */
    MHD_get_connection_values_n(connection, MHD_HEADER_KIND, note_header, r);
    return expect(r) ? MHD_YES : answer(r);
  }
  if (*size == 0) return answer(r);
  take(r, data, *size);
  *size = 0;
  return MHD_YES;
}

/* Some clients, as those of a proxy, name scheme and host in the line of the request. */
static const char *skip_host(const char *uri) {
  bool absolute = strncasecmp(uri, "http://", 7) == 0 || strncasecmp(uri, "https://", 8) == 0;
  if (!absolute) return uri;
  uri = strchr(uri, ':') + 3;
  uri += strcspn(uri, "/?");
  return *uri == '/' ? uri : "/";
}

/* A request begins: its line is complete. What is returned becomes its context. */
static void *on_line(void *context, const char *uri, struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  request *r = info ? info->socket_context : NULL;
  (void)context;
  if (!r) return NULL;
  ps_buf_str(&r->uri, skip_host(uri));
  ps_buf_text(&r->uri); /* ends it */
  return r;
}

/* Empties a buffer for the next request; large ones are given back. */
static void recycle(ps_buf *b) {
  if (b->failed || b->capacity > KEPT_BYTES) ps_buf_dispose(b);
  b->length = 0;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **connection_context,
                         enum MHD_RequestTerminationCode code) {
  request *r = *connection_context;
  (void)context, (void)connection, (void)code;
  if (!r) return;
  unlist(r);
  reply_dispose(&r->reply);
  recycle(&r->uri);
  recycle(&r->body);
  recycle(&r->headers);
  r->method = NULL;
  r->too_large = false;
  r->state = RECEIVING;
}

static void on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode code) {
  request *r = *socket_context;
  if (code == MHD_CONNECTION_NOTIFY_STARTED) {
    r = calloc(1, sizeof *r);
    if (r) r->sandbox = context;
    if (r) r->connection = connection;
    *socket_context = r;
  } else if (r) {
    on_completed(NULL, connection, socket_context, MHD_REQUEST_TERMINATED_WITH_ERROR);
    ps_buf_dispose(&r->uri);
    ps_buf_dispose(&r->body);
    ps_buf_dispose(&r->headers);
    free(r);
    *socket_context = NULL;
  }
}

/* Paths and queries stay as they were sent: the behaviour decides what escapes mean. */
static size_t keep_escapes(void *context, struct MHD_Connection *connection, char *text) {
  (void)context, (void)connection;
  return strlen(text);
}

/* ---- Running ---- */

bool front_open(struct ps_sandbox *s, int listener) {
  unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_TURBO;
  s->front.daemon = MHD_start_daemon(
    flags, 0, NULL, NULL, on_request, s, MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_CONNECTION_LIMIT,
    (unsigned)MOST_CONNECTIONS, MHD_OPTION_URI_LOG_CALLBACK, on_line, s, MHD_OPTION_NOTIFY_COMPLETED, on_completed, s,
    MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, s, MHD_OPTION_END);
  return s->front.daemon != NULL;
}

/* libmicrohttpd refuses to stop while connections are suspended. */
void front_close(struct ps_sandbox *s) {
  if (!s->front.daemon) return;
  while (s->front.held) resume(s->front.held);
  MHD_stop_daemon(s->front.daemon);
  s->front.daemon = NULL;
}

int front_descriptor(const front *f) { return MHD_get_daemon_info(f->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd; }

int64_t front_run(struct ps_sandbox *s) {
  front *f = &s->front;
  MHD_UNSIGNED_LONG_LONG ms = 0;
  while (f->held && f->held->due <= clock_ms()) resume(f->held);
  MHD_run(f->daemon);
  int64_t at = f->held ? f->held->due : INT64_MAX;
  if (MHD_get_timeout(f->daemon, &ms) != MHD_YES) return at;
  int64_t theirs = clock_ms() + (int64_t)(ms < 1000 ? ms : 1000);
  return theirs < at ? theirs : at;
}
