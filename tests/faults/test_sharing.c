/* One client for many threads and for forked processes; many clients in one process. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server.h"

#include <cmocka.h>

#ifndef __has_feature
#define __has_feature(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || (__has_feature(address_sanitizer) && __clang_major__ < 19)
#define ALLOCATOR_BEARS_FORK false
#else
#define ALLOCATOR_BEARS_FORK true
#endif

static ps_client *client;

static int begin(void **state) {
  (void)state;
  server_script(it, "[]");
  client = client_to(server_url(it), NULL);
  return 0;
}

static int end(void **state) {
  (void)state;
  ps_client_free(client);
  return 0;
}

/* Retrieves a customer of this name; whether the answer is its own. */
static bool call_and_compare(const char *id) {
  const char *ids[] = {id, NULL};
  char path[80];
  snprintf(path, sizeof path, "/v1/customers/%s", id);
  ps_result *r = ps_call(client, PS_CUSTOMERS_RETRIEVE, ids, NULL, NULL);
  bool same = ps_result_ok(r) && strcmp(ps_str(ps_data(r), "path"), path) == 0;
  if (!same) fprintf(stderr, "%s: %s %s\n", path, ps_error_message(r), ps_str(ps_data(r), "path"));
  ps_result_free(r);
  return same;
}

/* ---- Threads ---- */

enum { THREADS = 16, CALLS = 25, CALLERS = 4, FORKS = 100 };

static atomic_int wrong;

static void *call_often(void *number) {
  for (int i = 0; i < CALLS; i++) {
    char id[40];
    snprintf(id, sizeof id, "cus_%zu_%d", (size_t)number, i);
    if (!call_and_compare(id)) atomic_fetch_add(&wrong, 1);
  }
  return NULL;
}

static void threads_share_a_client(void **state) {
  pthread_t threads[THREADS];
  (void)state;
  atomic_store(&wrong, 0);
  for (size_t i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, call_often, (void *)i);
  for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  assert_int_equal(atomic_load(&wrong), 0);
  assert_int_equal(server_requests(it), THREADS * CALLS);
  assert_true(server_connections(it) <= THREADS);
}

static void one_thread_uses_one_connection(void **state) {
  (void)state;
  call_often(NULL);
  assert_int_equal(server_requests(it), CALLS);
  assert_int_equal(server_connections(it), 1);
}

static void keys_and_bases_are_each_clients_own(void **state) {
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  (void)state;
  options.api_key = "sk_test_the_other";
  ps_client *other = client_to(server_url(it), &options);
  for (int i = 0; i < 2; i++) {
    ps_result_free(get(client, NULL));
    ps_result_free(get(other, NULL));
  }
  ps_client_free(other);
  ps_result_free(get(client, NULL));
  ps_value *log = server_log(it);
  for (size_t i = 0; i < 5; i++) {
    const char *expected = i % 2 ? "Bearer sk_test_the_other" : "Bearer " TEST_KEY;
    assert_string_equal(ps_str(ps_list_get(log, i), "headers.authorization"), expected);
  }
  ps_value_free(log);
}

static void results_and_iterators_outlive_their_client(void **state) {
  (void)state;
  server_script(
    it, "[{\"body\":{\"object\":\"list\",\"url\":\"/v1/charges\",\"has_more\":true,\"data\":[{\"id\":\"a\"}]}},"
        "{\"body\":{\"object\":\"list\",\"url\":\"/v1/charges\",\"has_more\":false,\"data\":[{\"id\":\"b\"}]}}]");
  ps_client *own = client_to(server_url(it), NULL);
  ps_iter *charges = ps_iter_new(own, PS_CHARGES_LIST, NULL, NULL, NULL);
  ps_client_free(own);
  assert_string_equal(ps_str(ps_iter_next(charges), "id"), "a");
  assert_string_equal(ps_str(ps_iter_next(charges), "id"), "b");
  assert_null(ps_iter_next(charges));
  ps_iter_free(charges);
}

/* ---- Processes ---- */

/* A child that hangs is ended by its alarm, and fails the test. */
static pid_t fork_child(void) {
  pid_t child = fork();
  if (child == 0) alarm(20);
  return child;
}

/* The exit status of a child, or 128 and the signal that ended it. */
static int wait_for(pid_t child) {
  int status = -1;
  assert_int_equal(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static atomic_bool forking_is_over;

static void *call_while_forking(void *number) {
  for (int i = 0; !atomic_load(&forking_is_over); i++) {
    char id[40];
    snprintf(id, sizeof id, "cus_thread_%zu_%d", (size_t)number, i);
    if (!call_and_compare(id)) atomic_fetch_add(&wrong, 1);
  }
  return NULL;
}

static int call_in_child(int number) {
  for (int i = 0; i < 2; i++) {
    char id[40];
    snprintf(id, sizeof id, "cus_child_%d_%d", number, i);
    if (!call_and_compare(id)) return 1;
  }
  return 0;
}

static void children_call_while_threads_do(void **state) {
  pthread_t threads[CALLERS];
  pid_t children[FORKS];
  (void)state;
  if (!ALLOCATOR_BEARS_FORK) skip(); /* the sanitizer's own hangs in children of a process with threads */
  atomic_store(&wrong, 0);
  atomic_store(&forking_is_over, false);
  for (size_t i = 0; i < CALLERS; i++) pthread_create(&threads[i], NULL, call_while_forking, (void *)i);
  for (int i = 0; i < FORKS; i++) {
    children[i] = fork_child();
    if (children[i] == 0) _exit(call_in_child(i));
    if (i % 4 == 3) usleep(5000);
  }
  for (int i = 0; i < FORKS; i++) assert_int_equal(wait_for(children[i]), 0);
  atomic_store(&forking_is_over, true);
  for (size_t i = 0; i < CALLERS; i++) pthread_join(threads[i], NULL);
  assert_int_equal(atomic_load(&wrong), 0);
}

static void a_child_uses_and_closes_no_connection_of_its_parent(void **state) {
  (void)state;
  ps_result_free(get(client, NULL));
  pid_t child = fork_child();
  if (child == 0) {
    ps_result *r = get(client, NULL);
    bool good = ps_result_ok(r);
    ps_result_free(r);
    ps_client_free(client);
    _exit(good ? 0 : 1);
  }
  assert_int_equal(wait_for(child), 0);
  ps_result_free(get(client, NULL));
  ps_value *log = server_log(it);
  assert_int_equal(ps_count(log), 3);
  assert_int_not_equal(ps_int(log, "1.connection"), ps_int(log, "0.connection"));
  assert_int_equal(ps_int(log, "2.connection"), ps_int(log, "0.connection"));
  ps_value_free(log);
}

#define PAGE(first, more)                                                                                              \
  "{\"body\":{\"object\":\"list\",\"url\":\"/v1/charges\",\"has_more\":" more ",\"data\":[{\"id\":\"" first            \
  "1\"},{\"id\":\"" first "2\"},{\"id\":\"" first "3\"},{\"id\":\"" first "4\"}]}"

static int count_rest(ps_iter *charges) {
  int count = 0;
  while (ps_iter_next(charges)) count++;
  if (!ps_result_ok(ps_iter_result(charges)) || ps_result_attempts(ps_iter_result(charges)) != 1) return -1;
  ps_iter_free(charges);
  return count;
}

/* The page that the parent asked for ahead is the parent's; the child asks for its own. */
static void a_child_drops_a_page_asked_for_ahead(void **state) {
  (void)state;
  server_script(it, "[" PAGE("a", "true") "}," PAGE("b", "false") ",\"delay\":0.2}," PAGE("b", "false") "}]");
  ps_iter *charges = ps_iter_new(client, PS_CHARGES_LIST, NULL, NULL, NULL);
  assert_non_null(ps_iter_next(charges));
  assert_non_null(ps_iter_next(charges));
  pid_t child = fork_child();
  if (child == 0) _exit(count_rest(charges) == 6 ? 0 : 1);
  assert_int_equal(wait_for(child), 0);
  assert_int_equal(count_rest(charges), 6);
  ps_value *log = server_log(it);
  assert_int_equal(ps_count(log), 3);
  assert_string_equal(ps_str(log, "1.path"), ps_str(log, "2.path"));
  int64_t of_parent = ps_int(log, "0.connection"); /* which of the others was read first, nobody knows */
  assert_int_not_equal(ps_int(log, "1.connection") == of_parent, ps_int(log, "2.connection") == of_parent);
  ps_value_free(log);
}

/* A request under way at the fork: its outcome is unknown to the child, which asks again with the same key. */
static void a_child_asks_again_for_what_was_under_way(void **state) {
  (void)state;
  server_script(it, "[{\"delay\":0.5},{}]");
  ps_exchange *x = ps_exchange_new(client, PS_CUSTOMERS_CREATE, NULL, NULL, NULL);
  assert_int_equal(ps_exchange_run(x, 50), PS_SEND);
  pid_t child = fork_child();
  if (child == 0) {
    ps_exchange_run(x, -1);
    ps_result *r = ps_exchange_result(x);
    bool good = ps_result_ok(r) && ps_result_attempts(r) == 2;
    ps_result_free(r);
    ps_exchange_free(x);
    _exit(good ? 0 : 1);
  }
  assert_int_equal(wait_for(child), 0);
  assert_int_equal(ps_exchange_run(x, -1), PS_DONE);
  ps_result *r = ps_exchange_result(x);
  assert_true(ps_result_ok(r));
  assert_int_equal(ps_result_attempts(r), 1);
  ps_result_free(r);
  ps_exchange_free(x);
  ps_value *log = server_log(it);
  assert_int_equal(ps_count(log), 2);
  assert_string_equal(ps_str(log, "0.headers.idempotency-key"), ps_str(log, "1.headers.idempotency-key"));
  ps_value_free(log);
}

static void a_child_makes_keys_of_its_own(void **state) {
  (void)state;
  ps_result_free(post(client, NULL));
  pid_t child = fork_child();
  if (child == 0) {
    ps_result_free(post(client, NULL));
    _exit(0);
  }
  assert_int_equal(wait_for(child), 0);
  ps_result_free(post(client, NULL));
  ps_value *log = server_log(it);
  const char *of_child = ps_str(log, "1.headers.idempotency-key");
  assert_string_not_equal(ps_str(log, "0.headers.idempotency-key"), of_child);
  assert_string_not_equal(ps_str(log, "2.headers.idempotency-key"), of_child);
  ps_value_free(log);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(threads_share_a_client),
    TEST(one_thread_uses_one_connection),
    TEST(keys_and_bases_are_each_clients_own),
    TEST(results_and_iterators_outlive_their_client),
    TEST(children_call_while_threads_do),
    TEST(a_child_uses_and_closes_no_connection_of_its_parent),
    TEST(a_child_drops_a_page_asked_for_ahead),
    TEST(a_child_asks_again_for_what_was_under_way),
    TEST(a_child_makes_keys_of_its_own),
  };
  return cmocka_run_group_tests(tests, start_server, stop_server);
}
