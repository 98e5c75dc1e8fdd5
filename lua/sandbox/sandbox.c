/* A sandbox as a whole: the listening socket, the thread and the loop that it waits in, and the end of them.
 *
 * Everything is opened on the caller's thread, so that what goes wrong is known when ps_sandbox_start returns; then the
 * sandbox's own thread takes it over, until ps_sandbox_close has joined it. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "exchange.h"
#include "server.h"

enum { BACKLOG = 1024, MOST_WAIT = 60 * 1000 };

static ps_sandbox out_of_memory = {.error = "not enough memory"};

/* ---- Time ---- */

int64_t clock_ms(void) { return ps_system_clock.now_ms(NULL); }

int64_t clock_after(double seconds) {
  const double year = 365.0 * 86400;
  if (!(seconds > 0)) seconds = 0;
  if (seconds > year) seconds = year;
  return clock_ms() + (int64_t)(seconds * 1000 + 0.999);
}

/* ---- The loop ---- */

static void take_outcomes(ps_sandbox *s) {
  uint64_t count = 0;
  if (read(s->wake, &count, sizeof count) < 0 || !s->courier) return;
  for (delivery *d; (d = courier_take(s->courier));) {
    behaviour_delivered(s, d);
    delivery_free(d);
  }
}

static int wait_for(int64_t at) {
  int64_t left = at == INT64_MAX ? MOST_WAIT : at - clock_ms();
  if (left < 0) return 0;
  return (int)(left < MOST_WAIT ? left : MOST_WAIT);
}

static void *run(void *context) {
  ps_sandbox *s = context;
  struct pollfd ready[2] = {{front_descriptor(&s->front), POLLIN, 0}, {s->wake, POLLIN, 0}};
  while (!atomic_load(&s->stopping)) {
    if (ready[1].revents) take_outcomes(s);
    if (s->tick_at <= clock_ms()) behaviour_tick(s);
    int64_t at = front_run(s);
    if (s->tick_at < at) at = s->tick_at;
    if (poll(ready, 2, wait_for(at)) < 0) ready[1].revents = 0;
  }
  return NULL;
}

/* ---- Starting ---- */

static void set_error(ps_sandbox *s, const char *what) {
  char reason[100];
  snprintf(s->error, sizeof s->error, "%s: %s", what, strerror_r(errno, reason, sizeof reason));
}

/* Reads a numeric address into `address`; false: it is none. */
static bool read_address(const char *text, uint16_t port, struct sockaddr_storage *address, socklen_t *length) {
  struct sockaddr_in *v4 = (struct sockaddr_in *)address;
  struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
  memset(address, 0, sizeof *address);
  if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    *length = sizeof *v4;
    return true;
  }
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(port);
  *length = sizeof *v6;
  return inet_pton(AF_INET6, text, &v6->sin6_addr) == 1;
}

/* The URL under which this machine reaches the bound address. */
static void set_url(ps_sandbox *s, const struct sockaddr_storage *address) {
  char host[INET6_ADDRSTRLEN] = "127.0.0.1";
  if (address->ss_family == AF_INET) {
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
    if (v4->sin_addr.s_addr != htonl(INADDR_ANY)) inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
    snprintf(s->url, sizeof s->url, "http://%s:%u", host, ntohs(v4->sin_port));
  } else {
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
    bool any = IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr);
    inet_ntop(AF_INET6, any ? &in6addr_loopback : &v6->sin6_addr, host, sizeof host);
    snprintf(s->url, sizeof s->url, "http://[%s]:%u", host, ntohs(v6->sin6_port));
  }
}

static bool bind_and_listen(int listener, const struct sockaddr_storage *address, socklen_t length) {
  const int yes = 1;
  return listener >= 0 && setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0 &&
         bind(listener, (const struct sockaddr *)address, length) == 0 && listen(listener, BACKLOG) == 0;
}

/* A listening socket, with s->url set; -1: s->error says why not. */
static int listen_on(ps_sandbox *s, const char *text, int64_t port) {
  struct sockaddr_storage address;
  socklen_t length;
  char what[120];
  snprintf(what, sizeof what, "cannot listen on %.60s, port %lld", text, (long long)port);
  if (port > 65535) {
    snprintf(s->error, sizeof s->error, "the port %lld is not one of 1 to 65535, or 0 for any", (long long)port);
    return -1;
  }
  if (!read_address(text, (uint16_t)port, &address, &length)) {
    snprintf(s->error, sizeof s->error, "\"%.60s\" is not a numeric address, as 127.0.0.1, ::1 or 0.0.0.0", text);
    return -1;
  }
  int listener = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (bind_and_listen(listener, &address, length) && getsockname(listener, (struct sockaddr *)&address, &length) == 0) {
    set_url(s, &address);
    return listener;
  }
  set_error(s, what);
  if (listener >= 0) close(listener);
  return -1;
}

/* Signals are for the host's threads. */
static bool start_thread(ps_sandbox *s) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int failure = pthread_create(&s->thread, NULL, run, s);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (failure == 0) return true;
  errno = failure;
  set_error(s, "cannot start a thread");
  return false;
}

static bool open_all(ps_sandbox *s, const ps_sandbox_options *options) {
  s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (s->wake < 0) {
    set_error(s, "cannot make a descriptor");
    return false;
  }
  int listener = listen_on(s, options->listen ? options->listen : "127.0.0.1", options->port < 0 ? 0 : options->port);
  if (listener < 0) return false;
  if (!behaviour_open(s, options)) {
    close(listener);
    return false;
  }
  if (!front_open(s, listener)) {
    close(listener);
    snprintf(s->error, sizeof s->error, "not enough memory, or descriptors, for the server");
    return false;
  }
  return start_thread(s);
}

/* What the program knows of the options, on top of the defaults; false: `size` is not set. */
static bool read_options(const ps_sandbox_options *given, ps_sandbox_options *options) {
  *options = PS_SANDBOX_OPTIONS_INIT;
  if (!given) return true;
  if (given->size < sizeof given->size) return false;
  memcpy(options, given, given->size < sizeof *options ? given->size : sizeof *options);
  return true;
}

static void release(ps_sandbox *s) {
  courier_free(s->courier);
  s->courier = NULL;
  front_close(s);
  behaviour_close(s);
  if (s->wake >= 0) close(s->wake);
  s->wake = -1;
}

ps_sandbox *ps_sandbox_start(const ps_sandbox_options *given) {
  ps_sandbox_options options;
  ps_sandbox *s = calloc(1, sizeof *s);
  if (!s) return &out_of_memory;
  s->wake = -1;
  s->owner = getpid();
  atomic_init(&s->stopping, false);
  if (!read_options(given, &options)) {
    snprintf(s->error, sizeof s->error, "the options must begin as PS_SANDBOX_OPTIONS_INIT");
  } else if (!(s->started = open_all(s, &options))) {
    release(s);
    s->url[0] = '\0';
  }
  return s;
}

const char *ps_sandbox_error(const ps_sandbox *s) { return s->error; }

const char *ps_sandbox_url(const ps_sandbox *s) { return s->url; }

const char *ps_sandbox_key(const ps_sandbox *s) {
  (void)s;
  return "sk_test_sandbox";
}

/* ---- Ending ---- */

void ps_sandbox_close(ps_sandbox *s) {
  const uint64_t one = 1;
  if (!s || s == &out_of_memory || s->owner != getpid()) return;
  if (s->started) {
    atomic_store(&s->stopping, true);
    while (write(s->wake, &one, sizeof one) < 0 && errno == EINTR) continue;
    pthread_join(s->thread, NULL);
    release(s);
  }
  free(s);
}
