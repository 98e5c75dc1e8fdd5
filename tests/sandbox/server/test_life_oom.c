/* Starting and closing while memory runs out: an error or a sandbox, never a crash, never a leak. What libmicrohttpd, Lua's
 * shared library and libc allocate cannot be failed here; what the sandbox and its Lua state ask for can. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "../../core/oom.h"
#include "wire.h"

#include <cmocka.h>

static void start_and_close(void *context, bool failing) {
  (void)context;
  ps_sandbox *s = ps_sandbox_start(NULL);
  if (!failing) assert_string_equal(ps_sandbox_error(s), "");
  assert_true(*ps_sandbox_error(s) != '\0' || strncmp(ps_sandbox_url(s), "http://", 7) == 0);
  ps_sandbox_close(s);
}

static void starting_survives_every_failure(void **state) {
  (void)state;
  assert_true(oom_each(start_and_close, NULL) > 5);
}

/* A request of which some allocation fails gets an answer, or the end of its connection; the next one is answered. Nothing
 * is allocated on this side. */
static void request_once(void *context, bool failing) {
  char answered[500];
  const struct timeval patience = {10, 0};
  (void)context;
  int fd = dial(it);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  send_text(fd, "POST /reply HTTP/1.1\r\nHost: a\r\nContent-Length: 26\r\n\r\n{\"slow\": 1e6, \"body\": \"a\"}");
  ssize_t n = recv(fd, answered, sizeof answered, 0);
  assert_true(n >= 0 || errno == ECONNRESET);
  if (!failing) assert_int_equal(strncmp(answered, "HTTP/1.1 200", 12), 0);
  close(fd);
}

static void requests_survive_every_failure(void **state) {
  (void)state;
  assert_int_equal(start_sandbox(NULL), 0);
  assert_true(oom_each(request_once, NULL) > 5);
  ps_value_free(ask_once(it, "GET", "/echo", NULL));
  ps_sandbox_close(it);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(starting_survives_every_failure),
    cmocka_unit_test(requests_survive_every_failure),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
