/* Events as lines of a log. An event holds nothing secret by construction, but for what a server may have put into a
 * notice; lines are redacted all the same. */
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "error.h"

static const char *const level_names[] = {"off", "error", "warn", "info", "debug"};

ps_log_level ps_log_level_find(const char *name) {
  for (size_t i = 0; i < sizeof level_names / sizeof *level_names; i++) {
    if (strcmp(name, level_names[i]) == 0) return (ps_log_level)i;
  }
  return PS_LOG_OFF;
}

const char *ps_log_level_name(ps_log_level level) {
  return (size_t)level < sizeof level_names / sizeof *level_names ? level_names[level] : "";
}

static void add_response(ps_buf *b, const ps_call_event *e) {
  if (e->status) ps_buf_format(b, ": %d", e->status);
  else ps_buf_format(b, ": no answer (%s)", e->message);
  ps_buf_format(b, " after %lld ms, attempt %d", (long long)(e->duration * 1000), e->attempt);
  if (*e->request_id) ps_buf_format(b, ", %s", e->request_id);
}

char *ps_log_line(const ps_call_event *e) {
  ps_buf b = PS_BUF_INIT;
  ps_buf_format(&b, "%s %s", e->method, e->path);
  switch (e->kind) {
    case PS_EVENT_REQUEST: ps_buf_format(&b, ": attempt %d", e->attempt); break;
    case PS_EVENT_RESPONSE: add_response(&b, e); break;
    case PS_EVENT_RETRY: ps_buf_format(&b, ": again in %lld ms", (long long)(e->duration * 1000)); break;
    case PS_EVENT_NOTICE: ps_buf_format(&b, ": notice: %s", e->message); break;
  }
  char *line = ps_buf_take(&b, NULL);
  if (line) ps_redact(line);
  return line;
}
