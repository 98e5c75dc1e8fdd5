/* One request through libcurl. What this file adds to it:
 *
 *   certainty   PREREQ runs when the connection stands and nothing is sent yet. A failure before it is "not sent"; a
 *               second one within a SEND means that libcurl is about to send again by itself, which only the machine
 *               may decide: it is stopped there, and the outcome is unknown.
 *   honest time Clocks count the time spent in ps_http_perform, so that a request which nobody waits for does not
 *               age. Of a transfer, the attempt's clock starts anew whenever a byte moves.
 *   one trust   Where the system keeps its certificates by hash, only that directory is used: libcurl's other
 *               default, a bundle of all of them, costs 30 ms to read for each connection. */
#include "http.h"

#include <ctype.h>
#include <curl/curl.h>
#include <dirent.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IDLE_SECONDS = 50, CONNECTION_SECONDS = 600, BUFFER_BYTES = 64 * 1024 };

enum block { INTERIM, HEADERS, BODY }; /* what of the response is being received */

struct ps_http {
  const ps_http_config *config;
  CURLM *multi;
  CURL *easy;
  atomic_bool woken;
  bool broken; /* an error occurred: no further request */

  /* of the request under way */
  bool active, transfer, source_failed, stalled;
  const ps_http_request *request;
  ps_http_response *response;
  ps_arena *lines; /* of its headers */
  enum block block;
  int sends;              /* connections on which sending began: 0, 1, or 2 if libcurl tried again */
  int64_t body_read;      /* bytes that the request's body has given */
  curl_off_t moved;       /* bytes in both directions */
  int64_t elapsed, still; /* milliseconds: of waiting in all; since a byte moved */
  int64_t connect_limit, attempt_limit, deadline;
  char error[CURL_ERROR_SIZE];
};

/* ---- libcurl as a whole ---- */

static struct {
  bool ready;
  const char *bundle, *hashed; /* libcurl's default file; its default directory, if that holds hashed certificates */
  char name[40];
} library;

/* "4042bcee.0", as `openssl rehash` names links. */
static bool is_hash_name(const char *name) {
  return strspn(name, "0123456789abcdef") == 8 && name[8] == '.' && isdigit((unsigned char)name[9]);
}

static bool holds_hashed_certificates(const char *path) {
  DIR *directory = path ? opendir(path) : NULL;
  bool found = false;
  if (!directory) return false;
  for (struct dirent *entry; !found && (entry = readdir(directory));) found = is_hash_name(entry->d_name);
  closedir(directory);
  return found;
}

static void start_library(void) {
  library.ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
  snprintf(library.name, sizeof library.name, "libcurl/%s", info->version);
  library.bundle = info->cainfo;
  if (holds_hashed_certificates(info->capath)) library.hashed = info->capath;
}

static bool library_ready(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, start_library);
  return library.ready;
}

const char *ps_http_library(void) {
  library_ready();
  return library.name;
}

/* ---- Called by libcurl ---- */

static int on_connected(void *context, char *ip, char *local_ip, int port, int local_port) {
  ps_http *h = context;
  (void)ip, (void)local_ip, (void)port, (void)local_port;
  return ++h->sends > 1 ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

/* Never more than the length that was announced: the rest would be read as another request. */
static size_t on_read(char *buffer, size_t size, size_t count, void *context) {
  ps_http *h = context;
  const ps_body *body = h->request->body;
  int64_t left = body ? body->length - h->body_read : 0;
  size_t room = size * count;
  if (body && body->length < 0) left = (int64_t)room;
  if ((int64_t)room > left) room = (size_t)left;
  if (room == 0) return 0;
  ptrdiff_t n = body->read(body->context, buffer, room);
  if (n == PS_BODY_LATER) {
    h->stalled = true;
    return CURL_READFUNC_PAUSE;
  }
  if (n < 0 || (n == 0 && body->length >= 0)) {
    h->source_failed = true;
    return CURL_READFUNC_ABORT;
  }
  h->body_read += n;
  return (size_t)n;
}

static size_t on_write(char *data, size_t size, size_t count, void *context) {
  ps_http *h = context;
  h->stalled = h->stalled || ps_http_response_full(h->response);
  if (ps_http_response_full(h->response)) return CURL_WRITEFUNC_PAUSE;
  return ps_http_response_write(h->response, data, size * count) ? size * count : 0;
}

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static void add_header(ps_http_response *response, const char *line, const char *end) {
  const char *colon = memchr(line, ':', (size_t)(end - line));
  if (!colon || colon == line) return;
  const char *value = colon + 1;
  while (value < end && is_space(*value)) value++;
  while (end > value && is_space(end[-1])) end--;
  ps_http_response_headern(response, line, (size_t)(colon - line), value, (size_t)(end - value));
}

/* Keeps the final response's headers alone: not those of a 1xx before it, nor trailers. */
static size_t on_header(char *data, size_t size, size_t count, void *context) {
  ps_http *h = context;
  size_t length = size * count;
  long status = 0;
  if (h->block == INTERIM && length > 5 && memcmp(data, "HTTP/", 5) == 0) {
    curl_easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 200) h->block = HEADERS;
    if (status >= 200) ps_http_response_status(h->response, (int)status);
  } else if (h->block == HEADERS && length > 0 && *data != '\r' && *data != '\n') {
    add_header(h->response, data, data + length);
  } else if (h->block == HEADERS) {
    h->block = BODY;
  }
  return length;
}

/* ---- The handle ---- */

#define SET(option, value)                                                                                             \
  if (code == CURLE_OK) code = curl_easy_setopt(h->easy, option, value)

static bool equal(const char *a, const char *b) { return a && b && strcmp(a, b) == 0; }

/* Trust in the order: the client's options; the variables that programs of OpenSSL read; the system's directory. Its
 * bundle holds the same certificates once more. */
static CURLcode set_trust(ps_http *h) {
  CURLcode code = CURLE_OK;
  const char *file = h->config->ca_file, *path = h->config->ca_path, *data = h->config->ca_data;
  if (!file && !path && !data) {
    file = getenv("SSL_CERT_FILE");
    path = getenv("SSL_CERT_DIR");
    if (!path) path = library.hashed;
    if (equal(path, library.hashed) && equal(file, library.bundle)) file = NULL;
  }
  SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
  SET(CURLOPT_PROXY_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
  SET(CURLOPT_SSL_VERIFYPEER, 1L);
  SET(CURLOPT_SSL_VERIFYHOST, 2L);
  if (!file && !path && !data) return code;
  SET(CURLOPT_CAINFO, file);
  SET(CURLOPT_CAPATH, path);
  if (data) {
    struct curl_blob blob = {(char *)(uintptr_t)data, strlen(data), CURL_BLOB_NOCOPY};
    SET(CURLOPT_CAINFO_BLOB, &blob);
  }
  return code;
}

static CURLcode set_callbacks(ps_http *h) {
  CURLcode code = CURLE_OK;
  SET(CURLOPT_ERRORBUFFER, h->error);
  SET(CURLOPT_PREREQFUNCTION, on_connected);
  SET(CURLOPT_PREREQDATA, h);
  SET(CURLOPT_READFUNCTION, on_read);
  SET(CURLOPT_READDATA, h);
  SET(CURLOPT_WRITEFUNCTION, on_write);
  SET(CURLOPT_WRITEDATA, h);
  SET(CURLOPT_HEADERFUNCTION, on_header);
  SET(CURLOPT_HEADERDATA, h);
  return code;
}

/* Without QUICK_EXIT, giving up waits for a resolver that hangs. PATH_AS_IS: what was decided is sent, dots and all. */
static CURLcode set_behaviour(ps_http *h) {
  CURLcode code = CURLE_OK;
  SET(CURLOPT_NOSIGNAL, 1L);
  SET(CURLOPT_QUICK_EXIT, 1L);
  SET(CURLOPT_PROTOCOLS_STR, "https,http");
  SET(CURLOPT_FOLLOWLOCATION, 0L);
  SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
  SET(CURLOPT_PROXY, h->config->proxy);
  SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
  SET(CURLOPT_PATH_AS_IS, 1L);
  SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
  SET(CURLOPT_ACCEPT_ENCODING, "");
  SET(CURLOPT_TCP_NODELAY, 1L);
  SET(CURLOPT_TCP_KEEPALIVE, 1L);
  SET(CURLOPT_MAXAGE_CONN, (long)IDLE_SECONDS);
  SET(CURLOPT_MAXLIFETIME_CONN, (long)CONNECTION_SECONDS);
  SET(CURLOPT_BUFFERSIZE, (long)BUFFER_BYTES);
  return code;
}

ps_http *ps_http_new(const ps_http_config *config) {
  ps_http *h = library_ready() ? calloc(1, sizeof *h) : NULL;
  if (!h) return NULL;
  h->config = config;
  atomic_init(&h->woken, false);
  h->multi = curl_multi_init();
  h->easy = curl_easy_init();
  h->lines = ps_arena_new(1024);
  if (h->multi && h->easy && h->lines && !set_behaviour(h) && !set_callbacks(h) && !set_trust(h)) return h;
  ps_http_free(h);
  return NULL;
}

static void stop(ps_http *h) {
  if (!h->active) return;
  curl_multi_remove_handle(h->multi, h->easy);
  h->active = false;
}

void ps_http_free(ps_http *h) {
  if (!h) return;
  stop(h);
  curl_easy_cleanup(h->easy);
  if (h->multi) curl_multi_cleanup(h->multi);
  ps_arena_free(h->lines);
  free(h);
}

bool ps_http_reusable(const ps_http *h) { return !h->active && !h->broken; }

/* ---- Failing ---- */

static void fail(ps_http *h, ps_error kind, const char *reason) {
  stop(h);
  h->broken = true;
  ps_http_response_fail(h->response, kind, h->sends > 0 ? PS_OUTCOME_UNKNOWN : PS_OUTCOME_NOT_SENT, reason);
}

static ps_error kind_of(CURLcode code) {
  switch (code) {
    case CURLE_OUT_OF_MEMORY:
    case CURLE_WRITE_ERROR: return PS_ERROR_MEMORY; /* over the cap, the response has its failure already */
    case CURLE_OPERATION_TIMEDOUT: return PS_ERROR_TIMEOUT;
    case CURLE_URL_MALFORMAT: return PS_ERROR_USAGE;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS: return PS_ERROR_TLS;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING: return PS_ERROR_PROTOCOL;
    default: return PS_ERROR_CONNECTION;
  }
}

/* libcurl takes a connection that ends within the headers for a complete answer. */
static void finish(ps_http *h, CURLcode code) {
  stop(h);
  if (code == CURLE_OK && h->block == BODY) return;
  if (h->source_failed) fail(h, PS_ERROR_USAGE, "the body of the request could not be read to its end");
  else if (h->sends > 1) fail(h, PS_ERROR_CONNECTION, "the connection was lost after the request had been sent");
  else if (code == CURLE_OK) fail(h, PS_ERROR_CONNECTION, "the connection was lost within the headers of the answer");
  else fail(h, kind_of(code), *h->error ? h->error : curl_easy_strerror(code));
}

void ps_http_cancel(ps_http *h) {
  if (h->active) fail(h, PS_ERROR_CANCELLED, "the call was cancelled");
}

/* ---- Clocks ---- */

static int64_t to_ms(double seconds) {
  if (!(seconds >= 0) || seconds > 1e12) return INT64_MAX;
  return (int64_t)(seconds * 1000 + 0.5);
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static int clamp_to_int(int64_t ms) { return (int)least(ms, INT_MAX); }

/* Milliseconds until the first of the clocks runs out. */
static int64_t time_left(const ps_http *h) {
  int64_t left = h->attempt_limit - (h->transfer ? h->still : h->elapsed);
  if (h->sends == 0) left = least(left, h->connect_limit - h->elapsed);
  return least(left, h->deadline - h->elapsed);
}

static void count_time(ps_http *h, int64_t ms) {
  curl_off_t up = 0, down = 0;
  h->elapsed += ms;
  h->still += ms;
  if (!h->transfer) return;
  curl_easy_getinfo(h->easy, CURLINFO_SIZE_UPLOAD_T, &up);
  curl_easy_getinfo(h->easy, CURLINFO_SIZE_DOWNLOAD_T, &down);
  if (up + down != h->moved) h->still = 0;
  h->moved = up + down;
}

static void fail_late(ps_http *h) {
  char reason[400];
  const char *host = strstr(h->request->url, "://");
  host = host ? host + 3 : "";
  int length = clamp_to_int((int64_t)strcspn(host, "/?"));
  if (h->elapsed >= h->deadline) {
    snprintf(reason, sizeof reason, "no answer from %.*s before the call's deadline", length, host);
  } else if (h->sends == 0 && h->elapsed >= h->connect_limit) {
    snprintf(reason, sizeof reason, "no connection to %.*s within %g s", length, host, h->request->connect_timeout);
  } else if (h->transfer) {
    snprintf(reason, sizeof reason, "no byte to or from %.*s for %g s", length, host, h->request->timeout);
  } else {
    snprintf(reason, sizeof reason, "no answer from %.*s within %g s", length, host, h->request->timeout);
  }
  fail(h, PS_ERROR_TIMEOUT, reason);
}

/* ---- One request ---- */

/* libcurl borrows the list, so that its nodes can be ours. */
static CURLcode set_headers(ps_http *h) {
  static char no_expect[] = "Expect:";
  const ps_http_request *request = h->request;
  CURLcode code = CURLE_OK;
  h->lines = ps_arena_reset(h->lines);
  struct curl_slist *nodes = ps_arena_alloc(h->lines, (request->header_count + 1) * sizeof *nodes);
  if (!nodes) return CURLE_OUT_OF_MEMORY;
  for (size_t i = 0; i < request->header_count; i++) {
    const ps_http_header *row = &request->headers[i];
    nodes[i].data = ps_arena_join(h->lines, row->name, *row->value ? ": " : ";", row->value, NULL);
    nodes[i].next = &nodes[i + 1];
    if (!nodes[i].data) return CURLE_OUT_OF_MEMORY;
  }
  nodes[request->header_count] = (struct curl_slist){no_expect, NULL};
  SET(CURLOPT_HTTPHEADER, nodes);
  return code;
}

static CURLcode set_request(ps_http *h) {
  const ps_http_request *request = h->request;
  bool post = strcmp(request->method, "POST") == 0, get = strcmp(request->method, "GET") == 0;
  CURLcode code = set_headers(h);
  SET(CURLOPT_URL, request->url);
  SET(CURLOPT_NOPROXY, ps_url_is_loopback(request->url) ? "*" : NULL);  /* NULL: as the environment says */
  SET(CURLOPT_CONNECTTIMEOUT_MS, (long)clamp_to_int(h->connect_limit)); /* shared out among a host's addresses */
  if (post || request->body) {
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(request->body ? request->body->length : 0));
  } else {
    SET(CURLOPT_HTTPGET, 1L);
  }
  if (strcmp(request->method, "HEAD") == 0) SET(CURLOPT_NOBODY, 1L);
  SET(CURLOPT_CUSTOMREQUEST, post || get ? NULL : request->method);
  return code;
}

void ps_http_begin(ps_http *h, const ps_http_request *request, ps_http_response *response, bool transfer) {
  h->request = request;
  h->response = response;
  h->transfer = transfer;
  h->source_failed = h->stalled = false;
  h->block = INTERIM;
  h->sends = 0;
  h->body_read = h->moved = h->elapsed = h->still = 0;
  h->connect_limit = to_ms(request->connect_timeout);
  h->attempt_limit = to_ms(request->timeout);
  h->deadline = to_ms(request->deadline);
  h->error[0] = '\0';
  CURLcode code = set_request(h);
  h->active = code == CURLE_OK && curl_multi_add_handle(h->multi, h->easy) == CURLM_OK;
  if (!h->active) finish(h, code ? code : CURLE_OUT_OF_MEMORY);
}

/* libcurl's own clock for connecting goes on while nobody waits: when it alone has run out, connecting begins again. */
static bool began_again(ps_http *h, CURLcode code) {
  if (code != CURLE_OPERATION_TIMEDOUT || h->sends > 0 || time_left(h) <= 0) return false;
  curl_multi_remove_handle(h->multi, h->easy);
  return curl_multi_add_handle(h->multi, h->easy) == CURLM_OK;
}

static void progress(ps_http *h) {
  int running = 0, queued = 0;
  if (curl_multi_perform(h->multi, &running) != CURLM_OK) {
    finish(h, CURLE_OUT_OF_MEMORY);
  } else if (running == 0) {
    const CURLMsg *message = curl_multi_info_read(h->multi, &queued);
    CURLcode code = message ? message->data.result : CURLE_FAILED_INIT;
    if (!began_again(h, code)) finish(h, code);
  }
}

bool ps_http_perform(ps_http *h, int64_t max_ms) {
  int64_t begin = ps_system_clock.now_ms(NULL), last = begin;
  bool paused = h->stalled;
  h->stalled = false;
  if (h->active && paused) curl_easy_pause(h->easy, CURLPAUSE_CONT);
  while (h->active) {
    if (!h->stalled) progress(h);
    if (!h->active) break;
    int64_t now = ps_system_clock.now_ms(NULL), left = max_ms < 0 ? INT64_MAX : max_ms - (now - begin);
    count_time(h, now - last);
    last = now;
    if (time_left(h) <= 0) {
      fail_late(h);
    } else if (h->stalled || left <= 0 || atomic_exchange(&h->woken, false)) {
      return false;
    } else if (curl_multi_poll(h->multi, NULL, 0, clamp_to_int(least(left, time_left(h))), NULL) != CURLM_OK) {
      finish(h, CURLE_OUT_OF_MEMORY);
    }
  }
  return true;
}

bool ps_http_stalled(const ps_http *h) { return h->active && h->stalled; }

void ps_http_wait(ps_http *h, int64_t ms) {
  int64_t end = ps_system_clock.now_ms(NULL) + ms;
  for (int64_t left = ms; left > 0 && !atomic_exchange(&h->woken, false); left = end - ps_system_clock.now_ms(NULL)) {
    if (curl_multi_poll(h->multi, NULL, 0, clamp_to_int(left), NULL) != CURLM_OK) return;
  }
}

void ps_http_wake(void *http) {
  ps_http *h = http;
  atomic_store(&h->woken, true);
  curl_multi_wakeup(h->multi);
}
