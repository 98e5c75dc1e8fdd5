/* For tests: the scripted server (server.py says what it does), a client for it, and a clock that does not wait. */
#ifndef FAULTS_SERVER_H
#define FAULTS_SERVER_H

#include "client.h"

#define TEST_KEY "sk_test_51FaultsFaultsFaults9Xy2"

typedef struct server server;

/* `arguments`: more of server.py's, ended by NULL, or NULL. A server that does not start fails the test. */
server *server_start(const char *script, const char *const *arguments);
void server_stop(server *s);
/* The server of a group of tests, without a script, and cmocka's functions that start and stop it. */
extern server *it;
int start_server(void **state);
int stop_server(void **state);
const char *server_url(const server *s);
/* Replaces the script and empties the log. */
void server_script(const server *s, const char *script);
/* What was received: a list of {n, connection, t, method, path, headers, body}, to be freed. */
ps_value *server_log(const server *s);
/* How many requests the server received, and how many connections they came on. */
size_t server_requests(const server *s);
size_t server_connections(const server *s);

/* A client of TEST_KEY whose bases are all `url`; `options` may be NULL. */
ps_client *client_to(const char *url, const ps_client_options *options);
/* POST and GET of something that the server echoes. */
ps_result *post(ps_client *client, const ps_call_options *options);
ps_result *get(ps_client *client, const ps_call_options *options);

/* That the call ended in this error without a reply, and says so in one line; frees it. */
void assert_unanswered(ps_result *r, ps_error kind, ps_outcome outcome, int attempts);

/* Sleeps pass at once and are noted; dice always give `dice`. */
typedef struct test_clock {
  int64_t now, unix_time;
  double dice;
  int64_t sleeps[16];
  size_t sleep_count;
  ps_clock clock;
} test_clock;
void test_clock_init(test_clock *c);

/* Seconds since some moment. */
double seconds_now(void);

#endif
