/* For tests of the sandbox's front: bytes to and from a sandbox, whose behaviour is stub/init.lua. */
#ifndef SANDBOX_WIRE_H
#define SANDBOX_WIRE_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "pinstripe.h"
#include "pinstripe_sandbox.h"

/* The sandbox of a group of tests, and cmocka's functions that start and stop it. */
extern ps_sandbox *it;
int start_sandbox(void **state);
int stop_sandbox(void **state);

/* A connection to it. */
int dial(const ps_sandbox *s);
void send_bytes(int fd, const char *bytes, size_t length);
void send_text(int fd, const char *text);

/* How a connection, or an answer on it, ended. */
typedef enum { ANSWERED, CLOSED, RESET, SILENT } ending;

typedef struct answer {
  ending end;
  int status; /* 0: no line of a status */
  ps_buf head, body;
  long long announced; /* Content-Length; -1: none */
} answer;

/* Reads one answer, with a body of what is announced; of HEAD without. Gives up, SILENT, after `seconds`. */
answer read_answer(int fd, bool head, double seconds);
void answer_dispose(answer *a);
/* Fails unless the answer has a Request-Id. */
void assert_request_id(const answer *a);
/* Sends a request with a body (NULL: none) and reads its answer, which must come. */
answer ask(int fd, const char *method, const char *path, const char *body);
/* The same on a connection of its own, as JSON, to be freed. */
ps_value *ask_once(const ps_sandbox *s, const char *method, const char *path, const char *body);

/* Seconds since some moment. */
double seconds_now(void);

#endif
