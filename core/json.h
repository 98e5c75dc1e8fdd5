/* JSON text to values and back. The only file that knows yajl. */
#ifndef PS_JSON_H
#define PS_JSON_H

#include "value.h"

/* The value in `arena`, or NULL with `fault` set: PS_ERROR_PROTOCOL (where and what: "near line 3, byte 17: ...") or
 * PS_ERROR_MEMORY. `text` keeps its length, but each escape of a lone surrogate in it becomes "\ufffd". */
ps_value *ps_json_parse(ps_arena *arena, char *text, size_t length, ps_fault *fault);
/* The same of a list of the API, with its items cut down to `fields` (see ps_exchange_set_fields; NULL: to nothing less):
 * what is not named is checked, but not built. More may be left than is named: what pages and objects are known by. */
ps_value *ps_json_parse_fields(ps_arena *arena, char *text, size_t length, const ps_value *fields, ps_fault *fault);
/* A byte that is not UTF-8 becomes U+FFFD, so that the text is JSON. */
void ps_json_write(ps_buf *out, const ps_value *v);
void ps_json_write_string(ps_buf *out, const char *s, size_t length);

#endif
