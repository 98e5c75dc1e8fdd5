/* See server.h. The control port is spoken to over a bare socket, so that what is tested does not test itself. */
#include "server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { MOST_ARGUMENTS = 12 };

struct server {
  pid_t pid;
  int input; /* closing it ends the server */
  FILE *output;
  char url[64], control[64];
};

static void read_line(FILE *f, char *line, size_t size) {
  assert_non_null(fgets(line, (int)size, f));
  line[strcspn(line, "\n")] = '\0';
}

server *server_start(const char *script, const char *const *arguments) {
  server *s = calloc(1, sizeof *s);
  char *argv[MOST_ARGUMENTS + 4] = {getenv("PS_PYTHON"), (char *)(uintptr_t)PS_SOURCE_DIR "/tests/faults/server.py",
                                    (char *)(uintptr_t)script};
  int input[2], output[2];
  if (!argv[0]) argv[0] = (char *)(uintptr_t) "/usr/bin/python3";
  for (size_t i = 0; arguments && arguments[i] && i < MOST_ARGUMENTS; i++)
    argv[3 + i] = (char *)(uintptr_t)arguments[i];
  assert_non_null(s);
  assert_int_equal(pipe2(input, O_CLOEXEC), 0);
  assert_int_equal(pipe2(output, O_CLOEXEC), 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input[0], 0);
  posix_spawn_file_actions_adddup2(&actions, output[1], 1);
  assert_int_equal(posix_spawn(&s->pid, argv[0], &actions, NULL, argv, environ), 0);
  posix_spawn_file_actions_destroy(&actions);
  close(input[0]);
  close(output[1]);
  s->input = input[1];
  s->output = fdopen(output[0], "r");
  read_line(s->output, s->url, sizeof s->url);
  read_line(s->output, s->control, sizeof s->control);
  return s;
}

void server_stop(server *s) {
  close(s->input);
  fclose(s->output);
  waitpid(s->pid, NULL, 0);
  free(s);
}

server *it;

int start_server(void **state) {
  (void)state;
  it = server_start("[]", NULL);
  return 0;
}

int stop_server(void **state) {
  (void)state;
  server_stop(it);
  return 0;
}

const char *server_url(const server *s) { return s->url; }

static int connect_to(const char *url) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  address.sin_port = htons((uint16_t)atoi(strrchr(url, ':') + 1));
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
  return fd;
}

/* The body of the answer, to be freed. */
static ps_value *control(const server *s, const char *method, const char *path, const char *body) {
  FILE *f = fdopen(connect_to(s->control), "r+");
  char line[200];
  size_t length = 0;
  fprintf(f, "%s %s HTTP/1.1\r\nContent-Length: %zu\r\n\r\n%s", method, path, strlen(body), body);
  fflush(f);
  do {
    read_line(f, line, sizeof line);
    if (strncmp(line, "content-length:", 15) == 0) length = strtoul(line + 15, NULL, 10);
  } while (strcmp(line, "\r") != 0);
  char *text = malloc(length + 1);
  assert_non_null(text);
  assert_int_equal(fread(text, 1, length, f), length);
  fclose(f);
  ps_value *v = ps_value_parse(text, length);
  free(text);
  assert_string_equal(ps_value_error(v), "");
  return v;
}

void server_script(const server *s, const char *script) { ps_value_free(control(s, "POST", "/_script", script)); }

ps_value *server_log(const server *s) {
  ps_value *answer = control(s, "GET", "/_log", ""), *log = ps_value_new();
  ps_value_copy(log, ps_get(answer, "data"));
  ps_value_free(answer);
  return log;
}

size_t server_requests(const server *s) {
  ps_value *log = server_log(s);
  size_t count = ps_count(log);
  ps_value_free(log);
  return count;
}

size_t server_connections(const server *s) {
  ps_value *log = server_log(s);
  size_t count = 0;
  for (const ps_value *v = ps_first(log); v; v = ps_next(v)) {
    const ps_value *other = ps_first(log);
    while (ps_int(other, "connection") != ps_int(v, "connection")) other = ps_next(other);
    if (other == v) count++;
  }
  ps_value_free(log);
  return count;
}

ps_client *client_to(const char *url, const ps_client_options *options) {
  ps_client_options o = options ? *options : PS_CLIENT_OPTIONS_INIT;
  o.api_base = o.files_base = o.connect_base = o.meter_events_base = url;
  ps_client *client = ps_client_new(o.api_key ? NULL : TEST_KEY, &o);
  assert_string_equal(ps_client_error(client), "");
  return client;
}

void assert_unanswered(ps_result *r, ps_error kind, ps_outcome outcome, int attempts) {
  assert_string_equal(ps_error_kind_name(ps_error_kind(r)), ps_error_kind_name(kind));
  assert_string_equal(ps_outcome_name(ps_error_outcome(r)), ps_outcome_name(outcome));
  assert_int_equal(ps_result_attempts(r), attempts);
  assert_int_equal(ps_result_status(r), 0);
  assert_true(*ps_error_message(r) != '\0');
  assert_null(strchr(ps_error_message(r), '\n'));
  ps_result_free(r);
}

ps_result *post(ps_client *client, const ps_call_options *options) {
  ps_value *params = ps_params("email", "jenny@example.com", NULL);
  ps_result *r = ps_call(client, PS_CUSTOMERS_CREATE, NULL, params, options);
  ps_value_free(params);
  return r;
}

ps_result *get(ps_client *client, const ps_call_options *options) {
  return ps_call(client, PS_BALANCE_RETRIEVE, NULL, NULL, options);
}

static int64_t clock_now(void *context) { return ((test_clock *)context)->now; }

static int64_t clock_unix_time(void *context) { return ((test_clock *)context)->unix_time; }

static double clock_dice(void *context) { return ((test_clock *)context)->dice; }

static void clock_sleep(void *context, int64_t ms) {
  test_clock *c = context;
  if (c->sleep_count < sizeof c->sleeps / sizeof *c->sleeps) c->sleeps[c->sleep_count++] = ms;
  c->now += ms;
}

void test_clock_init(test_clock *c) {
  *c = (test_clock){.now = 1000, .unix_time = 1700000000, .dice = 0.5};
  c->clock = (ps_clock){clock_now, clock_unix_time, clock_dice, clock_sleep, c};
}

double seconds_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}
