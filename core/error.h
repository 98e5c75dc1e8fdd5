/* A fault: what went wrong, in a fixed space, so that it can be told when memory has run out. The first one stays. */
#ifndef PS_ERROR_H
#define PS_ERROR_H

#include "arena.h"
#include "pinstripe.h"

typedef struct ps_fault {
  ps_error kind; /* PS_ERROR_NONE: no fault */
  ps_outcome outcome;
  char message[480]; /* one line of UTF-8; cut at a whole character, never with a secret in it */
} ps_fault;

/* Does nothing if `f` already holds a fault. The outcome is PS_OUTCOME_NOT_SENT unless set after. */
void ps_fault_set(ps_fault *f, ps_error kind, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Stars every key and secret in `text` but its last four characters, in place: sk_, rk_, whsec_, _secret_ and their kin. */
void ps_redact(char *text);
/* The same for one that has no prefix of its own, but is known (or NULL), whole or cut off at the end of the text. Shorter than
 * 8 bytes it is none. */
void ps_redact_known(char *text, const char *secret);
/* Makes `text` one line of UTF-8 without secrets, in place. `cut`: its end may lie within a character, which then goes. */
void ps_line_tidy(char *text, bool cut);
void ps_fault_memory(ps_fault *f);
/* A copy of `s`, NULL for NULL. Without memory for it NULL, and the fault is set. */
const char *ps_fault_copy(ps_fault *f, ps_arena *a, const char *s);
/* The word of `words` (ended by NULL from `next`) with the least edit distance to `name`, or NULL if none is near. */
typedef const char *(*ps_words)(void *context, size_t index);
const char *ps_nearest(const char *name, ps_words next, void *context);
/* The kind of an API error. `type`, `code` as sent, "" if absent; `oauth`: `error` was a string. */
ps_error ps_error_classify(int status, const char *type, const char *code, bool v2, bool oauth);

#endif
