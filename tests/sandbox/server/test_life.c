/* Sandboxes as a host has them: started in any way, several at once, closed at any moment, in a child of fork. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wire.h"

#include <cmocka.h>

static void a_sandbox_starts_and_closes_a_hundred_times(void **state) {
  (void)state;
  for (int i = 0; i < 100; i++) {
    assert_int_equal(start_sandbox(NULL), 0);
    if (i % 2) ps_value_free(ask_once(it, "GET", "/echo", NULL));
    ps_sandbox_close(it);
  }
}

static void several_run_at_once_and_share_nothing(void **state) {
  ps_sandbox *all[5];
  char order[20];
  (void)state;
  for (int i = 0; i < 5; i++) all[i] = ps_sandbox_start(NULL);
  for (int i = 0; i < 5; i++) {
    snprintf(order, sizeof order, "%d", i);
    ps_value_free(ask_once(all[i], "POST", "/wake", "0"));
  }
  usleep(50000);
  for (int i = 0; i < 5; i++) {
    ps_value *v = ask_once(all[i], "POST", "/wake", "60");
    assert_int_equal(ps_int(v, "ticks"), 2);
    ps_value_free(v);
    for (int j = 0; j < i; j++) assert_string_not_equal(ps_sandbox_url(all[i]), ps_sandbox_url(all[j]));
  }
  for (int i = 0; i < 5; i++) ps_sandbox_close(all[i]);
}

static void it_closes_with_replies_and_webhooks_under_way(void **state) {
  static const char *const held[] = {"{\"delay\": 60}", "{\"wait\": \"key\"}",
                                     "{\"slow\": 1, \"body\": \"0123456789\"}"};
  int fds[4];
  (void)state;
  assert_int_equal(start_sandbox(NULL), 0);
  ps_value_free(ask_once(it, "POST", "/deliver",
                         "{\"id\": \"evt_1\", \"url\": \"http://10.255.255.1/\", \"body\": \"\", \"headers\": {}}"));
  for (int i = 0; i < 3; i++) {
    char text[200];
    fds[i] = dial(it);
    snprintf(text, sizeof text, "POST /reply HTTP/1.1\r\nContent-Length: %zu\r\n\r\n%s", strlen(held[i]), held[i]);
    send_text(fds[i], text);
  }
  fds[3] = dial(it);
  send_text(fds[3], "POST /echo HTTP/1.1\r\nContent-Length: 50\r\n\r\nhalf");
  ps_value_free(ask_once(it, "GET", "/echo", NULL));
  double begin = seconds_now();
  ps_sandbox_close(it);
  assert_true(seconds_now() - begin < 2);
  for (int i = 0; i < 4; i++) close(fds[i]);
}

/* ---- Options ---- */

static void assert_refused(const ps_sandbox_options *options, const char *words) {
  ps_sandbox *s = ps_sandbox_start(options);
  if (!strstr(ps_sandbox_error(s), words)) fail_msg("\"%s\" lacks \"%s\"", ps_sandbox_error(s), words);
  assert_string_equal(ps_sandbox_url(s), "");
  ps_sandbox_close(s);
}

static void bad_options_are_named(void **state) {
  ps_sandbox_options options = PS_SANDBOX_OPTIONS_INIT;
  (void)state;
  options.port = 65536;
  assert_refused(&options, "port 65536");
  options = PS_SANDBOX_OPTIONS_INIT;
  options.listen = "localhost";
  assert_refused(&options, "\"localhost\" is not a numeric address");
  options.listen = "192.0.2.1";
  assert_refused(&options, "cannot listen on 192.0.2.1, port 0: ");
  options.size = 0;
  assert_refused(&options, "PS_SANDBOX_OPTIONS_INIT");
}

static void a_port_that_is_taken_is_named(void **state) {
  ps_sandbox_options options = PS_SANDBOX_OPTIONS_INIT;
  (void)state;
  assert_int_equal(start_sandbox(NULL), 0);
  options.port = atoi(strrchr(ps_sandbox_url(it), ':') + 1);
  assert_refused(&options, "Address already in use");
  ps_sandbox_close(it);
}

static void a_closed_port_may_be_used_again_at_once(void **state) {
  ps_sandbox_options options = PS_SANDBOX_OPTIONS_INIT;
  (void)state;
  assert_int_equal(start_sandbox(NULL), 0);
  options.port = atoi(strrchr(ps_sandbox_url(it), ':') + 1);
  ps_value_free(ask_once(it, "GET", "/echo", NULL));
  ps_sandbox_close(it);
  ps_sandbox *again = ps_sandbox_start(&options);
  assert_string_equal(ps_sandbox_error(again), "");
  ps_value_free(ask_once(again, "GET", "/echo", NULL));
  ps_sandbox_close(again);
}

static void options_reach_the_behaviour(void **state) {
  ps_sandbox_options options = PS_SANDBOX_OPTIONS_INIT;
  (void)state;
  options.seed = 42;
  ps_sandbox *s = ps_sandbox_start(&options);
  ps_value *v = ask_once(s, "GET", "/options", NULL);
  assert_int_equal(ps_int(v, "seed"), 42);
  assert_string_equal(ps_str(v, "url"), ps_sandbox_url(s));
  ps_value_free(v);
  ps_sandbox_close(s);
  options.size = sizeof options.size; /* of a program that knew no options */
  s = ps_sandbox_start(&options);
  v = ask_once(s, "GET", "/options", NULL);
  assert_int_equal(ps_type(v, "seed"), PS_NULL);
  ps_value_free(v);
  ps_sandbox_close(s);
}

static void every_address_is_listened_on_by_name(void **state) {
  static const char *const named[][2] = {
    {"0.0.0.0", "http://127.0.0.1:"}, {"::1", "http://[::1]:"}, {"::", "http://[::1]:"}};
  (void)state;
  for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
    ps_sandbox_options options = PS_SANDBOX_OPTIONS_INIT;
    options.listen = named[i][0];
    ps_sandbox *s = ps_sandbox_start(&options);
    if (strchr(named[i][0], ':') && strstr(ps_sandbox_error(s), "cannot listen")) {
      print_message("left out, no IPv6 here: %s\n", ps_sandbox_error(s));
    } else {
      assert_string_equal(ps_sandbox_error(s), "");
      assert_int_equal(strncmp(ps_sandbox_url(s), named[i][1], strlen(named[i][1])), 0);
    }
    ps_sandbox_close(s);
  }
}

/* ---- The process ---- */

static void the_behaviour_reaches_nothing_of_the_machine(void **state) {
  (void)state;
  setenv("LUA_PATH", "/tmp/?.lua", 1);
  assert_int_equal(start_sandbox(NULL), 0);
  ps_value *v = ask_once(it, "GET", "/reaches", NULL);
  assert_int_equal(ps_type(v, NULL), PS_LIST);
  if (ps_count(v) > 0) fail_msg("it reaches %s", ps_str(v, "0"));
  ps_value_free(v);
  ps_sandbox_close(it);
}

static int interruptions;

static void count_interruption(int which) {
  (void)which;
  interruptions++;
}

/* A signal of the process is taken by the thread that is not the sandbox's: were it taken there, pause() would go on. */
static void signals_are_left_to_the_host(void **state) {
  const struct sigaction count = {.sa_handler = count_interruption};
  sigset_t alarm_only, before;
  (void)state;
  assert_int_equal(start_sandbox(NULL), 0);
  sigaction(SIGUSR1, &count, NULL);
  sigemptyset(&alarm_only);
  sigaddset(&alarm_only, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &alarm_only, &before);
  kill(getpid(), SIGUSR1);
  usleep(20000);
  assert_int_equal(interruptions, 0);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  assert_int_equal(interruptions, 1);
  ps_sandbox_close(it);
}

static void a_child_of_fork_may_close_it(void **state) {
  int status = 0;
  (void)state;
  assert_int_equal(start_sandbox(NULL), 0);
  pid_t child = fork();
  if (child == 0) {
    alarm(10);
    ps_sandbox_close(it);
    raise(SIGKILL); /* what the parent goes on with is no leak of the child's */
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  ps_value_free(ask_once(it, "GET", "/echo", NULL));
  ps_sandbox_close(it);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_sandbox_starts_and_closes_a_hundred_times),
    cmocka_unit_test(several_run_at_once_and_share_nothing),
    cmocka_unit_test(it_closes_with_replies_and_webhooks_under_way),
    cmocka_unit_test(bad_options_are_named),
    cmocka_unit_test(a_port_that_is_taken_is_named),
    cmocka_unit_test(a_closed_port_may_be_used_again_at_once),
    cmocka_unit_test(options_reach_the_behaviour),
    cmocka_unit_test(every_address_is_listened_on_by_name),
    cmocka_unit_test(the_behaviour_reaches_nothing_of_the_machine),
    cmocka_unit_test(signals_are_left_to_the_host),
    cmocka_unit_test(a_child_of_fork_may_close_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
