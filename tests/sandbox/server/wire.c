/* A client that is as bad as a test needs it: what a well-behaved one never sends. */
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

ps_sandbox *it;

double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int start_sandbox(void **state) {
  (void)state;
  it = ps_sandbox_start(NULL);
  if (*ps_sandbox_error(it)) fprintf(stderr, "%s\n", ps_sandbox_error(it));
  return *ps_sandbox_error(it) ? -1 : 0;
}

int stop_sandbox(void **state) {
  (void)state;
  ps_sandbox_close(it);
  return 0;
}

int dial(const ps_sandbox *s) {
  const int yes = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  address.sin_port = htons((uint16_t)atoi(strrchr(ps_sandbox_url(s), ':') + 1));
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  return fd;
}

/* What the other side no longer takes is lost: its answer tells. */
void send_bytes(int fd, const char *bytes, size_t length) {
  for (ssize_t n; length > 0; bytes += n, length -= (size_t)n) {
    n = send(fd, bytes, length, MSG_NOSIGNAL);
    if (n <= 0) return;
  }
}

void send_text(int fd, const char *text) { send_bytes(fd, text, strlen(text)); }

/* Appends what comes next, up to `most` bytes. */
static ending read_some(int fd, ps_buf *to, size_t most, double until) {
  char bytes[65536];
  struct pollfd ready = {fd, POLLIN, 0};
  double left = until - seconds_now();
  if (left <= 0 || poll(&ready, 1, (int)(left * 1000) + 1) == 0) return SILENT;
  ssize_t n = recv(fd, bytes, most < sizeof bytes ? most : sizeof bytes, 0);
  if (n < 0) return errno == ECONNRESET ? RESET : CLOSED;
  if (n == 0) return CLOSED;
  ps_buf_add(to, bytes, (size_t)n);
  return ANSWERED;
}

static void read_head(answer *a) {
  const char *length = strcasestr(ps_buf_text(&a->head), "\r\nContent-Length:");
  a->status = atoi(ps_buf_text(&a->head) + strcspn(ps_buf_text(&a->head), " "));
  a->announced = length ? atoll(length + 17) : -1;
}

/* The head is read byte by byte, so that nothing of the next answer is taken. */
answer read_answer(int fd, bool head, double seconds) {
  double until = seconds_now() + seconds;
  answer a = {.announced = -1};
  while (a.end == ANSWERED && !strstr(ps_buf_text(&a.head), "\r\n\r\n")) a.end = read_some(fd, &a.head, 1, until);
  if (a.end != ANSWERED) return a;
  read_head(&a);
  while (a.end == ANSWERED && !head && (long long)a.body.length < a.announced) {
    a.end = read_some(fd, &a.body, (size_t)a.announced - a.body.length, until);
  }
  return a;
}

void answer_dispose(answer *a) {
  ps_buf_dispose(&a->head);
  ps_buf_dispose(&a->body);
}

void assert_request_id(const answer *a) {
  static const char name[] = "Request-Id: req_";
  const char *at = a->head.length ? strstr(a->head.data, name) : NULL;
  size_t length = at ? strspn(at + strlen(name), "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") : 0;
  if (length != 14) fail_msg("%s", a->head.length ? a->head.data : "no head");
}

answer ask(int fd, const char *method, const char *path, const char *body) {
  ps_buf text = PS_BUF_INIT;
  ps_buf_format(&text, "%s %s HTTP/1.1\r\nHost: test\r\n", method, path);
  if (body) ps_buf_format(&text, "Content-Length: %zu\r\n", strlen(body));
  ps_buf_str(&text, "\r\n");
  if (body) ps_buf_str(&text, body);
  send_bytes(fd, text.data, text.length);
  ps_buf_dispose(&text);
  answer a = read_answer(fd, strcmp(method, "HEAD") == 0, 10);
  assert_int_equal(a.end, ANSWERED);
  return a;
}

ps_value *ask_once(const ps_sandbox *s, const char *method, const char *path, const char *body) {
  int fd = dial(s);
  answer a = ask(fd, method, path, body);
  ps_value *v = ps_value_parse(ps_buf_text(&a.body), a.body.length);
  assert_string_equal(ps_value_error(v), "");
  answer_dispose(&a);
  close(fd);
  return v;
}
